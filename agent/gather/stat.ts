/** Kernel counters from /proc/stat: interrupts, context switches, forks, boot time, processes, softirqs. CPU times are in cpu.ts. */
import { Binding } from './binding.ts';
import type { Gatherer, Metric, SampleSink, SeriesRef, Tick } from './gatherer.ts';
import type { ProcStat } from './proc-stat.ts';

/** By the first word of their line. */
const METRICS: Readonly<Record<string, Metric>> = {
  intr: { name: 'node_intr_total', type: 'counter', help: 'Total number of interrupts serviced.' },
  ctxt: { name: 'node_context_switches_total', type: 'counter', help: 'Total number of context switches.' },
  processes: { name: 'node_forks_total', type: 'counter', help: 'Total number of forks.' },
  btime: { name: 'node_boot_time_seconds', type: 'gauge', help: 'Node boot time, in unixtime.' },
  procs_running: { name: 'node_procs_running', type: 'gauge', help: 'Number of processes in runnable state.' },
  procs_blocked: { name: 'node_procs_blocked', type: 'gauge', help: 'Number of processes blocked waiting for I/O to complete.' },
};
const SOFTIRQS: Metric = { name: 'node_softirqs_total', type: 'counter', help: 'Number of softirq calls.' };
/** Order of the numbers behind the total of the line `softirq`. */
const VECTORS = ['hi', 'timer', 'net_tx', 'net_rx', 'block', 'block_iopoll', 'tasklet', 'sched', 'hrtimer', 'rcu'];

export class StatGatherer implements Gatherer {
  readonly name = 'stat';
  readonly intervalMs = 1000;
  readonly #stat: ProcStat;
  readonly #binding = new Binding();
  #refs: SeriesRef[] = [];
  /** Where in the table the value of each reference stands. */
  #places: number[] = [];

  constructor(stat: ProcStat) {
    this.#stat = stat;
  }

  gather(tick: Tick, sink: SampleSink): void {
    this.#stat.refresh(tick);
    const { values, version } = this.#stat.table;
    if (this.#binding.isStale(sink, version)) this.#bind(sink);
    for (let i = 0; i < this.#refs.length; i++) sink.set(this.#refs[i] as number, values[this.#places[i] as number] as number);
  }

  close(): void {
    this.#stat.close();
  }

  #bind(sink: SampleSink): void {
    const table = this.#stat.table;
    this.#refs = [];
    this.#places = [];
    for (let row = 0; row < table.rows; row++) {
      const metric = METRICS[table.name(row)];
      if (metric !== undefined) this.#add(sink.series(metric), row * table.width);
      if (table.name(row) !== 'softirq') continue;
      for (let i = 0; i < VECTORS.length && i + 1 < (table.counts[row] as number); i++) {
        this.#add(sink.series(SOFTIRQS, { vector: VECTORS[i] as string }), row * table.width + i + 1);
      }
    }
  }

  #add(ref: SeriesRef, place: number): void {
    this.#refs.push(ref);
    this.#places.push(place);
  }
}
