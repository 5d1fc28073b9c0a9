/** Reads a lane back at start: builds the index, cuts a torn tail, says what is lost. Decides nothing about frames that are whole. */
import { join } from 'node:path';
import type { SpoolFs } from './disk.ts';
import { DurableFile } from './durable-file.ts';
import { EPOCH_UNKNOWN, tallyOf, type EpochTable } from './epoch.ts';
import { errnoOf, SpoolError } from './error.ts';
import { segmentPath } from './lane.ts';
import type { Loss } from './ledger-image.ts';
import { decodeSegmentHeader, SEGMENT_HEADER_BYTES, SEGMENT_VERSION, walk, type Found, type RecordHeader } from './record.ts';
import { FRAME_STATE, Segment } from './segment.ts';

const SEGMENT_NAME = /^(\d{12})\.seg$/;
/** More of one file is not read: ours are sixteen times smaller. */
const SEGMENT_FILE_BYTES_MAX = 64 * 1024 * 1024;

export type RecoveredLane = {
  readonly segments: Segment[];
  /** The last segment, if it can be appended to. */
  readonly open: Segment | undefined;
  readonly numberNext: number;
  readonly losses: readonly Loss[];
  /** Files that the disk would not give; they stay where they are. */
  readonly unreadable: readonly string[];
};

/** The last frame whose header was read, and in which segment. */
type Mark = { readonly segment: number; readonly header: RecordHeader };
/** Bytes that held no header; what was in them shows from the frames on both sides. */
type Hole = { readonly segment: number; readonly after: Mark | undefined; bytes: number; cut: boolean };

export function recoverLane(fs: SpoolFs, directory: string, lane: number, epochs: EpochTable): RecoveredLane {
  return new Recovery(fs, directory, lane, epochs).run();
}

class Recovery {
  readonly #fs: SpoolFs;
  readonly #directory: string;
  readonly #lane: number;
  readonly #epochs: EpochTable;
  readonly #losses: Loss[] = [];
  readonly #unreadable: string[] = [];
  #last: Mark | undefined;
  #hole: Hole | undefined;

  constructor(fs: SpoolFs, directory: string, lane: number, epochs: EpochTable) {
    this.#fs = fs;
    this.#directory = directory;
    this.#lane = lane;
    this.#epochs = epochs;
  }

