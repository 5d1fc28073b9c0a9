/** Puts the pieces of a series together: clipped to the range, sorted, one sample per time. Not where pieces come from. */
import { QueryLimitError } from '../model/query-limit.ts';
import type { Labels } from '../model/labels.ts';
import type { SeriesColumns, TimeRange } from '../model/ports.ts';
import { seriesLabels, type Shape, type Source } from './names.ts';

/** Some samples of one series, times rising. The arrays are shared and never written again. */
export type Piece = { readonly times: Float64Array; readonly values: Float64Array };

type Collected = { readonly labels: Labels; readonly pieces: Piece[] };

/** Joins pieces that follow each other. Series of one host mostly share all axes: the joined times of the last call are given out again. */
export class Joiner {
  readonly #fromMs: number;
  readonly #toMs: number;
  #lastPieces: readonly Piece[] = [];
  #lastTimes: Float64Array = new Float64Array();

  constructor(fromMs = -Infinity, toMs = Infinity) {
    this.#fromMs = fromMs;
    this.#toMs = toMs;
  }

  join(pieces: readonly Piece[]): Piece {
    const times = this.#times(pieces);
    const only = pieces.length === 1 ? pieces[0] : undefined;
    if (only !== undefined) return { times, values: this.#clip(only.times, only.values) };
    const values = new Float64Array(times.length);
    let at = 0;
    for (const piece of pieces) {
      const part = this.#clip(piece.times, piece.values);
      values.set(part, at);
      at += part.length;
    }
    return { times, values };
  }

  #times(pieces: readonly Piece[]): Float64Array {
    const last = this.#lastPieces;
    if (pieces.length === last.length && pieces.every((piece, i) => piece.times === last[i]?.times)) return this.#lastTimes;
    const parts = pieces.map(({ times }) => this.#clip(times, times));
    const only = parts.length === 1 ? parts[0] : undefined;
    let times = only;
    if (times === undefined) {
      times = new Float64Array(parts.reduce((sum, part) => sum + part.length, 0));
      let at = 0;
      for (const part of parts) {
        times.set(part, at);
        at += part.length;
      }
    }
    this.#lastPieces = pieces;
    this.#lastTimes = times;
    return times;
  }

  #clip(times: Float64Array, of: Float64Array): Float64Array {
    return of.subarray(lowerBound(times, this.#fromMs), upperBound(times, this.#toMs));
  }
}

/** Pieces of the series of one step of a select. Pieces must be added in the order in which they were stored: of equal times the first stays. */
export class Assembly {
  readonly #range: TimeRange;
  readonly #joiner: Joiner;
  readonly #series = new Map<string, Collected>();

  constructor(range: TimeRange) {
    this.#range = range;
    this.#joiner = new Joiner(range.fromMs, range.toMs);
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
      const whole = sorted === undefined ? mergePieces(pieces).piece : undefined;
      const { times, values } =
        whole === undefined ? this.#joiner.join(sorted ?? pieces) : new Joiner(this.#range.fromMs, this.#range.toMs).join([whole]);
      if (times.length > 0) yield { labels, timesMs: times, values };
    }
    this.#series.clear();
  }
}

export type Merge = { readonly piece: Piece; readonly duplicates: number; readonly overlaps: number };

/** Samples in order of time, each with the number of the piece it came from. */
type Chain = { times: Float64Array; values: Float64Array; order: Uint32Array; length: number };

/** Merges pieces that overlap. Of equal times the sample of the first piece stays: equal bits are a duplicate, others an overlap. */
export function mergePieces(pieces: readonly Piece[]): Merge {
  const counts = { duplicates: 0, overlaps: 0 };
  // Live samples make one chain and a backlog another: few linear merges instead of a sort.
  const [first, ...others] = chainsOf(pieces);
  let merged = first;
  for (const chain of others) if (merged !== undefined) merged = mergeChains(merged, chain, counts);
  const empty = new Float64Array();
  const piece =
    merged === undefined
      ? { times: empty, values: empty }
      : { times: merged.times.subarray(0, merged.length), values: merged.values.subarray(0, merged.length) };
  return { piece, ...counts };
}

function chainsOf(pieces: readonly Piece[]): Chain[] {
  const chains: { lastMs: number; members: number[] }[] = [];
  const filled = [...pieces.keys()].filter((i) => (pieces[i] as Piece).times.length > 0);
  for (const i of filled.sort((a, b) => firstOf(pieces[a] as Piece) - firstOf(pieces[b] as Piece) || a - b)) {
    const piece = pieces[i] as Piece;
    const chain = chains.find(({ lastMs }) => lastMs < firstOf(piece));
    if (chain === undefined) chains.push({ lastMs: lastOf(piece), members: [i] });
    else {
      chain.members.push(i);
      chain.lastMs = lastOf(piece);
    }
  }
  return chains.map(({ members }) => chainOf(pieces, members));
}

function chainOf(pieces: readonly Piece[], members: readonly number[]): Chain {
  const length = members.reduce((sum, i) => sum + (pieces[i] as Piece).times.length, 0);
  const chain = { times: new Float64Array(length), values: new Float64Array(length), order: new Uint32Array(length), length };
  let at = 0;
  for (const i of members) {
    const { times, values } = pieces[i] as Piece;
    chain.times.set(times, at);
    chain.values.set(values, at);
    chain.order.fill(i, at, at + times.length);
    at += times.length;
  }
  return chain;
}

function mergeChains(a: Chain, b: Chain, counts: { duplicates: number; overlaps: number }): Chain {
  const room = a.length + b.length;
  const into: Chain = { times: new Float64Array(room), values: new Float64Array(room), order: new Uint32Array(room), length: 0 };
  let i = 0;
  let k = 0;
  while (i < a.length || k < b.length) {
    const x = i < a.length ? (a.times[i] as number) : Infinity;
    const y = k < b.length ? (b.times[k] as number) : Infinity;
    const takeA = x < y || (x === y && (a.order[i] as number) <= (b.order[k] as number));
    if (x === y) {
      if (equalBits(a.values, i, b.values, k)) counts.duplicates++;
      else counts.overlaps++;
    }
    const from = takeA ? a : b;
    const at = takeA ? i : k;
    into.times[into.length] = from.times[at] as number;
    into.values[into.length] = from.values[at] as number;
    into.order[into.length++] = from.order[at] as number;
    if (takeA || x === y) i++;
    if (!takeA || x === y) k++;
  }
  return into;
}

function equalBits(a: Float64Array, i: number, b: Float64Array, k: number): boolean {
  const x = a[i] as number;
  const y = b[k] as number;
  if (x !== x || y !== y)
    return Buffer.compare(new Uint8Array(a.buffer, a.byteOffset + i * 8, 8), new Uint8Array(b.buffer, b.byteOffset + k * 8, 8)) === 0;
  return Object.is(x, y);
}

function firstOf(piece: Piece): number {
  return piece.times[0] as number;
}

function lastOf(piece: Piece): number {
  return piece.times[piece.times.length - 1] as number;
}

/** The pieces so that each lies after the one before, or undefined if some overlap. */
export function ordered(pieces: readonly Piece[]): readonly Piece[] | undefined {
  if (isOrdered(pieces)) return pieces;
  const sorted = pieces.toSorted((a, b) => firstOf(a) - firstOf(b));
  return isOrdered(sorted) ? sorted : undefined;
}

function isOrdered(pieces: readonly Piece[]): boolean {
  for (let i = 1; i < pieces.length; i++) if (lastOf(pieces[i - 1] as Piece) >= firstOf(pieces[i] as Piece)) return false;
  return true;
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
