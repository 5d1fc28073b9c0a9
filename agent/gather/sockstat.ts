/** Sockets in use and their memory from /proc/net/sockstat and sockstat6. */
import { Binding } from './binding.ts';
import type { Gatherer, HostPaths, SampleSink, SeriesRef, Tick } from './gatherer.ts';
import type { Scanner } from './scanner.ts';
import { SourceFile } from './source-file.ts';
import { Table } from './table.ts';

const COLON = 58;

/** `TCP: inuse 4 orphan 0`: a row named `TCP:` without numbers, then a row for each word with its number. */
export function parseSockstat(scanner: Scanner, table: Table): void {
  scanner.requireWhole('socket counts');
  table.begin();
  while (!scanner.atEnd()) {
    const start = scanner.pos;
    const end = scanner.word();
    if (end - start < 2 || scanner.bytes[end - 1] !== COLON) {
      scanner.pos = start;
      scanner.fail('a protocol and a colon');
    }
    table.row(scanner, start, end);
    for (;;) {
      scanner.skipBlanks();
      if (scanner.atLineEnd()) break;
      const wordStart = scanner.pos;
      const row = table.row(scanner, wordStart, scanner.word());
      scanner.skipBlanks();
      // TCP's allocated memory can go below zero for a moment: per-CPU counters are not summed exactly.
      table.push(row, scanner.signedInteger());
    }
    scanner.nextLine();
  }
  table.finish(scanner);
}

/** AT_PAGESZ in /proc/self/auxv, pairs of native words. */
const AUXV_PAGE_SIZE = 6n;
const AUXV_PAIR_BYTES = 16;
const PAGE_BYTES_USUAL = 4096;

/** The kernel's page size, which the runtime does not tell: 4096 nearly everywhere, 16 or 64 KB on some ARM machines. */
export function pageBytesOf(auxv: Buffer): number {
  for (let at = 0; at + AUXV_PAIR_BYTES <= auxv.length; at += AUXV_PAIR_BYTES) {
    if (auxv.readBigUInt64LE(at) === AUXV_PAGE_SIZE) return Number(auxv.readBigUInt64LE(at + 8));
  }
  return PAGE_BYTES_USUAL;
}

type Part = {
  readonly file: SourceFile;
  readonly table: Table;
  readonly binding: Binding;
  /** Rows, references and factors of the series. */
  rows: number[];
  refs: SeriesRef[];
  factors: number[];
};

export class SockstatGatherer implements Gatherer {
  readonly name = 'sockstat';
  readonly intervalMs = 1000;
  readonly #scanner: Scanner;
  readonly #pageBytes: number;
  readonly #parts: readonly Part[];

  constructor(paths: HostPaths, pageBytes: number, scanner: Scanner) {
    this.#scanner = scanner;
    this.#pageBytes = pageBytes;
    this.#parts = ['sockstat', 'sockstat6'].map((name) => ({
      file: new SourceFile(`${paths.procfs}/net/${name}`, 'piece'),
      table: new Table(1),
      binding: new Binding(),
      rows: [],
      refs: [],
      factors: [],
    }));
  }

  gather(_tick: Tick, sink: SampleSink): void {
    for (const part of this.#parts) {
      // Either is absent where its protocol is switched off.
      if (!part.file.tryRead(this.#scanner)) continue;
      parseSockstat(this.#scanner, part.table);
      if (part.binding.isStale(sink, part.table.version)) this.#bind(part, sink);
      const { values } = part.table;
      for (let i = 0; i < part.rows.length; i++) {
        sink.set(part.refs[i] as number, (values[part.rows[i] as number] as number) * (part.factors[i] as number));
      }
    }
  }

  close(): void {
    for (const { file } of this.#parts) file.close();
  }

  #bind(part: Part, sink: SampleSink): void {
    part.rows = [];
    part.refs = [];
    part.factors = [];
    let protocol = '';
    const add = (row: number, name: string, help: string, factor = 1): void => {
      part.rows.push(row);
      part.refs.push(sink.series({ name: `node_sockstat_${name}`, type: 'gauge', help }));
      part.factors.push(factor);
    };
    for (let row = 0; row < part.table.rows; row++) {
      const word = part.table.name(row);
      if (word.endsWith(':')) {
        protocol = word.slice(0, -1);
      } else if (protocol === 'sockets') {
        if (word === 'used') add(row, 'sockets_used', 'Number of IPv4 sockets in use.');
      } else {
        add(row, `${protocol}_${word}`, `Number of ${protocol} sockets in state ${word}.`);
        // `mem` counts pages, `memory` (of fragments) bytes.
        if (word === 'mem') add(row, `${protocol}_mem_bytes`, `Number of ${protocol} sockets in state mem_bytes.`, this.#pageBytes);
      }
    }
  }
}
