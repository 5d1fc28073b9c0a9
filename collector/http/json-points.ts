/**
 * Points of a matrix, `[1795265310.073,"0.25"]`, written straight into bytes: V8's conversion of a number to text takes most of a query's time,
 * and most values of hosts are decimals of a few digits. Byte for byte what json-numbers.ts writes.
 */
import { formatTime, formatValue } from './json-numbers.ts';

/** A comma, brackets and quotes, a time of 21 and a value of 24 characters at most. */
export const POINT_BYTES_MAX = 64;

const ZERO = 0x30;
const MINUS = 0x2d;
const DOT = 0x2e;
const QUOTE = 0x22;
const CLOSE = 0x5d;
/** Decimals with up to six places below this have at most 15 digits: then the text that reads back is unique, and so the shortest. */
const SCALED_MAX = 1e9;
const SCALE = 1e6;
/** Whole numbers below this are written digit by digit; above, they are rare. */
const WHOLE_MAX = 1e15;

/** The beginnings of points, `,[1795265310.073,"`, of one time column. */
export type TimeTexts = { readonly timesMs: Float64Array; readonly bytes: Uint8Array; readonly ends: Uint32Array };

export function timeTexts(timesMs: Float64Array): TimeTexts {
  const ends = new Uint32Array(timesMs.length);
  let text = '';
  for (let i = 0; i < timesMs.length; i++) {
    text += `,[${formatTime(timesMs[i] as number)},"`;
    ends[i] = text.length;
  }
  return { timesMs, bytes: Buffer.from(text, 'latin1'), ends };
}

/** Writes point `i`, with a comma before all but the first; the position after it. The caller has POINT_BYTES_MAX bytes left. */
export function writePoint(out: Uint8Array, at: number, times: TimeTexts, i: number, value: number): number {
  const { bytes, ends } = times;
  const end = ends[i] as number;
  let to = at;
  for (let from = i === 0 ? 1 : (ends[i - 1] as number); from < end; from++) out[to++] = bytes[from] as number;
  to = writeValue(out, to, value);
  out[to++] = QUOTE;
  out[to++] = CLOSE;
  return to;
}

function writeValue(out: Uint8Array, at: number, value: number): number {
  const size = Math.abs(value);
  if (size < SCALED_MAX && size >= 1 / SCALE) {
    const scaled = Math.round(size * SCALE);
    if (scaled / SCALE === size) return writeScaled(out, writeSign(out, at, value), Math.floor(size), scaled);
  } else if (size < WHOLE_MAX && Number.isInteger(size) && size !== 0) {
    const high = Math.floor(size / 1e9);
    const to = writeDigits(out, writeSign(out, at, value), high);
    return writePadded(out, to, size - high * 1e9, 9);
  }
  return writeText(out, at, formatValue(value));
}

function writeSign(out: Uint8Array, at: number, value: number): number {
  if (value >= 0) return at;
  out[at] = MINUS;
  return at + 1;
}

/** `whole` and what `scaled`, in millionths, has beyond it, without zeros at the end. */
function writeScaled(out: Uint8Array, at: number, whole: number, scaled: number): number {
  let to = writeDigits(out, at, whole);
  const rest = scaled - whole * SCALE;
  if (rest === 0) return to;
  out[to] = DOT;
  to = writePadded(out, to + 1, rest, 6);
  while (out[to - 1] === ZERO) to--;
  return to;
}

/** A whole number below 2^31. */
function writeDigits(out: Uint8Array, at: number, value: number): number {
  let count = 1;
  for (let bound = 10; count < 10 && value >= bound; bound *= 10) count++;
  return writePadded(out, at, value, count);
}

function writePadded(out: Uint8Array, at: number, value: number, digits: number): number {
  let rest = value | 0;
  for (let to = at + digits - 1; to >= at; to--) {
    const tenth = (rest / 10) | 0;
    out[to] = ZERO + rest - tenth * 10;
    rest = tenth;
  }
  return at + digits;
}

function writeText(out: Uint8Array, at: number, text: string): number {
  for (let i = 0; i < text.length; i++) out[at + i] = text.charCodeAt(i);
  return at + text.length;
}
