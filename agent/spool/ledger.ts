/** The gap ledger: what this agent lost and why, kept in one preallocated file until the collector has it. Loses nothing to a full disk. */
import assert from 'node:assert/strict';
import type { SpoolFs } from './disk.ts';
import { DurableFile } from './durable-file.ts';
import { errnoOf, isFull, SpoolError } from './error.ts';
import {
  CAUSE_BYTES_MAX,
  decodeGaps,
  decodeImageHeader,
  encodeImage,
  GAPS_MAX,
  HALF_BYTES,
  LEDGER_BYTES,
  SLOT_BYTES,
  type Gap,
  type ImageHeader,
  type Loss,
} from './ledger-image.ts';

/** Cause of a gap made of two with different causes, when the ledger was full. */
export const CAUSE_SEVERAL = 'several';
/** Added to the distance of gaps that are on their way to the collector: merging one of them sends it twice. */
const HANDED_OUT_DISTANCE = 2 ** 52;

type Image = { readonly half: 0 | 1; readonly header: ImageHeader; readonly gaps: Gap[]; readonly whole: boolean };

export class Ledger {
  readonly #fs: SpoolFs;
  readonly #path: string;
  #file: DurableFile | undefined;
  #gaps: Gap[] = [];
  readonly #handedOut = new Set<number>();
  #idNext = 1;
  /** Of the newest attempt to write. */
  #generation = 0;
  /** Where the newest write went, and whether it was synced: if not, the other half is the good one and the next write goes to this one again. */
  #half: 0 | 1 = 1;
  #halfSynced = true;
  #changed = false;
  #errno = '';

  private constructor(fs: SpoolFs, path: string) {
    this.#fs = fs;
    this.#path = path;
  }

