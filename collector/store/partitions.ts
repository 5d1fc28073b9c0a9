/** The day databases together: opened when used, closed when others are used more, unlinked when retention says so. Not what is read or written there. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { directoryBytes, listDatabases, makeDirectory, unlinkDatabase } from './database.ts';
import type { Retention, StoreLog } from './options.ts';
import { type Damage, Partition } from './partition.ts';
import { DAY_MS, dayName, dayOf, dayOfName, windowOf } from './window.ts';

/** Of days that are still written to; older ones get late samples only. */
const WRITE_BUFFER_BYTES = 16 * 1024 * 1024;
const OLD_WRITE_BUFFER_BYTES = 4 * 1024 * 1024;
/** Days whose partition counts as being written to. */
const YOUNG_DAYS = 1;

export type PartitionsHost = {
  readonly directory: string;
  readonly retention: Retention;
  readonly openMax: number;
  readonly nowMs: () => number;
  readonly log: StoreLog;
  readonly damaged: (damage: Damage) => void;
  /** Days that had a partition when one was last written to. */
  readonly expected: readonly number[];
  /** Before a day is unlinked; the days that stay. What it cannot write must not keep space from being freed. */
  readonly dropping: (day: number, days: readonly number[]) => Promise<void>;
};

type Slot = { readonly partition: Promise<Partition>; users: number; isDropped: boolean; usedAt: number; readonly idle: Set<() => void> };

export class Partitions {
  readonly #host: PartitionsHost;
  /** Days on disk. */
  readonly #days = new Set<number>();
  readonly #slots = new Map<number, Slot>();
  /** Days that are being closed: they cannot be opened again before that is done. */
  readonly #closing = new Map<number, Promise<void>>();
  #clock = 0;
  /** Days that should be on disk and were not when the store was opened. */
  missing: readonly number[] = [];

  private constructor(host: PartitionsHost) {
    this.#host = host;
  }

