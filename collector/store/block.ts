/**
 * Blocks of the head: the ticks of the series of one layout within one window. Open ones take ticks as plain numbers; sealed ones are compressed in
 * an arena, run by run, in the very bytes that chunks take over. Not chunks: those are on disk and hold one metric each.
 */
import assert from 'node:assert/strict';
import { ByteWriter, decodeColumns, encodeColumns } from '../../protocol/index.ts';
import type { Arena } from './arena.ts';
import type { Layout, Run } from './layout.ts';

const writer = new ByteWriter();
/** Room for the columns of one run, kept from call to call. */
let scratch = new Float64Array(0);

/** What open and sealed blocks can be asked. */
export interface Block {
  /** Rises with the order in which blocks were begun: of two equal times the one in the lower number was stored first. */
  readonly number: number;
  readonly layout: Layout;
  readonly firstMs: number;
  readonly lastMs: number;
  readonly ticks: number;
  /** The time axis; the same object as long as the block does not change. */
  times(): Float64Array;
  /** The values of a run, a new array: values[(column - run.from) * ticks + tick]. */
  values(run: Run): Float64Array;
}

/**
 * Values lie as they came, frame after frame, each series by series: taking a frame is one copy, and the order of columns is made when a run is
 * wanted, which is once for twenty frames.
 */
export class OpenBlock implements Block {
  number: number;
  readonly layout: Layout;
  readonly capacity: number;
  #times: Float64Array;
  #values: Float64Array<ArrayBuffer>;
  /** Ticks at which the frames taken so far end. */
  #ends: number[] = [];
  #axis: Float64Array | undefined;
  /** Somebody reads what is there now, so that it must not be written over. */
  #isRead = false;
  ticks = 0;

  constructor(number: number, layout: Layout, capacity: number, values = new Float64Array(capacity * layout.refs.length)) {
    this.number = number;
    this.layout = layout;
    this.capacity = capacity;
    this.#times = new Float64Array(capacity);
    this.#values = values;
  }

  /** The memory of its values for another block, once this one is done; nothing if somebody still reads it. */
  yieldMemory(): Float64Array<ArrayBuffer> | undefined {
    return this.#isRead ? undefined : this.#values;
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

  /** Takes ticks [from, to) of values[series * ticks + tick]; they lie after what is there, and there is room. */
  append(times: Float64Array, values: Float64Array, from: number, to: number): void {
    const stride = times.length;
    const count = to - from;
    const at = this.ticks;
    for (let t = 0; t < count; t++) this.#times[at + t] = times[from + t] as number;
    const series = this.layout.refs.length;
    let into = at * series;
    if (count === stride) this.#values.set(values, into);
    else {
      for (let s = 0; s < series; s++) {
        for (let i = s * stride + from, end = i + count; i < end; i++) this.#values[into++] = values[i] as number;
      }
    }
    this.ticks += count;
    this.#ends.push(this.ticks);
    this.#axis = undefined;
  }

  times(): Float64Array {
    this.#axis ??= this.#times.slice(0, this.ticks);
    return this.#axis;
  }

  values(run: Run): Float64Array {
    const values = new Float64Array((run.to - run.from) * this.ticks);
    gather(run, this.layout, this.#values, this.#ends, values);
    return values;
  }

  /** What is there now; it stays readable whatever comes to this block later. */
  view(): Block {
    this.#isRead = true;
    const { number, layout, firstMs, lastMs, ticks } = this;
    const times = this.times();
    const all = this.#values;
    const ends = [...this.#ends];
    return {
      number,
      layout,
      firstMs,
      lastMs,
      ticks,
      times: () => times,
      values(run) {
        const values = new Float64Array((run.to - run.from) * ticks);
        gather(run, layout, all, ends, values);
        return values;
      },
    };
  }

  /** Compresses what is there and empties this block for reuse under a new number. */
  seal(arena: Arena, nextNumber: number): SealedBlock {
    const { runs } = this.layout;
    const ends = new Uint32Array(runs.length);
    writer.reset();
    for (const run of runs) {
      const length = (run.to - run.from) * this.ticks;
      if (scratch.length < length) scratch = new Float64Array(length);
      gather(run, this.layout, this.#values, this.#ends, scratch);
      encodeColumns(scratch, run.to - run.from, this.ticks, writer);
      ends[run.index] = writer.length;
    }
    const sealed = new SealedBlock(this.number, this.layout, this.times(), ends, arena.store(writer.view()));
    this.number = nextNumber;
    this.ticks = 0;
    this.#ends = [];
    this.#axis = undefined;
    if (this.#isRead) {
      this.#times = new Float64Array(this.#times.length);
      this.#values = new Float64Array(this.#values.length);
      this.#isRead = false;
    }
    return sealed;
  }
}

/** The columns of a run one after the other. `ends` are the ticks at which the frames end that lie in `all`. */
function gather(run: Run, layout: Layout, all: Float64Array, ends: readonly number[], into: Float64Array): void {
  const { order, refs } = layout;
  const series = refs.length;
  let at = 0;
  for (let column = run.from; column < run.to; column++) {
    const s = order[column] as number;
    let begin = 0;
    for (const end of ends) {
      const count = end - begin;
      const from = begin * series + s * count;
      for (let i = from; i < from + count; i++) into[at++] = all[i] as number;
      begin = end;
    }
  }
}

export class SealedBlock implements Block {
  readonly number: number;
  readonly layout: Layout;
  readonly #times: Float64Array;
  readonly #ends: Uint32Array;
  readonly #bytes: Uint8Array;

  constructor(number: number, layout: Layout, times: Float64Array, ends: Uint32Array, bytes: Uint8Array) {
    this.number = number;
    this.layout = layout;
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

  values(run: Run): Float64Array {
    const bytes = this.encoded(run);
    const into = new Float64Array((run.to - run.from) * this.ticks);
    const end = decodeColumns(bytes, 0, bytes.length, run.to - run.from, this.ticks, into);
    assert(end.ok, 'a block of the head does not decode: memory that we wrote ourselves is wrong');
    return into;
  }

  /** The columns of a run as encodeColumns wrote them; a view. */
  encoded(run: Run): Uint8Array {
    return this.#bytes.subarray(run.index === 0 ? 0 : this.#ends[run.index - 1], this.#ends[run.index]);
  }
}
