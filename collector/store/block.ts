/**
 * Blocks of the head: the ticks of some series that share a time axis. Open ones take ticks as plain numbers, sealed ones are compressed columns
 * in an arena, each column readable alone. Not chunks: those are on disk and hold one metric each.
 */
import assert from 'node:assert/strict';
import { ByteWriter, decodeColumns, encodeColumns } from '../../protocol/index.ts';
import type { Arena } from './arena.ts';

const writer = new ByteWriter();

/** What open and sealed blocks can be asked. */
export interface Block {
  /** Rises with the order in which blocks were begun: of two equal times the one in the lower number was stored first. */
  readonly number: number;
  /** Dictionary references, strictly rising. Shared between the blocks of a stream. */
  readonly refs: Uint32Array;
  readonly firstMs: number;
  readonly lastMs: number;
  readonly ticks: number;
  /** The time axis; the same object as long as the block does not change. */
  times(): Float64Array;
  /** The values of column `column`, a new array. */
  column(column: number): Float64Array;
}

export class OpenBlock implements Block {
  number: number;
  readonly refs: Uint32Array;
  readonly capacity: number;
  readonly #times: Float64Array;
  readonly #values: Float64Array;
  #axis: Float64Array | undefined;
  ticks = 0;

  constructor(number: number, refs: Uint32Array, capacity: number) {
    this.number = number;
    this.refs = refs;
    this.capacity = capacity;
    this.#times = new Float64Array(capacity);
    this.#values = new Float64Array(capacity * refs.length);
  }

  get firstMs(): number {
    return this.#times[0] as number;
  }

  get lastMs(): number {
    return this.#times[this.ticks - 1] as number;
  }

  get bytes(): number {
    return this.#values.byteLength + this.#times.byteLength;
  }

  get room(): number {
    return this.capacity - this.ticks;
  }

  /** Takes ticks `from` to `to` of values[series * ticks + tick]; they lie after what is there, and there is room. */
  append(times: Float64Array, values: Float64Array, from: number, to: number): void {
    const stride = times.length;
    const { capacity, ticks: at } = this;
    const own = this.#values;
    const count = to - from;
    for (let t = 0; t < count; t++) this.#times[at + t] = times[from + t] as number;
    const series = this.refs.length;
    if (count === 1) {
      for (let s = 0; s < series; s++) own[s * capacity + at] = values[s * stride + from] as number;
    } else {
      for (let s = 0; s < series; s++) {
        let into = s * capacity + at;
        for (let i = s * stride + from, end = i + count; i < end; i++) own[into++] = values[i] as number;
      }
    }
    this.ticks += count;
    this.#axis = undefined;
  }

  times(): Float64Array {
    this.#axis ??= this.#times.slice(0, this.ticks);
    return this.#axis;
  }

  column(column: number): Float64Array {
    return this.#values.slice(column * this.capacity, column * this.capacity + this.ticks);
  }

  /** Compresses what is there and empties this block for reuse under a new number. */
  seal(arena: Arena, nextNumber: number): SealedBlock {
    const series = this.refs.length;
    const ends = new Uint32Array(series);
    writer.reset();
    for (let s = 0; s < series; s++) {
      encodeColumns(this.#values.subarray(s * this.capacity, s * this.capacity + this.ticks), 1, this.ticks, writer);
      ends[s] = writer.length;
    }
    const sealed = new SealedBlock(this.number, this.refs, this.times(), ends, arena.store(writer.view()));
    this.number = nextNumber;
    this.ticks = 0;
    this.#axis = undefined;
    return sealed;
  }
}

export class SealedBlock implements Block {
  readonly number: number;
  readonly refs: Uint32Array;
  readonly #times: Float64Array;
  readonly #ends: Uint32Array;
  readonly #bytes: Uint8Array;

  constructor(number: number, refs: Uint32Array, times: Float64Array, ends: Uint32Array, bytes: Uint8Array) {
    this.number = number;
    this.refs = refs;
    this.#times = times;
    this.#ends = ends;
    this.#bytes = bytes;
  }

  get firstMs(): number {
    return this.#times[0] as number;
  }

  get lastMs(): number {
    return this.#times[this.#times.length - 1] as number;
  }

  get ticks(): number {
    return this.#times.length;
  }

  times(): Float64Array {
    return this.#times;
  }

  column(column: number): Float64Array {
    const from = column === 0 ? 0 : (this.#ends[column - 1] as number);
    const into = new Float64Array(this.#times.length);
    const end = decodeColumns(this.#bytes, from, this.#ends[column] as number, 1, into.length, into);
    assert(end.ok, 'a block of the head does not decode: memory that we wrote ourselves is wrong');
    return into;
  }
}

/** Position of a reference in strictly rising references, or -1. */
export function columnOf(refs: Uint32Array, ref: number): number {
  // References are mostly 0, 1, 2, ...: the first guess hits.
  if (refs[ref] === ref) return ref;
  let low = 0;
  let high = Math.min(refs.length - 1, ref);
  while (low <= high) {
    const middle = (low + high) >> 1;
    const found = refs[middle] as number;
    if (found === ref) return middle;
    if (found < ref) low = middle + 1;
    else high = middle - 1;
  }
  return -1;
}
