/** Pressure stall information from /proc/pressure: how long tasks waited for CPU, memory, I/O and interrupts. */
import { Binding } from './binding.ts';
import type { Gatherer, HostPaths, Metric, SampleSink, SeriesRef, Tick } from './gatherer.ts';
import { GatherError, type Scanner } from './scanner.ts';
import { SourceFile } from './source-file.ts';

const RESOURCES = ['cpu', 'io', 'memory', 'irq'];
const SOME = 0;
const FULL = 1;

type Line = { readonly resource: number; readonly kind: number; readonly metric: Metric };

/** What is taken of each resource's file. `full` of cpu is always 0, irq has no `some`. */
const LINES: readonly Line[] = [
  line('cpu', SOME, 'waiting', 'Total time in seconds that processes have waited for CPU time'),
  line('io', SOME, 'waiting', 'Total time in seconds that processes have waited due to IO congestion'),
  line('io', FULL, 'stalled', 'Total time in seconds no process could make progress due to IO congestion'),
  line('memory', SOME, 'waiting', 'Total time in seconds that processes have waited for memory'),
  line('memory', FULL, 'stalled', 'Total time in seconds no process could make progress due to memory congestion'),
  line('irq', FULL, 'stalled', 'Total time in seconds no process could make progress due to IRQ congestion'),
];

const WORD_BYTES = 4;
const LETTER_S = 115;
const LETTER_L = 108;
const EQUALS = 61;

function line(resource: string, kind: number, verb: string, help: string): Line {
  return {
    resource: RESOURCES.indexOf(resource),
    kind,
    metric: { name: `node_pressure_${resource}_${verb}_seconds_total`, type: 'counter', help },
  };
}

/** `some avg10=0.00 avg60=0.00 avg300=0.00 total=14036781`: microseconds into totals[SOME] and [FULL]; NaN where a line is missing. */
export function parsePressure(scanner: Scanner, totals: Float64Array): void {
  totals.fill(NaN);
  if (scanner.end === 0) scanner.fail('pressure totals, found an empty file');
  while (!scanner.atEnd()) {
    const start = scanner.pos;
    const kind = scanner.peek() === LETTER_S ? SOME : FULL;
    if (scanner.word() - start !== WORD_BYTES) {
      scanner.pos = start;
      scanner.fail('some or full');
    }
    let equals = -1;
    for (; !scanner.atLineEnd(); scanner.pos++) if (scanner.bytes[scanner.pos] === EQUALS) equals = scanner.pos;
    // The last field; of all names only `total` ends in l.
    if (equals < 0 || scanner.bytes[equals - 1] !== LETTER_L) scanner.fail('total= at the end of the line');
    scanner.pos = equals + 1;
    totals[kind] = scanner.integer();
    scanner.nextLine();
  }
}

export class PressureGatherer implements Gatherer {
  readonly name = 'pressure';
  readonly intervalMs = 1000;
  readonly #scanner: Scanner;
  readonly #folder: string;
  readonly #files: readonly SourceFile[];
  readonly #totals: readonly Float64Array[] = RESOURCES.map(() => new Float64Array(2).fill(NaN));
  readonly #binding = new Binding();
  #refs: SeriesRef[] = [];

  constructor(paths: HostPaths, scanner: Scanner) {
    this.#scanner = scanner;
    this.#folder = `${paths.procfs}/pressure`;
    this.#files = RESOURCES.map((resource) => new SourceFile(`${this.#folder}/${resource}`, 'piece'));
  }

  gather(_tick: Tick, sink: SampleSink): void {
    let found = 0;
    for (let i = 0; i < RESOURCES.length; i++) {
      const totals = this.#totals[i] as Float64Array;
      // irq is newer than the others (6.1) and depends on the kernel's configuration.
      if ((this.#files[i] as SourceFile).tryRead(this.#scanner)) {
        parsePressure(this.#scanner, totals);
        found++;
      } else {
        totals.fill(NaN);
      }
    }
    if (found === 0) {
      throw new GatherError(
        'source_missing',
        `cannot read ${this.#folder}: no pressure information (needs Linux 4.20, CONFIG_PSI and psi=1)`,
      );
    }
    if (this.#binding.isStale(sink)) this.#refs = LINES.map(() => -1);
    this.#set(sink);
  }

  close(): void {
    for (const file of this.#files) file.close();
  }

  #set(sink: SampleSink): void {
    for (let i = 0; i < LINES.length; i++) {
      const { resource, kind, metric } = LINES[i] as Line;
      const microseconds = (this.#totals[resource] as Float64Array)[kind] as number;
      if (Number.isNaN(microseconds)) continue;
      if ((this.#refs[i] as number) < 0) this.#refs[i] = sink.series(metric);
      // Two divisions as node_exporter does them: one gives other last digits.
      sink.set(this.#refs[i] as number, microseconds / 1000 / 1000);
    }
  }
}
