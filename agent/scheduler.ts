/**
 * When gatherers run: on whole seconds of the agent's clock, each at its interval, none twice at once, and none able to stop or delay the
 * others. Not what they read, nor what becomes of the samples.
 */
import type { Clock, Gatherer, LabelPairs, Metric, SampleSink, SeriesRef, Tick, Timers } from './gather/gatherer.ts';
import { GatherError } from './gather/scanner.ts';

export type { Clock, Timers } from './gather/gatherer.ts';

/** Ticks fall on whole seconds; every interval is a multiple of it. */
const TICK_MS = 1000;
/** A timer that fires this much before its second (1 %) stands for that second. */
const EARLY_MS_MAX = TICK_MS / 100;
/** How long a tick waits for gatherers that ask the kernel without knowing whether it answers; their later samples go with the next tick. */
const GRACE_MS = 500;
/** Wall minus monotonic time moving by more than this is a new clock segment, not a tick that was missed (DESIGN law 10). */
const STEP_MS = 100;

const SUCCESS: Metric = { name: 'node_scrape_collector_success', type: 'gauge', help: 'node_exporter: Whether a collector succeeded.' };
const DURATION: Metric = {
  name: 'node_scrape_collector_duration_seconds',
  type: 'gauge',
  help: 'node_exporter: Duration of a collector scrape.',
};
const FAILURES: Metric = {
  name: 'picket_agent_gather_failures_total',
  type: 'counter',
  help: 'Times that a gatherer could not read what it reads.',
};
const OVERRUNS: Metric = {
  name: 'picket_agent_gather_overruns_total',
  type: 'counter',
  help: 'Times that a gatherer was left out because its previous run had not ended.',
};
const MISSED: Metric = {
  name: 'picket_agent_ticks_missed_total',
  type: 'counter',
  help: 'Seconds in which nothing was gathered because the agent could not run: blocked, suspended or starved.',
};

/** The part of a pino logger that is used here. */
export interface GatherLog {
  warn(fields: object, message: string): void;
  info(fields: object, message: string): void;
}

export type SchedulerOptions = {
  /** In the order in which they run. */
  readonly gatherers: readonly { readonly gatherer: Gatherer; readonly intervalMs: number }[];
  readonly sink: SampleSink;
  /** A sink for each gatherer, where whoever takes the samples must know who set them (a series ends when its gatherer no longer sets it). */
  readonly sinkFor?: (gatherer: Gatherer) => SampleSink;
  readonly clock: Clock;
  readonly timers: Timers;
  /** Once per tick, when every sample of it that will come has been set; `ran` are the gatherers that have ended a run with it, in their order. */
  readonly onTick: (tick: Tick, ran: readonly Gatherer[]) => void;
  /** Before the clock is read for a tick: where the agent's clock looks whether the machine's was stepped. */
  readonly beforeTick?: () => void;
  readonly log: GatherLog;
};

/** One gatherer's place in the schedule. */
type Entry = {
  readonly gatherer: Gatherer;
  readonly intervalMs: number;
  readonly sink: HeldSink;
  readonly success: SeriesRef;
  readonly duration: SeriesRef;
  readonly labels: LabelPairs;
  /** Which of its intervals it ran in last. */
  slot: number;
  isRunning: boolean;
  /** A run has ended since the last tick was finished. */
  hasEnded: boolean;
  isFailing: boolean;
  failures: number;
  overruns: number;
};

export class Scheduler {
  readonly #options: SchedulerOptions;
  readonly #entries: readonly Entry[];
  readonly #missedRef: SeriesRef;
  #missed = 0;
  #timer: unknown;
  #nextMs = 0;
  #offsetMs = 0;
  #isStopped = true;
  #running: Promise<void> | undefined;

