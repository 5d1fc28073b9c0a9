/** What a gatherer is: one source of metrics on the host, read on a tick. The list of gatherers is in all.ts; nothing registers itself. */

/** OpenMetrics types that a gathered metric can have. */
export type MetricType = 'counter' | 'gauge' | 'histogram' | 'summary' | 'info' | 'unknown';

/** A metric family; declared once at the top of the file that owns it. Names and help are node_exporter's where it has them. */
export type Metric = { readonly name: string; readonly type: MetricType; readonly help: string };

/** Label pairs of one series, without those that say which host it is (`job`, `instance`). Any order; the sink sorts. */
export type LabelPairs = Readonly<Record<string, string>>;

/** Number of a series in this process. Stable as long as the process lives; never reused for another series. */
export type SeriesRef = number;

/** Where samples go. Values of one `gather` call share one timestamp, the tick's. */
export interface SampleSink {
  /** Finds or makes a series. Costs a map look-up: gatherers keep the ref and do not call this per tick for what they know. */
  series(metric: Metric, labels?: LabelPairs): SeriesRef;
  /** Sets the value of a series at this tick. The last call wins. A series that is not set at a tick ends there (staleness marker). */
  set(ref: SeriesRef, value: number): void;
}

/** Time as the agent sees it; injected, so that tests own it. */
export interface Clock {
  /** Ms since 1970 in the current clock segment; never steps back within a segment. */
  wallMs(): number;
  /** Ms from an arbitrary start; never steps. */
  monotonicMs(): number;
}

/** Timers, injected for the same reason. */
export interface Timers {
  setTimer(callback: () => void, delayMs: number): unknown;
  clearTimer(timer: unknown): void;
}

/** One look at the host. */
export type Tick = {
  /** Scheduled time, ms since 1970 in the agent's current clock segment; samples carry it. A whole second. */
  readonly timeMs: number;
  /** Monotonic time, ms. For rates, durations and deadlines. */
  readonly monotonicMs: number;
};

export interface Gatherer {
  /** The name of node_exporter's collector where it has one (`cpu`, `meminfo`, ...); also the key in the configuration. */
  readonly name: string;
  /** Default interval; a multiple of 1000. */
  readonly intervalMs: number;
  /**
   * Reads and sets. May throw: the scheduler counts it, reports `node_scrape_collector_success` 0 and goes on with the others.
   * Synchronous for /proc and /sys (a read there does not block); a promise only where the kernel may hang (statfs): it then has until its next
   * interval. What it sets within the scheduler's grace (half a second) carries the tick it was started for, what comes later goes with the next tick.
   */
  gather(tick: Tick, sink: SampleSink): void | Promise<void>;
  /** Closes kept-open descriptors. */
  close(): void;
}

/** Paths under which the host is seen; settings, so that a container or a fixture tree can be watched. */
export type HostPaths = { readonly procfs: string; readonly sysfs: string; readonly rootfs: string; readonly udev: string };
