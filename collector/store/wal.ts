/**
 * One generation of the write-ahead log: a database of its own that takes commits of frames in the order of arrival and is unlinked as a whole.
 * Not what the frames mean. Keys begin with the commit's number, so that LevelDB never has to merge its tables and a missing commit shows as a hole.
 */
import { digestOf } from '../../protocol/index.ts';
import type { AgentId, Epoch, VerifiedFrame } from '../model/ports.ts';
import type { Labels } from '../model/labels.ts';
import { CHECKSUM_BYTES, checked, seal } from './checksum.ts';
import { type Database, isCorruption, type Operation, openOrRepair, writeSynced } from './database.ts';

/** Memory of the open log before it becomes a table; tables of rising keys are moved, never merged, so more would only cost memory. */
const WRITE_BUFFER_BYTES = 16 * 1024 * 1024;
const CACHE_BYTES = 1024 * 1024;
/** Values read at a time by a scan; each holds up to a megabyte. */
const SCAN_ROWS = 16;
/** Bytes that a scan reads ahead; Level's own type does not name LevelDB's options. */
const SCAN: object = { highWaterMarkBytes: 1024 * 1024 };

/** Bytes of frames in one value: a commit of more is written as several. */
const PART_BYTES = 1024 * 1024;
/** commit, part of it: 8 + 4. */
const KEY_BYTES = 12;
const VALUE_VERSION = 1;
/** version, parts in the commit, entries, length of the notes, length of the sources. */
const FIXED_BYTES = 1 + 4 + 4 + 4 + 4;
/** agent, epoch, lane, sequence, received (ms), correction (ms), index of the source, length, digest. */
const ENTRY_BYTES = 16 + 16 + 1 + 8 + 8 + 8 + 4 + 4 + 32;

/** What a note says. `opened` stands first in each generation and tells where the one before ended, so that a lost tail is seen. */
export type Note =
  | { readonly kind: 'opened'; readonly previousCommit: number }
  | { readonly kind: 'collapse'; readonly agentId: AgentId; readonly epoch: Epoch; readonly lane: number; readonly floor: number }
  | { readonly kind: 'forget'; readonly agentId: AgentId; readonly epoch: Epoch };

export type WalFrame = {
  readonly agentId: AgentId;
  readonly epoch: Epoch;
  readonly lane: number;
  readonly sequence: number;
  readonly receivedMs: number;
  readonly correctionMs: number;
  readonly source: Labels;
  readonly digest: Uint8Array;
  readonly bytes: Buffer;
};

/** One value read back: the part of a commit. */
export type WalPart = {
  readonly commit: number;
  readonly part: number;
  /** 0 if the value is damaged beyond its frames, or if nothing can be read from here on. */
  readonly parts: number;
  readonly notes: readonly Note[];
  readonly frames: readonly WalFrame[];
  /** Frames whose bytes are not what was written. */
  readonly damaged: readonly WalFrame[];
  /** Of the whole value. */
  readonly bytes: number;
};

/** Memory for the values of one commit, used again for the next: a megabyte of garbage per commit would cost more than the commit. */
class Room {
  #bytes = Buffer.allocUnsafeSlow(0);
  #used = 0;

  clear(): void {
    this.#used = 0;
  }

  take(length: number): Buffer {
    const from = this.#used;
    this.#used += length;
    if (this.#used <= this.#bytes.length) return this.#bytes.subarray(from, this.#used);
    // Values taken before keep the old memory.
    this.#bytes = Buffer.allocUnsafeSlow(Math.max(length, 2 * this.#bytes.length));
    this.#used = length;
    return this.#bytes.subarray(0, length);
  }
}

export class WalGeneration {
  readonly number: number;
  readonly path: string;
  readonly #database: Database;
  /** One commit is under way at a time, so its values can lie in the same memory each time. */
  readonly #room = new Room();
  bytes = 0;

  private constructor(number: number, path: string, database: Database) {
    this.number = number;
    this.path = path;
    this.#database = database;
  }

  static async open(number: number, path: string, damaged: (detail: string) => void): Promise<WalGeneration> {
    const options = { writeBufferBytes: WRITE_BUFFER_BYTES, compression: false, cacheBytes: CACHE_BYTES };
    const database = await openOrRepair(path, options, damaged);
    return new WalGeneration(number, path, database);
  }

