/** Reads names: which series, label names and values there are in a range of time. Not samples. */
import type { Labels, Matcher } from '../model/labels.ts';
import type { TimeRange } from '../model/ports.ts';
import type { Head } from './head.ts';
import { type Matched, type NameIndex, seriesLabels, type Shape, type Source } from './names.ts';

/** Where series are listed. */
export interface SeriesPlace {
  readonly index: NameIndex;
  /** Calls `visit` for the series of `found` that have samples in the hour windows of the range; the same one may come several times. */
  visit(found: Matched, range: TimeRange, signal: AbortSignal, visit: (source: Source, shape: Shape) => void): Promise<void>;
}

/** Every series that matches, by a key that is equal for equal label sets. */
async function eachSeries(
  places: readonly SeriesPlace[],
  matchers: readonly Matcher[],
  range: TimeRange,
  signal: AbortSignal,
  visit: (source: Source, shape: Shape) => void,
): Promise<void> {
  for (const place of places) {
    signal.throwIfAborted();
    const found = place.index.match(matchers);
    if (found.metrics.size > 0 && found.sources.size > 0) await place.visit(found, range, signal, visit);
  }
  signal.throwIfAborted();
}

export async function listSeries(
  places: readonly SeriesPlace[],
  matchers: readonly Matcher[],
  range: TimeRange,
  signal: AbortSignal,
): Promise<Labels[]> {
  const found = new Map<string, Labels>();
  await eachSeries(places, matchers, range, signal, (source, shape) => {
    const key = source.key + shape.key;
    if (!found.has(key)) found.set(key, seriesLabels(source, shape));
  });
  return [...found.values()].sort(compareLabels);
}

export async function listLabelNames(
  places: readonly SeriesPlace[],
  matchers: readonly Matcher[],
  range: TimeRange,
  signal: AbortSignal,
): Promise<string[]> {
  const names = new Set<string>();
  const seen = new Set<Source | Shape>();
  await eachSeries(places, matchers, range, signal, (source, shape) => {
    names.add('__name__');
    for (const part of [source, shape]) {
      if (seen.has(part)) continue;
      seen.add(part);
      for (let i = 0; i < part.labels.length; i += 2) names.add(part.labels[i] as string);
    }
  });
  return [...names].sort();
}

export async function listLabelValues(
  places: readonly SeriesPlace[],
  name: string,
  matchers: readonly Matcher[],
  range: TimeRange,
  signal: AbortSignal,
): Promise<string[]> {
  const values = new Set<string>();
  const seen = new Set<Source | Shape>();
  await eachSeries(places, matchers, range, signal, (source, shape) => {
    if (name === '__name__') {
      values.add(shape.metric.name);
      return;
    }
    for (const part of [source, shape]) {
      if (seen.has(part)) continue;
      seen.add(part);
      for (let i = 0; i < part.labels.length; i += 2) if (part.labels[i] === name) values.add(part.labels[i + 1] as string);
    }
  });
  return [...values].sort();
}

/** By code units, label by label. */
function compareLabels(a: Labels, b: Labels): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const x = a[i] as string;
    const y = b[i] as string;
    if (x !== y) return x < y ? -1 : 1;
  }
  return a.length - b.length;
}

/** The head as a place where series are listed. */
export class HeadNames implements SeriesPlace {
  readonly index: NameIndex;
  readonly #head: Head;
  readonly #windowMs: number;

  constructor(head: Head, windowMs: number) {
    this.index = head.index;
    this.#head = head;
    this.#windowMs = windowMs;
  }

  visit(found: Matched, range: TimeRange, _signal: AbortSignal, visit: (source: Source, shape: Shape) => void): Promise<void> {
    const from = Math.floor(range.fromMs / this.#windowMs) * this.#windowMs;
    const to = (Math.floor(range.toMs / this.#windowMs) + 1) * this.#windowMs;
    for (const generation of this.#head.generations) {
      for (const [stream, blocks] of generation.streams) {
        const seen = new Set<Uint32Array>();
        for (const block of blocks.inOrder()) {
          if (block.lastMs < from || block.firstMs >= to || seen.has(block.refs)) continue;
          seen.add(block.refs);
          for (const ref of block.refs) {
            const shape = stream.dictionary.shapes[ref] as Shape;
            if (found.metrics.get(shape.metric.name)?.shapes.has(shape) !== true) continue;
            const source = stream.sourceOf(ref);
            if (found.sources.has(source)) visit(source, shape);
          }
        }
      }
    }
    return Promise.resolve();
  }
}
