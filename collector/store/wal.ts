/**
 * One generation of the write-ahead log: a database of its own that takes commits of frames in the order of arrival and is unlinked as a whole.
 * Not what the frames mean. Keys begin with the commit's number, so that LevelDB never has to merge its tables and a missing commit shows as a hole.
 */
import assert from 'node:assert/strict';
import type { AgentId, Epoch, VerifiedFrame } from '../model/ports.ts';
import type { Labels } from '../model/labels.ts';
import { CHECKSUM_BYTES, checked, seal } from './checksum.ts';
import { type Database, type Operation, openDatabase, writeSynced } from './database.ts';

/** Memory of the open log before it becomes a table; tables of rising keys are moved, never merged, so more would only cost memory. */
const WRITE_BUFFER_BYTES = 16 * 1024 * 1024;
const CACHE_BYTES = 1024 * 1024;
/** Rows read at a time by a scan. */
const SCAN_ROWS = 200;
/** Bytes that a scan reads ahead; Level's own type does not name LevelDB's options. */
const SCAN: object = { highWaterMarkBytes: 1024 * 1024 };

/** commit, index in it, agent, epoch, lane, sequence: 8 + 4 + 16 + 16 + 1 + 8. */
const KEY_BYTES = 53;
const VALUE_VERSION = 1;
/** version, entries in the commit, received (ms), correction (ms), length of the source labels. */
const VALUE_HEAD_BYTES = 1 + 4 + 8 + 8 + 2;
/** Lane of an entry that is no frame but a note of the store to itself. */
const LANE_NOTE = 255;

/** What a note says. `opened` stands first in each generation and tells where the one before ended, so that a lost tail is seen. */
export type Note =
  | { readonly kind: 'opened'; readonly previousCommit: number }
  | { readonly kind: 'collapse'; readonly agentId: AgentId; readonly epoch: Epoch; readonly lane: number; readonly floor: number }
  | { readonly kind: 'forget'; readonly agentId: AgentId; readonly epoch: Epoch };

export type WalIdentity = { readonly agentId: AgentId; readonly epoch: Epoch; readonly lane: number; readonly sequence: number };
export type WalFrame = WalIdentity & {
  readonly receivedMs: number;
  readonly correctionMs: number;
  readonly source: Labels;
  readonly bytes: Buffer;
};

/** One entry read back. `damaged` has a whole key and a value that fails its checksum. */
export type WalEntry = { readonly commit: number; readonly index: number } & (
  | { readonly kind: 'frame'; readonly entries: number; readonly frame: WalFrame }
  | { readonly kind: 'note'; readonly entries: number; readonly note: Note }
  | { readonly kind: 'damaged'; readonly identity: WalIdentity | undefined; readonly bytes: number }
);

export class WalGeneration {
  readonly number: number;
  readonly path: string;
  readonly #database: Database;
  bytes = 0;

  private constructor(number: number, path: string, database: Database) {
    this.number = number;
    this.path = path;
    this.#database = database;
  }

  static async open(number: number, path: string): Promise<WalGeneration> {
    const database = await openDatabase(path, { writeBufferBytes: WRITE_BUFFER_BYTES, compression: false, cacheBytes: CACHE_BYTES });
    return new WalGeneration(number, path, database);
  }

