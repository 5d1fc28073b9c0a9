/** /proc/stat, read once per tick for the gatherers `cpu` and `stat`: reading it costs the kernel a sum over all interrupts. */
import type { HostPaths, Tick } from './gatherer.ts';
import type { Scanner } from './scanner.ts';
import { SourceFile } from './source-file.ts';
import { Table } from './table.ts';

/** `softirq` has a total and ten kinds; a CPU has ten modes. */
const WIDTH = 11;
/** user, nice, system and idle are there since the first kernels. */
const CPU_NUMBERS_MIN = 4;
const LETTER_I = 105;
const LETTER_C = 99;
const LETTER_P = 112;

/** One row per line, named by its first word; of `intr` only the total (thousands of numbers follow it). */
export function parseStat(scanner: Scanner, table: Table): void {
  scanner.requireWhole('kernel statistics');
  table.begin();
  while (!scanner.atEnd()) {
    const start = scanner.pos;
    const isInterrupts = scanner.peek() === LETTER_I;
    const isCpu = scanner.peek() === LETTER_C && scanner.bytes[start + 1] === LETTER_P;
    const end = scanner.word();
    const row = table.row(scanner, start, end);
    const numbersMin = isCpu ? CPU_NUMBERS_MIN : 1;
    for (let count = 0; count < (isInterrupts ? 1 : WIDTH); count++) {
      scanner.skipBlanks();
      if (scanner.atLineEnd() && count >= numbersMin) break;
      table.push(row, scanner.integer());
    }
    scanner.nextLine();
  }
  table.finish(scanner);
}

export class ProcStat {
  readonly table = new Table(WIDTH);
  readonly #scanner: Scanner;
  readonly #file: SourceFile;
  #tick: Tick | undefined;

  constructor(paths: HostPaths, scanner: Scanner) {
    this.#scanner = scanner;
    this.#file = new SourceFile(`${paths.procfs}/stat`, 'piece');
  }

  /** Reads unless this tick has been read already. */
  refresh(tick: Tick): void {
    if (tick === this.#tick) return;
    this.#tick = undefined;
    this.#file.read(this.#scanner);
    parseStat(this.#scanner, this.table);
    this.#tick = tick;
  }

  /** Both gatherers may call it. */
  close(): void {
    this.#file.close();
  }
}
