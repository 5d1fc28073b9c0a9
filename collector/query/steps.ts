/** From a series' samples to its values at evaluation times: lookback and staleness as Prometheus 3 has them. Pure arithmetic over typed arrays. */
import { STALE_NAN_HIGH, STALE_NAN_LOW } from '../model/labels.ts';

type Columns = { readonly timesMs: Float64Array; readonly values: Float64Array };

const BITS = new DataView(new ArrayBuffer(8));
/** x64 and arm64, the platforms we run on, are little-endian. Looked up once, so that a foreign one is slow to find but not wrong. */
const LOW_WORD_FIRST = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1;

/** True if sample `i` is a staleness marker. Reads the bits in place: a NaN that went through a variable may have lost them. */
export function staleAt(values: Float64Array, i: number): boolean {
  const value = values[i] as number;
  if (value === value) return false;
  const words = new Uint32Array(values.buffer, values.byteOffset + i * 8, 2);
  const low = words[LOW_WORD_FIRST ? 0 : 1];
  const high = words[LOW_WORD_FIRST ? 1 : 0];
  return high === STALE_NAN_HIGH && low === STALE_NAN_LOW;
}

/** Writes a staleness marker; an assignment of a NaN would not keep its bits. */
export function setStale(values: Float64Array, i: number): void {
  BITS.setUint32(LOW_WORD_FIRST ? 0 : 4, STALE_NAN_LOW, LOW_WORD_FIRST);
  BITS.setUint32(LOW_WORD_FIRST ? 4 : 0, STALE_NAN_HIGH, LOW_WORD_FIRST);
  new Uint8Array(values.buffer, values.byteOffset + i * 8, 8).set(new Uint8Array(BITS.buffer));
}

/** Index of the sample that counts at `atMs`: the newest in (atMs - lookbackMs, atMs] unless it is a staleness marker; else -1. */
export function latestBefore(series: Columns, atMs: number, lookbackMs: number): number {
  const index = lastAtOrBefore(series.timesMs, atMs);
  if (index === -1 || (series.timesMs[index] as number) <= atMs - lookbackMs || staleAt(series.values, index)) return -1;
  return index;
}

/** Index of the last time at or before `atMs`, or -1. */
export function lastAtOrBefore(timesMs: Float64Array, atMs: number): number {
  let low = 0;
  let high = timesMs.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((timesMs[middle] as number) <= atMs) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** `grid`: the times that the answer carries. Step k looks at firstMs + k * stepMs, which differs from the grid under `offset` and `@`. */
export type StepWindow = { readonly grid: Float64Array; readonly firstMs: number; readonly stepMs: number; readonly lookbackMs: number };

/** Values of one allocation: 256 KB. */
const ROOM = 32 * 1024;

/** Gives arrays of one length, many from one allocation: allocating one for each series takes five times as long. */
export function arraysOf(length: number): () => Float64Array {
  let room = new Float64Array();
  let at = 0;
  return () => {
    if (at + length > room.length) {
      room = new Float64Array(Math.max(length, ROOM));
      at = 0;
    }
    at += length;
    return room.subarray(at - length, at);
  };
}

/** The series' value at each step that has one, in `out`, which has room for every step. `timesMs` is the grid itself if every step has one. */
export function stepColumns(series: Columns, window: StepWindow, out: Float64Array): Columns {
  const { grid, firstMs, stepMs, lookbackMs } = window;
  const { timesMs, values } = series;
  let times: Float64Array | undefined;
  let count = 0;
  let index = -1;
  for (let step = 0; step < grid.length; step++) {
    const atMs = firstMs + step * stepMs;
    while (index + 1 < timesMs.length && (timesMs[index + 1] as number) <= atMs) index++;
    if (index === -1 || (timesMs[index] as number) <= atMs - lookbackMs || staleAt(values, index)) {
      times ??= grid.slice(0);
      continue;
    }
    if (times !== undefined) times[count] = grid[step] as number;
    out[count++] = values[index] as number;
  }
  if (times === undefined) return { timesMs: grid, values: out };
  return { timesMs: times.slice(0, count), values: out.slice(0, count) };
}
