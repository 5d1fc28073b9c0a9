/** One lane on disk: its segments from oldest to newest, where the lease stands, what is appended where. When to drop is the spool's affair. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import type { SpoolFs } from './disk.ts';
import { tallyOf, type Epoch } from './epoch.ts';
import { errnoOf, isFull } from './error.ts';
import { decodeRecordHeader, encodeRecord, payloadAt, RECORD_HEADER_BYTES, SEGMENT_HEADER_BYTES, type SpooledFrame } from './record.ts';
import { chargeOf, FRAME_STATE, Segment, type FrameState } from './segment.ts';

export type LaneBounds = { readonly bytesMax: number; readonly ageMsMax: number };

/** An open segment whose frames are all acked is replaced from this size on: on line the spool stays this small, and files change every few minutes. */
const IDLE_SEGMENT_BYTES = 256 * 1024;
/** A lane has room for at least this many segments, so that dropping one costs no more than an eighth of it. */
const SEGMENTS_MIN = 8;
/** A segment covers at most this part of the lane's age, so that age drops in steps of it. */
const AGE_STEPS = 16;
/** Frames that lie side by side are read at once up to this. */
const READ_BYTES_MAX = 1024 * 1024;
/** Memory that a lane keeps for putting records together. */
const SCRATCH_BYTES_MAX = 64 * 1024;
/** So many leases in a row may fail to read a frame (a cable, a controller) before it is counted as lost. */
const READ_TRIES_MAX = 3;
/** The machine's want, not the disk's: the frame is read later. */
const WANTS: ReadonlySet<string> = new Set(['EMFILE', 'ENFILE', 'ENOMEM', 'EAGAIN', 'EINTR']);

export function segmentPath(directory: string, number: number): string {
  return join(directory, `${String(number).padStart(12, '0')}.seg`);
}

export class Lane {
  readonly number: number;
  readonly bounds: LaneBounds;
  readonly directory: string;
  readonly #fs: SpoolFs;
  readonly #segmentBytes: number;
  /** One record at a time is put together here, so that an append is one write. */
  #scratch = Buffer.alloc(0);
  #segments: Segment[] = [];
  #open: Segment | undefined;
  #numberNext = 1;
  #chargeBytes = 0;
  /** Before this place nothing waits to be leased. */
  #cursor = { number: 0, index: 0 };
  #readTries = 0;
  /** A segment was created and its name is not durable yet. */
  #namesDirty = false;

  constructor(options: { fs: SpoolFs; directory: string; number: number; bounds: LaneBounds; segmentBytes: number }) {
    this.#fs = options.fs;
    this.directory = options.directory;
    this.number = options.number;
    this.bounds = options.bounds;
    this.#segmentBytes = Math.min(options.segmentBytes, Math.floor(options.bounds.bytesMax / SEGMENTS_MIN));
  }

