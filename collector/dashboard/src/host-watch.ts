/** One host as the page watches it: its charts loaded for a window, grown by its stream, loaded again when a gap was filled. Draws nothing. */
import { batch, signal } from '@preact/signals';
import { ApiError, fetchCharts, hostPath } from './api.ts';
import { keepAwake } from './attention.ts';
import { clock } from './clock.ts';
import { Connection } from './connection.ts';
import { readHost, readPoints } from './contract.ts';
import { clipGaps, isOpen, mergeGaps } from './coverage.ts';
import { failure } from './hosts-watch.ts';
import { stepFor } from './route.ts';
import { endSession } from './session.ts';
import { append, fillHoles, prune, resumeMs, timelineOf } from './timeline.ts';
import type { Coverage, Host, Points, Span } from './contract.ts';
import type { TimeWindow } from './coverage.ts';
import type { ServerEvent } from './event-stream.ts';
import type { Phase } from './hosts-watch.ts';
import type { View } from './route.ts';
import type { Timeline } from './timeline.ts';

/** The stream carries what is new, not what comes late; while a gap may still be filled the charts are loaded anew this often. */
const RELOAD_OPEN_MS = 5000;
/** The tail of a coarse chart is this page's own averaging; the collector's replaces it this often. */
const RELOAD_COARSE_MS = 60_000;

/** A host that is silent sends no points, and so no word of how its gap grows; the collector is asked this often. */
const RELOAD_QUIET_MS = 10_000;

/** Events of points kept, one a second: an answer that was made before them would leave them out for good. */
const RECENT_EVENTS_MAX = 30;

const NO_COVERAGE: Coverage = { live: [], late: [], gaps: [] };

export class HostWatch {
  readonly name: string;
  readonly host = signal<Host | undefined>(undefined);
  readonly phase = signal<Phase>({ kind: 'loading' });
  /** True while charts of another window are on their way and the old ones still stand. */
  readonly busy = signal(false);
  readonly timeline = signal<Timeline | undefined>(undefined);
  readonly coverage = signal<Coverage>(NO_COVERAGE);
  /** Rises with each change of the timeline's content. */
  readonly revision = signal(0);
  readonly window = signal<TimeWindow>({ fromMs: 0, toMs: 0 });
  readonly pausedAtMs = signal<number | undefined>(undefined);
  readonly connection: Connection;

