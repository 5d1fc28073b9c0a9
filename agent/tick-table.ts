/**
 * Samples of some ticks as a table of flat columns: one column per tick, one row per dictionary entry. Turns them into groups of series that were set at
 * the same ticks. Knows nothing of metrics, frames or time beyond the ticks'.
 */
import type { SampleGroup } from '../protocol/index.ts';

/** Rows before the first growth: a usual host's. */
const FIRST_ROWS = 1024;
/** Emptied columns kept for the next ticks; a flush on line frees about this many, one after an hour off line sixty. */
const SPARE_MAX = 8;

/** The bits of Prometheus's staleness marker, a NaN; moved as two halves, because a signalling NaN does not survive as a number. */
const STALE_HIGH = 0x7ff00000;
const STALE_LOW = 2;
const LOW = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1 ? 0 : 1;
const HIGH = 1 - LOW;

/** The values of one tick, by row. */
type TickColumn = {
  timeMs: number;
  samples: number;
  values: Float64Array;
  /** The same bytes as `values`. */
  words: Uint32Array;
  present: Uint8Array;
};

export type Groups = {
  readonly groups: readonly SampleGroup[];
  readonly fromMs: number;
  readonly toMs: number;
  readonly samples: number;
  /** One more than the highest row. */
  readonly rows: number;
};

export class TickTable {
  /** Ended ticks, in order of time. */
  #columns: TickColumn[] = [];
  readonly #spare: TickColumn[] = [];
  #capacity = FIRST_ROWS;
  #rows = 0;
  #current = newColumn(FIRST_ROWS);
  #samples = 0;
  #scratch = new Float64Array(FIRST_ROWS);

  /** Ended ticks. */
  get ticks(): number {
    return this.#columns.length;
  }

  /** Of ended ticks. */
  get samples(): number {
    return this.#samples;
  }

  /** Of the tick that ended last. */
  get lastSamples(): number {
    return this.#columns.at(-1)?.samples ?? 0;
  }

  get firstMs(): number {
    return this.#columns[0]?.timeMs ?? 0;
  }

  get lastMs(): number {
    return this.#columns.at(-1)?.timeMs ?? 0;
  }

  /** Sets a value of the tick that is going on; the last call wins. */
  put(row: number, value: number): void {
    this.#claim(row);
    this.#current.values[row] = value;
  }

  /** Says that the series ends at the tick that is going on. */
  putStale(row: number): void {
    this.#claim(row);
    this.#current.words[2 * row + LOW] = STALE_LOW;
    this.#current.words[2 * row + HIGH] = STALE_HIGH;
  }

  /** The tick that was going on is over and was this one; later than the one before. */
  endTick(timeMs: number): void {
    this.#current.timeMs = timeMs;
    this.#samples += this.#current.samples;
    this.#columns.push(this.#current);
    this.#current = this.#spare.pop() ?? newColumn(this.#capacity);
  }

  /** The ended ticks [from, to) as groups; `values` are valid until the next call. Undefined if there is no sample in them. */
  groups(from: number, to: number): Groups | undefined {
    const columns = this.#columns.slice(from, to);
    const { groups, samples, rows } = groupRows(columns, this.#rows);
    const first = columns[0];
    const last = columns.at(-1);
    if (samples === 0 || first === undefined || last === undefined) return undefined;
    if (this.#scratch.length < samples) this.#scratch = new Float64Array(Math.max(samples, this.#scratch.length * 2));
    let offset = 0;
    const encoded = groups.map((group) => {
      const ticks = columns.filter((_, tick) => isIn(group, tick));
      const values = this.#scratch.subarray(offset, offset + group.rows.length * ticks.length);
      offset += values.length;
      transpose(group.rows, ticks, values);
      return { times: Float64Array.from(ticks, (column) => column.timeMs - first.timeMs), refs: Uint32Array.from(group.rows), values };
    });
    return { groups: encoded, fromMs: first.timeMs, toMs: last.timeMs, samples, rows };
  }

  /** Forgets the ended ticks. Values of the tick that is going on stay. */
  clear(): void {
    for (const column of this.#columns) {
      if (this.#spare.length >= SPARE_MAX || column.values.length < this.#capacity) continue;
      column.present.fill(0);
      column.samples = 0;
      this.#spare.push(column);
    }
    this.#columns = [];
    this.#samples = 0;
  }

  #claim(row: number): void {
    if (row >= this.#rows) {
      this.#rows = row + 1;
      if (row >= this.#capacity) this.#grow(row);
    }
    const column = this.#current;
    if (column.present[row] !== 0) return;
    column.present[row] = 1;
    column.samples++;
  }

  #grow(row: number): void {
    while (this.#capacity <= row) this.#capacity *= 2;
    this.#spare.length = 0;
    for (const column of [...this.#columns, this.#current]) {
      const grown = newColumn(this.#capacity);
      grown.words.set(column.words);
      grown.present.set(column.present);
      column.values = grown.values;
      column.words = grown.words;
      column.present = grown.present;
    }
  }
}

function newColumn(rows: number): TickColumn {
  const values = new Float64Array(rows);
  return { timeMs: 0, samples: 0, values, words: new Uint32Array(values.buffer), present: new Uint8Array(rows) };
}

/** Rows that were set at the same ticks; bit i of the mask is tick i, so that a table has at most 64 ticks. */
type Group = { readonly low: number; readonly high: number; readonly rows: number[] };

/** Rows come out in rising order in each group. */
function groupRows(columns: readonly TickColumn[], rowCount: number): { groups: readonly Group[]; samples: number; rows: number } {
  const groups: Group[] = [];
  const byMask = new Map<string, Group>();
  let last: Group | undefined;
  let samples = 0;
  let rows = 0;
  for (let row = 0; row < rowCount; row++) {
    let low = 0;
    let high = 0;
    for (let tick = 0; tick < columns.length; tick++) {
      if ((columns[tick] as TickColumn).present[row] === 0) continue;
      samples++;
      if (tick < 32) low |= 1 << tick;
      else high |= 1 << (tick - 32);
    }
    if (low === 0 && high === 0) continue;
    rows = row + 1;
    // Most rows are like the one before: no look-up, no string.
    if (last === undefined || last.low !== low || last.high !== high) {
      const mask = `${low} ${high}`;
      last = byMask.get(mask);
      if (last === undefined) {
        last = { low, high, rows: [] };
        byMask.set(mask, last);
        groups.push(last);
      }
    }
    last.rows.push(row);
  }
  return { groups, samples, rows };
}

function isIn(group: Group, tick: number): boolean {
  return tick < 32 ? ((group.low >>> tick) & 1) === 1 : ((group.high >>> (tick - 32)) & 1) === 1;
}

/** From columns by tick to columns by row, as words so that every bit pattern survives. */
function transpose(rows: readonly number[], ticks: readonly TickColumn[], values: Float64Array): void {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length * 2);
  const stride = ticks.length * 2;
  for (let tick = 0; tick < ticks.length; tick++) {
    const from = (ticks[tick] as TickColumn).words;
    for (let i = 0; i < rows.length; i++) {
      const row = rows[i] as number;
      words[i * stride + 2 * tick] = from[2 * row] as number;
      words[i * stride + 2 * tick + 1] = from[2 * row + 1] as number;
    }
  }
}