  static async open(host: PartitionsHost): Promise<Partitions> {
    const partitions = new Partitions(host);
    await makeDirectory(host.directory);
    for (const name of await listDatabases(host.directory)) {
      const day = dayOfName(name);
      if (day === undefined) host.log.warn({ name, directory: host.directory }, 'a folder among the partitions is none of ours');
      else partitions.#days.add(day);
    }
    const horizonMs = partitions.horizonMs();
    partitions.missing = host.expected.filter((day) => !partitions.#days.has(day) && (day + 1) * DAY_MS > horizonMs);
    return partitions;
  }

  get openCount(): number {
    return this.#slots.size;
  }

  /** Days on disk, oldest first. */
  days(): number[] {
    return [...this.#days].sort((a, b) => a - b);
  }

  /** Runs `use` with the partition of a day, which stays open and on disk meanwhile. Undefined if there is none. */
  async use<T>(day: number, use: (partition: Partition) => Promise<T>): Promise<T | undefined> {
    const partition = await this.acquire(day, false);
    if (partition === undefined) return undefined;
    try {
      return await use(partition);
    } finally {
      this.release(partition);
    }
  }

  /** The partition of a day until `release`; made if `make`. Undefined if there is none or it is being dropped. */
  async acquire(day: number, make: boolean): Promise<Partition | undefined> {
    await this.#closing.get(day);
    let slot = this.#slots.get(day);
    if (slot?.isDropped === true || (!make && !this.#days.has(day))) return undefined;
    if (slot === undefined) {
      slot = { partition: this.#open(day, this.#days.has(day)), users: 0, isDropped: false, usedAt: 0, idle: new Set() };
      this.#slots.set(day, slot);
    }
    slot.users++;
    slot.usedAt = ++this.#clock;
    try {
      return await slot.partition;
    } catch (error) {
      this.#slots.delete(day);
      throw error;
    }
  }

  release(partition: Partition): void {
    const slot = this.#slots.get(partition.day);
    if (slot === undefined) return;
    slot.users--;
    if (slot.users > 0) return;
    for (const wake of slot.idle) wake();
    this.#closeSpare();
  }

  /** Partitions with samples between two times, oldest first; each must be released. */
  async acquireRange(fromMs: number, toMs: number): Promise<Partition[]> {
    const first = dayOf(windowOf(fromMs));
    const last = dayOf(windowOf(toMs));
    const partitions: Partition[] = [];
    for (const day of this.days()) {
      if (day < first || day > last) continue;
      try {
        const partition = await this.acquire(day, false);
        if (partition !== undefined) partitions.push(partition);
      } catch (error) {
        for (const partition of partitions) this.release(partition);
        throw error;
      }
    }
    return partitions;
  }

  /** First time that samples may have: older ones would be dropped at once. */
  horizonMs(): number {
    const { ageMs } = this.#host.retention;
    return ageMs === 'off' ? 0 : this.#host.nowMs() - ageMs;
  }

  /** Drops what retention no longer covers. Returns the days dropped. */
  async retain(): Promise<number[]> {
    const dropped: number[] = [];
    const horizonMs = this.horizonMs();
    for (const day of this.days()) {
      if ((day + 1) * DAY_MS > horizonMs) break;
      await this.#drop(day);
      dropped.push(day);
    }
    const { bytesMax } = this.#host.retention;
    if (bytesMax === 'off') return dropped;
    const sizes = await Promise.all(this.days().map(async (day) => ({ day, bytes: await directoryBytes(this.#path(day)) })));
    let bytes = sizes.reduce((sum, size) => sum + size.bytes, 0);
    // The newest day stays whatever its size: it is what people look at.
    for (const size of sizes.slice(0, -1)) {
      if (bytes <= bytesMax) break;
      await this.#drop(size.day);
      dropped.push(size.day);
      bytes -= size.bytes;
    }
    return dropped;
  }

  /** Closes everything that is open; it is opened again when it is used. The way out after a failed write. */
  async reopen(): Promise<void> {
    await this.close();
  }

  async close(): Promise<void> {
    for (const day of this.#slots.keys()) await this.#close(day);
    await Promise.all(this.#closing.values());
  }

  #path(day: number): string {
    return join(this.#host.directory, dayName(day));
  }

  async #open(day: number, isKnown: boolean): Promise<Partition> {
    this.#days.add(day);
    if (isKnown && !existsSync(this.#path(day)))
      this.#host.damaged({ day, window: undefined, bytes: 0, detail: 'its folder is gone; it is begun anew' });
    const isYoung = day >= dayOf(windowOf(this.#host.nowMs())) - YOUNG_DAYS;
    return Partition.open(day, this.#path(day), isYoung ? WRITE_BUFFER_BYTES : OLD_WRITE_BUFFER_BYTES, this.#host.damaged);
  }

  /** Waits for its users, closes and unlinks. Nobody gets it any more from now on. */
  async #drop(day: number): Promise<void> {
    const slot = this.#slots.get(day);
    this.#days.delete(day);
    if (slot !== undefined) {
      slot.isDropped = true;
      await this.#close(day);
    }
    await this.#host
      .dropping(day, this.days())
      .catch((error: unknown) => this.#host.log.warn({ error, day }, 'cannot note that a day goes out of retention'));
    await unlinkDatabase(this.#path(day));
  }

  async #close(day: number): Promise<void> {
    const slot = this.#slots.get(day);
    if (slot === undefined) return;
    while (slot.users > 0) {
      await new Promise<void>((resolve) => {
        slot.idle.add(resolve);
      });
      slot.idle.clear();
    }
    const closing = slot.partition.then((partition) => partition.close());
    this.#slots.delete(day);
    this.#closing.set(day, closing);
    await closing;
    this.#closing.delete(day);
  }

  /** Closes the partitions that were not used for longest while there are too many. */
  #closeSpare(): void {
    let spare = this.#slots.size - this.#host.openMax;
    if (spare <= 0) return;
    const unused = [...this.#slots].filter(([, slot]) => slot.users === 0).sort(([, a], [, b]) => a.usedAt - b.usedAt);
    for (const [day] of unused) {
      if (spare-- <= 0) return;
      this.#close(day).catch((error: unknown) => this.#host.log.error({ error, day }, 'cannot close a partition'));
    }
  }
}
