/** The agent's durable queue: what is sealed goes in, what is acked goes out, what is lost is a gap. Knows nothing of what a frame holds. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { Afloat } from './afloat.ts';
import { DictionaryShelf } from './dictionary.ts';
import { nodeFs, type SpoolFs } from './disk.ts';
import { EpochTable, tallyOf, type Epoch } from './epoch.ts';
import { adviceFor, errnoOf, isFull, SpoolError } from './error.ts';
import { FloorsFile } from './floors.ts';
import { heldEpochs, laneStats, type HeldEpoch, type SpoolStats } from './held.ts';
import { Lane, type LaneBounds } from './lane.ts';
import { isExact, Ledger } from './ledger.ts';
import type { Gap } from './ledger-image.ts';
import { nodeProcesses, SpoolLock, type Processes } from './lock.ts';
import { Losses } from './losses.ts';
import { SEGMENT_HEADER_BYTES, SPOOLED_BYTES_MAX, type SpooledFrame } from './record.ts';
import { recoverLane } from './recovery.ts';
import { Remover } from './remover.ts';
import { FRAME_STATE, type Segment } from './segment.ts';

const MIB = 1024 * 1024;

/** What is dropped goes by whole segments of this size, and what is freed too. */
const SEGMENT_BYTES = 4 * MIB;
/** Epochs that frames are held of. More come only from an agent that starts again and again off line; hello names each. */
const EPOCHS_MAX = 512;
/** Segments dropped for one frame on a full disk. More would empty the spool for whoever else is filling the disk. */
const DROPS_PER_FRAME_MAX = 2;
export type SpoolLog = {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
};

export type SpoolOptions = {
  readonly directory: string;
  /** Of this run; none that the directory has frames of. */
  readonly epoch: string;
  readonly lanes: readonly LaneBounds[];
  readonly segmentBytes?: number;
  /** The host's clock; asked once, for how long what is found has been held. */
  readonly nowMs: () => number;
  /** Age is counted by this one, so that a clock that is set forward drops nothing. */
  readonly monotonicMs?: () => number;
  readonly log: SpoolLog;
  readonly fs?: SpoolFs;
  readonly processes?: Processes;
};

export class Spool {
  readonly #directory: string;
  readonly #fs: SpoolFs;
  readonly #log: SpoolLog;
  readonly #monotonicMs: () => number;
  readonly #lock: SpoolLock;
  readonly #epochs: EpochTable;
  readonly #lanes: readonly Lane[];
  readonly #shelf: DictionaryShelf;
  readonly #ledger: Ledger;
  readonly #floors: FloorsFile;
  readonly #afloat = new Afloat();
  readonly #losses: Losses;
  readonly #remover: Remover;
  #epoch: Epoch;
  #syncing: Promise<void> | undefined;
  #syncQueued: Promise<void> | undefined;
  #rootNamesDirty = true;
  #syncMs = 0;
  #syncFailures = 0;
  #corruptions = 0;
  #dictionariesLost = 0;
  #diskError = '';
  #newestMs = 0;
  /** Takes no more; then: has let go of the directory. */
  #closed = false;
  #released = false;

  private constructor(options: SpoolOptions, fs: SpoolFs, lock: SpoolLock) {
    this.#directory = options.directory;
    this.#fs = fs;
    this.#log = options.log;
    this.#monotonicMs = options.monotonicMs ?? (() => performance.now());
    this.#lock = lock;
    this.#epochs = new EpochTable(options.lanes.length);
    const segmentBytes = options.segmentBytes ?? SEGMENT_BYTES;
    this.#lanes = options.lanes.map(
      (bounds, number) => new Lane({ fs, directory: join(options.directory, String(number)), number, bounds, segmentBytes }),
    );
    this.#shelf = new DictionaryShelf(fs, join(options.directory, 'dictionary'));
    const { ledger, damaged } = Ledger.open(fs, join(options.directory, 'ledger'));
    this.#ledger = ledger;
    this.#losses = new Losses(ledger);
    this.#remover = new Remover(fs, ledger, this.#shelf);
    if (damaged) this.#countDamage({ file: 'ledger' }, 'gap ledger damaged, gaps not yet sent may be missing');
    this.#floors = new FloorsFile(fs, options.directory);
    this.#recover(options.nowMs());
    assert(this.#epochs.get(options.epoch) === undefined, 'an epoch is never continued: draw a new one at each start');
    this.#epoch = this.#epochs.add(options.epoch);
    this.#shelf.begin(options.epoch);
    this.#boundEpochs();
    this.#clearShelf();
  }

