/**
 * The live figures of all hosts: read per metric for the many hosts that have new samples, not per host, and only while somebody looks.
 * Not the list of hosts, which is the roster's.
 */
import { labelValue, type Matcher } from '../model/labels.ts';
import type { AppendedFeed, SampleSource, SeriesColumns } from '../model/ports.ts';
import { latestRate, latestValue } from '../query/rates.ts';
import { anyOf, eachSeries, equalTo, isRealFilesystem, isRealInterface } from './host-metrics.ts';
import type { Roster, RosterHost } from '../model/roster.ts';
import { NO_VALUES, type HostValues } from './roster.ts';

/** Figures are read again at most this often, and never more than half of the time. */
const REFRESH_MS = 1000;
/** What is read of a host that reports: the default flush of 5 s, the slower of the usual gatherers, and some delay. */
const SHORT_MS = 25_000;
/** What is read of a host for the first time, and how long a figure is shown after its last sample. */
const LONG_MS = 5 * 60_000;
/** A host of which the short span does not show everything (it gathers rarely, or has no disk) is read at length this often. */
const LONG_EVERY_MS = 60_000;
/** Agents' clocks may be ahead by this much. */
const AHEAD_MS = 2 * 60_000;
/** Rates of the list are averages over this long, so that they can be read while they change. */
const RATE_SPAN_MS = 5000;
/** Above this many changed hosts all are read: a matcher with more names costs more than the series it spares. */
const NAMED_HOSTS_MAX = 5000;

export type FleetDeps = {
  readonly source: SampleSource;
  readonly feed: AppendedFeed;
  readonly roster: Roster;
  readonly nowMs: () => number;
};

export class Fleet {
  readonly #deps: FleetDeps;
  readonly #hosts = new Map<string, HostFigures>();
  /** Agents with samples that the figures do not show yet. Bounded by the agents that exist. */
  #changed = new Set<string>();
  #readMs = -Infinity;
  #tookMs = 0;
  #reading: Promise<void> | undefined;
  readonly #listeners = new Set<(agentIds: ReadonlySet<string>) => void>();
  readonly #abort = new AbortController();
  readonly #unsubscribe: () => void;

  constructor(deps: FleetDeps) {
    this.#deps = deps;
    this.#unsubscribe = deps.feed.onAppended((agentId) => this.#changed.add(agentId));
  }

  close(): void {
    this.#abort.abort(new Error('the server is closing'));
    this.#unsubscribe();
  }

