/** One random life story of a spool on a disk that fails and crashes, with a model beside it that knows what may be lost. Driven by crash.test.ts. */
import assert from 'node:assert/strict';
import type { Processes } from '../../../agent/spool/lock.ts';
import type { SpooledFrame } from '../../../agent/spool/record.ts';
import { Spool, type SpoolOptions } from '../../../agent/spool/spool.ts';
import { SpoolError } from '../../../agent/spool/error.ts';
import { Crash, MemoryDisk, seeded, type Random } from './memory-disk.ts';

const STEPS = 120;
export const LANES = 3;
const LANE_BYTES_MAX = 24_000;
export const DIRECTORY = '/spool';
export const QUIET = { info: () => undefined, warn: () => undefined, error: () => undefined };

/** What the model knows of a frame whose append was called. */
type Known = SpooledFrame & {
  /** Its append returned. */
  sealed: boolean;
  synced: boolean;
  /** Acked or refused at any time, or its gap was delivered: may be gone, may come again after a crash. */
  settled: boolean;
  /** On no disk: goes with the process. */
  afloat: boolean;
  /** Appended while the disk was failing: may be a gap in memory only, until a sync succeeds. */
  unsure: boolean;
};
type Lease = 'free' | 'leased' | 'acked';
type KnownEpoch = { readonly name: string; readonly next: number[]; readonly dictionary: { readonly to: number; synced: boolean }[] };

export type HistoryOptions = { readonly seed: number; readonly faults: boolean; readonly power: boolean };

/** Runs `count` histories; the error of one that fails names its seed. */
export async function runHistories(options: Omit<HistoryOptions, 'seed'>, firstSeed: number, count: number): Promise<void> {
  for (let seed = firstSeed; seed < firstSeed + count; seed++) {
    try {
      await new History({ ...options, seed }).run(STEPS);
    } catch (error) {
      throw new Error(`history ${JSON.stringify({ ...options, seed })}: ${error instanceof Error ? error.message : String(error)}`, {
        cause: error,
      });
    }
  }
}

export class History {
  readonly disk: MemoryDisk;
  readonly #random: Random;
  readonly #options: HistoryOptions;
  readonly #frames = new Map<string, Known>();
  readonly #epochs: KnownEpoch[] = [];
  /** Of this life of the spool. */
  readonly #leases = new Map<string, Lease>();
  #lastLeased: string[] = [];
  /** Floors as stated, by epoch and lane. */
  readonly #stated = new Map<string, number>();
  #timeMs = 1_000_000;
  #lives = 0;
  #broken = false;
  #spool: Spool | undefined;

