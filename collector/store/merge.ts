/**
 * Merges the pieces that cuts have left in a closed window: one chunk per metric and source, one group per time axis. Each batch is complete in itself,
 * so that a crash or a late piece only means another round. Not a rollup.
 */
import { Joiner, mergePieces, ordered, type Piece } from './assembly.ts';
import { type Chunk, decodeChunk, decodeGroup, encodeChunk, groupByAxis, inChunks } from './chunk.ts';
import { seal } from './checksum.ts';
import type { Operation } from './database.ts';
import * as keys from './keys.ts';
import type { StoreCounters } from './options.ts';
import type { Pace } from './pace.ts';
import type { Marker, Partition } from './partition.ts';

const ROWS = 64;
const BATCH_BYTES = 512 * 1024;

type Row = { readonly key: Buffer; readonly at: keys.ChunkKey; readonly chunk: Chunk };

/** Merges what the given generations (all cut) have in a window, and finds out whether something of it has vanished. */
export async function mergeWindow(
  partition: Partition,
  window: number,
  generations: ReadonlyMap<number, Marker>,
  counters: StoreCounters,
  pace: Pace,
): Promise<void> {
  const merge = new WindowMerge(partition, window, generations, counters, pace);
  try {
    await merge.run();
  } catch (error) {
    // What can be read stays in pieces.
    partition.unreadable(error, window);
  }
  const newest = Math.max(...generations.keys());
  const others = [...generations.keys()].filter((generation) => generation !== newest);
  const operations: Operation[] = others.map((generation) => ({ type: 'del', key: keys.markerKey(window, generation) }));
  const marker = { isMerged: true, chunks: merge.chunks };
  operations.push(partition.mark(window, newest, marker));
  await pace.wait(() => partition.write(operations));
  partition.marked(window, newest, marker, others);
  await pace.wait(() => partition.compact(window));
  counters.windowsMerged++;
}

class WindowMerge {
  readonly #partition: Partition;
  readonly #window: number;
  readonly #generations: ReadonlyMap<number, Marker>;
  readonly #newest: number;
  /** Rows as cuts wrote them, by their generation, and rows that an earlier merge wrote. */
  readonly #pieces = new Map<number, number>();
  #mergedRows = 0;
  /** Generations of which an interrupted merge has replaced a part: their rows cannot be counted any more. */
  readonly #begun = new Set<number>();
  readonly #counters: StoreCounters;
  readonly #pace: Pace;
  #operations: Operation[] = [];
  #bytes = 0;
  /** Rows that the window has after the merge. */
  chunks = 0;

  constructor(partition: Partition, window: number, generations: ReadonlyMap<number, Marker>, counters: StoreCounters, pace: Pace) {
    this.#partition = partition;
    this.#window = window;
    this.#generations = generations;
    this.#newest = Math.max(...generations.keys());
    this.#counters = counters;
    this.#pace = pace;
  }

