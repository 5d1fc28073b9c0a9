/** Bounded turns: long work gives the event loop back at least every few milliseconds, so that acks never wait for it. Not a scheduler. */
import { setImmediate as nextTurn } from 'node:timers/promises';

/** Longest that background work holds the loop at a time. A tenth of the 50 ms that an ack may take. */
const TURN_MS = 5;

/** Keeps the time of the current turn. Call `due()` between pieces of work and await `yield()` when it is true. */
export class Turn {
  #startedMs = performance.now();
  #turns = 0;
  #longestMs = 0;
  readonly #turnMs: number;

  constructor(turnMs = TURN_MS) {
    this.#turnMs = turnMs;
  }

  due(): boolean {
    return performance.now() - this.#startedMs >= this.#turnMs;
  }

  async yield(): Promise<void> {
    this.#end();
    await nextTurn();
    this.#startedMs = performance.now();
  }

  /** Starts a turn after a wait that was not `yield`'s, so that the wait is not taken for work. */
  restart(): void {
    this.#startedMs = performance.now();
  }

  get turns(): number {
    return this.#turns;
  }

  get longestMs(): number {
    return this.#longestMs;
  }

  #end(): void {
    this.#turns++;
    this.#longestMs = Math.max(this.#longestMs, performance.now() - this.#startedMs);
  }
}