  constructor(options: SchedulerOptions) {
    this.#options = options;
    this.#missedRef = options.sink.series(MISSED);
    this.#entries = options.gatherers.map(({ gatherer, intervalMs }) =>
      entryOf(gatherer, intervalMs, options.sinkFor?.(gatherer) ?? options.sink),
    );
  }

  /** The first tick is the next whole second, and every gatherer runs in it. */
  start(): void {
    if (!this.#isStopped) return;
    this.#isStopped = false;
    this.#anchor();
    this.#arm();
  }

  /** Ends after the tick that is running, at most the grace later, and closes the gatherers. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#options.timers.clearTimer(this.#timer);
    await this.#running;
    for (const { gatherer } of this.#entries) gatherer.close();
  }

  /** Runs every gatherer for one tick and waits for all of them, however long they take. Not while started. */
  async runOnce(tick: Tick): Promise<void> {
    for (const { sink } of this.#entries) sink.open();
    await Promise.all(this.#entries.map((entry) => this.#run(entry, tick)).filter((run) => run !== undefined));
    this.#finish(tick);
  }

  #anchor(): void {
    const nowMs = this.#options.clock.wallMs();
    this.#offsetMs = nowMs - this.#options.clock.monotonicMs();
    this.#nextMs = Math.floor(nowMs / TICK_MS) * TICK_MS + TICK_MS;
  }

  #arm(): void {
    if (this.#isStopped) return;
    const delayMs = Math.max(0, this.#nextMs - this.#options.clock.wallMs());
    this.#timer = this.#options.timers.setTimer(() => this.#fire(), Math.ceil(delayMs));
  }

  #fire(): void {
    const { clock, beforeTick } = this.#options;
    beforeTick?.();
    const nowMs = clock.wallMs();
    const monotonicMs = clock.monotonicMs();
    if (Math.abs(nowMs - monotonicMs - this.#offsetMs) > STEP_MS) {
      this.#anchor();
      this.#arm();
      return;
    }
    if (this.#nextMs - nowMs > EARLY_MS_MAX) {
      this.#arm();
      return;
    }
    // Late by whole seconds: those are gone, the tick stands for the second that runs now.
    const timeMs = Math.max(this.#nextMs, Math.floor(nowMs / TICK_MS) * TICK_MS);
    this.#missed += (timeMs - this.#nextMs) / TICK_MS;
    this.#nextMs = timeMs + TICK_MS;
    this.#running = this.#tick({ timeMs, monotonicMs });
  }

  /** Synchronous up to its end unless a gatherer is not. */
  #tick(tick: Tick): Promise<void> | undefined {
    let waiting: Promise<void>[] | undefined;
    for (const entry of this.#entries) {
      entry.sink.open();
      const slot = Math.floor(tick.timeMs / entry.intervalMs);
      if (slot === entry.slot) continue;
      entry.slot = slot;
      if (entry.isRunning) {
        this.#overrun(entry);
        continue;
      }
      const run = this.#run(entry, tick);
      if (run !== undefined) (waiting ??= []).push(run);
    }
    if (waiting === undefined) {
      this.#finish(tick);
      this.#arm();
      return undefined;
    }
    return this.#withinGrace(waiting).then(() => {
      this.#finish(tick);
      this.#arm();
    });
  }

  #withinGrace(waiting: readonly Promise<void>[]): Promise<void> {
    const { timers } = this.#options;
    return new Promise((resolve) => {
      const timer = timers.setTimer(resolve, GRACE_MS);
      void Promise.all(waiting).then(() => {
        timers.clearTimer(timer);
        resolve();
      });
    });
  }

  #finish(tick: Tick): void {
    this.#options.sink.set(this.#missedRef, this.#missed);
    const ran: Gatherer[] = [];
    for (const entry of this.#entries) {
      entry.sink.hold();
      if (entry.hasEnded) ran.push(entry.gatherer);
      entry.hasEnded = false;
    }
    this.#options.onTick(tick, ran);
  }

  /** Never throws and never rejects: a failure is a sample. */
  #run(entry: Entry, tick: Tick): Promise<void> | undefined {
    const startMs = this.#options.clock.monotonicMs();
    try {
      const promise = entry.gatherer.gather(tick, entry.sink);
      if (promise === undefined) {
        this.#settle(entry, startMs, undefined);
        return undefined;
      }
      entry.isRunning = true;
      return promise.then(
        () => this.#settle(entry, startMs, undefined),
        (error: unknown) => this.#settle(entry, startMs, error),
      );
    } catch (error) {
      this.#settle(entry, startMs, error);
      return undefined;
    }
  }

  #settle(entry: Entry, startMs: number, error: unknown): void {
    const { sink } = entry;
    const isFailed = error !== undefined;
    entry.isRunning = false;
    entry.hasEnded = true;
    sink.set(entry.success, isFailed ? 0 : 1);
    // Tenths of a millisecond: what is behind is noise of every run, and was a fifteenth of all bytes on the wire.
    sink.set(entry.duration, Math.round((this.#options.clock.monotonicMs() - startMs) * 10) / 1e4);
    if (isFailed) entry.failures++;
    if (entry.failures > 0) sink.set(sink.series(FAILURES, entry.labels), entry.failures);
    // Set by every run from the first overrun on: a series that a run leaves out has ended.
    if (entry.overruns > 0) sink.set(sink.series(OVERRUNS, entry.labels), entry.overruns);
    this.#tell(entry, isFailed, error);
    entry.isFailing = isFailed;
  }

  /** Once per change, not once per second. What a kernel does not have is no fault of anybody. */
  #tell(entry: Entry, isFailed: boolean, error: unknown): void {
    if (isFailed === entry.isFailing) return;
    const { log } = this.#options;
    const collector = entry.gatherer.name;
    if (!isFailed) log.info({ collector }, 'gatherer works again');
    else if (error instanceof GatherError && error.code === 'source_missing')
      log.info({ collector, reason: error.message }, 'gatherer has nothing to read');
    else log.warn({ collector, err: error }, 'gatherer failed');
  }

  #overrun(entry: Entry): void {
    entry.overruns++;
    entry.sink.set(entry.success, 0);
    entry.sink.set(entry.sink.series(OVERRUNS, entry.labels), entry.overruns);
  }
}

