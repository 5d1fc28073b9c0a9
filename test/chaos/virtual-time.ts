/**
 * The one clock of a simulated world: events in order of their time, and the process's own timers put on it. Between two events every promise that
 * can go on does, so that a run is a function of its seed. No wall time, no threads.
 */

type Event = { readonly atMs: number; readonly order: number; run: (() => void) | undefined };

const GLOBALS = ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'setImmediate', 'clearImmediate'] as const;
const realImmediate = globalThis.setImmediate;

export class VirtualTime {
  /** Ms since 1970 on the one true clock, a whole number. */
  nowMs: number;
  events = 0;
  /** A binary heap by time, then by the order in which they were asked for. */
  readonly #heap: Event[] = [];
  #order = 0;
  #saved: Partial<Record<(typeof GLOBALS)[number], unknown>> = {};
  #realNow: typeof performance.now | undefined;
  /** What global timers are pending: they belong to the one collector that lives. */
  readonly #ofProcess = new Set<Event>();

  constructor(nowMs: number) {
    this.nowMs = nowMs;
  }

  after(delayMs: number, run: () => void): Event {
    const event: Event = { atMs: this.nowMs + Math.ceil(Math.max(0, delayMs)), order: this.#order++, run };
    this.#push(event);
    return event;
  }

  cancel(event: Event | undefined): void {
    if (event !== undefined) event.run = undefined;
  }

  /** Runs all events up to the time, each followed by whatever promises it let go on. */
  async runUntil(endMs: number, afterEach: () => void): Promise<void> {
    await quiet();
    for (let next = this.#heap[0]; next !== undefined && next.atMs <= endMs; next = this.#heap[0]) {
      this.#pop();
      if (next.run === undefined) continue;
      this.nowMs = Math.max(this.nowMs, next.atMs);
      this.events++;
      next.run();
      await quiet();
      afterEach();
    }
    this.nowMs = Math.max(this.nowMs, endMs);
  }

  /** From here on the timers of this process are events. Ends with `restore`. */
  install(): void {
    const global = globalThis as unknown as Record<string, unknown>;
    for (const name of GLOBALS) this.#saved[name] = global[name];
    const arm = (delayMs: number, run: () => void): Event => {
      const event = this.after(delayMs, () => {
        this.#ofProcess.delete(event);
        run();
      });
      this.#ofProcess.add(event);
      return Object.assign(event, { unref: () => event, ref: () => event });
    };
    const clear = (event: Event | undefined): void => {
      if (event === undefined) return;
      this.#ofProcess.delete(event);
      this.cancel(event);
    };
    global['setTimeout'] = (run: () => void, delayMs = 0) => arm(delayMs, run);
    global['setImmediate'] = (run: () => void) => arm(0, run);
    global['setInterval'] = (run: () => void, delayMs: number) => {
      const handle = { current: undefined as Event | undefined, unref: () => handle, interval: true };
      const again = (): void => {
        handle.current = arm(delayMs, () => {
          again();
          run();
        });
      };
      again();
      return handle;
    };
    const startedMs = this.nowMs;
    this.#realNow = performance.now;
    performance.now = () => this.nowMs - startedMs;
    global['clearTimeout'] = clear;
    global['clearImmediate'] = clear;
    global['clearInterval'] = (handle: { current?: Event } | undefined) => clear(handle?.current);
  }

  restore(): void {
    const global = globalThis as unknown as Record<string, unknown>;
    for (const name of GLOBALS) if (this.#saved[name] !== undefined) global[name] = this.#saved[name];
    this.#saved = {};
    if (this.#realNow !== undefined) performance.now = this.#realNow;
  }

  /** The process that armed them is dead. */
  forgetProcessTimers(): void {
    for (const event of this.#ofProcess) this.cancel(event);
    this.#ofProcess.clear();
  }

  #push(event: Event): void {
    const heap = this.#heap;
    let at = heap.push(event) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(event, heap[parent] as Event)) break;
      heap[at] = heap[parent] as Event;
      at = parent;
    }
    heap[at] = event;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop() as Event;
    if (heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1] as Event, heap[child] as Event)) child++;
      if (!isBefore(heap[child] as Event, last)) break;
      heap[at] = heap[child] as Event;
      at = child;
    }
    heap[at] = last;
  }
}

export type { Event };

/** Resolves when no promise can go on without an event. */
export function quiet(): Promise<void> {
  return new Promise((resolve) => {
    realImmediate(resolve);
  });
}

function isBefore(a: Event, b: Event): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}
