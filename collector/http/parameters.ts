/** Parameters of requests, from text to checked values, with Prometheus's words where they are Prometheus's. Pure. */
import { durationMs, numberValue } from '../query/literal.ts';
import { parameterError } from './errors.ts';

/** Text of a parameter, or undefined if it is absent or empty: Prometheus treats both alike. */
export function textOf(fields: URLSearchParams, name: string): string | undefined {
  const text = fields.get(name);
  return text === null || text === '' ? undefined : text;
}

/** RFC 3339 as Go's time.RFC3339Nano takes it: capital T and Z, seconds required. */
const RFC3339 = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:Z|([+-])(\d\d):(\d\d))$/;
/** The largest time a Date holds; beyond it lies no sample. */
const TIME_MS_MAX = 8.64e15;

/** Seconds since 1970 or RFC 3339, in milliseconds; undefined if it is neither. */
export function parseTime(text: string): number | undefined {
  const sign = text.startsWith('-') ? -1 : 1;
  const seconds = numberOf(text.replace(/^[+-]/, ''));
  if (seconds !== undefined) {
    const whole = Math.trunc(seconds);
    const ms = whole * 1000 + Math.round((seconds - whole) * 1000);
    return ms <= TIME_MS_MAX ? sign * ms + 0 : undefined;
  }
  return parseRfc3339(text);
}

function parseRfc3339(text: string): number | undefined {
  const match = RFC3339.exec(text);
  if (match === null) return undefined;
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map(Number) as [number, number, number, number, number, number];
  const ms = Number((match[7] ?? '').slice(0, 3).padEnd(3, '0'));
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  date.setUTCHours(hour, minute, second, ms);
  if (date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day || hour > 23 || minute > 59 || second > 59) return undefined;
  const [zoneHours, zoneMinutes] = [Number(match[9] ?? 0), Number(match[10] ?? 0)];
  if (zoneHours > 23 || zoneMinutes > 59) return undefined;
  const zoneMs = (zoneHours * 60 + zoneMinutes) * 60_000;
  return date.getTime() - (match[8] === '-' ? -zoneMs : zoneMs);
}

/** A decimal number of the request; not hexadecimal. */
function numberOf(text: string): number | undefined {
  return /^0x/i.test(text) ? undefined : numberValue(text);
}

/** A required time. */
export function requiredTime(fields: URLSearchParams, name: string): number {
  const text = fields.get(name) ?? '';
  const ms = parseTime(text);
  if (ms === undefined) throw parameterError(name, `cannot parse ${JSON.stringify(text)} to a valid timestamp`);
  return ms;
}

export function optionalTime(fields: URLSearchParams, name: string, byDefault: number): number {
  const text = textOf(fields, name);
  if (text === undefined) return byDefault;
  const ms = parseTime(text);
  if (ms === undefined)
    throw parameterError(name, `invalid time value for '${name}': cannot parse ${JSON.stringify(text)} to a valid timestamp`);
  return ms;
}

/** Seconds or a duration such as 1m30s, in milliseconds. A negative number is returned as such. */
export function parseDuration(name: string, text: string): number {
  const sign = text.startsWith('-') ? -1 : 1;
  const seconds = numberOf(text.replace(/^[+-]/, ''));
  const ms = seconds === undefined ? durationMs(text) : sign * seconds * 1000;
  if (ms === undefined) throw parameterError(name, `cannot parse ${JSON.stringify(text)} to a valid duration`);
  if (Math.abs(ms) > TIME_MS_MAX)
    throw parameterError(name, `cannot parse ${JSON.stringify(text)} to a valid duration. It overflows int64`);
  return ms;
}

/** How many items an answer may have; 0 or absent is no limit, as in Prometheus. */
export function limitOf(fields: URLSearchParams): number {
  const text = textOf(fields, 'limit');
  if (text === undefined) return Infinity;
  if (!/^[+-]?\d{1,15}$/.test(text)) throw parameterError('limit', `strconv.Atoi: parsing ${JSON.stringify(text)}: invalid syntax`);
  const limit = Number(text);
  if (limit < 0) throw parameterError('limit', 'limit must be non-negative');
  return limit === 0 ? Infinity : limit;
}

/** A whole number of milliseconds, as Picket's own requests carry times. */
export function millisecondsOf(fields: URLSearchParams, name: string, byDefault: number): number {
  const text = textOf(fields, name);
  if (text === undefined) return byDefault;
  if (!/^\d{1,16}$/.test(text)) throw parameterError(name, `${JSON.stringify(text)} is no whole number of milliseconds`);
  return Number(text);
}

const ESCAPED = 'U__';

/** Undoes Prometheus's U__ escaping of names that are not plain (`U__a_2e_b` is `a.b`). A name that is not well escaped stays as it is. */
export function unescapeLabelName(name: string): string {
  if (!name.startsWith(ESCAPED)) return name;
  let plain = '';
  for (let i = ESCAPED.length; i < name.length; i++) {
    if (name[i] !== '_') {
      plain += name[i];
      continue;
    }
    if (name[i + 1] === '_') {
      plain += '_';
      i++;
      continue;
    }
    const end = name.indexOf('_', i + 1);
    const code = Number.parseInt(name.slice(i + 1, end), 16);
    if (end === -1 || end - i > 7 || !/^[\da-f]+$/i.test(name.slice(i + 1, end)) || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
      return name;
    plain += String.fromCodePoint(code);
    i = end;
  }
  return plain;
}