  run(): RecoveredLane {
    const numbers = this.#numbers();
    const segments: Segment[] = [];
    let open: Segment | undefined;
    for (const number of numbers) {
      const isLast = number === numbers.at(-1);
      const read = this.#read(number);
      if (read === undefined) continue;
      segments.push(read.segment);
      if (this.#index(read.segment, read.bytes) && isLast) open = read.segment;
      else read.segment.shrink();
    }
    this.#closeHole(undefined);
    return { segments, open, numberNext: (numbers.at(-1) ?? 0) + 1, losses: this.#losses, unreadable: this.#unreadable };
  }

  #numbers(): number[] {
    let names: string[];
    try {
      names = this.#fs.list(this.#directory);
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return [];
      throw unopenable('spool folder', this.#directory, error);
    }
    // Left by a renewal that a crash interrupted; the file that it was to replace is still there.
    for (const name of names.filter((candidate) => candidate.endsWith('.new'))) this.#removeLeftover(name);
    const numbers = names.map((name) => SEGMENT_NAME.exec(name)?.[1]).filter((digits) => digits !== undefined);
    return numbers.map(Number).sort((a, b) => a - b);
  }

  #removeLeftover(name: string): void {
    try {
      this.#fs.remove(join(this.#directory, name));
    } catch (error) {
      errnoOf(error);
    }
  }

  #read(number: number): { segment: Segment; bytes: Buffer } | undefined {
    const path = segmentPath(this.#directory, number);
    let file: DurableFile | undefined;
    try {
      file = DurableFile.open(this.#fs, path, 'edit');
      const bytes = Buffer.allocUnsafe(Math.min(file.size(), SEGMENT_FILE_BYTES_MAX));
      const whole = bytes.subarray(0, file.read(bytes, 0));
      const segment = new Segment(number, path, whole.length);
      segment.file = file;
      return { segment, bytes: whole };
    } catch (error) {
      file?.close();
      if (errnoOf(error) !== 'EIO') throw unopenable('spool segment', path, error);
      this.#unreadable.push(path);
      this.#openHole(number, 0, false);
      return undefined;
    }
  }

  /** Enters the file's frames. True if the file can be appended to. */
  #index(segment: Segment, bytes: Buffer): boolean {
    const header = decodeSegmentHeader(bytes);
    if (header !== undefined && header.version > SEGMENT_VERSION) {
      const message = `cannot read spool segment ${segment.path}: version ${header.version} is from a newer agent; run that one, or remove the file`;
      throw new SpoolError('spool_version', message);
    }
    let end = SEGMENT_HEADER_BYTES;
    for (const found of walk(bytes, segment.number)) {
      this.#note(segment, found);
      // A tail without a right header, or whose frame ends behind the file, is cut; appends go where it began.
      if (found.kind === 'frame' || (found.kind === 'damaged' && !found.cut)) end = found.position + found.bytes;
    }
    if (header?.lane !== this.#lane || header.number !== segment.number) return false;
    if (end === bytes.length) return true;
    try {
      segment.cut(end);
      return true;
    } catch (error) {
      errnoOf(error);
      return false;
    }
  }

  #note(segment: Segment, found: Found): void {
    if (found.kind === 'unreadable') {
      this.#openHole(segment.number, found.bytes, found.cut);
      return;
    }
    const { header } = found;
    const mark = { segment: segment.number, header };
    this.#closeHole(mark);
    this.#last = mark;
    const epoch = this.#epochs.add(header.epoch);
    const tally = tallyOf(epoch, this.#lane);
    // Sequences only rise; a record that goes back is not one that we appended here.
    if (header.sequence < tally.next) return;
    tally.next = header.sequence + 1;
    if (found.kind === 'frame') {
      segment.enter(epoch, found.position, header, FRAME_STATE.held);
      tally.frames++;
      tally.bytes += header.length;
      return;
    }
    const { sequence, fromMs, toMs, samples, length } = header;
    const cause = found.cut ? 'power_loss' : 'spool_corruption';
    this.#lose(header.epoch, cause, { fromSequence: sequence, toSequence: sequence + 1, fromMs, toMs, frames: 1, samples, bytes: length });
  }

  #openHole(segment: number, bytes: number, cut: boolean): void {
    if (this.#hole === undefined) {
      const neighbour = this.#last !== undefined && this.#last.segment >= segment - 1;
      this.#hole = { segment, bytes, cut, after: neighbour ? this.#last : undefined };
    } else {
      this.#hole.bytes += bytes;
      this.#hole.cut &&= cut;
    }
  }

  /** Says what was in the hole, seen from the next frame; where neither side tells how many frames, 0 stands for an unknown number. */
  #closeHole(next: Mark | undefined): void {
    const hole = this.#hole;
    if (hole === undefined) return;
    this.#hole = undefined;
    const cause = hole.cut ? 'power_loss' : 'spool_corruption';
    const after = hole.after?.header;
    const before = next !== undefined && next.segment <= hole.segment + 1 ? next.header : undefined;
    const size = { samples: 0, bytes: hole.bytes };
    if (after !== undefined && after.epoch === before?.epoch) {
      const fromSequence = after.sequence + 1;
      const frames = before.sequence - fromSequence;
      if (frames > 0) {
        this.#lose(after.epoch, cause, {
          fromSequence,
          toSequence: before.sequence,
          fromMs: after.toMs,
          toMs: before.fromMs,
          frames,
          ...size,
        });
      }
      return;
    }
    const known = after ?? before;
    const at = after === undefined ? (before?.sequence ?? 0) : after.sequence + 1;
    const fromMs = after?.toMs ?? before?.fromMs ?? 0;
    const toMs = before?.fromMs ?? fromMs;
    this.#lose(known?.epoch ?? EPOCH_UNKNOWN, cause, { fromSequence: at, toSequence: at, fromMs, toMs, frames: 0, ...size });
  }

  #lose(epoch: string, cause: string, what: Omit<Loss, 'epoch' | 'lane' | 'cause'>): void {
    this.#losses.push({ epoch, lane: this.#lane, cause, ...what });
  }
}

function unopenable(what: string, path: string, cause: unknown): SpoolError {
  return new SpoolError('spool_unwritable', `cannot open ${what} ${path}: give it to the user that the agent runs as`, { cause });
}
