/** How fast background work goes: short turns, with pauses between them unless something presses. Not a queue of work. */
import { setTimeout as pause } from 'node:timers/promises';
import { Turn } from './turn.ts';

/** Pauses are not worth their timer below this. */
const PAUSE_MS_MIN = 1;

export class Pace {
  readonly #turn: Turn;
  readonly #share: number;
  readonly #presses: () => boolean;
  readonly #signal: AbortSignal;
  #startedMs = performance.now();

  /** `share` of the loop's time is taken while `presses` is false. A pace whose signal is aborted throws at the next step. */
  constructor(share: number, presses: () => boolean, signal: AbortSignal) {
    this.#turn = new Turn();
    this.#share = share;
    this.#presses = presses;
    this.#signal = signal;
  }

  get turns(): number {
    return this.#turn.turns;
  }

  get longestMs(): number {
    return this.#turn.longestMs;
  }

  /** Between two pieces of work. */
  step(): Promise<void> | undefined {
    return this.#turn.due() ? this.#rest() : undefined;
  }

  /** Waits for the disk; that time is no work of ours. */
  async wait<T>(work: () => Promise<T>): Promise<T> {
    const result = await work();
    this.#turn.restart();
    this.#startedMs = performance.now();
    this.#signal.throwIfAborted();
    return result;
  }

  async #rest(): Promise<void> {
    const workedMs = performance.now() - this.#startedMs;
    await this.#turn.yield();
    const pauseMs = workedMs * (1 / this.#share - 1);
    if (!this.#presses() && pauseMs >= PAUSE_MS_MIN && !this.#signal.aborted) await pause(pauseMs);
    this.#turn.restart();
    this.#startedMs = performance.now();
    this.#signal.throwIfAborted();
  }
}
