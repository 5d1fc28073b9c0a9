/** Traffic and errors of network devices from /proc/net/dev. Protocols are in netstat.ts. */
import { Binding } from './binding.ts';
import type { Gatherer, HostPaths, Metric, SampleSink, SeriesRef, Tick } from './gatherer.ts';
import type { Scanner } from './scanner.ts';
import { readSmall, SourceFile } from './source-file.ts';
import { Table } from './table.ts';

/** Order of the numbers of a line. */
const COLUMNS = [
  ...['bytes', 'packets', 'errs', 'drop', 'fifo', 'frame', 'compressed', 'multicast'].map((name) => `receive_${name}`),
  ...['bytes', 'packets', 'errs', 'drop', 'fifo', 'colls', 'carrier', 'compressed'].map((name) => `transmit_${name}`),
];
const METRICS: readonly Metric[] = COLUMNS.map(metricOf);
/** Not in /proc/net/dev; /sys has it per device. */
const NOHANDLER = metricOf('receive_nohandler');
/** One file per device that hardly ever changes; a host may have hundreds of devices. */
const NOHANDLER_MS = 30_000;
const COLON = 58;
const PIPE = 124;

function metricOf(name: string): Metric {
  return { name: `node_network_${name}_total`, type: 'counter', help: `Network device statistic ${name}.` };
}

/** Two lines of header, then `  eth0: 443553687 9940 ...` with 16 numbers. */
export function parseNetdev(scanner: Scanner, table: Table): void {
  scanner.requireWhole('network devices');
  skipHeader(scanner);
  table.begin();
  while (!scanner.atEnd()) {
    scanner.skipBlanks();
    const start = scanner.pos;
    // Old kernels put no blank behind the colon, and an alias has one of its own (`eth0:1:`): the last one counts.
    let colon = -1;
    for (; !scanner.atLineEnd(); scanner.pos++) if (scanner.bytes[scanner.pos] === COLON) colon = scanner.pos;
    scanner.pos = colon < 0 ? start : colon + 1;
    if (colon <= start) scanner.fail('a device and a colon');
    const row = table.row(scanner, start, colon);
    const numbers = row < 0 ? 0 : COLUMNS.length;
    for (let i = 0; i < numbers; i++) {
      scanner.skipBlanks();
      table.push(row, scanner.integer());
    }
    scanner.nextLine();
  }
  table.finish(scanner);
}

function skipHeader(scanner: Scanner): void {
  for (let line = 0; line < 2; line++) {
    let pipes = 0;
    for (; !scanner.atLineEnd(); scanner.pos++) if (scanner.bytes[scanner.pos] === PIPE) pipes++;
    if (pipes !== 2) scanner.fail('a header with receive and transmit');
    scanner.nextLine();
  }
}

export class NetdevGatherer implements Gatherer {
  readonly name = 'netdev';
  readonly intervalMs = 1000;
  readonly #paths: HostPaths;
  readonly #scanner: Scanner;
  readonly #file: SourceFile;
  readonly #table: Table;
  readonly #binding = new Binding();
  #rows: number[] = [];
  #refs: SeriesRef[] = [];
  #nohandlerDueMs = 0;
  #nohandlerRefs: SeriesRef[] = [];
  /** NaN where the kernel does not have it (before 4.6). */
  #nohandler = new Float64Array(0);

  constructor(paths: HostPaths, deviceExclude: RegExp | undefined, scanner: Scanner) {
    this.#paths = paths;
    this.#scanner = scanner;
    this.#file = new SourceFile(`${paths.procfs}/net/dev`, 'records');
    this.#table = new Table(COLUMNS.length, (device) => deviceExclude?.test(device) !== true);
  }

  gather(tick: Tick, sink: SampleSink): void {
    this.#file.read(this.#scanner);
    parseNetdev(this.#scanner, this.#table);
    if (this.#binding.isStale(sink, this.#table.version)) {
      this.#bind(sink);
      this.#nohandlerDueMs = tick.monotonicMs + NOHANDLER_MS;
    }
    if (tick.monotonicMs >= this.#nohandlerDueMs) {
      this.#nohandlerDueMs = tick.monotonicMs + NOHANDLER_MS;
      this.#readNohandler();
    }
    const { values, width } = this.#table;
    let at = 0;
    for (let device = 0; device < this.#rows.length; device++) {
      const from = (this.#rows[device] as number) * width;
      for (let i = 0; i < width; i++) sink.set(this.#refs[at++] as number, values[from + i] as number);
      const nohandler = this.#nohandler[device] as number;
      if (nohandler >= 0 && (this.#nohandlerRefs[device] as number) >= 0) sink.set(this.#nohandlerRefs[device] as number, nohandler);
    }
  }

  close(): void {
    this.#file.close();
  }

  #bind(sink: SampleSink): void {
    this.#rows = [];
    this.#refs = [];
    for (let row = 0; row < this.#table.rows; row++) {
      if (!this.#table.isWanted(row)) continue;
      const device = this.#table.name(row);
      this.#rows.push(row);
      for (const metric of METRICS) this.#refs.push(sink.series(metric, { device }));
    }
    this.#nohandler = new Float64Array(this.#rows.length);
    this.#readNohandler();
    this.#nohandlerRefs = this.#rows.map((row, i) => {
      return (this.#nohandler[i] as number) >= 0 ? sink.series(NOHANDLER, { device: this.#table.name(row) }) : -1;
    });
  }

  #readNohandler(): void {
    for (let i = 0; i < this.#rows.length; i++) {
      const device = this.#table.name(this.#rows[i] as number);
      const text = readSmall(`${this.#paths.sysfs}/class/net/${device}/statistics/rx_nohandler`);
      this.#nohandler[i] = text !== undefined && /^\d+$/.test(text) ? Number(text) : NaN;
    }
  }
}
