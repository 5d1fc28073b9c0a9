/**
 * The agent's clock: wall time that runs as evenly as the monotonic clock, cut into segments where the two part. Not the collector's view of it.
 * A segment's base (wall minus monotonic time) is fixed once, so that time never steps inside a segment, whatever the machine's clock does.
 */
import { performance } from 'node:perf_hooks';
import type { Clock, Timers } from './gather/gatherer.ts';

/** Wall and monotonic time may drift this far apart before a new segment begins (law 10). A slewed clock stays below for minutes, a step does not. */
const STEP_MS_MAX = 100;

/** Where the time comes from. Both in ms; monotonic from any origin. */
export type TimeSource = { readonly wallMs: () => number; readonly monotonicMs: () => number };

export type ClockSegment = {
  /** Rises by one with each step of the clock. */
  readonly number: number;
  /** Wall minus monotonic time, a whole number. */
  readonly baseMs: number;
};

export class SegmentClock implements Clock {
  readonly #source: TimeSource;
  readonly #listeners: ((segment: ClockSegment, stepMs: number) => void)[] = [];
  #segment: ClockSegment;

  constructor(source: TimeSource = systemTime()) {
    this.#source = source;
    this.#segment = { number: 0, baseMs: this.#offsetMs() };
  }

  get segment(): ClockSegment {
    return this.#segment;
  }

  /** Ms since 1970 on the scale of the current segment; never goes back inside one. */
  wallMs(): number {
    return this.#segment.baseMs + this.#source.monotonicMs();
  }

  monotonicMs(): number {
    return this.#source.monotonicMs();
  }

  /** Called in order, before `check` returns and after the new segment is in force. */
  onStep(listener: (segment: ClockSegment, stepMs: number) => void): void {
    this.#listeners.push(listener);
  }

  /** Begins a new segment if the machine's clock has left the current one. Called at each tick, before anything is stamped. */
  check(): boolean {
    const baseMs = this.#offsetMs();
    const stepMs = baseMs - this.#segment.baseMs;
    if (Math.abs(stepMs) <= STEP_MS_MAX) return false;
    this.#segment = { number: this.#segment.number + 1, baseMs };
    for (const listener of this.#listeners) listener(this.#segment, stepMs);
    return true;
  }

  #offsetMs(): number {
    return Math.round(this.#source.wallMs() - this.#source.monotonicMs());
  }
}

/** The machine's clocks. Monotonic time counts from boot, so that runs of one boot share a scale. */
export function systemTime(): TimeSource {
  const originMs = Number(process.hrtime.bigint()) / 1e6 - performance.now();
  return { wallMs: () => Date.now(), monotonicMs: () => originMs + performance.now() };
}

export const systemTimers: Timers = {
  setTimer: (callback, delayMs) => setTimeout(callback, delayMs),
  clearTimer: (timer) => clearTimeout(timer as NodeJS.Timeout | undefined),
};