  /** `damaged` if there is something in the file that cannot be read. A disk without room for the file costs the gaps' survival, not the start. */
  static open(fs: SpoolFs, path: string): { ledger: Ledger; damaged: boolean } {
    const ledger = new Ledger(fs, path);
    try {
      ledger.#openFile();
      return { ledger, damaged: !ledger.#load() };
    } catch (error) {
      if (error instanceof SpoolError) throw error;
      if (isFull(errnoOf(error))) return { ledger, damaged: false };
      const message = `cannot open gap ledger ${path}: give it to the user that the agent runs as`;
      throw new SpoolError('spool_unwritable', message, { cause: error });
    }
  }

  /** Errno of the last write or sync, empty if it succeeded. */
  get errno(): string {
    return this.#errno;
  }

  get size(): number {
    return this.#gaps.length;
  }

  /** Something is not durable yet. */
  get unsynced(): boolean {
    return this.#changed || !this.#halfSynced;
  }

  /** All gaps, oldest first. They are not merged with later ones from now on, until `takeBack`. */
  gaps(): readonly Gap[] {
    for (const gap of this.#gaps) this.#handedOut.add(gap.id);
    return [...this.#gaps];
  }

  /** Looks without handing out. */
  peek(): readonly Gap[] {
    return this.#gaps;
  }

  takeBack(): void {
    this.#handedOut.clear();
  }

  delivered(ids: readonly number[]): void {
    const gone = new Set(ids);
    const kept = this.#gaps.filter((gap) => !gone.has(gap.id));
    if (kept.length === this.#gaps.length) return;
    for (const id of gone) this.#handedOut.delete(id);
    this.#gaps = kept;
    this.#changed = true;
  }

  /** A gap that lost every frame it spans covers this one. */
  covers(epoch: string, lane: number, from: number, to: number): boolean {
    return this.#gaps.some((gap) => isExact(gap) && isOf(gap, epoch, lane) && gap.fromSequence <= from && gap.toSequence >= to);
  }

  /** Enters a loss. In memory until `write`. */
  add(loss: Loss): void {
    this.#changed = true;
    const cause = safeCause(loss.cause);
    const index = this.#gaps.findLastIndex((gap) => touches(gap, loss, cause) && !this.#handedOut.has(gap.id));
    const neighbour = this.#gaps[index];
    if (neighbour !== undefined) {
      this.#gaps.splice(index, 1);
      this.#gaps.push(this.#merged(neighbour, { ...loss, cause }));
      return;
    }
    if (this.#gaps.length === GAPS_MAX) this.#squeeze();
    this.#gaps.push({ ...loss, cause, id: this.#idNext++ });
  }

  /** Writes what changed. False if the disk does not take it; it stays in memory and is tried again. */
  write(): boolean {
    if (!this.#changed) return true;
    const half = this.#halfSynced ? other(this.#half) : this.#half;
    try {
      const file = this.#openFile();
      // From here on the half is spoilt until a write and a sync have succeeded.
      this.#half = half;
      this.#halfSynced = false;
      this.#generation++;
      file.write(encodeImage(this.#gaps, this.#generation, this.#idNext), half * HALF_BYTES);
    } catch (error) {
      this.#errno = errnoOf(error);
      return false;
    }
    this.#changed = false;
    this.#errno = '';
    return true;
  }

  /** Writes and waits for the disk, blocking: before a segment is unlinked. */
  writeNow(): boolean {
    if (!this.unsynced) return true;
    if (!this.write()) return false;
    try {
      this.#file?.syncNow();
      this.#halfSynced = true;
      return true;
    } catch (error) {
      this.#distrust(error);
      return false;
    }
  }

  async sync(): Promise<boolean> {
    if (!this.unsynced) return true;
    if (!this.write()) return false;
    const generation = this.#generation;
    try {
      await this.#file?.sync();
      if (generation === this.#generation) this.#halfSynced = true;
      return true;
    } catch (error) {
      this.#distrust(error);
      return false;
    }
  }

  close(): void {
    this.#file?.close();
    this.#file = undefined;
  }

  /** After a failed sync the gaps are written once more, through a fresh descriptor. */
  #distrust(error: unknown): void {
    this.#errno = errnoOf(error);
    this.close();
    this.#changed = true;
  }

  /** Opens the file, makes it if need be, at its full size so that later writes need no room. */
  #openFile(): DurableFile {
    if (this.#file !== undefined) return this.#file;
    const file = openOrCreate(this.#fs, this.#path);
    try {
      const size = file.size();
      if (size < LEDGER_BYTES) file.write(Buffer.alloc(LEDGER_BYTES - size), size);
    } catch (error) {
      file.close();
      throw error;
    }
    this.#file = file;
    return file;
  }

  /** False if there is something in the file and not all of it can be read. */
  #load(): boolean {
    // What an earlier process wrote may be in the kernel alone; the next write goes to the other half and must find this one safe.
    this.#file?.syncNow();
    const halves = ([0, 1] as const).map((half) => this.#readHalf(half));
    const images = halves.flatMap(({ image }) => image ?? []).sort((a, b) => b.header.generation - a.header.generation);
    const image = images.find(({ whole }) => whole) ?? images[0];
    if (image === undefined) return halves.every(({ isBlank }) => isBlank);
    this.#gaps = image.gaps;
    this.#idNext = Math.max(...images.map(({ header }) => header.idNext));
    this.#generation = Math.max(...images.map(({ header }) => header.generation));
    this.#half = image.half;
    // And written once more: if a sync had failed before, the kernel now calls clean what is not on the disk.
    this.#changed = image.gaps.length > 0;
    return image.whole;
  }

  #readHalf(half: 0 | 1): { readonly isBlank: boolean; readonly image?: Image } {
    const slot = Buffer.alloc(SLOT_BYTES);
    this.#file?.read(slot, half * HALF_BYTES);
    const header = decodeImageHeader(slot, this.#path);
    if (header === undefined) return { isBlank: slot.every((byte) => byte === 0) };
    const slots = Buffer.alloc(header.count * SLOT_BYTES);
    this.#file?.read(slots, half * HALF_BYTES + SLOT_BYTES);
    return { isBlank: false, image: { half, header, ...decodeGaps(slots, header) } };
  }

  /** Makes room for one gap by merging the two that lie nearest to each other; frames, samples and bytes stay right. */
  #squeeze(): void {
    const sorted = [...this.#gaps].sort((a, b) => compare(a.epoch, b.epoch) || a.lane - b.lane || a.fromSequence - b.fromSequence);
    let best: { readonly left: Gap; readonly right: Gap; readonly distance: number } | undefined;
    for (let i = 1; i < sorted.length; i++) {
      const [left, right] = [sorted[i - 1], sorted[i]];
      if (left === undefined || right === undefined || !isOf(left, right.epoch, right.lane)) continue;
      const handedOut = this.#handedOut.has(left.id) || this.#handedOut.has(right.id);
      const distance = right.fromSequence - left.toSequence + (left.cause === right.cause ? 0 : 1) + (handedOut ? HANDED_OUT_DISTANCE : 0);
      if (best === undefined || distance < best.distance) best = { left, right, distance };
    }
    const [oldest, second] = this.#gaps;
    assert(oldest !== undefined && second !== undefined, 'a full ledger has two gaps');
    const pair = best ?? { left: oldest, right: second };
    this.#gaps = this.#gaps.filter((gap) => gap !== pair.left && gap !== pair.right);
    this.#gaps.unshift(this.#merged(pair.left, pair.right));
    this.#handedOut.delete(pair.left.id);
    this.#handedOut.delete(pair.right.id);
  }

  /** One gap for two. Of different epochs or lanes (only when every gap has its own) the second names it. */
  #merged(a: Loss, b: Loss): Gap {
    const same = isOf(a, b.epoch, b.lane);
    return {
      id: this.#idNext++,
      epoch: b.epoch,
      lane: b.lane,
      cause: a.cause === b.cause ? b.cause : CAUSE_SEVERAL,
      fromSequence: same ? Math.min(a.fromSequence, b.fromSequence) : b.fromSequence,
      toSequence: same ? Math.max(a.toSequence, b.toSequence) : b.toSequence,
      fromMs: Math.min(a.fromMs, b.fromMs),
      toMs: Math.max(a.toMs, b.toMs),
      frames: a.frames + b.frames,
      samples: a.samples + b.samples,
      bytes: a.bytes + b.bytes,
    };
  }
}

export function isExact(loss: Loss): boolean {
  return loss.frames === loss.toSequence - loss.fromSequence;
}

function isOf(loss: Loss, epoch: string, lane: number): boolean {
  return loss.epoch === epoch && loss.lane === lane;
}

function touches(gap: Gap, loss: Loss, cause: string): boolean {
  if (!isOf(gap, loss.epoch, loss.lane) || gap.cause !== cause || gap.frames === 0 || loss.frames === 0) return false;
  return gap.toSequence === loss.fromSequence || gap.fromSequence === loss.toSequence;
}

/** Codes of refusals come from the wire. */
function safeCause(cause: string): string {
  return cause.replaceAll(/[^a-z0-9_:]/g, '_').slice(0, CAUSE_BYTES_MAX);
}

function compare(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

function other(half: 0 | 1): 0 | 1 {
  return half === 0 ? 1 : 0;
}

function openOrCreate(fs: SpoolFs, path: string): DurableFile {
  try {
    return DurableFile.open(fs, path, 'edit');
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
    return DurableFile.open(fs, path, 'create');
  }
}