  /** One synced commit of notes and frames, in this order. */
  async append(commit: number, notes: readonly Note[], frames: readonly VerifiedFrame[]): Promise<void> {
    const entries = notes.length + frames.length;
    const operations: Operation[] = [];
    for (const note of notes) operations.push(noteOperation(commit, operations.length, entries, note));
    for (const frame of frames) operations.push(frameOperation(commit, operations.length, entries, frame));
    await writeSynced(this.#database, operations);
    for (const operation of operations) if (operation.type === 'put') this.bytes += operation.key.length + operation.value.length;
  }

  /** All entries in the order they came. Frames' bytes are owned by the receiver. */
  async *scan(): AsyncGenerator<readonly WalEntry[]> {
    const iterator = this.#database.iterator<Buffer, Buffer>(SCAN);
    try {
      for (;;) {
        const rows = await iterator.nextv(SCAN_ROWS);
        if (rows.length === 0) return;
        yield rows.map(([key, value]) => readEntry(key, value));
      }
    } finally {
      await iterator.close();
    }
  }

  async close(): Promise<void> {
    await this.#database.close();
  }
}

function writeKey(commit: number, index: number, identity: { agentId: AgentId; epoch: Epoch; lane: number; sequence: number }): Buffer {
  const key = Buffer.allocUnsafe(KEY_BYTES);
  writeUint64(key, commit, 0);
  key.writeUInt32BE(index, 8);
  key.write(identity.agentId, 12, 16, 'hex');
  key.write(identity.epoch, 28, 16, 'hex');
  key[44] = identity.lane;
  writeUint64(key, identity.sequence, 45);
  return key;
}

function frameOperation(commit: number, index: number, entries: number, frame: VerifiedFrame): Operation {
  const { agentId, epoch, header } = frame;
  const key = writeKey(commit, index, { agentId, epoch, lane: header.lane, sequence: header.sequence });
  const source = JSON.stringify(frame.source);
  const sourceBytes = Buffer.byteLength(source);
  assert(sourceBytes < 65_536, 'the identifying labels of a frame are longer than 64 KB');
  const value = Buffer.allocUnsafe(VALUE_HEAD_BYTES + sourceBytes + frame.bytes.length + CHECKSUM_BYTES);
  value[0] = VALUE_VERSION;
  value.writeUInt32LE(entries, 1);
  value.writeDoubleLE(frame.receivedMs, 5);
  value.writeDoubleLE(frame.correctionMs, 13);
  value.writeUInt16LE(sourceBytes, 21);
  value.write(source, VALUE_HEAD_BYTES, 'utf8');
  value.set(frame.bytes, VALUE_HEAD_BYTES + sourceBytes);
  seal(key, value);
  return { type: 'put', key, value };
}

function noteOperation(commit: number, index: number, entries: number, note: Note): Operation {
  const nobody = '0'.repeat(32);
  const key = writeKey(commit, index, { agentId: nobody, epoch: nobody, lane: LANE_NOTE, sequence: 0 });
  const text = Buffer.from(JSON.stringify(note));
  const value = Buffer.alloc(5 + text.length + CHECKSUM_BYTES);
  value[0] = VALUE_VERSION;
  value.writeUInt32LE(entries, 1);
  value.set(text, 5);
  seal(key, value);
  return { type: 'put', key, value };
}

function readEntry(key: Buffer, value: Buffer): WalEntry {
  if (key.length !== KEY_BYTES) return { commit: -1, index: -1, kind: 'damaged', identity: undefined, bytes: value.length };
  const commit = readUint64(key, 0);
  const index = key.readUInt32BE(8);
  const lane = key[44] as number;
  const identity = { agentId: key.toString('hex', 12, 28), epoch: key.toString('hex', 28, 44), lane, sequence: readUint64(key, 45) };
  const payload = checked(key, value);
  const damaged: WalEntry = { commit, index, kind: 'damaged', identity: lane === LANE_NOTE ? undefined : identity, bytes: value.length };
  if (payload === undefined || payload[0] !== VALUE_VERSION) return damaged;
  const entries = payload.readUInt32LE(1);
  if (lane === LANE_NOTE) return { commit, index, kind: 'note', entries, note: JSON.parse(payload.toString('utf8', 5)) as Note };
  const sourceEnd = VALUE_HEAD_BYTES + payload.readUInt16LE(21);
  const frame: WalFrame = {
    ...identity,
    receivedMs: payload.readDoubleLE(5),
    correctionMs: payload.readDoubleLE(13),
    source: JSON.parse(payload.toString('utf8', VALUE_HEAD_BYTES, sourceEnd)) as Labels,
    bytes: payload.subarray(sourceEnd),
  };
  return { commit, index, kind: 'frame', entries, frame };
}

function writeUint64(bytes: Buffer, value: number, offset: number): void {
  bytes.writeUInt32BE(Math.floor(value / 2 ** 32), offset);
  bytes.writeUInt32BE(value >>> 0, offset + 4);
}

function readUint64(bytes: Buffer, offset: number): number {
  return bytes.readUInt32BE(offset) * 2 ** 32 + bytes.readUInt32BE(offset + 4);
}