  async run(): Promise<void> {
    const iterator = this.#partition.database.iterator<Buffer, Buffer>(keys.chunkRange(this.#window));
    let group: Row[] = [];
    try {
      for (;;) {
        const rows = await this.#pace.wait(() => iterator.nextv(ROWS));
        if (rows.length === 0) break;
        for (const [key, value] of rows) {
          const at = keys.readChunkKey(key);
          const first = group[0]?.at;
          if (at === undefined) continue;
          if (first !== undefined && (first.metric !== at.metric || first.source !== at.source)) {
            await this.#mergeGroup(group);
            group = [];
          }
          // Older ones without a marker are what an earlier merge wrote.
          if (at.generation > this.#newest) continue;
          const payload = this.#partition.check(key, value);
          const chunk = payload === undefined ? undefined : decodeChunk(payload);
          this.#count(at.generation, chunk);
          if (chunk !== undefined && this.#partition.isNamed(at)) group.push({ key, at, chunk });
          else if (payload !== undefined) this.#partition.damaged(key, value.length);
        }
      }
    } finally {
      await iterator.close();
    }
    await this.#mergeGroup(group);
    await this.#flush();
    this.#findVanished();
  }

  /** What cannot be read is where its marker says; it is told as damaged, not as vanished too. */
  #count(generation: number, chunk: Chunk | undefined): void {
    const isMerged = chunk === undefined ? this.#generations.get(generation)?.isMerged !== false : chunk.replaces.length > 0;
    if (isMerged) this.#mergedRows++;
    else this.#pieces.set(generation, (this.#pieces.get(generation) ?? 0) + 1);
    for (const replaced of chunk?.replaces ?? []) if (this.#generations.get(replaced)?.isMerged === false) this.#begun.add(replaced);
  }

  #findVanished(): void {
    for (const [generation, { isMerged, chunks }] of this.#generations) {
      if (isMerged ? this.#begun.size > 0 : this.#begun.has(generation)) continue;
      const missing = chunks - (isMerged ? this.#mergedRows : (this.#pieces.get(generation) ?? 0));
      if (missing > 0) this.#partition.vanished(this.#window, `${missing} of ${chunks} chunks of generation ${generation}`);
    }
  }

  async #mergeGroup(rows: readonly Row[]): Promise<void> {
    if (rows.length === 0) return;
    const pieces = new Map<number, Piece[]>();
    const replaced = new Set<number>();
    let isDone = true;
    for (const { key, at, chunk } of rows.toSorted((a, b) => a.at.generation - b.at.generation || a.at.part - b.at.part)) {
      if (chunk.replaces.length === 0) isDone = false;
      for (const generation of chunk.replaces.length === 0 ? [at.generation] : chunk.replaces) replaced.add(generation);
      for (const group of chunk.groups) {
        const values = decodeGroup(group);
        if (values === undefined) return this.#partition.damaged(key, group.columns.length);
        const { times } = group;
        for (const [column, id] of group.shapes.entries()) {
          const piece = { times, values: values.subarray(column * times.length, (column + 1) * times.length) };
          const own = pieces.get(id);
          if (own === undefined) pieces.set(id, [piece]);
          else own.push(piece);
        }
      }
    }
    if (isDone) {
      this.chunks += rows.length;
      return;
    }
    this.#replace(
      rows,
      pieces,
      [...replaced].sort((a, b) => a - b),
    );
    if (this.#bytes >= BATCH_BYTES) await this.#flush();
    await this.#pace.step();
  }

  /** The old rows go and the new ones come in one batch; a new one may have an old one's key, so deletions come first. */
  #replace(rows: readonly Row[], pieces: ReadonlyMap<number, Piece[]>, replaced: readonly number[]): void {
    const series = new Map<number, Piece>();
    const joiner = new Joiner();
    for (const [id, own] of pieces) {
      const sorted = ordered(own);
      if (sorted !== undefined) {
        series.set(id, joiner.join(sorted));
        continue;
      }
      const merged = mergePieces(own);
      this.#counters.samplesDuplicate += merged.duplicates;
      this.#counters.samplesOverlap += merged.overlaps;
      series.set(id, merged.piece);
    }
    for (const { key } of rows) this.#operations.push({ type: 'del', key });
    const { metric, source } = (rows[0] as Row).at;
    const generation = replaced[replaced.length - 1] as number;
    let part = 0;
    for (const groups of inChunks(groupByAxis(series))) {
      const value = encodeChunk(groups, replaced);
      const key = keys.chunkKey({ window: this.#window, metric, source, part: part++, generation });
      seal(key, value);
      this.#operations.push({ type: 'put', key, value });
      this.#bytes += value.length;
      this.chunks++;
      this.#counters.chunksMerged++;
    }
  }

  async #flush(): Promise<void> {
    const operations = this.#operations;
    this.#operations = [];
    this.#bytes = 0;
    if (operations.length > 0) await this.#pace.wait(() => this.#partition.write(operations));
  }
}
