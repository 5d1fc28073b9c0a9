/** Memory from /proc/meminfo: every line is a metric, in bytes. */
import { Binding } from './binding.ts';
import type { Gatherer, HostPaths, SampleSink, Tick } from './gatherer.ts';
import type { Scanner } from './scanner.ts';
import { SourceFile } from './source-file.ts';
import { Table } from './table.ts';

const COLON = 58;
const KILO = 107;
/** Columns of the table: the amount, and 1 if the kernel gave it in kB (then it is bytes and the name says so). */
const IS_BYTES = 1;

/** `MemFree:  225472 kB` or `HugePages_Free:  0`. */
export function parseMeminfo(scanner: Scanner, table: Table): void {
  scanner.requireWhole('memory fields');
  table.begin();
  while (!scanner.atEnd()) {
    const start = scanner.pos;
    const end = scanner.word() - 1;
    if (end <= start || scanner.bytes[end] !== COLON) {
      scanner.pos = start;
      scanner.fail('a name and a colon');
    }
    const row = table.row(scanner, start, end);
    scanner.skipBlanks();
    const amount = scanner.integer();
    scanner.skipBlanks();
    const isKilobytes = scanner.peek() === KILO;
    table.push(row, isKilobytes ? amount * 1024 : amount);
    table.push(row, isKilobytes ? 1 : 0);
    scanner.nextLine();
  }
  table.finish(scanner);
}

export class MemoryGatherer implements Gatherer {
  readonly name = 'meminfo';
  readonly intervalMs = 1000;
  readonly #scanner: Scanner;
  readonly #file: SourceFile;
  readonly #table = new Table(2);
  readonly #binding = new Binding();
  #refs: number[] = [];

  constructor(paths: HostPaths, scanner: Scanner) {
    this.#scanner = scanner;
    this.#file = new SourceFile(`${paths.procfs}/meminfo`, 'piece');
  }

  gather(_tick: Tick, sink: SampleSink): void {
    this.#file.read(this.#scanner);
    parseMeminfo(this.#scanner, this.#table);
    const { rows, values, version } = this.#table;
    if (this.#binding.isStale(sink, version)) this.#bind(sink);
    for (let row = 0; row < rows; row++) sink.set(this.#refs[row] as number, values[row * 2] as number);
  }

  close(): void {
    this.#file.close();
  }

  #bind(sink: SampleSink): void {
    this.#refs = [];
    for (let row = 0; row < this.#table.rows; row++) {
      // `Active(anon)` is Active_anon: parentheses cannot stand in a metric's name.
      const field = this.#table
        .name(row)
        .replaceAll(/[^A-Za-z0-9_]+/g, '_')
        .replace(/_$/, '');
      const suffixed = this.#table.value(row, IS_BYTES) === 1 ? `${field}_bytes` : field;
      this.#refs.push(sink.series({ name: `node_memory_${suffixed}`, type: 'gauge', help: `Memory information field ${suffixed}.` }));
    }
  }
}