  /** Takes over what recovery found. How long it has been held already is what the host's clock says now; it is not asked again. */
  adopt(found: { segments: Segment[]; open: Segment | undefined; numberNext: number }, wallMs: number, monotonicMs: number): void {
    const { segments, open, numberNext } = found;
    assert(this.#segments.length === 0, 'a lane adopts its segments once, before the first append');
    for (const segment of segments.filter((candidate) => candidate.count > 0)) {
      segment.firstAppendMs = monotonicMs - Math.max(0, wallMs - segment.oldestMs);
      segment.lastAppendMs = monotonicMs - Math.max(0, wallMs - segment.newestMs);
    }
    this.#segments = segments;
    this.#open = open;
    this.#numberNext = numberNext;
    this.#namesDirty = segments.length > 0;
    for (const segment of segments) this.#chargeBytes += segment.chargeBytes;
  }

  get segments(): readonly Segment[] {
    return this.#segments;
  }

  get chargeBytes(): number {
    return this.#chargeBytes;
  }

  get diskBytes(): number {
    return this.#segments.reduce((sum, segment) => sum + segment.sizeBytes, 0);
  }

  /** The oldest segment that holds a frame not yet acked. */
  get oldest(): Segment | undefined {
    return this.#segments.find((segment) => segment.live > 0);
  }

  /** The oldest segment that holds a frame, if all of it has been held for longer than the lane may. */
  overdue(monotonicMs: number): Segment | undefined {
    const { oldest } = this;
    return oldest !== undefined && monotonicMs - oldest.lastAppendMs > this.bounds.ageMsMax ? oldest : undefined;
  }

  overflows(frameBytes: number): boolean {
    // It may need a segment of its own.
    return this.#chargeBytes + SEGMENT_HEADER_BYTES + chargeOf(frameBytes) > this.bounds.bytesMax;
  }

  /** Writes a frame behind all others. Throws the disk's error; the lane is then as before, and a broken segment is appended to no more. */
  append(frame: SpooledFrame, epoch: Epoch, state: FrameState, monotonicMs: number): void {
    const segment = this.#segmentFor(frame, monotonicMs);
    const record = this.#room(RECORD_HEADER_BYTES + frame.bytes.length);
    encodeRecord(record, frame, epoch.id, segment.number);
    let position: number;
    try {
      position = segment.write(record);
    } catch (error) {
      this.#cutBack(segment, errnoOf(error));
      throw error;
    }
    const before = segment.chargeBytes;
    const { sequence, fromMs, toMs, samples } = frame;
    segment.enter(epoch, position, { sequence, length: frame.bytes.length, fromMs, toMs, samples }, state);
    segment.firstAppendMs = Math.min(segment.firstAppendMs, monotonicMs);
    segment.lastAppendMs = monotonicMs;
    this.#chargeBytes += segment.chargeBytes - before;
    const tally = tallyOf(epoch, this.number);
    tally.frames++;
    tally.bytes += frame.bytes.length;
  }

  /** Oldest held frames, read back and checked. At least one if any can be read, then up to the bounds. `lost` is told of each that cannot be read. */
  lease(bytesMax: number, framesMax: number, lost: (segment: Segment, index: number) => void): SpooledFrame[] {
    const frames: SpooledFrame[] = [];
    let roomBytes = bytesMax;
    while (frames.length < framesMax) {
      const segment = this.#seek();
      if (segment === undefined) break;
      const end = this.#stretch(segment, framesMax - frames.length, roomBytes, frames.length === 0);
      if (end === this.#cursor.index) break;
      const before = frames.length;
      if (!this.#readStretch(segment, end, frames, lost)) break;
      for (const frame of frames.slice(before)) roomBytes -= frame.bytes.length;
    }
    for (const segment of this.#segments) if (segment !== this.#open) segment.tidy();
    return frames;
  }

  /** Frames of the range that are not gone, in order. */
  each(epoch: Epoch, from: number, to: number, visit: (segment: Segment, index: number) => void): void {
    for (const segment of this.#segments) {
      if (segment.live > 0) segment.eachLive(epoch, from, to, (index) => visit(segment, index));
    }
  }

  /** The frame is acked, refused or lost. */
  settle(segment: Segment, index: number): void {
    const tally = tallyOf(segment.epochOf(index), this.number);
    tally.frames--;
    tally.bytes -= segment.facts(index).length;
    segment.setState(index, FRAME_STATE.gone);
  }

  /** All leases return. */
  release(): void {
    for (const segment of this.#segments) {
      for (let index = segment.nextIn(FRAME_STATE.leased, 0); index < segment.count; index = segment.nextIn(FRAME_STATE.leased, index)) {
        segment.setState(index, FRAME_STATE.held);
      }
    }
    this.#cursor = { number: 0, index: 0 };
  }

  /** Segments that can be unlinked; also the open one if it has at least `openBytesMin`. */
  spent(openBytesMin: number = Math.min(IDLE_SEGMENT_BYTES, this.#segmentBytes)): Segment[] {
    return this.#segments.filter((segment) => segment.live === 0 && (segment !== this.#open || segment.sizeBytes >= openBytesMin));
  }

  /** The segment is no longer the lane's; its file is closed, not unlinked. */
  detach(segment: Segment): void {
    this.#segments = this.#segments.filter((other) => other !== segment);
    if (this.#open === segment) this.#open = undefined;
    this.#chargeBytes -= segment.chargeBytes;
    segment.close();
  }

  /** Makes held frames durable, names included. False if that cannot be said of all of them. */
  async sync(): Promise<boolean> {
    for (const segment of this.#segments.filter((candidate) => candidate.suspect && candidate.live > 0)) await this.#renew(segment);
    // One after the other: the threads that wait for the disk are few, and others need them.
    for (const segment of this.#segments.filter((candidate) => candidate.unsynced)) await this.#syncSegment(segment);
    if (this.#namesDirty && this.#segments.some((segment) => segment.live > 0)) await this.#syncNames();
    for (const segment of this.#segments) if (segment !== this.#open) segment.tidy();
    return this.#segments.every((segment) => segment.live === 0 || !(segment.suspect || this.#namesDirty));
  }

  async #syncSegment(segment: Segment): Promise<void> {
    try {
      await segment.file?.sync();
    } catch (error) {
      errnoOf(error);
      segment.suspect = true;
      if (segment === this.#open) this.#closeOpen();
    }
  }

  async #renew(segment: Segment): Promise<void> {
    try {
      await segment.renew(this.#fs);
      this.#namesDirty = true;
    } catch (error) {
      errnoOf(error);
    }
  }

  async #syncNames(): Promise<void> {
    this.#namesDirty = false;
    try {
      await this.#fs.syncDirectory(this.directory);
    } catch (error) {
      errnoOf(error);
      this.#namesDirty = true;
    }
  }

  /** The open segment if the frame still fits, else a new one. */
  #segmentFor(frame: SpooledFrame, monotonicMs: number): Segment {
    const open = this.#open;
    if (open !== undefined) {
      const full = open.chargeBytes + chargeOf(frame.bytes.length) > this.#segmentBytes;
      const old = monotonicMs - open.firstAppendMs > this.bounds.ageMsMax / AGE_STEPS;
      if (open.count === 0 || (!full && !old)) return open;
      this.#closeOpen();
    }
    const number = this.#numberNext++;
    const segment = this.#create(number);
    this.#namesDirty = true;
    this.#segments.push(segment);
    this.#chargeBytes += segment.chargeBytes;
    this.#open = segment;
    return segment;
  }

  #create(number: number): Segment {
    const path = segmentPath(this.directory, number);
    try {
      return Segment.create(this.#fs, path, this.number, number);
    } catch (error) {
      // The folder is missing at the first append, or was removed under us.
      if (errnoOf(error) !== 'ENOENT') throw error;
      this.#fs.makeDirectory(this.directory);
      return Segment.create(this.#fs, path, this.number, number);
    }
  }

  #closeOpen(): void {
    const segment = this.#open;
    if (segment === undefined) return;
    this.#open = undefined;
    segment.shrink();
  }

  #cutBack(segment: Segment, errno: string): void {
    try {
      segment.cut(segment.sizeBytes);
      if (isFull(errno)) return;
    } catch (error) {
      errnoOf(error);
    }
    this.#closeOpen();
  }

  /** Kept for the next record unless it is large. */
  #room(sizeBytes: number): Buffer {
    if (sizeBytes > SCRATCH_BYTES_MAX) return Buffer.allocUnsafeSlow(sizeBytes);
    if (sizeBytes > this.#scratch.length) this.#scratch = Buffer.allocUnsafeSlow(2 ** Math.ceil(Math.log2(sizeBytes)));
    return this.#scratch.subarray(0, sizeBytes);
  }

  /** Moves the cursor to the next held frame; its segment. */
  #seek(): Segment | undefined {
    for (const segment of this.#segments) {
      if (segment.number < this.#cursor.number) continue;
      const index = segment.nextIn(FRAME_STATE.held, segment.number === this.#cursor.number ? this.#cursor.index : 0);
      if (index === segment.count) continue;
      this.#cursor = { number: segment.number, index };
      return segment;
    }
    return undefined;
  }

  /** End of the held frames from the cursor on that lie side by side in the file and fit. */
  #stretch(segment: Segment, framesMax: number, roomBytes: number, atLeastOne: boolean): number {
    const from = this.#cursor.index;
    let bytes = 0;
    let end = from;
    while (end < segment.count && end - from < framesMax && segment.state(end) === FRAME_STATE.held) {
      if (end > from && segment.positionOf(end) !== segment.endOf(end - 1)) break;
      bytes += segment.facts(end).length;
      const first = end === from;
      if ((bytes > roomBytes && !(first && atLeastOne)) || (bytes > READ_BYTES_MAX && !first)) break;
      end++;
    }
    return end;
  }

  /** Reads from the cursor to `end`. False if reading is to be tried again later; the cursor then stands at the frame. */
  #readStretch(segment: Segment, end: number, frames: SpooledFrame[], lost: (segment: Segment, index: number) => void): boolean {
    const from = this.#cursor.index;
    const base = segment.positionOf(from);
    const stretch = this.#readBytes(segment, base, segment.endOf(end - 1));
    for (let index = from; index < end; index++) {
      this.#cursor.index = index;
      let frame = stretch.bytes === undefined ? undefined : this.#frameIn(stretch.bytes, base, segment, index);
      if (frame === undefined) {
        // One bad block fails the whole read, and memory flips too: the frame is read again alone before it is given up.
        const position = segment.positionOf(index);
        const alone = this.#readBytes(segment, position, segment.endOf(index));
        if (alone.bytes === undefined && (alone.later || ++this.#readTries < READ_TRIES_MAX)) return false;
        frame = alone.bytes === undefined ? undefined : this.#frameIn(alone.bytes, position, segment, index);
      }
      this.#readTries = 0;
      this.#cursor.index = index + 1;
      if (frame === undefined) {
        lost(segment, index);
        continue;
      }
      segment.setState(index, FRAME_STATE.leased);
      frames.push(frame);
    }
    return true;
  }

  #readBytes(segment: Segment, position: number, end: number): { readonly bytes: Buffer | undefined; readonly later: boolean } {
    try {
      return { bytes: segment.read(this.#fs, position, end), later: false };
    } catch (error) {
      const errno = errnoOf(error);
      // A file that was removed by hand does not come back; an empty read counts its frames as damaged.
      if (errno === 'ENOENT') return { bytes: Buffer.alloc(0), later: false };
      return { bytes: undefined, later: WANTS.has(errno) };
    }
  }

  /** The frame at `index` out of bytes read from `base`, if header and payload are right and it is the one the index means. */
  #frameIn(bytes: Buffer, base: number, segment: Segment, index: number): SpooledFrame | undefined {
    const position = segment.positionOf(index) - base;
    const header = decodeRecordHeader(bytes, position, segment.number);
    if (header === undefined || header.sequence !== segment.sequence(index)) return undefined;
    const payload = payloadAt(bytes, position, header, segment.number);
    if (payload === undefined) return undefined;
    const { epoch, sequence, fromMs, toMs, samples } = header;
    return { epoch, lane: this.number, sequence, bytes: payload, fromMs, toMs, samples };
  }
}
