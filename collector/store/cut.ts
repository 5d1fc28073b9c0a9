/**
 * Writes the samples of a closed generation as chunks into the partitions of their windows, in bounded turns. Done again after a crash it writes the
 * same keys. Not the commit of the cut, nor the log's end: store.ts does those when this has returned.
 */
import { type EncodedGroup, encodeAxis, encodeChunk, groupByAxis, inChunks } from './chunk.ts';
import { seal } from './checksum.ts';
import type { Operation } from './database.ts';
import { mergePieces, type Piece } from './assembly.ts';
import type { SealedBlock } from './block.ts';
import type { Head, HeadGeneration } from './head.ts';
import { chunkKey } from './keys.ts';
import type { Layout, Run } from './layout.ts';
import type { Metric, Shape, Source } from './names.ts';
import type { StoreCounters } from './options.ts';
import type { Pace } from './pace.ts';
import type { Partition } from './partition.ts';
import type { Partitions } from './partitions.ts';
import { dayOf, WINDOW_MAX, windowOf } from './window.ts';

/** Bytes of one synced batch of chunks. */
const BATCH_BYTES = 512 * 1024;

export type CutHost = { readonly head: Head; readonly partitions: Partitions; readonly counters: StoreCounters };

/** Blocks of one layout in one window. */
type Strip = { readonly layout: Layout; readonly blocks: SealedBlock[]; readonly axes: Uint8Array[]; overlaps: boolean };
/** A run of a strip: what one metric of one source has there. */
type Item = { readonly strip: Strip; readonly run: Run };

export async function cutGeneration(host: CutHost, generation: HeadGeneration, pace: Pace): Promise<void> {
  for (const blocks of generation.streams.values()) {
    host.head.seal(generation, blocks);
    await pace.step();
  }
  const windows = await stripsByWindow(generation, host, pace);
  for (const [window, strips] of [...windows].sort(([a], [b]) => a - b)) {
    const partition = await host.partitions.acquire(dayOf(window), true);
    if (partition === undefined) {
      host.counters.samplesOutOfRetention += samplesIn(strips);
      continue;
    }
    try {
      await new WindowCut(host.counters, partition, window, generation.number, pace).run(strips);
    } finally {
      host.partitions.release(partition);
    }
  }
}

async function stripsByWindow(generation: HeadGeneration, host: CutHost, pace: Pace): Promise<Map<number, Strip[]>> {
  const oldest = windowOf(host.partitions.horizonMs());
  const windows = new Map<number, Map<Layout, Strip>>();
  for (const blocks of generation.streams.values()) {
    for (const block of blocks.sealed) {
      const window = windowOf(block.firstMs);
      if (window < Math.max(0, oldest) || window > WINDOW_MAX) {
        host.counters.samplesOutOfRetention += block.ticks * block.layout.refs.length;
        continue;
      }
      let strips = windows.get(window);
      if (strips === undefined) windows.set(window, (strips = new Map<Layout, Strip>()));
      let strip = strips.get(block.layout);
      if (strip === undefined) strips.set(block.layout, (strip = { layout: block.layout, blocks: [], axes: [], overlaps: false }));
      strip.blocks.push(block);
    }
    await pace.step();
  }
  for (const strips of windows.values()) {
    for (const strip of strips.values()) {
      strip.blocks.sort((a, b) => a.number - b.number);
      for (const block of strip.blocks) strip.axes.push(encodeAxis(block.times()));
      strip.overlaps = anyOverlap(strip.blocks);
      await pace.step();
    }
  }
  return new Map([...windows].map(([window, strips]) => [window, [...strips.values()]]));
}

function samplesIn(strips: readonly Strip[]): number {
  let samples = 0;
  for (const { layout, blocks } of strips) for (const block of blocks) samples += block.ticks * layout.refs.length;
  return samples;
}

/** One window of a cut. */
class WindowCut {
  readonly #counters: StoreCounters;
  readonly #partition: Partition;
  readonly #window: number;
  readonly #generation: number;
  readonly #pace: Pace;
  #operations: Operation[] = [];
  #bytes = 0;
  #chunks = 0;
  /** Ids of a run's shapes, one array per run so that groups share it. */
  readonly #ids = new Map<Run, Uint32Array>();
  readonly #present = new Map<Source, Set<number>>();

  constructor(counters: StoreCounters, partition: Partition, window: number, generation: number, pace: Pace) {
    this.#counters = counters;
    this.#partition = partition;
    this.#window = window;
    this.#generation = generation;
    this.#pace = pace;
  }

  async run(strips: readonly Strip[]): Promise<void> {
    const metrics = new Map<Metric, Item[]>();
    for (const strip of strips) {
      for (const run of strip.layout.runs) {
        const metric = this.#partition.defineMetric(run.metric, this.#operations);
        const items = metrics.get(metric);
        if (items === undefined) metrics.set(metric, [{ strip, run }]);
        else items.push({ strip, run });
      }
      await this.#pace.step();
    }
    // In the order of the keys, so that LevelDB's tables of one cut do not overlap.
    for (const [metric, items] of [...metrics].sort(([a], [b]) => a.id - b.id)) await this.#cutMetric(metric, items);
    await this.#finish();
  }

