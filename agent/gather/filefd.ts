/** Open files of the whole system from /proc/sys/fs/file-nr. */
import { Binding } from './binding.ts';
import type { Gatherer, HostPaths, Metric, SampleSink, SeriesRef, Tick } from './gatherer.ts';
import type { Scanner } from './scanner.ts';
import { SourceFile } from './source-file.ts';

const METRICS: readonly Metric[] = ['allocated', 'maximum'].map((name) => ({
  name: `node_filefd_${name}`,
  type: 'gauge',
  help: `File descriptor statistics: ${name}.`,
}));

/** `1024 0 1631329`: the first and the third (the second is always 0 since Linux 2.6). */
export function parseFileNr(scanner: Scanner, numbers: Float64Array): void {
  scanner.requireWhole('three numbers');
  for (let i = 0; i < 3; i++) {
    scanner.skipBlanks();
    const number = scanner.integer();
    if (i !== 1) numbers[i >> 1] = number;
  }
}

export class FilefdGatherer implements Gatherer {
  readonly name = 'filefd';
  readonly intervalMs = 1000;
  readonly #scanner: Scanner;
  readonly #file: SourceFile;
  readonly #numbers = new Float64Array(METRICS.length);
  readonly #binding = new Binding();
  #refs: SeriesRef[] = [];

  constructor(paths: HostPaths, scanner: Scanner) {
    this.#scanner = scanner;
    this.#file = new SourceFile(`${paths.procfs}/sys/fs/file-nr`, 'piece');
  }

  gather(_tick: Tick, sink: SampleSink): void {
    this.#file.read(this.#scanner);
    parseFileNr(this.#scanner, this.#numbers);
    if (this.#binding.isStale(sink)) this.#refs = METRICS.map((metric) => sink.series(metric));
    for (let i = 0; i < this.#refs.length; i++) sink.set(this.#refs[i] as number, this.#numbers[i] as number);
  }

  close(): void {
    this.#file.close();
  }
}
