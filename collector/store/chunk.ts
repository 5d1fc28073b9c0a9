/**
 * The value of a chunk: samples of series of one metric and one source within one window, as groups that share a time axis. Pure; README.md has the
 * format. A cut writes the head's blocks as they are, one group each; a merge writes one group per axis.
 */
import { ByteReader, ByteWriter, decodeColumns, decodeTimes, encodeColumns, encodeTimes } from '../../protocol/index.ts';
import type { Piece } from './assembly.ts';
import { CHECKSUM_BYTES } from './checksum.ts';

const VERSION = 1;
const FLAG_MERGED = 1;
/** What a chunk aims at: large enough that its key costs little, small enough that reading one series is cheap. */
export const CHUNK_BYTES_TARGET = 32 * 1024;
/** Series of one group of a merged chunk: with more, an hour at one second would be far larger than a chunk. */
const GROUP_SERIES_MAX = 16;
/** Bounds against counts that no writer of ours makes. */
const COUNT_MAX = 1_000_000;

/** Ticks of some series, encoded. */
export type EncodedGroup = {
  /** Partition ids of the shapes, by column. Groups of one layout share the array. */
  readonly shapes: Uint32Array;
  readonly ticks: number;
  readonly times: Uint8Array;
  readonly columns: Uint8Array;
};

/** A group of a chunk on disk; its columns are decoded when asked for. */
export type ChunkGroup = { readonly shapes: Uint32Array; readonly times: Float64Array; readonly columns: Uint8Array };

export type Chunk = {
  /** Generations whose pieces this value replaces; empty for what a cut wrote. */
  readonly replaces: readonly number[];
  readonly groups: readonly ChunkGroup[];
};

const writer = new ByteWriter();

/** The chunk's bytes with room for the checksum at the end. */
export function encodeChunk(groups: readonly EncodedGroup[], replaces: readonly number[]): Buffer {
  writer.reset();
  writer.byte(VERSION);
  writer.byte(replaces.length > 0 ? FLAG_MERGED : 0);
  if (replaces.length > 0) writeNumbers(replaces);
  const tables = [...new Set(groups.map(({ shapes }) => shapes))];
  writer.varint(tables.length);
  for (const table of tables) writeNumbers(table);
  writer.varint(groups.length);
  for (const group of groups) {
    writer.varint(tables.indexOf(group.shapes));
    writer.varint(group.ticks);
    writer.bytes(group.times);
    writer.varint(group.columns.length);
    writer.bytes(group.columns);
  }
  const view = writer.view();
  const bytes = Buffer.allocUnsafe(view.length + CHECKSUM_BYTES);
  bytes.set(view);
  return bytes;
}

/** Undefined for bytes that are no chunk. Columns are views of `payload`. */
export function decodeChunk(payload: Uint8Array): Chunk | undefined {
  const reader = new ByteReader(payload, 0, payload.length);
  if (reader.byte() !== VERSION) return undefined;
  const flags = reader.byte();
  const replaces = (flags & FLAG_MERGED) === 0 ? [] : [...readNumbers(reader)];
  const tables: Uint32Array[] = [];
  for (let left = readCount(reader); left > 0; left--) tables.push(readNumbers(reader));
  const groups: ChunkGroup[] = [];
  for (let left = readCount(reader); left > 0; left--) {
    const shapes = tables[reader.varint()];
    const ticks = readCount(reader);
    if (shapes === undefined || reader.failed) return undefined;
    const times = new Float64Array(ticks);
    const end = decodeTimes(payload, reader.at, payload.length, ticks, times);
    if (!end.ok) return undefined;
    reader.at = end.value;
    const length = reader.varint();
    if (reader.failed || length > payload.length - reader.at) return undefined;
    groups.push({ shapes, times, columns: payload.subarray(reader.at, reader.at + length) });
    reader.at += length;
  }
  return reader.failed || reader.at !== payload.length ? undefined : { replaces, groups };
}

/** values[column * ticks + tick], or undefined for bytes that are no columns. */
export function decodeGroup(group: ChunkGroup): Float64Array | undefined {
  const values = new Float64Array(group.shapes.length * group.times.length);
  const end = decodeColumns(group.columns, 0, group.columns.length, group.shapes.length, group.times.length, values);
  return end.ok && end.value === group.columns.length ? values : undefined;
}

export function encodeAxis(times: Float64Array): Uint8Array {
  writer.reset();
  encodeTimes(times, writer);
  return writer.copy();
}

/** Encodes values[column * ticks + tick] of series that share their times. */
export function encodeGroup(shapes: Uint32Array, times: Float64Array, values: Float64Array): EncodedGroup {
  const axis = encodeAxis(times);
  writer.reset();
  encodeColumns(values, shapes.length, times.length, writer);
  return { shapes, ticks: times.length, times: axis, columns: writer.copy() };
}

/** Series (by the id of their shape) with equal times together, encoded. */
export function groupByAxis(series: ReadonlyMap<number, Piece>): EncodedGroup[] {
  const axes: { times: Float64Array; ids: number[] }[] = [];
  for (const [id, { times }] of [...series].sort(([a], [b]) => a - b)) {
    if (times.length === 0) continue;
    const same = axes.find((axis) => axis.ids.length < GROUP_SERIES_MAX && equalTimes(axis.times, times));
    if (same === undefined) axes.push({ times, ids: [id] });
    else same.ids.push(id);
  }
  return axes.map(({ times, ids }) => {
    const values = new Float64Array(ids.length * times.length);
    for (const [column, id] of ids.entries()) values.set((series.get(id) as Piece).values, column * times.length);
    return encodeGroup(Uint32Array.from(ids), times, values);
  });
}

/** Groups in order, in runs of at most the target size; a larger group stands alone. */
export function* inChunks(groups: readonly EncodedGroup[]): Generator<EncodedGroup[]> {
  let run: EncodedGroup[] = [];
  let bytes = 0;
  for (const group of groups) {
    const own = group.columns.length + group.times.length;
    if (run.length > 0 && bytes + own > CHUNK_BYTES_TARGET) {
      yield run;
      run = [];
      bytes = 0;
    }
    run.push(group);
    bytes += own;
  }
  if (run.length > 0) yield run;
}

/** A count, and each number as its zigzag difference to the one before: ids of one metric mostly follow each other. */
function writeNumbers(numbers: ArrayLike<number>): void {
  writer.varint(numbers.length);
  let previous = 0;
  for (let i = 0; i < numbers.length; i++) {
    const number = numbers[i] as number;
    writer.zigzag(number - previous);
    previous = number;
  }
}

function readNumbers(reader: ByteReader): Uint32Array {
  const numbers = new Uint32Array(readCount(reader));
  let previous = 0;
  for (let i = 0; i < numbers.length; i++) {
    previous += reader.zigzag();
    numbers[i] = previous;
  }
  return numbers;
}

function readCount(reader: ByteReader): number {
  const count = reader.varint();
  if (count > COUNT_MAX) reader.failed = true;
  return reader.failed ? 0 : count;
}

function equalTimes(a: Float64Array, b: Float64Array): boolean {
  if (a === b) return true;
  if (a.length !== b.length || a[0] !== b[0] || a[a.length - 1] !== b[b.length - 1]) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