  /** Calls with the agents whose figures have been read. */
  onRead(listener: (agentIds: ReadonlySet<string>) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Figures as of the last refresh. */
  values(host: string): HostValues {
    const figures = this.#hosts.get(host);
    return figures === undefined ? NO_VALUES : hostValues(figures, this.#deps.nowMs());
  }

  /** Reads what has changed, if the last time is long enough ago. Those who ask at once share one reading. */
  refresh(): Promise<void> {
    if (this.#reading !== undefined) return this.#reading;
    const startMs = performance.now();
    if (startMs - this.#readMs < Math.max(REFRESH_MS - 50, this.#tookMs)) return Promise.resolve();
    this.#reading = this.#readChanged().finally(() => {
      this.#readMs = startMs;
      this.#tookMs = 2 * (performance.now() - startMs);
      this.#reading = undefined;
    });
    return this.#reading;
  }

  /** Reads one host if it has changed; for who looks at that one alone. */
  async refreshHost(host: RosterHost): Promise<void> {
    if (this.#changed.delete(host.agentId) || !this.#hosts.has(host.name)) await this.#read([host], Infinity);
  }

  async #readChanged(): Promise<void> {
    const changed = this.#changed;
    this.#changed = new Set();
    const roster = this.#deps.roster.hosts();
    this.#forget(new Set(roster.map((host) => host.name)));
    await this.#read(
      roster.filter((host) => changed.has(host.agentId) || !this.#hosts.has(host.name)),
      roster.length,
    );
  }

  /** `hostCount`: how many hosts there are, to know when naming them spares nothing. */
  async #read(hosts: readonly RosterHost[], hostCount: number): Promise<void> {
    const nowMs = this.#deps.nowMs();
    const known = namesOf(hosts.filter((host) => this.#hosts.has(host.name)));
    const unread = namesOf(hosts.filter((host) => !this.#hosts.has(host.name)));
    try {
      await this.#readSpan(known, hostCount, SHORT_MS);
      const lengthy = [...unread, ...known.filter((name) => lacks(this.#hosts.get(name), nowMs))];
      await this.#readSpan(lengthy, hostCount, LONG_MS);
      for (const name of lengthy) this.#figuresOf(name).longReadMs = nowMs;
    } catch (error) {
      for (const host of hosts) this.#changed.add(host.agentId);
      throw error;
    }
    const read = new Set(hosts.map((host) => host.agentId));
    for (const listener of this.#listeners) listener(read);
  }

  #forget(present: ReadonlySet<string>): void {
    for (const name of this.#hosts.keys()) if (!present.has(name)) this.#hosts.delete(name);
  }

  #figuresOf(name: string): HostFigures {
    let figures = this.#hosts.get(name);
    if (figures === undefined) this.#hosts.set(name, (figures = { metrics: [], longReadMs: -Infinity }));
    return figures;
  }

  async #readSpan(names: readonly string[], hostCount: number, spanMs: number): Promise<void> {
    if (names.length === 0) return;
    const all = names.length === hostCount && hostCount > 1;
    const hosts = all || names.length > NAMED_HOSTS_MAX ? [] : [anyOf('instance', names)];
    const wanted = new Set(names);
    const nowMs = this.#deps.nowMs();
    const span = { fromMs: nowMs - spanMs, toMs: nowMs + AHEAD_MS };
    for (const [i, metric] of METRICS.entries()) {
      const found = new Map<string, Entries>();
      await eachSeries(this.#deps.source, [...metric.matchers, ...hosts], span, this.#abort.signal, (series) => {
        const host = labelValue(series.labels, 'instance');
        if (!wanted.has(host)) return;
        let entries = found.get(host);
        if (entries === undefined) found.set(host, (entries = new Map()));
        metric.add(series, entries);
      });
      for (const [host, entries] of found) if (entries.size > 0) this.#figuresOf(host).metrics[i] = { entries, readMs: nowMs };
    }
  }
}

function namesOf(hosts: readonly RosterHost[]): readonly string[] {
  return hosts.map((host) => host.name);
}

/** What one metric says of a host: a name of its own for each part. */
type Entries = Map<string, number>;

type HostFigures = {
  /** By index in METRICS. */
  readonly metrics: ({ readonly entries: Entries; readonly readMs: number } | undefined)[];
  longReadMs: number;
};

function lacks(figures: HostFigures | undefined, nowMs: number): boolean {
  if (figures === undefined) return true;
  return nowMs - figures.longReadMs >= LONG_EVERY_MS && METRICS.some((_, i) => (figures.metrics[i]?.readMs ?? -Infinity) < nowMs);
}

type FleetMetric = { readonly matchers: readonly Matcher[]; readonly add: (series: SeriesColumns, entries: Entries) => void };

const VALUE = '';

const METRICS = [
  {
    matchers: [equalTo('__name__', 'node_cpu_seconds_total'), equalTo('mode', 'idle')],
    add: (series, entries) => {
      const idle = latestRate(series, RATE_SPAN_MS);
      if (idle === undefined) return;
      addTo(entries, 'idle', idle);
      addTo(entries, 'cpus', 1);
    },
  },
  gauge('node_memory_MemTotal_bytes'),
  gauge('node_memory_MemAvailable_bytes'),
  gauge('node_load1'),
  filesystem('node_filesystem_size_bytes'),
  filesystem('node_filesystem_avail_bytes'),
  networkRate('node_network_receive_bytes_total'),
  networkRate('node_network_transmit_bytes_total'),
] as const satisfies readonly FleetMetric[];

function gauge(name: string): FleetMetric {
  return {
    matchers: [equalTo('__name__', name)],
    add: (series, entries) => {
      const value = latestValue(series);
      if (value !== undefined) entries.set(VALUE, value);
    },
  };
}

/** One entry per mount point. */
function filesystem(name: string): FleetMetric {
  return {
    matchers: [equalTo('__name__', name)],
    add: (series, entries) => {
      const value = latestValue(series);
      if (value !== undefined && isRealFilesystem(series.labels)) entries.set(labelValue(series.labels, 'mountpoint'), value);
    },
  };
}

function networkRate(name: string): FleetMetric {
  return {
    matchers: [equalTo('__name__', name)],
    add: (series, entries) => {
      const rate = isRealInterface(series.labels) ? latestRate(series, RATE_SPAN_MS) : undefined;
      if (rate !== undefined) addTo(entries, VALUE, rate);
    },
  };
}

function addTo(entries: Entries, name: string, value: number): void {
  entries.set(name, (entries.get(name) ?? 0) + value);
}

function hostValues(figures: HostFigures, nowMs: number): HostValues {
  const parts = METRICS.map((_, i) => {
    const metric = figures.metrics[i];
    return metric === undefined || nowMs - metric.readMs > LONG_MS ? undefined : metric.entries;
  });
  const [cpu, memoryTotal, memoryAvailable, load1, sizes, avails, received, transmitted] = parts;
  const total = memoryTotal?.get(VALUE) ?? null;
  const available = memoryAvailable?.get(VALUE) ?? null;
  const used = total === null || available === null ? null : total - available;
  const disk = fullest(sizes, avails);
  return {
    cpuPercent: cpu === undefined ? null : clampPercent(100 * (1 - (cpu.get('idle') ?? 0) / (cpu.get('cpus') ?? 1))),
    memoryPercent: used === null || total === null || total === 0 ? null : clampPercent((100 * used) / total),
    memoryBytes: used,
    memoryTotalBytes: total,
    diskPercent: disk?.percent ?? null,
    diskMount: disk?.mount ?? null,
    load1: load1?.get(VALUE) ?? null,
    networkReceiveBytesPerSecond: received?.get(VALUE) ?? null,
    networkTransmitBytesPerSecond: transmitted?.get(VALUE) ?? null,
  };
}

function fullest(
  sizes: Entries | undefined,
  avails: Entries | undefined,
): { readonly percent: number; readonly mount: string } | undefined {
  let found: { readonly percent: number; readonly mount: string } | undefined;
  for (const [mount, size] of sizes ?? []) {
    const avail = avails?.get(mount);
    if (avail === undefined || size <= 0) continue;
    const percent = clampPercent(100 * (1 - avail / size));
    if (found === undefined || percent > found.percent) found = { percent, mount };
  }
  return found;
}

/** Idle time is counted in hundredths of a second: a whole idle second may read as 1.01. */
function clampPercent(percent: number): number {
  return Math.min(100, Math.max(0, percent));
}