  #view: View = { kind: 'live', rangeMs: 0 };
  #sleep: (() => void) | undefined;
  #loading: AbortController | undefined;
  #loadedAtMs = 0;
  #pointsAtMs = 0;
  #recent: readonly Points[] = [];
  #opened = false;
  #reopened = false;
  #reloadTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(name: string) {
    this.name = name;
    this.connection = new Connection({
      url: () => this.#streamUrl(),
      onEvent: (event) => this.#receive(event),
      onUnauthorized: endSession,
      fetch: (input, init) => fetch(input, init),
      random: Math.random,
    });
  }

  async show(view: View): Promise<void> {
    this.#view = view;
    this.pausedAtMs.value = undefined;
    await this.#load();
  }

  pause(): void {
    this.pausedAtMs.value = clock.nowMs();
    this.#rest();
  }

  async proceed(): Promise<void> {
    this.pausedAtMs.value = undefined;
    await this.#load();
  }

  close(): void {
    this.#rest();
    this.#loading?.abort();
  }

  /** Moves a live window on; called each second so that time passes also while nothing comes. */
  tick(): void {
    if (this.phase.value.kind !== 'ready' || this.pausedAtMs.value !== undefined || this.#view.kind === 'fixed') return;
    this.#slide();
    const stepMs = this.timeline.value?.stepMs ?? 1000;
    const quietMs = clock.nowMs() - Math.max(this.#loadedAtMs, this.#pointsAtMs);
    const loadedMs = clock.nowMs() - this.#loadedAtMs;
    const open = loadedMs > RELOAD_OPEN_MS && clipGaps(this.coverage.value.gaps, this.window.value).some(isOpen);
    const coarse = loadedMs > RELOAD_COARSE_MS && stepMs > 1000;
    if ((open || coarse || quietMs > RELOAD_QUIET_MS) && this.connection.state.value.kind === 'live' && !this.busy.value) void this.#load();
  }

  async #load(): Promise<void> {
    this.#loading?.abort();
    clearTimeout(this.#reloadTimer);
    this.#reloadTimer = undefined;
    const abort = new AbortController();
    this.#loading = abort;
    const window = this.#windowNow();
    this.busy.value = true;
    try {
      const answer = await fetchCharts(this.name, window, stepFor(window.toMs - window.fromMs), abort.signal);
      batch(() => {
        this.#loadedAtMs = clock.nowMs();
        const timeline = timelineOf(answer);
        if (this.#view.kind === 'live') fillHoles(timeline, this.#recent);
        this.timeline.value = timeline;
        this.coverage.value = answer.coverage;
        this.window.value = window;
        this.phase.value = { kind: 'ready' };
        this.busy.value = false;
        this.revision.value++;
      });
      this.#sleep ??= keepAwake(this.connection);
    } catch (error) {
      if (abort.signal.aborted) return;
      this.busy.value = false;
      if (error instanceof ApiError && error.status === 401) endSession();
      else if (this.phase.value.kind !== 'ready' || (error instanceof ApiError && error.status !== 0)) this.phase.value = failure(error);
    }
  }

  #windowNow(): TimeWindow {
    if (this.#view.kind === 'fixed') return { fromMs: this.#view.fromMs, toMs: this.#view.toMs };
    const toMs = Math.floor(clock.nowMs() / 1000) * 1000;
    return { fromMs: toMs - this.#view.rangeMs, toMs };
  }

  #streamUrl(): string {
    // The second time this is asked the stream has been away, and so perhaps have points.
    this.#reopened = this.#opened;
    this.#opened = true;
    const timeline = this.timeline.value;
    const fromMs = (timeline && resumeMs(timeline)) ?? clock.nowMs() - 1000;
    return `${hostPath(this.name)}/stream?from=${Math.round(fromMs)}`;
  }

  #slide(): void {
    const newest = this.timeline.value?.times.at(-1) ?? 0;
    const now = this.#windowNow();
    // Data that is a second ahead of our idea of now belongs on the chart, not beyond its edge.
    const ahead = Math.max(0, Math.min(newest - now.toMs, 5000));
    this.window.value = { fromMs: now.fromMs + ahead, toMs: now.toMs + ahead };
  }

  #receive(event: ServerEvent): void {
    if (event.name === 'host') this.host.value = readHost(JSON.parse(event.data)) ?? this.host.value;
    if (event.name !== 'points') return;
    const points = readPoints(JSON.parse(event.data));
    const timeline = this.timeline.value;
    if (!points || !timeline || this.#view.kind === 'fixed') return;
    if (points.times.length > 0) this.#pointsAtMs = clock.nowMs();
    this.#recent = [...this.#recent, points].slice(-RECENT_EVENTS_MAX);
    batch(() => {
      append(timeline, points);
      this.#slide();
      prune(timeline, this.window.value.fromMs);
      this.#cover(points, timeline.stepMs);
      this.revision.value++;
    });
  }

  #cover(points: Points, stepMs: number): void {
    const { live, late, gaps } = this.coverage.value;
    const { fromMs } = this.window.value;
    const merged = mergeGaps(gaps, points.gaps ?? [], (points.times[0] ?? Infinity) - 1000);
    this.coverage.value = { live: grown(live, points.times, stepMs, fromMs), late, gaps: clipGaps(merged, { fromMs, toMs: Infinity }) };
    if (this.#reopened) this.#reloadSoon();
    this.#reopened = false;
  }

  #reloadSoon(): void {
    if (this.#reloadTimer !== undefined) return;
    const waitMs = Math.max(0, this.#loadedAtMs + RELOAD_OPEN_MS - clock.nowMs());
    this.#reloadTimer = setTimeout(() => void this.#load(), waitMs);
  }

  #rest(): void {
    this.#sleep?.();
    this.#sleep = undefined;
    this.#opened = false;
    this.#recent = [];
    clearTimeout(this.#reloadTimer);
    this.#reloadTimer = undefined;
    this.connection.stop();
  }
}

/** A sample stands for the step that ends with it; neighbours join to one span. */
function grown(live: readonly Span[], times: readonly number[], stepMs: number, fromMs: number): readonly Span[] {
  const spans = live.filter(([, to]) => to > fromMs);
  for (const time of times) {
    const last = spans.at(-1);
    if (last && time <= last[1]) continue;
    if (last && time - last[1] <= stepMs * 1.5) spans[spans.length - 1] = [last[0], time];
    else spans.push([time - 1000, time]);
  }
  return spans;
}
