/** CPU time by mode from /proc/stat, and what /proc/cpuinfo and /sys say about the CPUs. Kernel-wide counters are in stat.ts. */
import { Binding, HeldSamples } from './binding.ts';
import { parseCpuinfo, type CpuFacts } from './cpuinfo.ts';
import type { Gatherer, HostPaths, Metric, SampleSink, SeriesRef, Tick } from './gatherer.ts';
import type { ProcStat } from './proc-stat.ts';
import type { Scanner } from './scanner.ts';
import { listFolder, readSmall, SourceFile } from './source-file.ts';

const SECONDS: Metric = { name: 'node_cpu_seconds_total', type: 'counter', help: 'Seconds the CPUs spent in each mode.' };
const GUEST: Metric = {
  name: 'node_cpu_guest_seconds_total',
  type: 'counter',
  help: 'Seconds the CPUs spent in guests (VMs) for each mode.',
};
const INFO: Metric = { name: 'node_cpu_info', type: 'gauge', help: 'CPU information from /proc/cpuinfo.' };
const FREQUENCY: Metric = { name: 'node_cpu_frequency_hertz', type: 'gauge', help: 'CPU frequency in hertz from /proc/cpuinfo.' };
const FLAG: Metric = {
  name: 'node_cpu_flag_info',
  type: 'gauge',
  help: 'The `flags` field of CPU information from /proc/cpuinfo taken from the first core.',
};
const BUG: Metric = {
  name: 'node_cpu_bug_info',
  type: 'gauge',
  help: 'The `bugs` field of CPU information from /proc/cpuinfo taken from the first core.',
};
const ISOLATED: Metric = {
  name: 'node_cpu_isolated',
  type: 'gauge',
  help: 'Whether each core is isolated, information from /sys/devices/system/cpu/isolated.',
};
const CORE_THROTTLES: Metric = {
  name: 'node_cpu_core_throttles_total',
  type: 'counter',
  help: 'Number of times this CPU core has been throttled.',
};
const PACKAGE_THROTTLES: Metric = {
  name: 'node_cpu_package_throttles_total',
  type: 'counter',
  help: 'Number of times this CPU package has been throttled.',
};

/** Order of the first eight numbers of a line; guest and guest_nice follow. */
const MODES = ['user', 'nice', 'system', 'idle', 'iowait', 'irq', 'softirq', 'steal'];
const GUEST_MODES = ['user', 'nice'];
const NUMBERS = MODES.length + GUEST_MODES.length;
const IDLE = 3;
/** Ticks per second in which the kernel counts CPU time for user space, on every architecture. */
const USER_HZ = 100;
/** An idle counter that falls by this much (3 s) means that the CPU was taken away and came back; less is the kernel's own jitter. */
const JUMP_BACK_TICKS = 3 * USER_HZ;
/** Reading /proc/cpuinfo interrupts every core for its frequency, so not each second. */
const FACTS_MS = 60_000;
/** Two files per core; they change when a machine is in trouble, and then for longer than this. */
const THROTTLES_MS = 10_000;
/** Above the largest NR_CPUS of a kernel; bounds what a broken `isolated` can make. */
const CPUS_MAX = 8192;

export type CpuSettings = {
  /** `node_cpu_info`, `_frequency_hertz`, `_flag_info` and `_bug_info`. */
  readonly info: boolean;
  readonly flags: RegExp;
  readonly bugs: RegExp;
};

type Throttle = { readonly metric: Metric; readonly labels: Readonly<Record<string, string>>; readonly path: string };

/** `1,3-5,9`. */
export function parseCpuList(text: string): number[] {
  const cpus: number[] = [];
  for (const part of text.split(',')) {
    const bounds = /^(\d+)(?:-(\d+))?$/.exec(part.trim());
    if (bounds === null) continue;
    const first = Number(bounds[1]);
    const last = Math.min(Number(bounds[2] ?? first), CPUS_MAX);
    for (let cpu = first; cpu <= last; cpu++) cpus.push(cpu);
  }
  return cpus;
}

export class CpuGatherer implements Gatherer {
  readonly name = 'cpu';
  readonly intervalMs = 1000;
  readonly #paths: HostPaths;
  readonly #settings: CpuSettings;
  readonly #scanner: Scanner;
  readonly #stat: ProcStat;
  readonly #cpuinfo: SourceFile;
  readonly #binding = new Binding();
  readonly #facts = new HeldSamples();
  readonly #throttles = new HeldSamples();
  #throttleFiles: readonly Throttle[] = [];
  #factsDueMs = 0;
  #throttlesDueMs = 0;
  /** The CPUs, their rows in the table, NUMBERS references for each, and the highest values seen. */
  #cpus: string[] = [];
  #rows: number[] = [];
  #refs: SeriesRef[] = [];
  #highest = new Float64Array(0);

  constructor(paths: HostPaths, settings: CpuSettings, scanner: Scanner, stat: ProcStat) {
    this.#paths = paths;
    this.#settings = settings;
    this.#scanner = scanner;
    this.#stat = stat;
    this.#cpuinfo = new SourceFile(`${paths.procfs}/cpuinfo`, 'records');
  }

