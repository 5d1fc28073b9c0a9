/**
 * When the pending batch is sealed: at fixed instants of the wall clock on line and off line, and at once when somebody must not wait. Not the sealing.
 * The instants of an agent are shifted by a phase of its own that never changes, so that a fleet does not flush in the same millisecond.
 */
import type { Timers } from './gather/gatherer.ts';

export type FlusherOptions = {
  /** Names the phase: the same at each start. */
  readonly agentId: Uint8Array;
  readonly wallMs: () => number;
  readonly monotonicMs: () => number;
  readonly timers: Timers;
  readonly flushMs: number;
  readonly offlineFlushMs: number;
  readonly flush: () => void;
};

/** Ticks fall on whole seconds and are gathered within some ms: a flush keeps clear of both ends of a second. */
const SECOND_MS = 1000;
const CLEAR_MS = 50;

export class Flusher {
  readonly #options: FlusherOptions;
  #online = false;
  /** The first tick after start is flushed at once, so that a new host shows within a second. */
  #urgent = true;
  #liveUntilMs = -Infinity;
  #dueMs = 0;
  #timer: unknown;
  #stopped = false;

  constructor(options: FlusherOptions) {
    this.#options = options;
    this.#arm();
  }

  /** After each tick's synchronous gatherers have run. `crossed`: a hinted comparison changed its truth. */
  tickDone(crossed: boolean): void {
    if (!this.#urgent && !(this.#online && (crossed || this.isLive))) return;
    this.#urgent = false;
    this.#options.flush();
  }

  /** While somebody watches, each tick is flushed. */
  get isLive(): boolean {
    return this.#options.monotonicMs() < this.#liveUntilMs;
  }

  /** Flush at each tick for this long; 0 ends it. */
  live(durationMs: number): void {
    this.#liveUntilMs = this.#options.monotonicMs() + durationMs;
  }

  /** The link came up (what is pending goes out at once) or went down (frames become long). */
  setOnline(online: boolean): void {
    if (this.#online === online) return;
    this.#online = online;
    if (online) this.#options.flush();
    this.#arm();
  }

  stop(): void {
    this.#stopped = true;
    this.#options.timers.clearTimer(this.#timer);
  }

  #arm(): void {
    this.#options.timers.clearTimer(this.#timer);
    if (this.#stopped) return;
    const { agentId, flushMs, offlineFlushMs, wallMs, timers } = this.#options;
    const intervalMs = this.#online ? flushMs : offlineFlushMs;
    const nowMs = wallMs();
    this.#dueMs = nextFlushMs(nowMs, intervalMs, flushPhaseMs(agentId, intervalMs));
    this.#timer = timers.setTimer(() => this.#fire(), Math.ceil(this.#dueMs - nowMs));
  }

  #fire(): void {
    // A timer may come early by a rounding, and the wall clock may have stepped back: only what is due is flushed.
    if (this.#options.wallMs() >= this.#dueMs) this.#options.flush();
    this.#arm();
  }
}

/** Ms after a multiple of the interval at which this agent flushes. */
export function flushPhaseMs(agentId: Uint8Array, intervalMs: number): number {
  const view = new DataView(agentId.buffer, agentId.byteOffset, agentId.byteLength);
  const seconds = Math.max(1, Math.floor(intervalMs / SECOND_MS));
  const second = view.getUint32(0) % seconds;
  return second * SECOND_MS + CLEAR_MS + (view.getUint32(4) % (SECOND_MS - 2 * CLEAR_MS));
}

/** The first instant after `nowMs` that lies `phaseMs` after a multiple of the interval. */
export function nextFlushMs(nowMs: number, intervalMs: number, phaseMs: number): number {
  return (Math.floor((nowMs - phaseMs) / intervalMs) + 1) * intervalMs + phaseMs;
}
