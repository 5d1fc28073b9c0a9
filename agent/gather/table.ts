/**
 * Rows of numbers read from a text, kept from tick to tick: names are compared as bytes at the place where they stood before, so that a tick
 * in which nothing came or went makes no strings and no objects. Not a sink: gatherers bind rows to series when `version` has moved.
 */
import { GatherError, type Scanner } from './scanner.ts';

/** Wanted rows of one file. 4,096 devices x 17 series would fill the dictionary of an epoch; a host that has more excludes some. */
const ROWS_MAX = 4096;
const FIRST_ROWS = 16;
const SPACE = 32;

export class Table {
  /** Numbers per row. */
  readonly width: number;
  /** Rows of the last text, unwanted ones included (their numbers are not read). */
  rows = 0;
  /** Rises when a name, the number of rows or how many numbers a row has is not what it was. */
  version = 0;
  /** rows x width. What a line did not have is 0; `counts` says how many it had. */
  values: Float64Array;
  counts: Uint8Array;
  readonly #accept: (name: string) => boolean;
  readonly #names: string[] = [];
  readonly #bytes: Uint8Array[] = [];
  readonly #wanted: boolean[] = [];
  #lastCounts: Uint8Array = new Uint8Array(FIRST_ROWS);
  #renames = 0;
  #row = 0;

  constructor(width: number, accept: (name: string) => boolean = () => true) {
    this.width = width;
    this.#accept = accept;
    this.values = new Float64Array(width * FIRST_ROWS);
    this.counts = new Uint8Array(FIRST_ROWS);
  }

  /** A new text begins. */
  begin(): void {
    this.#row = 0;
  }

  /** The row whose name stands between two positions; -1 if its numbers are not wanted. */
  row(scanner: Scanner, start: number, end: number): number {
    const row = this.#row++;
    const name = this.#bytes[row];
    if (name === undefined || !isSame(scanner.bytes, start, end, name)) this.#rename(scanner, row, start, end);
    if (!this.#wanted[row]) return -1;
    this.counts[row] = 0;
    return row;
  }

  /** The row whose name is the word at the scanner's place, which moves behind it. Quicker than `row`: a known name is not measured first. */
  rowAtWord(scanner: Scanner): number {
    const start = scanner.pos;
    const name = this.#bytes[this.#row];
    if (name !== undefined) {
      const end = start + name.length;
      if (end < scanner.end && scanner.bytes[end] === SPACE && isSame(scanner.bytes, start, end, name)) {
        const row = this.#row++;
        scanner.pos = end;
        if (!this.#wanted[row]) return -1;
        this.counts[row] = 0;
        return row;
      }
    }
    return this.row(scanner, start, scanner.word());
  }

  /** Appends a number to a row; false when the row is full. */
  push(row: number, value: number): boolean {
    const count = this.counts[row] as number;
    if (count >= this.width) return false;
    this.values[row * this.width + count] = value;
    this.counts[row] = count + 1;
    return true;
  }

  /** The text is over. */
  finish(scanner: Scanner): void {
    const before = this.version;
    if (this.#row !== this.rows) {
      this.rows = this.#row;
      this.#renames++;
      this.#names.length = this.#bytes.length = this.#wanted.length = this.#row;
    }
    this.version += this.#renames;
    this.#renames = 0;
    for (let row = 0; row < this.rows; row++) {
      if (this.counts[row] !== this.#lastCounts[row]) this.#recount(row);
    }
    if (this.version !== before && this.#wantedRows() > ROWS_MAX) {
      throw new GatherError(
        'source_oversized',
        `cannot gather ${scanner.path}: more than ${ROWS_MAX} rows; exclude some in the configuration`,
      );
    }
  }

  name(row: number): string {
    return this.#names[row] as string;
  }

  isWanted(row: number): boolean {
    return this.#wanted[row] === true;
  }

  value(row: number, column: number): number {
    return this.values[row * this.width + column] as number;
  }

  #rename(scanner: Scanner, row: number, start: number, end: number): void {
    const name = scanner.text(start, end);
    this.#names[row] = name;
    this.#bytes[row] = Uint8Array.prototype.slice.call(scanner.bytes, start, end);
    this.#wanted[row] = this.#accept(name);
    this.#renames++;
    if (row >= this.counts.length) this.#grow();
    this.counts[row] = 0;
  }

  /** A line has more or fewer numbers than before: what it lacks must not keep an old value. */
  #recount(row: number): void {
    const count = this.counts[row] as number;
    this.#lastCounts[row] = count;
    this.values.fill(0, row * this.width + count, (row + 1) * this.width);
    this.version++;
  }

  #wantedRows(): number {
    let count = 0;
    for (const wanted of this.#wanted) if (wanted) count++;
    return count;
  }

  #grow(): void {
    const counts = new Uint8Array(this.counts.length * 2);
    counts.set(this.counts);
    const lastCounts = new Uint8Array(counts.length);
    lastCounts.set(this.#lastCounts);
    const values = new Float64Array(counts.length * this.width);
    values.set(this.values);
    this.counts = counts;
    this.#lastCounts = lastCounts;
    this.values = values;
  }
}

function isSame(bytes: Uint8Array, start: number, end: number, name: Uint8Array): boolean {
  if (end - start !== name.length) return false;
  for (let i = 0; i < name.length; i++) if (bytes[start + i] !== name[i]) return false;
  return true;
}
