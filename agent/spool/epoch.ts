/** What the spool remembers of each epoch: its lanes' next sequences and tallies. Nothing about single frames. */
import assert from 'node:assert/strict';

/** Of one lane of one epoch. `next` is one after the highest sequence ever appended or found. */
export type LaneTally = { next: number; frames: number; bytes: number };

export type Epoch = {
  readonly name: string;
  /** The 16 bytes that the name spells. */
  readonly id: Buffer;
  readonly lanes: readonly LaneTally[];
  /** Segment files that hold a record of it, acked ones included: its dictionary stays as long as there is one. */
  segments: number;
};

/** An epoch that could not be read from a damaged segment. */
export const EPOCH_UNKNOWN = '0'.repeat(32);
const EPOCH_PATTERN = /^[0-9a-f]{32}$/;

export function isEpochName(name: string): boolean {
  return EPOCH_PATTERN.test(name);
}

/** All epochs in the order in which they were found or began; the last one is the current one once `begin` was called. */
export class EpochTable {
  readonly #lanes: number;
  readonly #epochs = new Map<string, Epoch>();

  constructor(lanes: number) {
    this.#lanes = lanes;
  }

  get size(): number {
    return this.#epochs.size;
  }

  get(name: string): Epoch | undefined {
    return this.#epochs.get(name);
  }

  all(): IterableIterator<Epoch> {
    return this.#epochs.values();
  }

  /** Finds or adds. */
  add(name: string): Epoch {
    const known = this.#epochs.get(name);
    if (known !== undefined) return known;
    assert(isEpochName(name), `an epoch is 32 lower-case hex digits, not "${name}"`);
    const lanes = Array.from({ length: this.#lanes }, () => ({ next: 0, frames: 0, bytes: 0 }));
    const epoch = { name, id: Buffer.from(name, 'hex'), lanes, segments: 0 };
    this.#epochs.set(name, epoch);
    return epoch;
  }

  forget(epoch: Epoch): void {
    assert(
      epoch.lanes.every((tally) => tally.frames === 0),
      'an epoch with held frames is not forgotten',
    );
    this.#epochs.delete(epoch.name);
  }
}

export function tallyOf(epoch: Epoch, lane: number): LaneTally {
  const tally = epoch.lanes[lane];
  assert(tally !== undefined, `lane ${lane} is not one of this spool's`);
  return tally;
}
