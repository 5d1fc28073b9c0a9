/** Small pieces that say how something is: status with icon and word, an age, a meter, a time with its UTC. */
import type { JSX } from 'preact';
import { clock } from './clock.ts';
import type { Status } from './contract.ts';
import { formatAge, formatBriefly, formatTime, formatUtc } from './format.ts';
import { StatusIcon } from './icons.tsx';

export const STATUS_WORDS: Readonly<Record<Status, string>> = {
  up: 'Up',
  stale: 'Stale',
  down: 'Down',
  never: 'No data yet',
  revoked: 'Revoked',
};

export function StatusBadge({ status }: { readonly status: Status }): JSX.Element {
  return (
    <span class="status" data-status={status}>
      <StatusIcon status={status} />
      {STATUS_WORDS[status]}
    </span>
  );
}

/** "3 min" since a status began; empty where the collector did not say. */
export function sinceWords(since: string | null): string {
  const ms = since === null ? NaN : Date.parse(since);
  return Number.isFinite(ms) ? formatBriefly(clock.tick.value - ms) : '';
}

/** "2 s ago", counting, with the exact time on hover. */
export function Age({ ms }: { readonly ms: number | null }): JSX.Element {
  const now = clock.tick.value;
  return (
    <time
      class="age"
      {...(ms === null ? {} : { dateTime: new Date(ms).toISOString(), title: `${formatTime(ms, now)} local time\n${formatUtc(ms)}` })}
    >
      {formatAge(ms, now)}
    </time>
  );
}

/** Local time, UTC on hover. */
export function Moment({ ms }: { readonly ms: number }): JSX.Element {
  return (
    <time dateTime={new Date(ms).toISOString()} title={formatUtc(ms)}>
      {formatTime(ms, clock.nowMs())}
    </time>
  );
}

/** From here on a bar says that it is nearly full by another colour; the number beside it says it exactly. */
const HIGH_PERCENT = 80;
const FULL_PERCENT = 95;

export function Meter({ percent }: { readonly percent: number | null }): JSX.Element {
  const share = Math.min(100, Math.max(0, percent ?? 0));
  const level = share >= FULL_PERCENT ? 'full' : share >= HIGH_PERCENT ? 'high' : 'normal';
  return (
    <span class="meter" data-level={level} aria-hidden="true">
      <span style={{ transform: `scaleX(${share / 100})` }} />
    </span>
  );
}
