/** Protocol counters of the network stack from /proc/net/netstat, snmp and snmp6. Devices are in netdev.ts. */
import { Binding } from './binding.ts';
import type { Gatherer, HostPaths, SampleSink, SeriesRef, Tick } from './gatherer.ts';
import type { Scanner } from './scanner.ts';
import { SourceFile } from './source-file.ts';
import { Table } from './table.ts';
import { parseVmstat } from './vmstat.ts';

const COLON = 58;

/** One line of names and where its wanted numbers stand. */
type Header = { bytes: Buffer; protocol: string; names: readonly string[]; wanted: readonly boolean[] };

/**
 * Pairs of lines, `Tcp: name name` over `Tcp: number number`, kept from tick to tick like a Table: a header is compared as bytes with the one
 * that stood there before.
 */
export class PairedLines {
  version = 0;
  /** Wanted numbers in the order in which they stand. */
  values: Float64Array = new Float64Array(64);
  count = 0;
  readonly #accept: (key: string) => boolean;
  readonly #headers: Header[] = [];
  #read = 0;

  constructor(accept: (key: string) => boolean) {
    this.#accept = accept;
  }

  begin(): void {
    this.count = 0;
    this.#read = 0;
  }

  /** The header between two positions. */
  header(scanner: Scanner, start: number, end: number): Header {
    const known = this.#headers[this.#read++];
    if (known !== undefined && known.bytes.length === end - start && scanner.bytes.compare(known.bytes, 0, end - start, start, end) === 0)
      return known;
    const [first = '', ...names] = scanner.text(start, end).trimEnd().split(' ');
    const protocol = first.slice(0, -1);
    const wanted = names.map((name) => this.#accept(`${protocol}_${name}`));
    const header = { bytes: Buffer.from(scanner.bytes.subarray(start, end)), protocol, names, wanted };
    this.#headers[this.#read - 1] = header;
    this.version++;
    return header;
  }

  push(value: number): void {
    if (this.count === this.values.length) {
      const values = new Float64Array(this.count * 2);
      values.set(this.values);
      this.values = values;
    }
    this.values[this.count++] = value;
  }

  finish(): void {
    if (this.#read === this.#headers.length) return;
    this.#headers.length = this.#read;
    this.version++;
  }

  /** (protocol, name) of each wanted number. */
  keys(): (readonly [protocol: string, name: string])[] {
    return this.#headers.flatMap(({ protocol, names, wanted }) =>
      names.filter((_, i) => wanted[i]).map((name) => [protocol, name] as const),
    );
  }
}

export function parsePairedLines(scanner: Scanner, lines: PairedLines): void {
  scanner.requireWhole('pairs of lines with names and numbers');
  lines.begin();
  while (!scanner.atEnd()) {
    const start = scanner.pos;
    const labelEnd = scanner.word();
    if (labelEnd - start < 2 || scanner.bytes[labelEnd - 1] !== COLON) {
      scanner.pos = start;
      scanner.fail('a protocol and a colon');
    }
    scanner.nextLine();
    const { wanted } = lines.header(scanner, start, scanner.pos - 1);
    const valuesLabelEnd = scanner.pos + labelEnd - start;
    if (valuesLabelEnd > scanner.end || scanner.bytes.compare(scanner.bytes, start, labelEnd, scanner.pos, valuesLabelEnd) !== 0) {
      scanner.fail('the numbers of the protocol in the line above');
    }
    scanner.pos = valuesLabelEnd;
    for (let i = 0; i < wanted.length; i++) {
      scanner.skipBlanks();
      const from = scanner.pos;
      if (wanted[i]) lines.push(scanner.signedInteger());
      else if (scanner.word() === from) scanner.fail('as many numbers as names');
    }
    scanner.skipBlanks();
    if (!scanner.atLineEnd()) scanner.fail('as many numbers as names');
    scanner.nextLine();
  }
  lines.finish();
}

export class NetstatGatherer implements Gatherer {
  readonly name = 'netstat';
  readonly intervalMs = 1000;
  readonly #scanner: Scanner;
  readonly #files: readonly SourceFile[];
  readonly #lines: readonly PairedLines[];
  readonly #snmp6: SourceFile;
  readonly #table: Table;
  readonly #binding = new Binding();
  #refs: SeriesRef[] = [];
  #rows6: number[] = [];
  #refs6: SeriesRef[] = [];
  #hasSnmp6 = false;

  constructor(paths: HostPaths, fields: RegExp, scanner: Scanner) {
    this.#scanner = scanner;
    this.#files = ['netstat', 'snmp'].map((name) => new SourceFile(`${paths.procfs}/net/${name}`, 'piece'));
    this.#lines = this.#files.map(() => new PairedLines((key) => fields.test(key)));
    this.#snmp6 = new SourceFile(`${paths.procfs}/net/snmp6`, 'piece');
    this.#table = new Table(1, (name) => {
      const key = splitSnmp6(name);
      return key !== undefined && fields.test(`${key[0]}_${key[1]}`);
    });
  }

  gather(_tick: Tick, sink: SampleSink): void {
    let version = 0;
    for (let i = 0; i < this.#files.length; i++) {
      const lines = this.#lines[i] as PairedLines;
      (this.#files[i] as SourceFile).read(this.#scanner);
      parsePairedLines(this.#scanner, lines);
      version += lines.version;
    }
    // Absent where IPv6 is switched off.
    this.#hasSnmp6 = this.#snmp6.tryRead(this.#scanner);
    if (this.#hasSnmp6) parseVmstat(this.#scanner, this.#table);
    if (this.#binding.isStale(sink, version + this.#table.version)) this.#bind(sink);
    let at = 0;
    for (const { values, count } of this.#lines) {
      for (let i = 0; i < count; i++) sink.set(this.#refs[at++] as number, values[i] as number);
    }
    if (!this.#hasSnmp6) return;
    const { values } = this.#table;
    for (let i = 0; i < this.#rows6.length; i++) sink.set(this.#refs6[i] as number, values[this.#rows6[i] as number] as number);
  }

  close(): void {
    for (const file of this.#files) file.close();
    this.#snmp6.close();
  }

  #bind(sink: SampleSink): void {
    this.#refs = this.#lines.flatMap((lines) => lines.keys().map(([protocol, name]) => seriesOf(sink, protocol, name)));
    this.#rows6 = [];
    this.#refs6 = [];
    for (let row = 0; row < this.#table.rows; row++) {
      if (!this.#table.isWanted(row)) continue;
      const [protocol, name] = splitSnmp6(this.#table.name(row)) as readonly [string, string];
      this.#rows6.push(row);
      this.#refs6.push(seriesOf(sink, protocol, name));
    }
  }
}

/** `Ip6InOctets` is (Ip6, InOctets); lines without a 6 are not of IPv6. */
function splitSnmp6(name: string): readonly [protocol: string, name: string] | undefined {
  const six = name.indexOf('6');
  return six < 0 ? undefined : [name.slice(0, six + 1), name.slice(six + 1)];
}

function seriesOf(sink: SampleSink, protocol: string, name: string): SeriesRef {
  return sink.series({ name: `node_netstat_${protocol}_${name}`, type: 'unknown', help: `Statistic ${protocol}${name}.` });
}
