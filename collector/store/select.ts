/** Reads samples: matches the selector in head and partitions, collects pieces metric by metric, yields finished series in batches. Not PromQL. */
import type { Matcher } from '../model/labels.ts';
import type { ColumnBatch, SelectHints, SeriesColumns, TimeRange } from '../model/ports.ts';
import { Assembly, lowerBound, SampleBudget, upperBound } from './assembly.ts';
import type { Block } from './block.ts';
import type { Stream } from './dictionary.ts';
import type { Head, HeadGeneration } from './head.ts';
import type { Matched, MatchedMetric, NameIndex, Source } from './names.ts';
import { Turn } from './turn.ts';

/** Sources whose series of one metric are held at a time. */
const SOURCES_PER_STEP = 64;
/** Samples after which a batch is handed out. */
const BATCH_SAMPLES = 128 * 1024;

/** Where pieces of series come from. */
export interface PieceSource {
  readonly index: NameIndex;
  /** Adds all pieces of these series that have samples in the range, in the order in which they were stored. */
  collect(metric: MatchedMetric, sources: ReadonlySet<Source>, read: Read): Promise<void> | void;
}

/** One select under way. */
export type Read = {
  readonly range: TimeRange;
  readonly assembly: Assembly;
  readonly budget: SampleBudget;
  readonly signal: AbortSignal;
  readonly turn: Turn;
};

/** `places` in the order in which their samples were stored. What matches is found before anything is waited for. */
export async function* select(
  places: readonly PieceSource[],
  matchers: readonly Matcher[],
  range: TimeRange,
  hints: SelectHints,
  signal: AbortSignal,
): AsyncGenerator<ColumnBatch> {
  signal.throwIfAborted();
  const matched = places.map((place) => ({ place, found: place.index.match(matchers) }));
  const read: Read = { range, assembly: new Assembly(range), budget: new SampleBudget(hints.samplesMax), signal, turn: new Turn() };
  const steps = sourceSteps(matched.map(({ found }) => found));
  let batch: SeriesColumns[] = [];
  let samples = 0;
  for (const name of metricNames(matched.map(({ found }) => found))) {
    for (const step of steps) {
      for (const { place, found } of matched) {
        const metric = found.metrics.get(name);
        if (metric === undefined) continue;
        await place.collect(metric, steps.length === 1 ? found.sources : sourcesOf(found, step), read);
        if (read.turn.due()) await read.turn.yield();
        signal.throwIfAborted();
      }
      for (const series of read.assembly.drain()) {
        batch.push(series);
        samples += series.timesMs.length;
        if (samples < BATCH_SAMPLES) continue;
        yield batch;
        signal.throwIfAborted();
        batch = [];
        samples = 0;
      }
    }
  }
  if (batch.length > 0) yield batch;
}

function metricNames(found: readonly Matched[]): string[] {
  const names = new Set<string>();
  for (const { metrics } of found) for (const name of metrics.keys()) names.add(name);
  return [...names].sort();
}

/** Keys of all matched sources, in groups that are read together. */
function sourceSteps(found: readonly Matched[]): ReadonlySet<string>[] {
  const keys = new Set<string>();
  for (const { sources } of found) for (const source of sources) keys.add(source.key);
  const all = [...keys];
  const steps: Set<string>[] = [];
  for (let i = 0; i < all.length; i += SOURCES_PER_STEP) steps.push(new Set(all.slice(i, i + SOURCES_PER_STEP)));
  return steps;
}

function sourcesOf(found: Matched, keys: ReadonlySet<string>): ReadonlySet<Source> {
  const sources = new Set<Source>();
  for (const source of found.sources) if (keys.has(source.key)) sources.add(source);
  return sources;
}

/** The head as a place to read from: the generations it held when the read began, so that none is missed or read twice when it is cut meanwhile. */
export class HeadView implements PieceSource {
  readonly index: NameIndex;
  readonly generations: readonly HeadGeneration[];
  readonly #streams = new Map<Source, Stream[]>();
  readonly #blocks = new Map<Source, readonly Block[]>();

  constructor(head: Head) {
    this.index = head.index;
    this.generations = [...head.generations];
    for (const { streams } of head.dictionaries) {
      for (const stream of streams) {
        for (const source of stream.sources) {
          const others = this.#streams.get(source);
          if (others === undefined) this.#streams.set(source, [stream]);
          else others.push(stream);
        }
      }
    }
  }

  collect(metric: MatchedMetric, sources: ReadonlySet<Source>, read: Read): void {
    for (const source of sources) {
      for (const block of this.#blocksOf(source, read.range)) collectBlock(block, source, metric, read);
    }
  }

  /** In the order in which they were begun, which decides between equal times. */
  #blocksOf(source: Source, range: TimeRange): readonly Block[] {
    const known = this.#blocks.get(source);
    if (known !== undefined) return known;
    const found: Block[] = [];
    const streams = this.#streams.get(source) ?? [];
    for (const generation of this.generations) {
      const own: Block[] = [];
      for (const stream of streams) {
        const blocks = generation.streams.get(stream);
        if (blocks === undefined) continue;
        for (const block of blocks.sealed) if (isWithin(block, range)) own.push(block);
        for (const block of blocks.open) if (block.ticks > 0 && isWithin(block, range)) own.push(block.view());
      }
      found.push(...own.sort((a, b) => a.number - b.number));
    }
    // One metric after the other asks for the same source; samples that come meanwhile are not part of this view.
    this.#blocks.set(source, found);
    return found;
  }
}

function isWithin(block: Block, range: TimeRange): boolean {
  return block.lastMs >= range.fromMs && block.firstMs <= range.toMs;
}

function collectBlock(block: Block, source: Source, metric: MatchedMetric, read: Read): void {
  const { range, budget, assembly } = read;
  for (const run of block.layout.runsOf(source, metric.metric)) {
    const wanted = run.shapes.filter((shape) => metric.shapes.has(shape)).length;
    if (wanted === 0) continue;
    const times = block.times();
    budget.take(wanted * (upperBound(times, range.toMs) - lowerBound(times, range.fromMs)));
    const values = block.values(run);
    for (const [i, shape] of run.shapes.entries()) {
      if (metric.shapes.has(shape))
        assembly.add(source, shape, { times, values: values.subarray(i * times.length, (i + 1) * times.length) });
    }
  }
}
