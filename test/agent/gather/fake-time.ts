/** A clock and its timers that move when told to. Not a test. */
import { setImmediate as turn } from 'node:timers/promises';
import type { Clock, Timers } from '../../../agent/gather/gatherer.ts';

export class FakeTime implements Clock, Timers {
  #monotonicMs = 5000;
  #offsetMs: number;
  #timers = new Map<number, { atMs: number; callback: () => void }>();
  #next = 1;

  constructor(wallMs = 1_700_000_000_000) {
    this.#offsetMs = wallMs - this.#monotonicMs;
  }

  wallMs(): number {
    return this.#monotonicMs + this.#offsetMs;
  }

  monotonicMs(): number {
    return this.#monotonicMs;
  }

  setTimer(callback: () => void, delayMs: number): unknown {
    this.#timers.set(this.#next, { atMs: this.#monotonicMs + delayMs, callback });
    return this.#next++;
  }

  clearTimer(timer: unknown): void {
    this.#timers.delete(timer as number);
  }

  get pending(): number {
    return this.#timers.size;
  }

  /** The wall clock is set: monotonic time does not notice. */
  step(ms: number): void {
    this.#offsetMs += ms;
  }

  /** Time passes and nothing runs, as in a blocked or suspended process. */
  freeze(ms: number): void {
    this.#monotonicMs += ms;
  }

  /** Time passes; timers fire in their order, each at its time, and promises settle before and after. */
  async advance(ms: number): Promise<void> {
    const endMs = this.#monotonicMs + ms;
    await turn();
    for (;;) {
      const due = [...this.#timers].filter(([, { atMs }]) => atMs <= endMs).sort(([, a], [, b]) => a.atMs - b.atMs)[0];
      if (due === undefined) break;
      const [id, { atMs, callback }] = due;
      this.#timers.delete(id);
      this.#monotonicMs = Math.max(this.#monotonicMs, atMs);
      callback();
      await turn();
    }
    this.#monotonicMs = Math.max(this.#monotonicMs, endMs);
    await turn();
  }
}