  /** One synced commit of notes and frames. */
  async append(commit: number, notes: readonly Note[], frames: readonly VerifiedFrame[]): Promise<void> {
    this.#room.clear();
    const parts = inParts(frames);
    const operations: Operation[] = parts.map((own, part) => {
      const key = writeKey(commit, part);
      return { type: 'put', key, value: writeValue(this.#room, key, parts.length, part === 0 ? notes : [], own) };
    });
    await writeSynced(this.#database, operations);
    for (const operation of operations) if (operation.type === 'put') this.bytes += operation.key.length + operation.value.length;
  }

  /** All parts in the order they came. Frames' bytes are owned by the receiver. */
  async *scan(): AsyncGenerator<WalPart> {
    const iterator = this.#database.iterator<Buffer, Buffer>(SCAN);
    let last = 0;
    try {
      for (let rows = await iterator.nextv(SCAN_ROWS); rows.length > 0; rows = await iterator.nextv(SCAN_ROWS)) {
        for (const [key, value] of rows) {
          const part = readPart(key, value);
          last = part.commit;
          yield part;
        }
      }
    } catch (error) {
      if (!isCorruption(error)) throw error;
      yield { commit: last + 1, part: 0, parts: 0, notes: [], frames: [], damaged: [], bytes: 0 };
    } finally {
      await iterator.close();
    }
  }

  async close(): Promise<void> {
    await this.#database.close();
  }
}

/** At least one part, even without frames. */
function inParts(frames: readonly VerifiedFrame[]): VerifiedFrame[][] {
  const parts: VerifiedFrame[][] = [[]];
  let bytes = 0;
  for (const frame of frames) {
    if (bytes > 0 && bytes + frame.bytes.length > PART_BYTES) {
      parts.push([]);
      bytes = 0;
    }
    parts.at(-1)?.push(frame);
    bytes += frame.bytes.length;
  }
  return parts;
}

function writeKey(commit: number, part: number): Buffer {
  const key = Buffer.allocUnsafe(KEY_BYTES);
  writeUint64(key, commit, 0);
  key.writeUInt32BE(part, 8);
  return key;
}

/** Head (fixed fields, entries, notes, sources), its checksum, the frames' bytes, the checksum of all. */
function writeValue(room: Room, key: Buffer, parts: number, notes: readonly Note[], frames: readonly VerifiedFrame[]): Buffer {
  const sources = [...new Set(frames.map(({ source }) => source))];
  const notesText = Buffer.from(JSON.stringify(notes));
  const sourcesText = Buffer.from(JSON.stringify(sources));
  const indexes = new Map(sources.map((source, i) => [source, i]));
  const headBytes = FIXED_BYTES + frames.length * ENTRY_BYTES + notesText.length + sourcesText.length;
  const bodyBytes = frames.reduce((sum, { bytes }) => sum + bytes.length, 0);
  const value = room.take(headBytes + CHECKSUM_BYTES + bodyBytes + CHECKSUM_BYTES);
  value[0] = VALUE_VERSION;
  value.writeUInt32LE(parts, 1);
  value.writeUInt32LE(frames.length, 5);
  value.writeUInt32LE(notesText.length, 9);
  value.writeUInt32LE(sourcesText.length, 13);
  let at = FIXED_BYTES;
  for (const frame of frames) {
    writeEntry(value, at, frame, indexes.get(frame.source) as number);
    at += ENTRY_BYTES;
  }
  value.set(notesText, at);
  value.set(sourcesText, at + notesText.length);
  seal(key, value.subarray(0, headBytes + CHECKSUM_BYTES));
  at = headBytes + CHECKSUM_BYTES;
  for (const { bytes } of frames) {
    value.set(bytes, at);
    at += bytes.length;
  }
  seal(key, value);
  return value;
}

function writeEntry(value: Buffer, at: number, frame: VerifiedFrame, source: number): void {
  const { header } = frame;
  value.set(header.agentId, at);
  value.set(header.epoch, at + 16);
  value[at + 32] = header.lane;
  writeUint64(value, header.sequence, at + 33);
  value.writeDoubleLE(frame.receivedMs, at + 41);
  value.writeDoubleLE(frame.correctionMs, at + 49);
  value.writeUInt32LE(source, at + 57);
  value.writeUInt32LE(frame.bytes.length, at + 61);
  value.set(frame.digest, at + 65);
}

function readPart(key: Buffer, value: Buffer): WalPart {
  const isKey = key.length === KEY_BYTES;
  const commit = isKey ? readUint64(key, 0) : 0;
  const part = isKey ? key.readUInt32BE(8) : 0;
  const lost: WalPart = { commit, part, parts: 0, notes: [], frames: [], damaged: [], bytes: value.length };
  if (!isKey || value.length < FIXED_BYTES || value[0] !== VALUE_VERSION) return lost;
  const count = value.readUInt32LE(5);
  const notesFrom = FIXED_BYTES + count * ENTRY_BYTES;
  const sourcesFrom = notesFrom + value.readUInt32LE(9);
  const headBytes = sourcesFrom + value.readUInt32LE(13);
  const isWhole = checked(key, value) !== undefined;
  // The head has a checksum of its own, so that one flipped bit costs one frame and not all that came with it.
  if (headBytes + CHECKSUM_BYTES > value.length || (!isWhole && checked(key, value.subarray(0, headBytes + CHECKSUM_BYTES)) === undefined))
    return lost;
  const sources = JSON.parse(value.toString('utf8', sourcesFrom, headBytes)) as Labels[];
  const frames: WalFrame[] = [];
  const damaged: WalFrame[] = [];
  let body = headBytes + CHECKSUM_BYTES;
  for (let i = 0; i < count; i++) {
    const frame = readEntry(value, FIXED_BYTES + i * ENTRY_BYTES, sources, body);
    body += frame.bytes.length;
    if (isWhole || Buffer.compare(digestOf(frame.bytes), frame.digest) === 0) frames.push(frame);
    else damaged.push(frame);
  }
  const notes = JSON.parse(value.toString('utf8', notesFrom, sourcesFrom)) as Note[];
  return { commit, part, parts: value.readUInt32LE(1), notes, frames, damaged, bytes: value.length };
}

function readEntry(value: Buffer, at: number, sources: readonly Labels[], body: number): WalFrame {
  return {
    agentId: value.toString('hex', at, at + 16),
    epoch: value.toString('hex', at + 16, at + 32),
    lane: value[at + 32] as number,
    sequence: readUint64(value, at + 33),
    receivedMs: value.readDoubleLE(at + 41),
    correctionMs: value.readDoubleLE(at + 49),
    source: sources[value.readUInt32LE(at + 57)] ?? [],
    digest: value.subarray(at + 65, at + 97),
    bytes: value.subarray(body, body + value.readUInt32LE(at + 61)),
  };
}

function writeUint64(bytes: Buffer, value: number, offset: number): void {
  bytes.writeUInt32BE(Math.floor(value / 2 ** 32), offset);
  bytes.writeUInt32BE(value >>> 0, offset + 4);
}

function readUint64(bytes: Buffer, offset: number): number {
  return bytes.readUInt32BE(offset) * 2 ** 32 + bytes.readUInt32BE(offset + 4);
}
