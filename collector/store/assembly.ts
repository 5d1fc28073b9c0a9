/** Puts the pieces of a series together: clipped to the range, sorted, one sample per time. Not where pieces come from. */
import { QueryLimitError } from '../model/query-limit.ts';
import type { Labels } from '../model/labels.ts';
import type { SeriesColumns, TimeRange } from '../model/ports.ts';
import { seriesLabels, type Shape, type Source } from './names.ts';

/** Some samples of one series, times rising. The arrays are shared and never written again. */
export type Piece = { readonly times: Float64Array; readonly values: Float64Array };

type Collected = { readonly labels: Labels; readonly pieces: Piece[] };

/** Pieces of the series of one step of a select. Pieces must be added in the order in which they were stored: of equal times the first stays. */
export class Assembly {
  readonly #range: TimeRange;
  readonly #series = new Map<string, Collected>();
  /** The axes that were joined last and the result: series of one host mostly share both. */
  #lastAxes: readonly Piece[] = [];
  #lastTimes = new Float64Array();

  constructor(range: TimeRange) {
    this.#range = range;
  }

  add(source: Source, shape: Shape, piece: Piece): void {
    const key = source.key + shape.key;
    let collected = this.#series.get(key);
    if (collected === undefined) this.#series.set(key, (collected = { labels: seriesLabels(source, shape), pieces: [] }));
    collected.pieces.push(piece);
  }

  /** The finished series, and the assembly is empty again. */
  *drain(): Generator<SeriesColumns> {
    for (const { labels, pieces } of this.#series.values()) {
      const sorted = ordered(pieces);
      const joined = isOrdered(sorted) ? this.#join(sorted) : mergePieces(sorted, this.#range.fromMs, this.#range.toMs).piece;
      if (joined.times.length > 0) yield { labels, timesMs: joined.times, values: joined.values };
    }
    this.#series.clear();
  }

  #join(pieces: readonly Piece[]): Piece {
    const { fromMs, toMs } = this.#range;
    const times = this.#joinTimes(pieces);
    const only = pieces.length === 1 ? pieces[0] : undefined;
    if (only !== undefined) return { times, values: only.values.subarray(lowerBound(only.times, fromMs), upperBound(only.times, toMs)) };
    const values = new Float64Array(times.length);
    let at = 0;
    for (const piece of pieces) {
      const part = piece.values.subarray(lowerBound(piece.times, fromMs), upperBound(piece.times, toMs));
      values.set(part, at);
      at += part.length;
    }
    return { times, values };
  }

  #joinTimes(pieces: readonly Piece[]): Float64Array<ArrayBuffer> {
    if (pieces.length === this.#lastAxes.length && pieces.every((piece, i) => piece.times === this.#lastAxes[i]?.times))
      return this.#lastTimes;
    const { fromMs, toMs } = this.#range;
    let length = 0;
    for (const { times } of pieces) length += upperBound(times, toMs) - lowerBound(times, fromMs);
    const joined = new Float64Array(length);
    let at = 0;
    for (const { times } of pieces) {
      const part = times.subarray(lowerBound(times, fromMs), upperBound(times, toMs));
      joined.set(part, at);
      at += part.length;
    }
    this.#lastAxes = pieces;
    this.#lastTimes = joined;
    return joined;
  }
}

export type Merge = { readonly piece: Piece; readonly duplicates: number; readonly overlaps: number };

/** Merges pieces by time: rare (backlog after live, a clock that stepped back), so clear before fast. Of equal times the first piece's sample stays: equal bits are a duplicate, others an overlap. */
export function mergePieces(pieces: readonly Piece[], fromMs: number, toMs: number): Merge {
  let length = 0;
  for (const { times } of pieces) length += times.length;
  const allTimes = new Float64Array(length);
  const allValues = new Float64Array(length);
  const order = new Uint32Array(length);
  let at = 0;
  for (const { times, values } of pieces) {
    allTimes.set(times, at);
    allValues.set(values, at);
    at += times.length;
  }
  for (let i = 0; i < length; i++) order[i] = i;
  order.sort((a, b) => (allTimes[a] as number) - (allTimes[b] as number) || a - b);
  const bits = new BigUint64Array(allValues.buffer);
  const times = new Float64Array(length);
  const values = new Float64Array(length);
  let kept = 0;
  let keptIndex = -1;
  let duplicates = 0;
  let overlaps = 0;
  for (const i of order) {
    const time = allTimes[i] as number;
    if (time < fromMs || time > toMs) continue;
    if (keptIndex >= 0 && time === times[kept - 1]) {
      if (bits[i] === bits[keptIndex]) duplicates++;
      else overlaps++;
      continue;
    }
    times[kept] = time;
    values[kept++] = allValues[i] as number;
    keptIndex = i;
  }
  return { piece: { times: times.subarray(0, kept), values: values.subarray(0, kept) }, duplicates, overlaps };
}

/** True if each piece lies after the one before. */
export function isOrdered(pieces: readonly Piece[]): boolean {
  for (let i = 1; i < pieces.length; i++) {
    const before = (pieces[i - 1] as Piece).times;
    if ((before[before.length - 1] as number) >= ((pieces[i] as Piece).times[0] as number)) return false;
  }
  return true;
}

/** Sorts pieces by time if that makes them ordered; what overlaps keeps the order in which it was stored. */
export function ordered(pieces: Piece[]): Piece[] {
  if (isOrdered(pieces)) return pieces;
  const sorted = pieces.toSorted((a, b) => (a.times[0] as number) - (b.times[0] as number));
  return isOrdered(sorted) ? sorted : pieces;
}

/** First position whose time is at least `timeMs`. */
export function lowerBound(times: Float64Array, timeMs: number): number {
  const length = times.length;
  if (length === 0 || (times[0] as number) >= timeMs) return 0;
  if ((times[length - 1] as number) < timeMs) return length;
  let low = 0;
  let high = length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((times[middle] as number) < timeMs) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** First position whose time is above `timeMs`. */
export function upperBound(times: Float64Array, timeMs: number): number {
  const length = times.length;
  if (length === 0 || (times[length - 1] as number) <= timeMs) return length;
  let low = 0;
  let high = length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((times[middle] as number) <= timeMs) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Counts samples and fails above the caller's limit, before more memory is taken. */
export class SampleBudget {
  readonly #max: number | undefined;
  #taken = 0;

  constructor(max: number | undefined) {
    this.#max = max;
  }

  take(samples: number): void {
    this.#taken += samples;
    if (this.#max !== undefined && this.#taken > this.#max) throw new QueryLimitError(this.#max);
  }
}
