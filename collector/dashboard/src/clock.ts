/**
 * The collector's clock as this page knows it. Ages are judged by the collector's clock alone, and a browser's clock may be minutes off;
 * the Date header of each answer says by how much, to a second.
 */
import { signal } from '@preact/signals';

/** The Date header is cut to whole seconds, and a clock that is two seconds off misleads nobody. */
const OFFSET_MIN_MS = 2000;

/** How far another clock is ahead, if a header written between two times of ours shows it to be; 0 if it may as well be right. Pure. */
export function offsetFrom(header: string | null, sentMs: number, receivedMs: number): number | undefined {
  const theirs = header === null ? Number.NaN : Date.parse(header) + 500;
  if (!Number.isFinite(theirs)) return undefined;
  const offset = theirs - (sentMs + receivedMs) / 2;
  // It may have been written at either end of the wait: a slow answer proves little.
  return Math.abs(offset) < OFFSET_MIN_MS + (receivedMs - sentMs) / 2 ? 0 : offset;
}

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

  learn(header: string | null, sentMs: number, receivedMs: number): void {
    const offset = offsetFrom(header, sentMs, receivedMs);
    if (offset === undefined) return;
    this.#offsetMs = offset;
    this.tick.value = this.nowMs();
  }

  run(): void {
    setInterval(() => (this.tick.value = this.nowMs()), 1000);
  }
}

export const clock = new CollectorClock();
