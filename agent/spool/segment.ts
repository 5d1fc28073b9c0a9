/** One segment file and the index of its frames in memory: columns of numbers, no object per frame. No policy. */
import assert from 'node:assert/strict';
import type { SpoolFs } from './disk.ts';
import { DurableFile } from './durable-file.ts';
import type { Epoch } from './epoch.ts';
import { encodeSegmentHeader, RECORD_HEADER_BYTES, SEGMENT_HEADER_BYTES } from './record.ts';

/** Of a frame: acked, refused or lost; waiting to be sent; handed to the link. */
export const FRAME_STATE = { gone: 0, held: 1, leased: 2 } as const;
export type FrameState = (typeof FRAME_STATE)[keyof typeof FRAME_STATE];

/** A smaller record counts as this much against its lane's bytes, so that these bound the index in memory too. */
const CHARGE_BYTES_MIN = 512;
/** First capacity of the columns: some minutes of a quiet host. They double, and shrink to fit when the segment is closed to appends. */
const CAPACITY_FIRST = 64;
/** Three float64, three uint32 and a byte. */
const FRAME_INDEX_BYTES = 3 * 8 + 3 * 4 + 1;

/** Frames of one epoch that lie side by side: [first, end) of the index, sequences rising. */
export type Run = { readonly epoch: Epoch; readonly first: number; end: number };

export type FrameFacts = {
  readonly sequence: number;
  /** Of the frame, without its record header. */
  readonly length: number;
  readonly fromMs: number;
  readonly toMs: number;
  readonly samples: number;
};

export function chargeOf(frameBytes: number): number {
  return Math.max(CHARGE_BYTES_MIN, RECORD_HEADER_BYTES + frameBytes);
}

export class Segment {
  readonly number: number;
  readonly path: string;
  readonly runs: Run[] = [];
  /** Open while it is appended to, not yet synced or being read. */
  file: DurableFile | undefined;
  /** A sync of it failed; see DurableFile.suspect. */
  suspect = false;
  count = 0;
  live = 0;
  leased = 0;
  /** Sample times, by the host's clock. */
  oldestMs = Infinity;
  newestMs = -Infinity;
  /** Of frames with samples only; 0 if there is none. */
  newestSampleMs = 0;
  /** When its first and its last frame were appended, on the monotonic clock of this process. */
  firstAppendMs = Infinity;
  lastAppendMs = -Infinity;
  #sizeBytes: number;
  #chargeBytes = SEGMENT_HEADER_BYTES;
  /** Everything before it is gone. */
  #liveFrom = 0;
  #columns = columnsOf(0);

  constructor(number: number, path: string, sizeBytes: number) {
    this.number = number;
    this.path = path;
    this.#sizeBytes = sizeBytes;
  }