/** Between two ticks it keeps what is set and hands it over when the next one begins. */
class HeldSink implements SampleSink {
  readonly #sink: SampleSink;
  readonly #refs: SeriesRef[] = [];
  readonly #values: number[] = [];
  #isOpen = true;

  constructor(sink: SampleSink) {
    this.#sink = sink;
  }

  series(metric: Metric, labels?: LabelPairs): SeriesRef {
    return this.#sink.series(metric, labels);
  }

  set(ref: SeriesRef, value: number): void {
    if (this.#isOpen) {
      this.#sink.set(ref, value);
    } else {
      this.#refs.push(ref);
      this.#values.push(value);
    }
  }

  open(): void {
    this.#isOpen = true;
    for (let i = 0; i < this.#refs.length; i++) this.#sink.set(this.#refs[i] as number, this.#values[i] as number);
    this.#refs.length = this.#values.length = 0;
  }

  hold(): void {
    this.#isOpen = false;
  }
}

function entryOf(gatherer: Gatherer, intervalMs: number, sink: SampleSink): Entry {
  if (!Number.isInteger(intervalMs / TICK_MS) || intervalMs < TICK_MS) {
    throw new RangeError(`interval of gatherer ${gatherer.name} must be a multiple of ${TICK_MS} ms, got ${intervalMs}`);
  }
  const labels = { collector: gatherer.name };
  return {
    gatherer,
    intervalMs,
    sink: new HeldSink(sink),
    success: sink.series(SUCCESS, labels),
    duration: sink.series(DURATION, labels),
    labels,
    slot: -1,
    isRunning: false,
    hasEnded: false,
    isFailing: false,
    failures: 0,
    overruns: 0,
  };
}