  async #cutMetric(metric: Metric, items: readonly Item[]): Promise<void> {
    const bySource = new Map<Source, Item[]>();
    for (const item of items) {
      const source = this.#partition.defineSource(item.run.source, this.#operations);
      const own = bySource.get(source);
      if (own === undefined) bySource.set(source, [item]);
      else own.push(item);
    }
    for (const [source, own] of [...bySource].sort(([a], [b]) => a.id - b.id)) {
      this.#cutSource(metric, source, own);
      if (this.#bytes >= BATCH_BYTES) await this.#flush();
      await this.#pace.step();
    }
  }

  #cutSource(metric: Metric, source: Source, items: readonly Item[]): void {
    const groups = mayOverlap(items) ? this.#mergedGroups(items) : this.#plainGroups(items);
    let present = this.#present.get(source);
    if (present === undefined) this.#present.set(source, (present = new Set()));
    for (const { run } of items) for (const id of this.#idsOf(run)) present.add(id);
    let part = 0;
    for (const run of inChunks(groups)) {
      const value = encodeChunk(run, []);
      const key = chunkKey({ window: this.#window, metric: metric.id, source: source.id, part: part++, generation: this.#generation });
      seal(key, value);
      this.#operations.push({ type: 'put', key, value });
      this.#bytes += value.length;
      this.#chunks++;
      this.#counters.chunksWritten++;
      this.#counters.chunkBytesWritten += value.length;
    }
  }

  /** Blocks as they are: no decoding. */
  #plainGroups(items: readonly Item[]): EncodedGroup[] {
    const groups: EncodedGroup[] = [];
    for (const { strip, run } of items) {
      const shapes = this.#idsOf(run);
      for (const [i, block] of strip.blocks.entries()) {
        groups.push({ shapes, ticks: block.ticks, times: strip.axes[i] as Uint8Array, columns: block.encoded(run) });
      }
    }
    return groups;
  }

  /** Series by series, because some of their samples may have the same time. */
  #mergedGroups(items: readonly Item[]): EncodedGroup[] {
    const pieces = new Map<number, { number: number; piece: Piece }[]>();
    for (const { strip, run } of items) {
      const ids = this.#idsOf(run);
      for (const block of strip.blocks) {
        const times = block.times();
        const values = block.values(run);
        for (const [column, id] of ids.entries()) {
          const piece = { times, values: values.subarray(column * times.length, (column + 1) * times.length) };
          const own = pieces.get(id);
          if (own === undefined) pieces.set(id, [{ number: block.number, piece }]);
          else own.push({ number: block.number, piece });
        }
      }
    }
    const series = new Map<number, Piece>();
    for (const [id, own] of pieces) {
      const stored = own.sort((a, b) => a.number - b.number).map(({ piece }) => piece);
      const merged = mergePieces(stored);
      this.#counters.samplesDuplicate += merged.duplicates;
      this.#counters.samplesOverlap += merged.overlaps;
      series.set(id, merged.piece);
    }
    return groupByAxis(series);
  }

  #idsOf(run: Run): Uint32Array {
    let ids = this.#ids.get(run);
    if (ids === undefined) {
      ids = Uint32Array.from(run.shapes, (shape: Shape) => this.#partition.defineShape(shape, this.#operations).id);
      this.#ids.set(run, ids);
    }
    return ids;
  }

  async #flush(): Promise<void> {
    const operations = this.#operations;
    this.#operations = [];
    this.#bytes = 0;
    await this.#pace.wait(() => this.#partition.write(operations));
  }

  /** What names the window's content, in its last batch. */
  async #finish(): Promise<void> {
    for (const [source, shapes] of this.#present) {
      this.#operations.push(this.#partition.presence(this.#window, source.id, this.#generation, Uint32Array.from(shapes).sort()));
      await this.#pace.step();
    }
    const marker = { isMerged: false, chunks: this.#chunks };
    this.#operations.push(this.#partition.mark(this.#window, this.#generation, marker));
    await this.#flush();
    this.#partition.marked(this.#window, this.#generation, marker);
  }
}

/** Whether two blocks of these items share time. */
function mayOverlap(items: readonly Item[]): boolean {
  const strips = new Set(items.map(({ strip }) => strip));
  if (strips.size === 1) return items[0]?.strip.overlaps === true;
  return anyOverlap([...strips].flatMap(({ blocks }) => blocks));
}

function anyOverlap(blocks: readonly SealedBlock[]): boolean {
  const sorted = blocks.toSorted((a, b) => a.firstMs - b.firstMs);
  return sorted.some((block, i) => i > 0 && block.firstMs <= (sorted[i - 1] as SealedBlock).lastMs);
}
