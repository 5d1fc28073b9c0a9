/** Keys of a day's partition: one byte that says what it is, then unsigned 32-bit numbers big-endian, so that bytes sort as the numbers do. */

/** Definitions of names, by id. */
export const METRIC = 0x6d;
export const SOURCE = 0x73;
export const SHAPE = 0x68;
/** window, generation: a generation has samples in this window. The value says whether the window was merged. */
const MARKER = 0x77;
/** window, source, generation: which shapes. */
const PRESENCE = 0x70;
/** window, metric, source, part, generation. */
const CHUNK = 0x63;

export type Definition = typeof METRIC | typeof SOURCE | typeof SHAPE;
export type ChunkKey = {
  readonly window: number;
  readonly metric: number;
  readonly source: number;
  readonly part: number;
  readonly generation: number;
};

const CHUNK_KEY_BYTES = 19;

export function definitionKey(table: Definition, id: number): Buffer {
  return key(table, id);
}

export function markerKey(window: number, generation: number): Buffer {
  return key(MARKER, window, generation);
}

export function presenceKey(window: number, source: number, generation: number): Buffer {
  return key(PRESENCE, window, source, generation);
}

export function chunkKey({ window, metric, source, part, generation }: ChunkKey): Buffer {
  const bytes = Buffer.allocUnsafe(CHUNK_KEY_BYTES);
  bytes[0] = CHUNK;
  bytes.writeUInt32BE(window, 1);
  bytes.writeUInt32BE(metric, 5);
  bytes.writeUInt32BE(source, 9);
  bytes.writeUInt16BE(part, 13);
  bytes.writeUInt32BE(generation, 15);
  return bytes;
}

export function readChunkKey(bytes: Buffer): ChunkKey | undefined {
  if (bytes.length !== CHUNK_KEY_BYTES || bytes[0] !== CHUNK) return undefined;
  return {
    window: bytes.readUInt32BE(1),
    metric: bytes.readUInt32BE(5),
    source: bytes.readUInt32BE(9),
    part: bytes.readUInt16BE(13),
    generation: bytes.readUInt32BE(15),
  };
}

/** Numbers of a definition, marker or presence key. */
export function readNumbers(bytes: Buffer): number[] {
  const numbers: number[] = [];
  for (let at = 1; at + 4 <= bytes.length; at += 4) numbers.push(bytes.readUInt32BE(at));
  return numbers;
}

export type KeyRange = { readonly gte: Buffer; readonly lt: Buffer };

export const definitionRange = (table: Definition): KeyRange => ({ gte: Buffer.from([table]), lt: Buffer.from([table + 1]) });
export const markerRange: KeyRange = { gte: Buffer.from([MARKER]), lt: Buffer.from([MARKER + 1]) };
export const presenceRange = (window: number): KeyRange => within(PRESENCE, window);
/** Chunks of a window, or of one metric in it, or of one source too. */
export const chunkRange = (...numbers: number[]): KeyRange => within(CHUNK, ...numbers);
/** From which on chunks of sources from `source` on stand. */
export const chunkSeek = (window: number, metric: number, source: number): Buffer => key(CHUNK, window, metric, source);

function within(table: number, ...numbers: number[]): KeyRange {
  const gte = key(table, ...numbers);
  const last = numbers.at(-1) ?? 0;
  const lt = last === 2 ** 32 - 1 ? Buffer.concat([gte, Buffer.alloc(16, 0xff)]) : key(table, ...numbers.slice(0, -1), last + 1);
  return { gte, lt };
}

function key(table: number, ...numbers: number[]): Buffer {
  const bytes = Buffer.allocUnsafe(1 + numbers.length * 4);
  bytes[0] = table;
  numbers.forEach((number, i) => bytes.writeUInt32BE(number, 1 + i * 4));
  return bytes;
}
