/**
 * msgpack of payloads and control messages: a walk over the bytes before any decoder sees them, then msgpackr in plain mode.
 * msgpackr decodes extensions even when records are off, and compiles code for them; the walk refuses every extension, lying length and deep nest.
 */
import { Packr, Unpackr } from 'msgpackr/index-no-eval';
import { fail, ok, type ErrorCode, type Result } from './errors.ts';
import { MSGPACK_DEPTH_MAX } from './limits.ts';

const packr = new Packr({ useRecords: false, variableMapSize: true, mapsAsObjects: true });
const unpackr = new Unpackr({ useRecords: false, mapsAsObjects: true, int64AsType: 'number' });

/** Plain msgpack; Uint8Array becomes bin. The result is a copy that the caller owns. */
export function pack(value: unknown): Uint8Array {
  return packr.pack(value);
}

/** Decodes bytes after the walk. bin values are views of `bytes`: copy what is kept. */
export function unpack(bytes: Uint8Array, code: ErrorCode, valuesMax: number = Infinity): Result<unknown> {
  const problem = scan(bytes, valuesMax);
  if (problem !== undefined) return fail(code, problem);
  try {
    return ok(unpackr.unpack(bytes));
  } catch (cause) {
    return fail(code, `cannot decode msgpack: ${(cause as Error).message}`);
  }
}

// Of scan: values still to read at each depth, and whether that level is a map whose next value is a key. Kept because new ones cost more than a small frame.
const left = new Float64Array(MSGPACK_DEPTH_MAX + 2);
const isMap = new Uint8Array(MSGPACK_DEPTH_MAX + 2);

/**
 * Walks one msgpack value that must fill `bytes` exactly. Returns what is wrong or undefined. Refuses extensions and their time stamps, the unused
 * byte 0xc1, depth above the limit, map keys that are not strings, counts or lengths larger than the bytes left, and containers of more than
 * `valuesMax` values together: a compressed payload of millions is a few bytes on the wire.
 */
export function scan(bytes: Uint8Array, valuesMax: number = Infinity): string | undefined {
  const end = bytes.length;
  let depth = 0;
  let total = 0;
  left[0] = 1;
  let at = 0;
  while (depth >= 0) {
    const remaining = left[depth] as number;
    if (remaining === 0) {
      depth--;
      continue;
    }
    const isKey = isMap[depth] === 1 && remaining % 2 === 0;
    left[depth] = remaining - 1;
    if (at >= end) return `ends at byte ${at} inside a value`;
    const type = bytes[at] as number;
    if (isKey && !(type >= 0xa0 && type <= 0xbf) && !(type >= 0xd9 && type <= 0xdb)) return `a map key at byte ${at} is not a string`;
    at++;
    if (type <= 0x7f || type >= 0xe0 || type === 0xc0 || type === 0xc2 || type === 0xc3) continue;
    if (type >= 0xa0 && type <= 0xbf) {
      at += type & 0x1f;
      if (at > end) return `a string at byte ${at} is longer than the bytes left`;
      continue;
    }
    if (type <= 0x9f) {
      const count = type & 0x0f;
      const values = type <= 0x8f ? count * 2 : count;
      if (values > end - at) return `a container at byte ${at} announces more than there is`;
      if (++depth > MSGPACK_DEPTH_MAX) return `nested deeper than ${MSGPACK_DEPTH_MAX}`;
      total += values;
      if (total > valuesMax) return `more than ${valuesMax} values`;
      left[depth] = values;
      isMap[depth] = type <= 0x8f ? 1 : 0;
      continue;
    }
    const width = WIDTH[type - 0xc0] as number;
    if (width < 0) return `byte 0x${type.toString(16)} at ${at - 1} is not allowed (extensions are refused)`;
    if (at + width > end) return `ends at byte ${end} inside a number or a length`;
    const shape = SHAPE[type - 0xc0] as number;
    if (shape === SCALAR) {
      at += width;
      continue;
    }
    let count = 0;
    for (let i = 0; i < width; i++) count = count * 256 + (bytes[at + i] as number);
    at += width;
    if (shape === BYTES) {
      if (count > end - at) return `a string or bin at byte ${at} is longer than the bytes left`;
      at += count;
      continue;
    }
    const values = shape === MAP ? count * 2 : count;
    if (values > end - at) return `a container at byte ${at} announces more than there is`;
    if (++depth > MSGPACK_DEPTH_MAX) return `nested deeper than ${MSGPACK_DEPTH_MAX}`;
    total += values;
    if (total > valuesMax) return `more than ${valuesMax} values`;
    left[depth] = values;
    isMap[depth] = shape === MAP ? 1 : 0;
  }
  return at === end ? undefined : `${end - at} bytes after the value`;
}

const SCALAR = 0;
const BYTES = 1;
const ARRAY = 2;
const MAP = 3;
// Bytes after the type byte (its value, or its length) for 0xc0..0xdf; -1 is refused.
// prettier-ignore
const WIDTH = [0, -1, 0, 0, 1, 2, 4, -1, -1, -1, 4, 8, 1, 2, 4, 8, 1, 2, 4, 8, -1, -1, -1, -1, -1, 1, 2, 4, 2, 4, 2, 4];
// prettier-ignore
const SHAPE = [0, 0, 0, 0, BYTES, BYTES, BYTES, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, BYTES, BYTES, BYTES, ARRAY, ARRAY, MAP, MAP];
