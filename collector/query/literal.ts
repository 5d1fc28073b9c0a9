/** Strings, numbers and durations as PromQL writes them, from text to value. Not the grammar around them. */
import { parseError, QueryError } from './errors.ts';

/** 292 years, what Prometheus's int64 nanoseconds hold. */
export const DURATION_MS_MAX = 9_223_372_036_854;

const UNIT_MS = { y: 31_536_000_000, w: 604_800_000, d: 86_400_000, h: 3_600_000, m: 60_000, s: 1000, ms: 1 } as const;
const DURATION = /^(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?$/;
const UNITS = ['y', 'w', 'd', 'h', 'm', 's', 'ms'] as const;
const DECIMAL = /^(?:\d[\d_]*\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i;
const HEX = /^0x[\da-f]+$/i;

/** `1h30m`, `5m`, `1d` ... in milliseconds; undefined if it is none. Units fall, each at most once, whole numbers. May exceed DURATION_MS_MAX. */
export function durationMs(text: string): number | undefined {
  if (text === '0') return 0;
  const match = text.length > 64 ? null : DURATION.exec(text);
  if (match === null || text === '') return undefined;
  let ms = 0;
  for (const [i, unit] of UNITS.entries()) ms += Number(match[i + 1] ?? 0) * UNIT_MS[unit];
  return ms;
}

/** A number without sign: decimal, with exponent, hexadecimal, with `_` between digits. Undefined if it is none; Infinity if out of range. */
export function numberValue(text: string): number | undefined {
  if (text.length > 400) return undefined;
  if (HEX.test(text)) return Number(text);
  return DECIMAL.test(text) ? Number(text.replaceAll('_', '')) : undefined;
}

/** A number of seconds or a duration, as `[5m]`, `offset 300` take it; in milliseconds. */
export function durationOrSecondsMs(text: string): number | undefined {
  const seconds = numberValue(text);
  return seconds === undefined ? durationMs(text) : Math.round(seconds * 1000);
}

export type StringLiteral = { readonly value: string; readonly end: number };

const SIMPLE_ESCAPES: Readonly<Record<string, number>> = { a: 7, b: 8, f: 12, n: 10, r: 13, t: 9, v: 11, '\\': 92 };
/** Digits and base of the numeric escapes; octal ones have no letter. */
const NUMERIC_ESCAPES: Readonly<Record<string, readonly [digits: number, base: number, most: number]>> = {
  x: [2, 16, 0xff],
  u: [4, 16, 0x10ffff],
  U: [8, 16, 0x10ffff],
};
const OCTAL = [3, 8, 0xff] as const;

/** Reads the quoted string that begins at `start` (`"`, `'` or a back quote). Throws at the string's place if it is not well formed. */
export function readString(text: string, start: number): StringLiteral {
  const quote = text[start] as string;
  if (quote === '`') {
    const close = text.indexOf('`', start + 1);
    if (close === -1) throw parseError(text, start, 'unterminated raw string');
    return { value: text.slice(start + 1, close), end: close + 1 };
  }
  return readEscaped(text, start, quote);
}

function readEscaped(text: string, start: number, quote: string): StringLiteral {
  const parts: (string | number)[] = [];
  let plain = start + 1;
  for (let i = plain; i < text.length;) {
    const char = text[i];
    if (char === '\n') break;
    if (char === quote) {
      parts.push(text.slice(plain, i));
      return { value: joinParts(parts), end: i + 1 };
    }
    if (char !== '\\') {
      i++;
      continue;
    }
    parts.push(text.slice(plain, i));
    const escape = readEscape(text, start, i + 1, quote);
    parts.push(escape.part);
    i = plain = escape.end;
  }
  throw parseError(text, start, 'unterminated quoted string');
}

/** What follows a backslash at `at`: a character, or a byte as a number (`\xff` is a byte, not a character). */
function readEscape(text: string, start: number, at: number, quote: string): { readonly part: string | number; readonly end: number } {
  const char = text[at];
  if (char === undefined) throw parseError(text, start, 'escape sequence not terminated');
  if (char === quote) return { part: char, end: at + 1 };
  const simple = SIMPLE_ESCAPES[char];
  if (simple !== undefined) return { part: String.fromCharCode(simple), end: at + 1 };
  const octal = char >= '0' && char <= '7';
  const shape = octal ? OCTAL : NUMERIC_ESCAPES[char];
  if (shape === undefined) throw parseError(text, start, `unknown escape sequence ${characterName(text, at)}`);
  const [digits, base, most] = shape;
  const from = octal ? at : at + 1;
  let value = 0;
  for (let i = from; i < from + digits; i++) {
    const digit = Number.parseInt(text[i] ?? '', base);
    if (Number.isNaN(digit)) throw illegalDigit(text, start, i);
    value = value * base + digit;
  }
  if (value > most || (value >= 0xd800 && value < 0xe000))
    throw parseError(text, start, 'escape sequence is an invalid Unicode code point');
  return { part: most === 0xff ? value : String.fromCodePoint(value), end: from + digits };
}

function illegalDigit(text: string, start: number, at: number): QueryError {
  if (text[at] === undefined) return parseError(text, start, 'escape sequence not terminated');
  return parseError(text, start, `illegal character ${characterName(text, at)} in escape sequence`);
}

/** As Go's %#U: `U+007A 'z'`. */
function characterName(text: string, at: number): string {
  const code = text.codePointAt(at) ?? 0;
  return `U+${code.toString(16).toUpperCase().padStart(4, '0')} '${String.fromCodePoint(code)}'`;
}

/** Bytes given by number are UTF-8 together with their neighbours; what is no UTF-8 becomes U+FFFD, which no stored label holds. */
function joinParts(parts: readonly (string | number)[]): string {
  if (parts.every((part) => typeof part === 'string' || part < 0x80)) {
    return parts.map((part) => (typeof part === 'string' ? part : String.fromCharCode(part))).join('');
  }
  return Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : Buffer.of(part)))).toString('utf8');
}
