/**
 * What this run leaves behind so that the next one can say how it ended: DIR/state.json. Not the spool, which knows what was sealed.
 * Written at start, each minute and at a clean stop; a stop that was not clean is one whose mark is missing.
 */
import path from 'node:path';
import type { StartEvent } from '../protocol/index.ts';
import { readSmallFile, writeDurably } from './identity.ts';

/** One run as it was last written. */
export type RunState = {
  /** 32 hex digits. */
  readonly epoch: string;
  readonly bootId: string;
  /** Newest sample time sealed; 0 if none. */
  readonly lastMs: number;
  readonly stopped: boolean;
};

const FILE = 'state.json';
const FILE_MODE = 0o600;
const EPOCH_PATTERN = /^[0-9a-f]{32}$/;

/** The run before, or undefined if there was none or its record is not readable (a damaged mark must not keep an agent from starting). */
export function readRunState(directory: string): RunState | undefined {
  const text = readSmallFile(path.join(directory, FILE));
  if (text === undefined) return undefined;
  try {
    const { epoch, bootId, lastMs, stopped } = JSON.parse(text) as Record<string, unknown>;
    if (typeof epoch !== 'string' || !EPOCH_PATTERN.test(epoch) || typeof bootId !== 'string') return undefined;
    return Number.isSafeInteger(lastMs) && typeof stopped === 'boolean' ? { epoch, bootId, lastMs: lastMs as number, stopped } : undefined;
  } catch {
    return undefined;
  }
}

export function writeRunState(directory: string, state: RunState): void {
  writeDurably(path.join(directory, FILE), `${JSON.stringify(state)}\n`, FILE_MODE);
}

/** How the run before ended. `newestMs` is the newest sample time in the spool, which may be newer than the record. */
export function endOf(previous: RunState, bootId: string, newestMs: number): NonNullable<StartEvent['previous']> {
  const end = previous.stopped ? 'stopped' : previous.bootId === bootId ? 'crashed' : 'rebooted';
  return { epoch: previous.epoch, end, lastMs: Math.max(previous.lastMs, newestMs) };
}
