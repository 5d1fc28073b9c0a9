/** Values, times and ages as people read them. Pure; the local time zone is the browser's. */
import type { Unit } from './contract.ts';

const BYTE_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const;
/** What stands where there is no value. */
export const NOTHING = '–';

export function formatValue(value: number | null | undefined, unit: Unit): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return NOTHING;
  switch (unit) {
    case 'percent':
      return formatPercent(value);
    case 'bytes':
      return formatBytes(value);
    case 'bytes_per_second':
      return `${formatBytes(value)}/s`;
    case 'load':
      return value.toFixed(2);
    case 'seconds':
      return formatDuration(value * 1000);
    case 'count':
      return significant(value);
    default:
      return unit satisfies never;
  }
}

/** One decimal below ten so that a quiet host is not "0 %" all day; none above, where it would only flicker. */
export function formatPercent(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return NOTHING;
  return `${Math.abs(value) < 9.95 ? value.toFixed(1) : value.toFixed(0)} %`;
}

/** Binary multiples, three significant digits. */
export function formatBytes(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return NOTHING;
  let scaled = Math.abs(value);
  let power = 0;
  while (scaled >= 999.5 && power < BYTE_UNITS.length - 1) {
    scaled /= 1024;
    power++;
  }
  return `${value < 0 ? '-' : ''}${power === 0 ? scaled.toFixed(0) : significant(scaled)} ${BYTE_UNITS[power]}`;
}

/** Short label for an axis tick: the unit only where it tells something. */
export function formatTick(value: number, unit: Unit): string {
  switch (unit) {
    case 'percent':
      return `${trimZeros(value, 1)}%`;
    case 'bytes':
    case 'bytes_per_second': {
      if (value === 0) return '0';
      const [digits, suffix] = formatBytes(value).split(' ');
      return `${trimZeros(Number(digits), 2)} ${suffix}${unit === 'bytes_per_second' ? '/s' : ''}`;
    }
    case 'load':
    case 'seconds':
    case 'count':
      return trimZeros(value, 2);
    default:
      return unit satisfies never;
  }
}

/** "4 s", "3 min", "2 h 5 min", "12 d 3 h": the two largest parts. */
export function formatDuration(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return twoParts(minutes, 'min', seconds % 60, 's', minutes < 10);
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return twoParts(hours, 'h', minutes % 60, 'min', true);
  const days = Math.floor(hours / 24);
  return twoParts(days, 'd', hours % 24, 'h', days < 30);
}

/** The largest part alone, for what counts on anyway. */
export function formatBriefly(ms: number): string {
  return formatDuration(ms).split(' ', 2).join(' ');
}

/** "just now", "2 s ago", "3 min ago": the largest part alone, for it counts on; never "in the future": a clock that is ahead by a little counts as now. */
export function formatAge(thenMs: number | null, nowMs: number): string {
  if (thenMs === null) return 'never';
  const age = nowMs - thenMs;
  return age < 1500 ? 'just now' : `${formatBriefly(age)} ago`;
}

/** Local clock time; with the date if the time is not of the same day as `nowMs`. */
export function formatTime(ms: number, nowMs: number): string {
  const date = new Date(ms);
  const clock = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  return sameDay(date, new Date(nowMs)) ? clock : `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${clock}`;
}

/** "2026-11-21 12:43:07 UTC", shown when somebody hovers over a local time. */
export function formatUtc(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19).replace('T', ' ')} UTC`;
}

/** Axis labels: clock time, with the day where a new one begins; seconds only if the ticks are that close. */
export function formatTimeTick(ms: number, previousMs: number | undefined, spacingMs: number): string {
  const date = new Date(ms);
  if (previousMs !== undefined && !sameDay(date, new Date(previousMs))) {
    return date.toLocaleDateString(undefined, { day: 'numeric', month: 'short' });
  }
  const clock = `${two(date.getHours())}:${two(date.getMinutes())}`;
  return spacingMs < 60_000 ? `${clock}:${two(date.getSeconds())}` : clock;
}

/** "+12 ms", "-1.2 s": how far a host's clock is from the collector's. */
export function formatOffset(ms: number | null): string {
  if (ms === null) return NOTHING;
  const sign = ms < 0 ? '−' : '+';
  const size = Math.abs(ms);
  return size < 1000 ? `${sign}${Math.round(size)} ms` : `${sign}${formatSeconds(size)}`;
}

/** "1 host", "3 hosts". */
export function plural(count: number, noun: string): string {
  return `${count.toLocaleString('en-GB')} ${noun}${count === 1 ? '' : 's'}`;
}

function formatSeconds(ms: number): string {
  return ms < 60_000 ? `${(ms / 1000).toFixed(1)} s` : formatDuration(ms);
}

function twoParts(large: number, largeUnit: string, small: number, smallUnit: string, both: boolean): string {
  return both && small > 0 ? `${large} ${largeUnit} ${small} ${smallUnit}` : `${large} ${largeUnit}`;
}

function significant(value: number): string {
  const size = Math.abs(value);
  return size >= 99.95 ? value.toFixed(0) : size >= 9.995 ? value.toFixed(1) : value.toFixed(2);
}

function trimZeros(value: number, decimals: number): string {
  return String(Number(value.toFixed(decimals)));
}

function sameDay(a: Date, b: Date): boolean {
  return a.getFullYear() === b.getFullYear() && a.getMonth() === b.getMonth() && a.getDate() === b.getDate();
}

function two(part: number): string {
  return String(part).padStart(2, '0');
}