  /** Makes the file with its header. Throws the disk's error and leaves no file behind if it can. */
  static create(fs: SpoolFs, path: string, lane: number, number: number): Segment {
    const segment = new Segment(number, path, SEGMENT_HEADER_BYTES);
    const file = DurableFile.open(fs, path, 'create');
    try {
      file.write(encodeSegmentHeader(lane, number), 0);
    } catch (error) {
      file.close();
      fs.remove(path);
      throw error;
    }
    segment.file = file;
    return segment;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  get chargeBytes(): number {
    return this.#chargeBytes;
  }

  /** Bytes of the index, for the benchmark and the bound. */
  get indexBytes(): number {
    return this.#columns.states.length * FRAME_INDEX_BYTES;
  }

  /** Needs fdatasync before its held frames are safe from a power cut. What is acked already needs none. */
  get unsynced(): boolean {
    return this.live > 0 && this.file !== undefined && this.file.dirty;
  }

  /** Appends an encoded record; its position. After an error part of it may lie behind `sizeBytes`: cut it, or append no more. */
  write(record: Uint8Array): number {
    assert(this.file !== undefined, 'an open segment has its file');
    this.file.write(record, this.#sizeBytes);
    const position = this.#sizeBytes;
    this.#sizeBytes += record.length;
    return position;
  }

  /** Removes what lies behind `sizeBytes`. */
  cut(sizeBytes: number): void {
    assert(this.file !== undefined, 'a segment that is cut has its file');
    this.file.truncate(sizeBytes);
    this.#sizeBytes = sizeBytes;
  }

  /** Enters a frame that lies at `position` into the index. */
  enter(epoch: Epoch, position: number, facts: FrameFacts, state: FrameState): void {
    if (this.count === this.#columns.states.length) this.#resize(Math.max(CAPACITY_FIRST, this.count * 2));
    const index = this.count++;
    const columns = this.#columns;
    columns.positions[index] = position;
    columns.lengths[index] = facts.length;
    columns.samples[index] = facts.samples;
    columns.sequences[index] = facts.sequence;
    columns.fromMs[index] = facts.fromMs;
    columns.toMs[index] = facts.toMs;
    columns.states[index] = state;
    if (state !== FRAME_STATE.gone) this.live++;
    if (state === FRAME_STATE.leased) this.leased++;
    this.#chargeBytes += chargeOf(facts.length);
    this.oldestMs = Math.min(this.oldestMs, facts.fromMs);
    this.newestMs = Math.max(this.newestMs, facts.toMs);
    if (facts.samples > 0) this.newestSampleMs = Math.max(this.newestSampleMs, facts.toMs);
    const run = this.runs.at(-1);
    if (run?.epoch === epoch) {
      run.end = this.count;
      return;
    }
    if (this.runs.every((other) => other.epoch !== epoch)) epoch.segments++;
    this.runs.push({ epoch, first: index, end: this.count });
  }

  /** No more appends: gives back the memory that was kept for them. */
  shrink(): void {
    this.#resize(this.count);
  }

  state(index: number): FrameState {
    return at(this.#columns.states, index) as FrameState;
  }

  sequence(index: number): number {
    return at(this.#columns.sequences, index);
  }

  facts(index: number): FrameFacts {
    return {
      sequence: at(this.#columns.sequences, index),
      length: at(this.#columns.lengths, index),
      fromMs: at(this.#columns.fromMs, index),
      toMs: at(this.#columns.toMs, index),
      samples: at(this.#columns.samples, index),
    };
  }

  epochOf(index: number): Epoch {
    const run = this.runs.find((candidate) => index < candidate.end);
    assert(run !== undefined, 'every frame of a segment lies in one of its runs');
    return run.epoch;
  }

  positionOf(index: number): number {
    return at(this.#columns.positions, index);
  }

  /** Position after the frame's record. */
  endOf(index: number): number {
    return at(this.#columns.positions, index) + RECORD_HEADER_BYTES + at(this.#columns.lengths, index);
  }

  setState(index: number, state: FrameState): void {
    const before = this.state(index);
    assert(before !== FRAME_STATE.gone, 'a frame that is gone does not come back');
    if (before === FRAME_STATE.leased) this.leased--;
    if (state === FRAME_STATE.leased) this.leased++;
    if (state === FRAME_STATE.gone) this.live--;
    this.#columns.states[index] = state;
  }

  /** First index from `from` on whose frame is in the state, or `count`. */
  nextIn(state: FrameState, from: number): number {
    const found = this.#columns.states.indexOf(state, from);
    return found < 0 || found > this.count ? this.count : found;
  }

  /** First index of the run that is not gone, or its end. */
  firstLive(run: Run): number {
    this.#skipGone();
    let index = Math.max(run.first, this.#liveFrom);
    while (index < run.end && this.#columns.states[index] === FRAME_STATE.gone) index++;
    return Math.min(index, run.end);
  }

  /** Indexes of the epoch's frames with from <= sequence < to that are not gone, in order. */
  eachLive(epoch: Epoch, from: number, to: number, visit: (index: number) => void): void {
    for (const run of this.runs) {
      if (run.epoch !== epoch || at(this.#columns.sequences, run.end - 1) < from || at(this.#columns.sequences, run.first) >= to) continue;
      for (let index = this.#lowerBound(run, from); index < run.end && at(this.#columns.sequences, index) < to; index++) {
        if (this.#columns.states[index] !== FRAME_STATE.gone) visit(index);
      }
    }
  }

  /** Reads [position, end) of the file; fewer bytes if it is shorter. Opens the file if need be. */
  read(fs: SpoolFs, position: number, end: number): Buffer {
    this.file ??= DurableFile.open(fs, this.path, 'read');
    const bytes = Buffer.allocUnsafe(end - position);
    return bytes.subarray(0, this.file.read(bytes, position));
  }

  /**
   * After a failed sync no later one says anything about what was written before: all of it goes to a new file in place of the old. Damage
   * that the copy takes over shows when the frames are read. Only for a segment that is not appended to.
   */
  async renew(fs: SpoolFs): Promise<void> {
    const bytes = this.read(fs, 0, this.#sizeBytes);
    const aside = `${this.path}.new`;
    const file = DurableFile.open(fs, aside, 'create');
    try {
      file.write(bytes, 0);
      // Before the rename: that may be durable at any moment, and must then not name an empty file.
      await file.sync();
      // Unlinked meanwhile if nothing is held any more.
      if (this.live > 0) fs.rename(aside, this.path);
      else fs.remove(aside);
    } catch (error) {
      fs.remove(aside);
      throw error;
    } finally {
      file.close();
    }
    this.close();
    this.suspect = false;
  }

  /** Closes the file unless a sync is still owed to it. */
  tidy(): void {
    if (this.file === undefined || this.unsynced) return;
    this.close();
  }

  close(): void {
    this.file?.close();
    this.file = undefined;
  }

  #skipGone(): void {
    while (this.#liveFrom < this.count && this.#columns.states[this.#liveFrom] === FRAME_STATE.gone) this.#liveFrom++;
  }

  /** First index of the run, not before the first live one, whose sequence is not below `sequence`. */
  #lowerBound(run: Run, sequence: number): number {
    let low = this.firstLive(run);
    let high = run.end;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (at(this.#columns.sequences, middle) < sequence) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #resize(capacity: number): void {
    const before = this.#columns;
    const columns = columnsOf(capacity);
    columns.positions.set(before.positions.subarray(0, this.count));
    columns.lengths.set(before.lengths.subarray(0, this.count));
    columns.samples.set(before.samples.subarray(0, this.count));
    columns.sequences.set(before.sequences.subarray(0, this.count));
    columns.fromMs.set(before.fromMs.subarray(0, this.count));
    columns.toMs.set(before.toMs.subarray(0, this.count));
    columns.states.set(before.states.subarray(0, this.count));
    this.#columns = columns;
  }
}

/** One piece of memory for all columns of a segment. */
function columnsOf(capacity: number) {
  const memory = new ArrayBuffer(capacity * FRAME_INDEX_BYTES);
  return {
    sequences: new Float64Array(memory, 0, capacity),
    fromMs: new Float64Array(memory, capacity * 8, capacity),
    toMs: new Float64Array(memory, capacity * 16, capacity),
    positions: new Uint32Array(memory, capacity * 24, capacity),
    lengths: new Uint32Array(memory, capacity * 28, capacity),
    samples: new Uint32Array(memory, capacity * 32, capacity),
    states: new Uint8Array(memory, capacity * 36, capacity),
  };
}

type Column = Uint8Array | Uint32Array | Float64Array;

function at(column: Column, index: number): number {
  const value = column[index];
  assert(value !== undefined, 'an index lies inside its segment');
  return value;
}