  /** Throws SpoolError. */
  static open(options: SpoolOptions): Spool {
    const fs = options.fs ?? nodeFs;
    const { directory } = options;
    let lock: SpoolLock;
    try {
      fs.makeDirectory(directory);
      lock = SpoolLock.take(fs, directory, options.processes ?? nodeProcesses);
    } catch (error) {
      if (error instanceof SpoolError) throw error;
      throw new SpoolError('spool_unwritable', `cannot write to spool ${directory}: ${adviceFor(errnoOf(error))}`, { cause: error });
    }
    try {
      return new Spool(options, fs, lock);
    } catch (error) {
      lock.release();
      throw error;
    }
  }

  /**
   * Takes a sealed frame: written when it returns, durable after the next sync. `lease`: the caller sends it at once from memory.
   * Never throws for the disk's sake: what the disk does not take goes afloat if leased, else it is a gap.
   */
  append(frame: SpooledFrame, options: { readonly lease: boolean }): void {
    assert(!this.#closed, 'a closed spool takes no frames');
    assert(frame.bytes.length > 0 && frame.bytes.length <= SPOOLED_BYTES_MAX, `a frame has 1 to ${SPOOLED_BYTES_MAX} bytes`);
    const lane = this.#lane(frame.lane);
    this.#begin(frame.epoch);
    const tally = tallyOf(this.#epoch, lane.number);
    assert(frame.sequence === tally.next, `sequence ${frame.sequence} of lane ${lane.number} is not ${tally.next}, the next one`);
    tally.next++;
    if (lane.number === 0 && frame.samples > 0) this.#newestMs = Math.max(this.#newestMs, frame.toMs);
    this.#losses.accounts.appended++;
    const cause = this.#store(lane, frame, options.lease);
    if (cause !== undefined) {
      const facts = { ...frame, length: frame.bytes.length };
      if (!options.lease || !this.#afloat.add({ epoch: this.#epoch, lane: lane.number, facts, cause })) {
        this.#losses.frame(this.#epoch, lane.number, facts, cause, 'dropped');
      }
    }
    this.#ledger.write();
  }

  /** Keeps a dictionary frame that announces entries [from, to) of the epoch. */
  appendDictionary(epoch: string, from: number, to: number, bytes: Uint8Array): void {
    assert(!this.#closed, 'a closed spool takes no dictionaries');
    assert(bytes.length > 0 && bytes.length <= SPOOLED_BYTES_MAX, `a dictionary frame has 1 to ${SPOOLED_BYTES_MAX} bytes`);
    this.#begin(epoch);
    if (!this.#shelf.append(from, to, bytes)) this.#loseDictionaries(1);
    for (let drops = 0; ; drops++) {
      const errno = this.#shelf.flush();
      if (errno === undefined) return;
      this.#noteDisk(errno);
      if (!isFull(errno) || drops === DROPS_PER_FRAME_MAX || !this.#makeRoom(this.#lanes.at(-1) ?? this.#lane(0))) return;
    }
  }

  /** Dictionary frames that lead from entry `fromEntry` to the end of the epoch's dictionary, in order; none if they are lost: then refuse what needs them. */
  dictionary(epoch: string, fromEntry: number): Uint8Array[] {
    const { frames, damaged } = this.#shelf.read(epoch, fromEntry);
    if (damaged) this.#countDamage({ epoch }, 'dictionary damaged, frames that need the rest of it will be refused');
    return frames;
  }

  /**
   * Resolves when all that was appended and is still held is durable, with its dictionary and the gaps. Rejects with `spool_sync` if that cannot be
   * said: nothing may then be built on it (law 6). To be called each second; a call while one runs waits for a pass of its own.
   */
  sync(): Promise<void> {
    if (this.#released) return Promise.resolve();
    if (this.#syncing === undefined) {
      this.#syncing = this.#syncPass().finally(() => {
        this.#syncing = undefined;
      });
      return this.#syncing;
    }
    const again = (): Promise<void> => {
      this.#syncQueued = undefined;
      return this.sync();
    };
    this.#syncQueued ??= this.#syncing.then(again, again);
    return this.#syncQueued;
  }

  /** The oldest held frames of the lane, neither acked nor leased; at least one if there is any, then up to the bounds. */
  lease(lane: number, bytesMax: number, framesMax: number): SpooledFrame[] {
    if (this.#closed || bytesMax <= 0) return [];
    const lost = (segment: Segment, index: number): void => {
      this.#countDamage({ lane, path: segment.path }, 'frame in spool damaged');
      this.#loseAt(this.#lane(lane), segment, index, 'spool_corruption', 'corrupt');
    };
    const frames = this.#lane(lane).lease(bytesMax, framesMax, lost);
    this.#reclaim(this.#lane(lane));
    return frames;
  }

  /** The collector has the frames of these half-open ranges for good. Unknown ones are ignored. */
  ack(epoch: string, lane: number, ranges: readonly (readonly [from: number, to: number])[]): void {
    const known = this.#epochs.get(epoch);
    if (this.#closed || known === undefined) return;
    const home = this.#lane(lane);
    for (const [from, to] of ranges) {
      home.each(known, from, to, (segment, index) => {
        home.settle(segment, index);
        this.#losses.accounts.acked++;
      });
      this.#losses.accounts.acked += this.#afloat.take(known, lane, from, to).length;
    }
    this.#reclaim(home);
  }

  /** The collector will never take the frame. */
  refuse(epoch: string, lane: number, sequence: number, code: string): void {
    const known = this.#epochs.get(epoch);
    if (this.#closed || known === undefined) return;
    const home = this.#lane(lane);
    const cause = `refused:${code}`;
    home.each(known, sequence, sequence + 1, (segment, index) => this.#loseAt(home, segment, index, cause, 'refused'));
    for (const { facts } of this.#afloat.take(known, lane, sequence, sequence + 1))
      this.#losses.frame(known, lane, facts, cause, 'refused');
    this.#reclaim(home);
  }

  /** The link is lost: every lease returns, gaps on their way too; what was afloat is lost. */
  release(): void {
    if (this.#closed) return;
    for (const lane of this.#lanes) lane.release();
    for (const { epoch, lane, facts, cause } of this.#afloat.takeAll()) this.#losses.frame(epoch, lane, facts, cause, 'dropped');
    this.#ledger.takeBack();
    this.#ledger.write();
  }

  /**
   * All epochs that had frames since the start, the current one last: those whose frames are all gone show it by floor = next.
   * For hello and the minute's state: the floors are written down, a later start does not state lower ones.
   */
  held(): HeldEpoch[] {
    const held = heldEpochs(this.#epochs, this.#epoch, this.#lanes, this.#afloat);
    if (!this.#closed) this.#keepFloors(held);
    return held;
  }

  /** Gaps to be sent, oldest first. What is lost next to one of them is a gap of its own until it is delivered or the link lost. */
  gaps(): readonly Gap[] {
    return this.#ledger.gaps();
  }

  /** The collector has these gaps for good. */
  gapsDelivered(ids: readonly number[]): void {
    this.#ledger.delivered(ids);
  }

  stats(): SpoolStats {
    const segments = this.#lanes.flatMap((lane) => lane.segments);
    return {
      lanes: this.#lanes.map((lane) => laneStats(lane, this.#epochs)),
      drops: this.#losses.drops(),
      accounts: { ...this.#losses.accounts },
      afloat: this.#afloat.size,
      newestMs: this.#newestMs,
      syncMs: this.#syncMs,
      syncFailures: this.#syncFailures,
      corruptions: this.#corruptions,
      dictionariesLost: this.#dictionariesLost,
      diskError: this.#diskError,
      gaps: this.#ledger.size,
      indexBytes: segments.reduce((sum, segment) => sum + segment.indexBytes, 0),
    };
  }

  /** Syncs, unlinks what is all acked and lets go of the directory. What could not be synced is as safe as after a kill -9. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.release();
    this.held();
    this.#closed = true;
    for (const lane of this.#lanes) this.#reclaim(lane, 0);
    try {
      await this.sync();
    } catch (error) {
      // A disk that fails at the end is no reason not to end.
      if (!(error instanceof SpoolError)) throw error;
      this.#log.error({ directory: this.#directory, code: error.code }, error.message);
    }
    this.#released = true;
    for (const segment of this.#lanes.flatMap((lane) => lane.segments)) segment.close();
    this.#shelf.close();
    this.#ledger.close();
    this.#floors.close();
    this.#lock.release();
  }

  #lane(number: number): Lane {
    const lane = this.#lanes[number];
    assert(lane !== undefined, `lane ${number} is not one of this spool's`);
    return lane;
  }

  /** Reads everything back. */
  #recover(wallMs: number): void {
    const floors = this.#floors.read();
    for (const lane of this.#lanes) {
      const found = recoverLane(this.#fs, lane.directory, lane.number, this.#epochs);
      lane.adopt(found, wallMs, this.#monotonicMs());
      if (lane.number === 0) this.#newestMs = Math.max(0, ...lane.segments.map((segment) => segment.newestSampleMs));
      for (const path of found.unreadable) this.#log.error({ path }, 'spool segment cannot be read');
      for (const loss of found.losses) {
        this.#countDamage({ ...loss }, 'spool segment damaged');
        // Below the floor everything had left the books.
        const isBelow = floors.some(({ epoch, lane: of, floor }) => epoch === loss.epoch && of === loss.lane && loss.toSequence <= floor);
        if (!isBelow) this.#losses.found(loss);
      }
    }
    for (const { epoch, lane, floor } of floors) {
      this.#settleFound(epoch, lane, 0, floor);
      const tally = this.#epochs.get(epoch)?.lanes[lane];
      if (tally !== undefined) tally.next = Math.max(tally.next, floor);
    }
    // A segment whose loss was entered may have outlived its unlinking: its frames are lost all the same, or they would count twice.
    for (const gap of this.#ledger.peek()) {
      if (isExact(gap)) this.#settleFound(gap.epoch, gap.lane, gap.fromSequence, gap.toSequence);
    }
    for (const lane of this.#lanes) {
      this.#losses.accounts.found += lane.segments.reduce((sum, segment) => sum + segment.live, 0);
      for (const segment of lane.spent()) this.#unlink(lane, segment);
    }
  }

  /** Frames found that had left the books before the start. */
  #settleFound(name: string, number: number, from: number, to: number): void {
    const epoch = this.#epochs.get(name);
    const lane = this.#lanes[number];
    if (epoch === undefined || lane === undefined) return;
    lane.each(epoch, from, to, (segment, index) => lane.settle(segment, index));
  }

  /** What a floor says is gone is acked or in the ledger: the ledger must be on the disk before it. */
  #keepFloors(held: readonly HeldEpoch[]): void {
    if (!this.#ledger.writeNow()) return;
    this.#floors.write(
      held.flatMap(({ epoch, lanes }) => lanes.filter(({ floor }) => floor > 0).map(({ lane, floor }) => ({ epoch, lane, floor }))),
    );
  }

  /** Dictionaries of epochs of which no frame is left. */
  #clearShelf(): void {
    for (const name of this.#shelf.list()) {
      if ((this.#epochs.get(name)?.segments ?? 0) === 0 && name !== this.#epoch.name) this.#shelf.remove(name);
    }
  }

  /** Makes the epoch the current one if it is not. */
  #begin(name: string): void {
    if (this.#epoch.name === name) return;
    assert(this.#epochs.get(name) === undefined, `epoch ${name} has ended: only the newest epoch is appended to`);
    const before = this.#epoch;
    this.#epoch = this.#epochs.add(name);
    this.#loseDictionaries(this.#shelf.begin(name));
    if (before.segments === 0) this.#shelf.remove(before.name);
    this.#boundEpochs();
  }

  /** Forgets the oldest epochs that have no frames any more; if that is not enough, drops the frames of the oldest. */
  #boundEpochs(): void {
    for (const epoch of this.#epochs.all()) {
      if (this.#epochs.size <= EPOCHS_MAX) return;
      if (epoch.segments === 0 && epoch !== this.#epoch) this.#epochs.forget(epoch);
    }
    for (const epoch of this.#epochs.all()) {
      if (this.#epochs.size <= EPOCHS_MAX) return;
      this.#log.warn({ directory: this.#directory, epoch: epoch.name }, 'spool holds too many epochs, the oldest is dropped');
      for (const lane of this.#lanes) {
        lane.each(epoch, 0, Infinity, (segment, index) => this.#loseAt(lane, segment, index, 'epochs_full', 'dropped'));
        this.#reclaim(lane);
      }
      this.#shelf.remove(epoch.name);
      this.#epochs.forget(epoch);
    }
  }

  /** Writes the frame to its lane. The cause if it is not on the disk then. */
  #store(lane: Lane, frame: SpooledFrame, lease: boolean): string | undefined {
    this.#dropOld(lane);
    if (!this.#makeFit(lane, frame.bytes.length)) return 'spool_full';
    let drops = 0;
    for (let isRetry = false; ;) {
      try {
        lane.append(frame, this.#epoch, lease ? FRAME_STATE.leased : FRAME_STATE.held, this.#monotonicMs());
        this.#noteDisk('');
        return undefined;
      } catch (error) {
        const errno = errnoOf(error);
        this.#noteDisk(errno);
        if (isFull(errno)) {
          if (drops++ === DROPS_PER_FRAME_MAX || !this.#makeRoom(lane)) return 'disk_full';
        } else {
          // Once more, in a new segment: a bad block or a file that was removed under us spoils one file only.
          if (isRetry) return 'disk_error';
          isRetry = true;
        }
      }
    }
  }

  #dropOld(lane: Lane): void {
    const nowMs = this.#monotonicMs();
    for (let segment = lane.overdue(nowMs); segment !== undefined; segment = lane.overdue(nowMs)) this.#drop(lane, segment, 'spool_age');
  }

  /** False if the frame is larger than its lane. */
  #makeFit(lane: Lane, frameBytes: number): boolean {
    if (!lane.overflows(frameBytes)) return true;
    this.#reclaim(lane, SEGMENT_HEADER_BYTES + 1);
    while (lane.overflows(frameBytes)) {
      const { oldest } = lane;
      if (oldest === undefined) return false;
      this.#drop(lane, oldest, 'spool_full');
    }
    return true;
  }

  /**
   * On a full disk: first what is acked, then the oldest segment of the lane that matters least, up to the frame's own lane: a flood of logs that
   * filled the disk does not evict metrics. False if nothing is left.
   */
  #makeRoom(lane: Lane): boolean {
    let reclaimed = false;
    for (const other of this.#lanes) reclaimed = this.#reclaim(other, SEGMENT_HEADER_BYTES + 1) || reclaimed;
    if (reclaimed) return true;
    for (const candidate of this.#lanes.slice(lane.number).toReversed()) {
      const { oldest } = candidate;
      if (oldest === undefined) continue;
      this.#drop(candidate, oldest, 'disk_full');
      return true;
    }
    return false;
  }

  /** A whole segment goes. Leased frames count as lost too: they may yet arrive, but nothing would tell if they did not. */
  #drop(lane: Lane, segment: Segment, cause: string): void {
    for (const { epoch } of segment.runs) {
      segment.eachLive(epoch, 0, Infinity, (index) => this.#loseAt(lane, segment, index, cause, 'dropped'));
    }
    this.#log.warn({ lane: lane.number, segment: segment.number, bytes: segment.sizeBytes, cause }, 'spool segment dropped');
    this.#unlink(lane, segment);
  }

  #loseAt(lane: Lane, segment: Segment, index: number, cause: string, account: 'refused' | 'dropped' | 'corrupt'): void {
    const facts = segment.facts(index);
    lane.settle(segment, index);
    this.#losses.frame(segment.epochOf(index), lane.number, facts, cause, account);
  }

  /** Unlinks the lane's segments that hold nothing any more, the open one only from a size on. True if there were any. */
  #reclaim(lane: Lane, openBytesMin?: number): boolean {
    const spent = lane.spent(openBytesMin);
    for (const segment of spent) this.#unlink(lane, segment);
    return spent.length > 0;
  }

  #unlink(lane: Lane, segment: Segment): void {
    lane.detach(segment);
    this.#remover.unlink(segment, this.#epoch);
  }

  async #syncPass(): Promise<void> {
    const startedMs = this.#monotonicMs();
    for (const lane of this.#lanes) this.#dropOld(lane);
    // Dictionaries first: a frame that is durable has what it needs.
    let durable = await this.#shelf.sync();
    for (const lane of this.#lanes) durable = (await lane.sync()) && durable;
    const isTold = await this.#ledger.sync();
    if (isTold) this.#remover.retry(this.#epoch);
    durable = isTold && durable;
    await this.#floors.sync();
    if (this.#rootNamesDirty) durable = (await this.#syncRootNames()) && durable;
    this.#syncMs = this.#monotonicMs() - startedMs;
    if (durable) return;
    this.#syncFailures++;
    throw new SpoolError('spool_sync', `cannot make spool ${this.#directory} durable: look at its disk`);
  }

  async #syncRootNames(): Promise<boolean> {
    try {
      await this.#fs.syncDirectory(this.#directory);
      this.#rootNamesDirty = false;
      return true;
    } catch (error) {
      errnoOf(error);
      return false;
    }
  }

  /** Says once that the disk fails, and once that it is well again. */
  #noteDisk(errno: string): void {
    if (errno === this.#diskError) return;
    if (errno === '') this.#log.info({ directory: this.#directory }, 'spool is written again');
    else this.#log.error({ directory: this.#directory, errno }, `spool not written: ${adviceFor(errno)}`);
    this.#diskError = errno;
  }

  #countDamage(fields: object, message: string): void {
    this.#corruptions++;
    this.#log.error({ directory: this.#directory, ...fields }, message);
  }

  #loseDictionaries(count: number): void {
    if (count === 0) return;
    this.#dictionariesLost += count;
    this.#log.error({ directory: this.#directory, count }, 'dictionary frames lost, frames that need them will be refused');
  }
}