  constructor(options: HistoryOptions) {
    this.#options = options;
    this.#random = seeded(options.seed);
    this.disk = new MemoryDisk(this.#random);
  }

  async run(steps: number): Promise<void> {
    for (let left = steps; left > 0;) {
      const how = this.#options.power && this.#random() < 0.5 ? 'power' : 'kill';
      left -= await this.#life(1 + this.#below(left));
      this.#forget(how);
      this.#broken = false;
      this.disk.fault = () => undefined;
      this.disk.restart(how);
    }
    await this.#drain();
  }

  /** Opens, does some steps, crashes sooner or later; the number of steps done. */
  async #life(steps: number): Promise<number> {
    if (this.#random() < 0.7) this.disk.crashAt = this.disk.operations + 1 + this.#below(150);
    let done = 0;
    try {
      this.#open();
      this.#verifyFound();
      while (done < steps) {
        done++;
        await this.#step();
      }
      if (this.#random() < 0.3) await this.#spool?.close();
    } catch (error) {
      if (!(error instanceof Crash)) throw error;
    }
    return Math.max(1, done);
  }

  #open(): void {
    this.#lives++;
    const life = String(this.#lives);
    const processes: Processes = { pid: this.#lives, lifeOf: (pid) => (pid === this.#lives ? life : undefined) };
    const options: SpoolOptions = {
      directory: DIRECTORY,
      epoch: this.#newEpoch().name,
      lanes: Array.from({ length: LANES }, () => ({ bytesMax: LANE_BYTES_MAX, ageMsMax: 40_000 })),
      segmentBytes: 3_000,
      nowMs: () => this.#timeMs,
      monotonicMs: () => this.#timeMs,
      log: QUIET,
      fs: this.disk,
      processes,
    };
    this.#leases.clear();
    this.#lastLeased = [];
    this.#spool = Spool.open(options);
  }

  #newEpoch(): KnownEpoch {
    const name = (this.#epochs.length + 1).toString(16).padStart(32, '0');
    const epoch: KnownEpoch = { name, next: Array.from({ length: LANES }, () => 0), dictionary: [] };
    this.#epochs.push(epoch);
    return epoch;
  }

  get #current(): { spool: Spool; epoch: KnownEpoch } {
    const epoch = this.#epochs.at(-1);
    assert(this.#spool !== undefined && epoch !== undefined);
    return { spool: this.#spool, epoch };
  }

  async #step(): Promise<void> {
    const roll = this.#random();
    this.#timeMs += this.#below(1_000);
    if (roll < 0.45) this.#append();
    else if (roll < 0.55) this.#ack();
    else if (roll < 0.65) this.#lease();
    else if (roll < 0.75) await this.#sync();
    else if (roll < 0.79) this.#release();
    else if (roll < 0.83) this.#refuse();
    else if (roll < 0.87) this.#deliver();
    else if (roll < 0.9) this.#state();
    else if (roll < 0.93) this.#appendDictionary();
    else if (roll < 0.95) this.#timeMs += this.#below(30_000);
    else if (roll < 0.97) this.#newEpoch();
    else if (this.#options.faults) this.#breakDisk();
    this.#balance();
  }

  #append(): void {
    const { spool, epoch } = this.#current;
    const lane = this.#below(LANES);
    const sequence = epoch.next[lane] ?? 0;
    epoch.next[lane] = sequence + 1;
    const bytes = new Uint8Array(1 + this.#below(700)).fill(this.#below(256));
    const frame = { epoch: epoch.name, lane, sequence, bytes, fromMs: this.#timeMs, toMs: this.#timeMs + 999, samples: 1 + this.#below(9) };
    const known: Known = { ...frame, sealed: false, synced: false, settled: false, afloat: false, unsure: this.#broken };
    this.#frames.set(keyOf(frame), known);
    const lease = this.#random() < 0.5;
    const before = this.#broken ? spool.stats().afloat : 0;
    spool.append(frame, { lease });
    known.sealed = true;
    known.afloat = this.#broken && spool.stats().afloat > before;
    if (lease) this.#leases.set(keyOf(frame), 'leased');
  }

  #appendDictionary(): void {
    const { spool, epoch } = this.#current;
    const from = epoch.dictionary.at(-1)?.to ?? 0;
    const to = from + 1 + this.#below(5);
    epoch.dictionary.push({ to, synced: false });
    spool.appendDictionary(epoch.name, from, to, Buffer.from(`${epoch.name} ${from} ${to}`));
  }

  #ack(): void {
    const { spool } = this.#current;
    const leased = [...this.#leases].filter(([, lease]) => lease === 'leased').map(([key]) => key);
    const from = this.#below(leased.length + 1);
    for (const key of leased.slice(from, from + 1 + this.#below(20))) {
      const frame = this.#frame(key);
      frame.settled = true;
      this.#leases.set(key, 'acked');
      spool.ack(frame.epoch, frame.lane, [[frame.sequence, frame.sequence + 1]]);
    }
  }

  #refuse(): void {
    const key = [...this.#leases].find(([, lease]) => lease === 'leased')?.[0];
    if (key === undefined) return;
    const frame = this.#frame(key);
    frame.settled = true;
    this.#leases.set(key, 'acked');
    this.#current.spool.refuse(frame.epoch, frame.lane, frame.sequence, 'time_range');
  }

  #lease(): void {
    const lane = this.#below(LANES);
    const frames = this.#current.spool.lease(lane, 1 + this.#below(3_000), 1 + this.#below(8));
    for (const frame of frames) this.#takeLeased(frame);
  }

  #takeLeased(frame: SpooledFrame): void {
    const key = keyOf(frame);
    const known = this.#frames.get(key);
    assert(known !== undefined, `frame ${key} was never appended`);
    assert(Buffer.compare(frame.bytes, known.bytes) === 0, `bytes of ${key}`);
    const { epoch, lane, sequence, fromMs, toMs, samples } = frame;
    assert(fromMs === known.fromMs && toMs === known.toMs && samples === known.samples, `facts of ${key}`);
    assert.equal(this.#leases.get(key) ?? 'free', 'free', `frame ${key} was leased twice or after its ack`);
    const last = this.#lastLeased[lane];
    const order = `${epoch} ${String(sequence).padStart(9, '0')}`;
    assert(last === undefined || last < order, `frame ${key} was leased after ${last}`);
    this.#lastLeased[lane] = order;
    this.#leases.set(key, 'leased');
  }

  async #sync(): Promise<void> {
    const sealed = [...this.#frames.values()].filter((frame) => frame.sealed);
    const entries = this.#current.epoch.dictionary.slice();
    try {
      await this.#current.spool.sync();
    } catch (error) {
      if (!(error instanceof SpoolError)) throw error;
      return;
    }
    for (const frame of sealed) {
      frame.unsure = false;
      if (!frame.afloat) frame.synced = true;
    }
    for (const entry of entries) entry.synced = true;
  }

  #release(): void {
    this.#current.spool.release();
    for (const [key, lease] of this.#leases) if (lease === 'leased') this.#leases.set(key, 'free');
    for (const frame of this.#frames.values()) {
      frame.unsure ||= frame.afloat;
      frame.afloat = false;
    }
    this.#lastLeased = [];
  }

  #deliver(): void {
    const { spool } = this.#current;
    const gaps = spool.gaps().filter(() => this.#random() < 0.5);
    for (const frame of this.#frames.values()) frame.settled ||= gaps.some((gap) => isIn(frame, gap));
    spool.gapsDelivered(gaps.map((gap) => gap.id));
  }

  #state(): void {
    for (const { epoch, lanes } of this.#current.spool.held()) {
      for (const { lane, floor, next } of lanes) {
        assert(floor <= next);
        const key = `${epoch}/${lane}`;
        const stated = this.#stated.get(key) ?? 0;
        // Only a power cut or a disk that does not take the new floors may take one back.
        if (!this.#options.faults && !this.#options.power) assert(floor >= stated, `floor of ${key} went back from ${stated} to ${floor}`);
        this.#stated.set(key, Math.max(stated, floor));
      }
    }
  }

  #breakDisk(): void {
    const roll = this.#random();
    this.#broken = roll >= 0.4;
    if (roll < 0.4) this.disk.fault = () => undefined;
    else if (roll < 0.6) this.disk.fault = (_, __, grows) => (grows ? 'ENOSPC' : undefined);
    else if (roll < 0.7) this.disk.fault = (_, __, grows) => (grows && this.#random() < 0.5 ? 'ENOSPC' : undefined);
    else if (roll < 0.8) this.disk.fault = (call) => (call !== 'sync' && call !== 'read' ? 'EROFS' : undefined);
    else if (roll < 0.9) this.disk.fault = () => (this.#random() < 0.3 ? 'EIO' : undefined);
    else this.disk.fault = (call) => (call === 'sync' ? 'EIO' : undefined);
  }

  /** found + appended = acked + refused + dropped + corrupt + held + afloat, at every moment. */
  #balance(): void {
    const { accounts, lanes, afloat } = this.#current.spool.stats();
    const held = lanes.reduce((sum, lane) => sum + lane.frames, 0);
    const left = accounts.acked + accounts.refused + accounts.dropped + accounts.corrupt + held + afloat;
    if (accounts.found + accounts.appended !== left) assert.fail(`the books do not balance: ${JSON.stringify({ accounts, held, afloat })}`);
    for (const { diskBytes } of lanes) assert(diskBytes <= LANE_BYTES_MAX, 'a lane stays in its bounds');
  }

  #forget(how: 'kill' | 'power'): void {
    // The kernel forgets what a failed sync could not write, also for the process that comes after; the ledger's gaps among it.
    const isForgetful = this.disk.syncsFailed > 0;
    const gaps = isForgetful ? (this.#spool?.gaps() ?? []) : [];
    for (const frame of this.#frames.values()) {
      const isForgotten = isForgetful && (!frame.synced || gaps.some((gap) => isIn(frame, gap)));
      const lost = isForgotten || !frame.sealed || frame.afloat || frame.unsure || (how === 'power' && !frame.synced);
      // It may have survived all the same; from here on nothing is promised of it.
      if (lost) frame.settled = true;
      frame.sealed = true;
      frame.afloat = false;
      frame.unsure = false;
    }
    for (const epoch of this.#epochs) epoch.dictionary.splice(0, Infinity, ...epoch.dictionary.filter((entry) => entry.synced));
  }

  /** After a start: every frame that was promised is held or a gap, and not both. */
  #verifyFound(): void {
    const { spool } = this.#current;
    const gaps = spool.gaps();
    const found = new Set<string>();
    for (let lane = 0; lane < LANES; lane++) {
      for (let frames = spool.lease(lane, 1e9, 7); frames.length > 0; frames = spool.lease(lane, 1e9, 7)) {
        for (const frame of frames) {
          this.#takeLeased(frame);
          found.add(keyOf(frame));
        }
      }
    }
    for (const [key, frame] of this.#frames) {
      const isGap = gaps.some((gap) => isIn(frame, gap));
      if (!frame.settled) assert(found.has(key) || isGap, `frame ${key} was lost in silence`);
      assert(!(found.has(key) && isGap), `frame ${key} is held and a gap`);
    }
    for (const { epoch, lanes } of spool.held())
      this.#verifyDictionary(
        epoch,
        lanes.some((lane) => lane.frames > 0),
      );
    this.#release();
  }

  #verifyDictionary(name: string, isNeeded: boolean): void {
    const epoch = this.#epochs.find((candidate) => candidate.name === name);
    const synced = epoch?.dictionary.filter((entry) => entry.synced) ?? [];
    if (!isNeeded) return;
    const frames = this.#current.spool.dictionary(name, 0).map((bytes) => Buffer.from(bytes).toString().split(' ')[2]);
    assert.deepEqual(
      frames.slice(0, synced.length),
      synced.map((entry) => String(entry.to)),
      `dictionary of ${name}`,
    );
  }

  /** Faults are over: all that is held goes out, nothing stays behind. */
  async #drain(): Promise<void> {
    this.#open();
    const { spool, epoch } = this.#current;
    this.#verifyFound();
    for (let lane = 0; lane < LANES; lane++) {
      for (let frames = spool.lease(lane, 1e9, 100); frames.length > 0; frames = spool.lease(lane, 1e9, 100)) {
        for (const frame of frames) {
          this.#takeLeased(frame);
          spool.ack(frame.epoch, frame.lane, [[frame.sequence, frame.sequence + 1]]);
        }
      }
    }
    for (const { lanes } of spool.held())
      for (const { floor, next, frames } of lanes) assert.deepEqual({ floor, frames }, { floor: next, frames: 0 });
    this.#balance();
    spool.appendDictionary(epoch.name, 0, 1, Buffer.from('last'));
    await spool.close();
    assert.equal(this.disk.openFiles(), 0, 'every file is closed');
    const left = [...this.disk.files().keys()].filter((path) => !/\/(ledger|floors|floors\.new)$/.test(path));
    assert.deepEqual(left, [`${DIRECTORY}/dictionary/${epoch.name}`], 'nothing stays on the disk');
  }

  #frame(key: string): Known {
    const frame = this.#frames.get(key);
    assert(frame !== undefined);
    return frame;
  }

  #below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }
}

function keyOf(frame: { readonly epoch: string; readonly lane: number; readonly sequence: number }): string {
  return `${frame.epoch.slice(-4)}/${frame.lane}/${frame.sequence}`;
}

function isIn(
  frame: SpooledFrame,
  gap: { readonly epoch: string; readonly lane: number; readonly fromSequence: number; readonly toSequence: number },
): boolean {
  return frame.epoch === gap.epoch && frame.lane === gap.lane && frame.sequence >= gap.fromSequence && frame.sequence < gap.toSequence;
}
