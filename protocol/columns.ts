/** Columns of float64 values as bytes and back, every bit pattern exact. Not the times nor the names of the columns. */
import type { ByteWriter } from './bytes.ts';
import { ColumnDecoder } from './column-decoder.ts';
import { ColumnEncoder } from './column-encoder.ts';
import type { Result } from './errors.ts';

/** One of each serves all calls: none is entered from within another, and none reads what an earlier one left. */
const encoder = new ColumnEncoder();
const decoder = new ColumnDecoder();

/** Encodes `seriesCount` columns of `ticks` values each. values[s * ticks + t]. Appends to out. No state outside the call. */
export function encodeColumns(values: Float64Array, seriesCount: number, ticks: number, out: ByteWriter): void {
  encoder.encode(values, seriesCount, ticks, out);
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
  return decoder.decode(bytes, offset, end, seriesCount, ticks, into);
}
