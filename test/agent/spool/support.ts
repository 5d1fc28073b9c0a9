/** A spool for tests: small lanes, a clock by hand, a log that keeps what it is told, frames by number. */
import { Spool, type SpoolOptions } from '../../../agent/spool/spool.ts';
import type { Processes } from '../../../agent/spool/lock.ts';
import type { SpooledFrame } from '../../../agent/spool/record.ts';
import { MemoryDisk } from './memory-disk.ts';

export const DIRECTORY = '/spool';

/** 32 hex digits. */
export function epochOf(number: number): string {
  return number.toString(16).padStart(32, '0');
}

/** Frame `sequence`: its second of a minute, a byte that tells it apart. */
export function frameOf(sequence: number, over: Partial<SpooledFrame> = {}): SpooledFrame {
  const bytes = new Uint8Array(200).fill(sequence);
  return { epoch: epochOf(1), lane: 0, sequence, bytes, fromMs: sequence * 1000, toMs: sequence * 1000 + 999, samples: 5, ...over };
}

/** One machine: its disk, its clocks, and one process after the other on it. */
export class Machine {
  readonly disk: MemoryDisk;
  readonly logged: string[] = [];
  nowMs = 0;
  monotonicMs = 0;
  #lives = 0;

  constructor(disk = new MemoryDisk()) {
    this.disk = disk;
  }

  open(over: Partial<SpoolOptions> = {}): Spool {
    const pid = ++this.#lives;
    const processes: Processes = { pid, lifeOf: (of) => (of === this.#lives ? `life${of}` : undefined) };
    const note = (_fields: object, message: string): void => void this.logged.push(message);
    return Spool.open({
      directory: DIRECTORY,
      epoch: epochOf(pid),
      lanes: [0, 1, 2].map(() => ({ bytesMax: 16 * 1024, ageMsMax: 60_000 })),
      segmentBytes: 2 * 1024,
      nowMs: () => this.nowMs,
      monotonicMs: () => this.monotonicMs,
      log: { info: note, warn: note, error: note },
      fs: this.disk,
      processes,
      ...over,
    });
  }

  /** kill -9 and a new process. */
  reopen(over: Partial<SpoolOptions> = {}): Spool {
    this.disk.restart('kill');
    return this.open(over);
  }
}

/** Sequences of what can be leased. */
export function leasable(spool: Spool, lane = 0): number[] {
  return spool.lease(lane, 1e9, 1e9).map((frame) => frame.sequence);
}
