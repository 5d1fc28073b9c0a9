/** Gatherers for platforms without /proc: what Node's own `os` knows each second, what systeminformation must ask other programs for every ten. */
import os from 'node:os';
import { Binding } from './binding.ts';
import type { Gatherer, LabelPairs, Metric, SampleSink, SeriesRef, Tick } from './gatherer.ts';

/** Names are node_exporter's for macOS. */
const gauge = (name: string, help: string): Metric => ({ name: `node_${name}`, type: 'gauge', help });
const counter = (name: string, help: string): Metric => ({ name: `node_${name}`, type: 'counter', help });
const CPU_SECONDS = counter('cpu_seconds_total', 'Seconds the CPUs spent in each mode.');
const LOADS = [gauge('load1', '1m load average.'), gauge('load5', '5m load average.'), gauge('load15', '15m load average.')];
const MEMORY_TOTAL = gauge('memory_total_bytes', 'Memory information field total_bytes.');
const MEMORY_FREE = gauge('memory_free_bytes', 'Memory information field free_bytes.');
const BOOT = gauge('boot_time_seconds', 'Node boot time, in unixtime.');
const FILESYSTEM = {
  size: gauge('filesystem_size_bytes', 'Filesystem size in bytes.'),
  avail: gauge('filesystem_avail_bytes', 'Filesystem space available to non-root users in bytes.'),
  free: gauge('filesystem_free_bytes', 'Filesystem free space in bytes.'),
  readonly: gauge('filesystem_readonly', 'Filesystem read-only status.'),
};
const NETWORK = ['receive_bytes', 'receive_errs', 'receive_drop', 'transmit_bytes', 'transmit_errs', 'transmit_drop'].map((name) =>
  counter(`network_${name}_total`, `Network device statistic ${name}.`),
);
/** `df` and `netstat` are started for these. */
const CHILDREN_MS = 10_000;
/** Node's `irq` is always 0 where there is no /proc. */
const MODES = ['user', 'nice', 'sys', 'idle'] as const;

/** What is asked of `node:os`, so that a test can answer. */
export type HostFacts = Pick<typeof os, 'cpus' | 'loadavg' | 'totalmem' | 'freemem' | 'uptime' | 'platform'>;

/** What is asked of systeminformation, likewise. */
export type SlowFacts = {
  fsSize(): Promise<readonly FilesystemFacts[]>;
  networkStats(interfaces: string): Promise<readonly NetworkFacts[]>;
};
type FilesystemFacts = {
  readonly fs: string;
  readonly type: string;
  readonly size: number;
  readonly used: number;
  readonly available: number;
  readonly mount: string;
  readonly rw: boolean | null;
};
type NetworkFacts = {
  readonly iface: string;
  readonly rx_bytes: number;
  readonly rx_errors: number;
  readonly rx_dropped: number;
  readonly tx_bytes: number;
  readonly tx_errors: number;
  readonly tx_dropped: number;
};

/** Series by metric and labels; names are few and made once. */
class SeriesByKey {
  readonly #binding = new Binding();
  #refs = new Map<string, SeriesRef>();

  set(sink: SampleSink, metric: Metric, labels: LabelPairs, value: number): void {
    if (!Number.isFinite(value)) return;
    if (this.#binding.isStale(sink)) this.#refs = new Map();
    const key = `${metric.name} ${Object.values(labels).join(' ')}`;
    let ref = this.#refs.get(key);
    if (ref === undefined) this.#refs.set(key, (ref = sink.series(metric, labels)));
    sink.set(ref, value);
  }
}

/** CPU, memory, load and boot time, without starting anything. */
export class PortableHostGatherer implements Gatherer {
  readonly name = 'host';
  readonly intervalMs = 1000;
  readonly #host: HostFacts;
  readonly #series = new SeriesByKey();
  #bootSeconds = NaN;

  constructor(host: HostFacts = os) {
    this.#host = host;
  }

  gather(tick: Tick, sink: SampleSink): void {
    const host = this.#host;
    for (const [index, cpu] of host.cpus().entries()) {
      for (const mode of MODES) {
        const labels = { cpu: String(index), mode: mode === 'sys' ? 'system' : mode };
        this.#series.set(sink, CPU_SECONDS, labels, cpu.times[mode] / 1000);
      }
    }
    this.#series.set(sink, MEMORY_TOTAL, {}, host.totalmem());
    this.#series.set(sink, MEMORY_FREE, {}, host.freemem());
    // Windows has no load average; Node says 0 there.
    if (host.platform() !== 'win32') host.loadavg().forEach((load, i) => this.#series.set(sink, LOADS[i] as Metric, {}, load));
    // Once: uptime is rounded to the second, so that a new difference would jump to and fro.
    if (Number.isNaN(this.#bootSeconds)) this.#bootSeconds = Math.round(tick.timeMs / 1000 - host.uptime());
    this.#series.set(sink, BOOT, {}, this.#bootSeconds);
  }

  close(): void {}
}

/** File systems, by `df` or what the platform has. */
export class PortableFilesystemGatherer implements Gatherer {
  readonly name = 'filesystem';
  readonly intervalMs = CHILDREN_MS;
  readonly #load: () => Promise<SlowFacts>;
  readonly #series = new SeriesByKey();

  constructor(load: () => Promise<SlowFacts>) {
    this.#load = load;
  }

  async gather(_tick: Tick, sink: SampleSink): Promise<void> {
    const { fsSize } = await this.#load();
    for (const found of await fsSize()) {
      const labels = { device: found.fs, mountpoint: found.mount, fstype: found.type };
      this.#series.set(sink, FILESYSTEM.size, labels, found.size);
      this.#series.set(sink, FILESYSTEM.avail, labels, found.available);
      this.#series.set(sink, FILESYSTEM.free, labels, found.size - found.used);
      if (found.rw !== null) this.#series.set(sink, FILESYSTEM.readonly, labels, found.rw ? 0 : 1);
    }
  }

  close(): void {}
}

/** Network devices, by `netstat` or what the platform has. */
export class PortableNetworkGatherer implements Gatherer {
  readonly name = 'netdev';
  readonly intervalMs = CHILDREN_MS;
  readonly #load: () => Promise<SlowFacts>;
  readonly #series = new SeriesByKey();

  constructor(load: () => Promise<SlowFacts>) {
    this.#load = load;
  }

  async gather(_tick: Tick, sink: SampleSink): Promise<void> {
    const { networkStats } = await this.#load();
    for (const found of await networkStats('*')) {
      const numbers = [found.rx_bytes, found.rx_errors, found.rx_dropped, found.tx_bytes, found.tx_errors, found.tx_dropped];
      numbers.forEach((value, i) => this.#series.set(sink, NETWORK[i] as Metric, { device: found.iface }, value));
    }
  }

  close(): void {}
}
