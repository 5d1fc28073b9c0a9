/** Paging, swapping, faults and OOM kills from /proc/vmstat. */
import { Binding } from './binding.ts';
import type { Gatherer, HostPaths, SampleSink, SeriesRef, Tick } from './gatherer.ts';
import type { Scanner } from './scanner.ts';
import { SourceFile } from './source-file.ts';
import { Table } from './table.ts';

/** Lines `name number`, of which only those that the table wants are read. */
export function parseVmstat(scanner: Scanner, table: Table): void {
  scanner.requireWhole('lines of a name and a number');
  table.begin();
  while (!scanner.atEnd()) {
    const start = scanner.pos;
    const row = table.rowAtWord(scanner);
    if (scanner.pos === start) scanner.fail('a name and a number');
    if (row >= 0) {
      scanner.skipBlanks();
      table.push(row, scanner.integer());
    }
    scanner.nextLine();
  }
  table.finish(scanner);
}

export class VmstatGatherer implements Gatherer {
  readonly name = 'vmstat';
  readonly intervalMs = 1000;
  readonly #scanner: Scanner;
  readonly #file: SourceFile;
  readonly #table: Table;
  readonly #binding = new Binding();
  #rows: number[] = [];
  #refs: SeriesRef[] = [];

  constructor(paths: HostPaths, fields: RegExp, scanner: Scanner) {
    this.#scanner = scanner;
    this.#file = new SourceFile(`${paths.procfs}/vmstat`, 'records');
    this.#table = new Table(1, (name) => fields.test(name));
  }

  gather(_tick: Tick, sink: SampleSink): void {
    this.#file.read(this.#scanner);
    parseVmstat(this.#scanner, this.#table);
    if (this.#binding.isStale(sink, this.#table.version)) this.#bind(sink);
    const { values } = this.#table;
    for (let i = 0; i < this.#rows.length; i++) sink.set(this.#refs[i] as number, values[this.#rows[i] as number] as number);
  }

  close(): void {
    this.#file.close();
  }

  #bind(sink: SampleSink): void {
    this.#rows = [];
    this.#refs = [];
    for (let row = 0; row < this.#table.rows; row++) {
      if (!this.#table.isWanted(row)) continue;
      const field = this.#table.name(row);
      this.#rows.push(row);
      this.#refs.push(sink.series({ name: `node_vmstat_${field}`, type: 'unknown', help: `/proc/vmstat information field ${field}.` }));
    }
  }
}
