/** Reads names: which series, label names and values there are in a range of time. Not samples. */
import type { Labels, Matcher } from '../model/labels.ts';
import type { TimeRange } from '../model/ports.ts';
import type { Head } from './head.ts';
import type { Layout } from './layout.ts';
import { type Matched, type NameIndex, seriesLabels, type Shape, type Source } from './names.ts';
import { windowOf } from './window.ts';

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

  constructor(head: Head) {
    this.index = head.index;
    this.#head = head;
  }

  visit(found: Matched, range: TimeRange, _signal: AbortSignal, visit: (source: Source, shape: Shape) => void): Promise<void> {
    const first = windowOf(range.fromMs);
    const last = windowOf(range.toMs);
    for (const generation of this.#head.generations) {
      for (const blocks of generation.streams.values()) {
        const seen = new Set<Layout>();
        for (const block of blocks.inOrder()) {
          const window = windowOf(block.firstMs);
          if (window < first || window > last || seen.has(block.layout)) continue;
          seen.add(block.layout);
          visitLayout(block.layout, found, visit);
        }
      }
    }
    return Promise.resolve();
  }
}

function visitLayout(layout: Layout, found: Matched, visit: (source: Source, shape: Shape) => void): void {
  for (const run of layout.runs) {
    const shapes = found.sources.has(run.source) ? found.metrics.get(run.metric.name)?.shapes : undefined;
    if (shapes === undefined) continue;
    for (const shape of run.shapes) if (shapes.has(shape)) visit(run.source, shape);
  }
}
