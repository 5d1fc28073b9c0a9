/**
 * The collector's clock as this page knows it. Ages are judged by the collector's clock alone, and a browser's clock may be minutes off;
 * the Date header of each answer says by how much, to a second.
 */
import { signal } from '@preact/signals';

/** The Date header is cut to whole seconds, so differences up to this are the header's own. */
const OFFSET_MIN_MS = 2000;

class CollectorClock {
  #offsetMs = 0;
  /** The time of the last second that began; views that show ages read it, so that all of them agree. */
  readonly tick = signal(Date.now());

  nowMs(): number {
    return Date.now() + this.#offsetMs;
  }

  get offsetMs(): number {
    return this.#offsetMs;
  }

  /** `header` was written between the two times of our own clock. */
  learn(header: string | null, sentMs: number, receivedMs: number): void {
    const theirs = header === null ? NaN : Date.parse(header) + 500;
    const offset = theirs - (sentMs + receivedMs) / 2;
    if (!Number.isFinite(offset)) return;
    this.#offsetMs = Math.abs(offset) < OFFSET_MIN_MS ? 0 : offset;
    this.tick.value = this.nowMs();
  }

  run(): void {
    setInterval(() => (this.tick.value = this.nowMs()), 1000);
  }
}

export const clock = new CollectorClock();
