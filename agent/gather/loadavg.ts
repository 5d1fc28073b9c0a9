/** Load averages from /proc/loadavg. */
import { Binding } from './binding.ts';
import type { Gatherer, HostPaths, Metric, SampleSink, Tick } from './gatherer.ts';
import type { Scanner } from './scanner.ts';
import { SourceFile } from './source-file.ts';

const METRICS: readonly Metric[] = [
  { name: 'node_load1', type: 'gauge', help: '1m load average.' },
  { name: 'node_load5', type: 'gauge', help: '5m load average.' },
  { name: 'node_load15', type: 'gauge', help: '15m load average.' },
];

/** `0.21 0.37 0.39 1/719 19737`: the first three. */
export function parseLoad(scanner: Scanner, loads: Float64Array): void {
  scanner.requireWhole('three load averages');
  for (let i = 0; i < METRICS.length; i++) {
    scanner.skipBlanks();
    loads[i] = scanner.decimal();
  }
}

export class LoadGatherer implements Gatherer {
  readonly name = 'loadavg';
  readonly intervalMs = 1000;
  readonly #scanner: Scanner;
  readonly #file: SourceFile;
  readonly #loads = new Float64Array(METRICS.length);
  readonly #binding = new Binding();
  #refs: number[] = [];

  constructor(paths: HostPaths, scanner: Scanner) {
    this.#scanner = scanner;
    this.#file = new SourceFile(`${paths.procfs}/loadavg`, 'piece');
  }

  gather(_tick: Tick, sink: SampleSink): void {
    this.#file.read(this.#scanner);
    parseLoad(this.#scanner, this.#loads);
    if (this.#binding.isStale(sink)) this.#refs = METRICS.map((metric) => sink.series(metric));
    for (let i = 0; i < this.#refs.length; i++) sink.set(this.#refs[i] as number, this.#loads[i] as number);
  }

  close(): void {
    this.#file.close();
  }
}
