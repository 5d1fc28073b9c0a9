/** A partition as a place to read from, as of the cut at which the read began. Not the head: what is newer comes from there. */
import type { TimeRange } from '../model/ports.ts';
import { lowerBound, type Piece, upperBound } from './assembly.ts';
import { decodeChunk, decodeGroup, type ChunkGroup } from './chunk.ts';
import * as keys from './keys.ts';
import type { SeriesPlace } from './labels.ts';
import type { Matched, MatchedMetric, NameIndex, Shape, Source } from './names.ts';
import type { Partition } from './partition.ts';
import type { PieceSource, Read } from './select.ts';

/** Rows taken at a time while walking along; decoding them is one piece of work between two looks at the clock. */
const ROWS = 64;
/** Rows taken after a jump to one source: its parts and generations. */
const ROWS_OF_SOURCE = 8;
/** Below this share of the sources a read jumps from one to the next instead of walking over all. */
const JUMP_SHARE = 1 / 16;

type Row = { readonly key: Buffer; readonly value: Buffer; readonly at: keys.ChunkKey };
type Found = { readonly shape: Shape; readonly piece: Piece };

export class PartitionView implements PieceSource, SeriesPlace {
  readonly index: NameIndex;
  readonly #partition: Partition;
  readonly #cutThrough: number;

  constructor(partition: Partition, cutThrough: number) {
    this.index = partition.index;
    this.#partition = partition;
    this.#cutThrough = cutThrough;
  }

  async collect(metric: MatchedMetric, sources: ReadonlySet<Source>, read: Read): Promise<void> {
    const ids = Uint32Array.from(sources, (source) => source.id).sort();
    if (ids.length === 0) return;
    for (const window of this.#partition.windowsIn(read.range)) {
      let rows: Row[] = [];
      for await (const row of this.#rows(window, metric.metric.id, ids)) {
        if (rows.length > 0 && rows[0]?.at.source !== row.at.source) {
          this.#take(rows, metric, read);
          rows = [];
          if (read.turn.due()) await read.turn.yield();
          read.signal.throwIfAborted();
        }
        rows.push(row);
      }
      this.#take(rows, metric, read);
    }
  }

  visit(found: Matched, range: TimeRange, signal: AbortSignal, visit: (source: Source, shape: Shape) => void): Promise<void> {
    return this.#partition.visit(found, range, this.#cutThrough, signal, visit);
  }

  /** Chunks of these sources (ids, sorted) in key order. */
  async *#rows(window: number, metric: number, ids: Uint32Array): AsyncGenerator<Row> {
    const wanted = new Set(ids);
    const jumps = ids.length < this.index.sources.size * JUMP_SHARE;
    const range = {
      gte: keys.chunkSeek(window, metric, ids[0] as number),
      lt: keys.chunkRange(window, metric, ids[ids.length - 1] as number).lt,
    };
    const iterator = this.#partition.database.iterator<Buffer, Buffer>(range);
    try {
      let next = 0;
      for (;;) {
        const rows = await iterator.nextv(jumps ? ROWS_OF_SOURCE : ROWS);
        if (rows.length === 0) return;
        let last: keys.ChunkKey | undefined;
        for (const [key, value] of rows) {
          last = keys.readChunkKey(key);
          if (last !== undefined && wanted.has(last.source)) yield { key, value, at: last };
        }
        if (!jumps || last === undefined) continue;
        while (next < ids.length && (ids[next] as number) < last.source) next++;
        if (ids[next] === last.source) continue;
        if (next >= ids.length) return;
        iterator.seek(keys.chunkSeek(window, metric, ids[next] as number));
      }
    } catch (error) {
      this.#partition.unreadable(error, window);
    } finally {
      await iterator.close();
    }
  }

  /** The rows of one source: pieces go to the assembly in the order in which they were stored. */
  #take(rows: readonly Row[], metric: MatchedMetric, read: Read): void {
    const source = this.#partition.source(rows[0]?.at.source ?? -1);
    if (source === undefined) return;
    const found: Found[] = [];
    for (const row of rows.toSorted((a, b) => a.at.generation - b.at.generation || a.at.part - b.at.part))
      this.#takeRow(row, metric, read, found);
    for (const { shape, piece } of found) read.assembly.add(source, shape, piece);
  }

  #takeRow(row: Row, metric: MatchedMetric, read: Read, found: Found[]): void {
    const payload = this.#partition.check(row.key, row.value);
    if (payload === undefined) return;
    const chunk = decodeChunk(payload);
    if (chunk === undefined) return this.#partition.damaged(row.key, row.value.length);
    // A merged chunk stays valid for a read that began before the merge: what the head shows as well is dropped by time.
    if (chunk.replaces.length === 0 && row.at.generation > this.#cutThrough) return;
    for (const group of chunk.groups) {
      if (!this.#takeGroup(group, metric, read, found)) this.#partition.damaged(row.key, row.value.length);
    }
  }

  /** False if it does not decode, or names what no definition is left of. */
  #takeGroup(group: ChunkGroup, metric: MatchedMetric, read: Read, found: Found[]): boolean {
    const { times, shapes } = group;
    const ticks = upperBound(times, read.range.toMs) - lowerBound(times, read.range.fromMs);
    if (ticks === 0) return true;
    const wanted: [number, Shape][] = [];
    for (const [column, id] of shapes.entries()) {
      const shape = this.#partition.shape(id);
      if (shape === undefined) return false;
      if (metric.shapes.has(shape)) wanted.push([column, shape]);
    }
    if (wanted.length === 0) return true;
    read.budget.take(wanted.length * ticks);
    const values = decodeGroup(group);
    if (values === undefined) return false;
    const length = times.length;
    for (const [column, shape] of wanted)
      found.push({ shape, piece: { times, values: values.subarray(column * length, (column + 1) * length) } });
    return true;
  }
}
