/** Clock and timers that a test moves: timers fire in order of their time, and whatever they arm in passing fires too. */
import type { Timers } from '../../agent/gather/gatherer.ts';

type Timer = { readonly atMs: number; readonly order: number; readonly callback: () => void };

export class FakeTime {
  wallMs: number;
  monotonicMs = 1000;
  #timers: Timer[] = [];
  #order = 0;

  constructor(wallMs = 1_700_000_000_000) {
    this.wallMs = wallMs;
  }

  readonly timers: Timers = {
    setTimer: (callback, delayMs) => {
      const timer = { atMs: this.monotonicMs + Math.max(0, delayMs), order: this.#order++, callback };
      this.#timers.push(timer);
      return timer;
    },
    clearTimer: (timer) => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    },
  };

  get pending(): number {
    return this.#timers.length;
  }

  /** Lets time go by, firing what comes due. */
  pass(ms: number): void {
    const endMs = this.monotonicMs + ms;
    for (;;) {
      const due = this.#timers.filter((timer) => timer.atMs <= endMs).toSorted((a, b) => a.atMs - b.atMs || a.order - b.order)[0];
      if (due === undefined) break;
      this.#timers = this.#timers.filter((timer) => timer !== due);
      this.#advance(Math.max(0, due.atMs - this.monotonicMs));
      due.callback();
    }
    this.#advance(endMs - this.monotonicMs);
  }

  /** The machine's wall clock is set. */
  step(ms: number): void {
    this.wallMs += ms;
  }

  #advance(ms: number): void {
    this.monotonicMs += ms;
    this.wallMs += ms;
  }
}
