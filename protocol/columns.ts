/** Columns of float64 values as bytes and back, every bit pattern exact. Not the times nor the names of the columns. */
import { ByteReader, type ByteWriter } from "./bytes.ts";
import { fail, ok, type Result } from "./errors.ts";

const RAW = 0;
const INTEGERS = 1;

/** Encodes `seriesCount` columns of `ticks` values each. values[s * ticks + t]. Appends to out. No state outside the call. */
export function encodeColumns(
  values: Float64Array,
  seriesCount: number,
  ticks: number,
  out: ByteWriter,
): void {
  const bits = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  for (let s = 0; s < seriesCount; s++) {
    let integers = true;
    for (let t = 0; t < ticks && integers; t++) {
      const value = values[s * ticks + t] ?? 0;
      integers = Number.isInteger(value) && Math.abs(value) < 2 ** 50 && !Object.is(value, -0);
    }
    out.byte(integers ? INTEGERS : RAW);
    if (!integers) {
      out.bytes(bits.subarray(s * ticks * 8, (s + 1) * ticks * 8));
      continue;
    }
    let previous = 0;
    for (let t = 0; t < ticks; t++) {
      const value = values[s * ticks + t] ?? 0;
      out.zigzag(value - previous);
      previous = value;
    }
  }
}

/** Writes values[s * ticks + t] into `into`. The value is the offset after the last byte read. Never throws on hostile bytes. */
export function decodeColumns(
  bytes: Uint8Array,
  offset: number,
  end: number,
  seriesCount: number,
  ticks: number,
  into: Float64Array,
): Result<number> {
  const reader = new ByteReader(bytes, offset, end);
  if (seriesCount * ticks > into.length) return fail("payload_malformed", "the columns do not fit");
  const bits = new Uint8Array(into.buffer, into.byteOffset, into.byteLength);
  for (let s = 0; s < seriesCount && !reader.failed; s++) {
    const kind = reader.byte();
    if (kind === RAW) {
      if (reader.at + ticks * 8 > end)
        return fail("payload_malformed", "the columns end too early");
      bits.set(bytes.subarray(reader.at, reader.at + ticks * 8), s * ticks * 8);
      reader.at += ticks * 8;
      continue;
    }
    if (kind !== INTEGERS) return fail("payload_malformed", `unknown kind ${kind} of column`);
    let value = 0;
    for (let t = 0; t < ticks; t++) {
      value += reader.zigzag();
      into[s * ticks + t] = value;
    }
  }
  return reader.failed ? fail("payload_malformed", "the columns end too early") : ok(reader.at);
}