  gather(tick: Tick, sink: SampleSink): void {
    this.#stat.refresh(tick);
    const isStale = this.#binding.isStale(sink, this.#stat.table.version);
    if (isStale) this.#bind(sink);
    this.#setTimes(sink);
    if (isStale || tick.monotonicMs >= this.#factsDueMs) {
      this.#factsDueMs = tick.monotonicMs + FACTS_MS;
      this.#readFacts(sink);
    }
    if (isStale || tick.monotonicMs >= this.#throttlesDueMs) {
      this.#throttlesDueMs = tick.monotonicMs + THROTTLES_MS;
      this.#readThrottles(sink);
    }
    this.#facts.set(sink);
    this.#throttles.set(sink);
  }

  close(): void {
    this.#stat.close();
    this.#cpuinfo.close();
  }

  #bind(sink: SampleSink): void {
    const { table } = this.#stat;
    const before = new Map(this.#cpus.map((cpu, i) => [cpu, this.#highest.subarray(i * NUMBERS, (i + 1) * NUMBERS)]));
    this.#cpus = [];
    this.#rows = [];
    this.#refs = [];
    for (let row = 0; row < table.rows; row++) {
      const cpu = /^cpu(\d+)$/.exec(table.name(row))?.[1];
      if (cpu === undefined) continue;
      this.#cpus.push(cpu);
      this.#rows.push(row);
      for (const mode of MODES) this.#refs.push(sink.series(SECONDS, { cpu, mode }));
      for (const mode of GUEST_MODES) this.#refs.push(sink.series(GUEST, { cpu, mode }));
    }
    // A CPU that stays keeps its counters: a small step back at this very tick would look like a restart.
    this.#highest = new Float64Array(this.#refs.length);
    this.#cpus.forEach((cpu, i) => this.#highest.set(before.get(cpu) ?? [], i * NUMBERS));
  }

  /** The kernel's counters may step back a little (iowait, idle on tickless kernels); a counter of ours does not. */
  #setTimes(sink: SampleSink): void {
    const { values, width } = this.#stat.table;
    const highest = this.#highest;
    for (let cpu = 0; cpu < this.#rows.length; cpu++) {
      const from = (this.#rows[cpu] as number) * width;
      const to = cpu * NUMBERS;
      const isBack = (highest[to + IDLE] as number) - (values[from + IDLE] as number) >= JUMP_BACK_TICKS;
      for (let i = 0; i < NUMBERS; i++) {
        const ticks = values[from + i] as number;
        if (isBack || ticks > (highest[to + i] as number)) highest[to + i] = ticks;
        sink.set(this.#refs[to + i] as number, (highest[to + i] as number) / USER_HZ);
      }
    }
  }

  #readFacts(sink: SampleSink): void {
    this.#facts.clear();
    for (const cpu of parseCpuList(readSmall(`${this.#paths.sysfs}/devices/system/cpu/isolated`) ?? '')) {
      this.#facts.add(sink, ISOLATED, { cpu: String(cpu) }, 1);
    }
    this.#findThrottles();
    if (!this.#settings.info || !this.#cpuinfo.tryRead(this.#scanner)) return;
    const cpus = parseCpuinfo(this.#scanner);
    for (const cpu of cpus) {
      this.#facts.add(sink, INFO, cpu.labels, 1);
      if (cpu.hertz > 0) {
        this.#facts.add(sink, FREQUENCY, { package: cpu.labels.package, core: cpu.labels.core, cpu: cpu.labels.cpu }, cpu.hertz);
      }
    }
    const first: CpuFacts | undefined = cpus[0];
    for (const flag of first?.flags ?? []) if (this.#settings.flags.test(flag)) this.#facts.add(sink, FLAG, { flag }, 1);
    for (const bug of first?.bugs ?? []) if (this.#settings.bugs.test(bug)) this.#facts.add(sink, BUG, { bug }, 1);
  }

  /** Threads of one core share its counter, cores of one package share the package's: the first that has it speaks. */
  #findThrottles(): void {
    const folder = `${this.#paths.sysfs}/devices/system/cpu`;
    const found = new Map<string, Throttle>();
    for (const name of listFolder(folder)) {
      if (!/^cpu\d+$/.test(name)) continue;
      const packageId = wholeNumber(`${folder}/${name}/topology/physical_package_id`);
      const core = wholeNumber(`${folder}/${name}/topology/core_id`);
      if (packageId === undefined || core === undefined) continue;
      const labels = { package: String(packageId), core: String(core) };
      const counts = `${folder}/${name}/thermal_throttle`;
      const throttles: Throttle[] = [
        { metric: CORE_THROTTLES, labels, path: `${counts}/core_throttle_count` },
        { metric: PACKAGE_THROTTLES, labels: { package: labels.package }, path: `${counts}/package_throttle_count` },
      ];
      for (const throttle of throttles) {
        const key = `${throttle.metric.name} ${Object.values(throttle.labels).join(' ')}`;
        if (!found.has(key) && wholeNumber(throttle.path) !== undefined) found.set(key, throttle);
      }
    }
    this.#throttleFiles = [...found.values()];
  }

  #readThrottles(sink: SampleSink): void {
    this.#throttles.clear();
    for (const { metric, labels, path } of this.#throttleFiles) {
      const count = wholeNumber(path);
      if (count !== undefined) this.#throttles.add(sink, metric, labels, count);
    }
  }
}

function wholeNumber(path: string): number | undefined {
  const text = readSmall(path);
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined;
}
