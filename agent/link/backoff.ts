/** How long to wait before the next attempt to connect. Pure but for its counter; no timer. */

/** Doubles from the first to the last; a fleet comes back spread over it (full jitter). */
const FIRST_MS = 500;
const LAST_MS = 60_000;
/** An attempt costs the collector a key check: not more than ten a second, however the dice fall. */
const LEAST_MS = 100;
/** A rejection is not signed: whoever can forge one may delay an agent by this much, not silence it. */
const RETRY_MS_MAX = 15 * 60 * 1000;
/** Added to what a collector asked for, so that those it sent away do not come back together. */
const RETRY_JITTER = 0.1;

export class Backoff {
  readonly #random: () => number;
  #ceilingMs = FIRST_MS;

  constructor(random: () => number) {
    this.#random = random;
  }

  /** After a failure without an answer. */
  next(): number {
    const delayMs = Math.max(LEAST_MS, this.#random() * this.#ceilingMs);
    this.#ceilingMs = Math.min(LAST_MS, this.#ceilingMs * 2);
    return delayMs;
  }

  /** After an answer that named a time: never sooner than that. */
  nextAfter(retryMs: number): number {
    const least = Math.min(retryMs, RETRY_MS_MAX);
    return Math.max(least * (1 + this.#random() * RETRY_JITTER), this.next());
  }

  /** The connection held: the next failure is a new story. */
  reset(): void {
    this.#ceilingMs = FIRST_MS;
  }
}
