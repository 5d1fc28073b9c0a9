/** Unsigned numbers of up to 64 bits as blocks of 16, each packed at the width of its largest. Not what the numbers mean. */
import type { ByteReader, ByteWriter } from './bytes.ts';

/** Numbers in a block: fewer pay more heads, more pay for the largest among them. 16 was the least on recorded hosts. */
export const BLOCK = 16;
/** Heads of blocks: 0-64 dense at that width; 65-129 sparse at width 0-64; 130-255 one to 126 blocks of zeros. */
const SPARSE_HEAD = 65;
const RUN_HEAD = 130;
const RUN_MAX = 126;
/** The tagged head of a first block: TAG_MAX + 1 tags share a byte. */
const TAG_STEP = 51;
const TAG_MAX = 4;
const TAGGED_DENSE = 27;
const TAGGED_SPARSE = 23;
const TAGGED_ESCAPE = 50;
/** In the place of a tagged head: the column moves as an earlier one. A byte follows. */
const COPY_HEAD = 255;
export const COPY_TAG = 5;
export const COPY_REACH = 256;
/** The widest read of `unpack` and the words that it may touch beyond the bits it needs. */
const BLOCK_BYTES_MAX = BLOCK * 8 + 2;
const READ_AHEAD_BYTES = 8;

/** Room for the numbers of one column; `high` counts only where `wide` is set. */
export type Numbers = { low: Uint32Array; high: Uint32Array; wide: boolean };

export function numbersFor(count: number): Numbers {
  return { low: new Uint32Array(count), high: new Uint32Array(count), wide: false };
}

/** Appends bits, lowest first. `reserve` before writing; `finish` pads the last byte with zeros. */
export class BitWriter {
  /** Whole words at once: every platform of the runtime is little-endian, as the format is. */
  #words = new Uint32Array(1024);
  #at = 0;
  #pending = 0;
  #filled = 0;

  reset(): void {
    this.#at = 0;
    this.#pending = 0;
    this.#filled = 0;
  }

  reserve(bits: number): void {
    const needed = this.#at + (bits >>> 5) + 2;
    if (needed <= this.#words.length) return;
    const grown = new Uint32Array(Math.max(needed, this.#words.length * 2));
    grown.set(this.#words.subarray(0, this.#at));
    this.#words = grown;
  }

  /** One number below 2^width, width 0 to 32. */
  put(number: number, width: number): void {
    if (width === 0) return;
    const filled = this.#filled;
    this.#pending |= number << filled;
    this.#filled = filled + width;
    if (this.#filled < 32) return;
    this.#words[this.#at++] = this.#pending;
    this.#pending = filled === 0 ? 0 : number >>> (32 - filled);
    this.#filled -= 32;
  }

  /** count numbers from low[from] on, each below 2^width, width 1 to 32. */
  pack(low: Uint32Array, from: number, count: number, width: number): void {
    const words = this.#words;
    let at = this.#at;
    let pending = this.#pending;
    let filled = this.#filled;
    for (let i = from; i < from + count; i++) {
      const number = low[i] ?? 0;
      pending |= number << filled;
      filled += width;
      if (filled < 32) continue;
      words[at++] = pending;
      filled -= 32;
      pending = filled === 0 ? 0 : number >>> (width - filled);
    }
    this.#at = at;
    this.#pending = pending;
    this.#filled = filled;
  }

  finish(): Uint8Array {
    this.#words[this.#at] = this.#pending;
    return new Uint8Array(this.#words.buffer, 0, this.#at * 4 + ((this.#filled + 7) >> 3));
  }
}

/** The head of a block: how it is packed with the fewest bits. */
function headOf(numbers: Numbers, from: number, count: number): number {
  if (numbers.wide) return headOfWide(numbers, from, count);
  const { low } = numbers;
  let bits = 0;
  let nonzero = 0;
  for (let i = from; i < from + count; i++) {
    const number = low[i] ?? 0;
    bits |= number;
    nonzero += (number | -number) >>> 31;
  }
  if (nonzero === 0) return 0;
  const width = 32 - Math.clz32(bits);
  if (count + nonzero * (width - 1) >= count * width) return width;
  let lessOne = 0;
  for (let i = from; i < from + count; i++) {
    const number = low[i] ?? 0;
    lessOne |= (number - 1) & -((number | -number) >>> 31);
  }
  const sparseWidth = 32 - Math.clz32(lessOne);
  return count + nonzero * sparseWidth < count * width ? SPARSE_HEAD + sparseWidth : width;
}

function headOfWide(numbers: Numbers, from: number, count: number): number {
  const { low, high } = numbers;
  let largestHigh = 0;
  let largestLow = 0;
  let zeros = 0;
  for (let i = from; i < from + count; i++) {
    largestHigh = Math.max(largestHigh, high[i] ?? 0);
    largestLow = Math.max(largestLow, low[i] ?? 0);
    if (low[i] === 0 && high[i] === 0) zeros++;
  }
  if (zeros === count) return 0;
  const width = largestHigh > 0 ? 64 - Math.clz32(largestHigh) : 32 - Math.clz32(largestLow);
  const lessOne = largestHigh > 0 ? width : 32 - Math.clz32(largestLow - 1);
  return count + (count - zeros) * lessOne < count * width ? SPARSE_HEAD + lessOne : width;
}

/** Writes the body of one block under its head. */
function writeBlock(numbers: Numbers, from: number, count: number, head: number, bits: BitWriter): void {
  const { low, high } = numbers;
  if (head < SPARSE_HEAD) {
    if (head > 32) for (let i = from; i < from + count; i++) putWide(bits, low[i] ?? 0, high[i] ?? 0, head);
    else if (head > 0) bits.pack(low, from, count, head);
    return;
  }
  if (numbers.wide) writeSparseWide(numbers, from, count, head - SPARSE_HEAD, bits);
  else writeSparse(low, from, count, head - SPARSE_HEAD, bits);
}

/** The numbers of a sparse block that are not 0, each less 1. */
const dense = new Uint32Array(BLOCK);

/** Without branches on the numbers, whose zeros nobody can predict. */
function writeSparse(low: Uint32Array, from: number, count: number, width: number, bits: BitWriter): void {
  let present = 0;
  let left = 0;
  for (let i = 0; i < count; i++) {
    const number = low[from + i] ?? 0;
    const one = (number | -number) >>> 31;
    dense[left] = number - 1;
    present |= one << i;
    left += one;
  }
  bits.put(present, count);
  if (width > 0) bits.pack(dense, 0, left, width);
}

function writeSparseWide(numbers: Numbers, from: number, count: number, width: number, bits: BitWriter): void {
  const { low, high } = numbers;
  let present = 0;
  for (let i = 0; i < count; i++) if (low[from + i] !== 0 || high[from + i] !== 0) present |= 1 << i;
  bits.put(present, count);
  for (let i = 0; i < count; i++) {
    if ((present & (1 << i)) === 0) continue;
    const number = low[from + i] ?? 0;
    const above = high[from + i] ?? 0;
    if (width > 32) putWide(bits, (number - 1) >>> 0, number === 0 ? above - 1 : above, width);
    else bits.put((number - 1) >>> 0, width);
  }
}

function putWide(bits: BitWriter, low: number, high: number, width: number): void {
  bits.put(low, 32);
  bits.put(high, width - 32);
}

/**
 * Writes `count` numbers. The head of the first block carries a tag from 0 to 4, so that a column of one block has one head:
 * tag * 51 + 0-26 dense at that width, + 27-49 sparse at width 0-22, + 50 an ordinary head follows.
 */
export function writeBlocks(numbers: Numbers, count: number, tag: number, heads: ByteWriter, bits: BitWriter): void {
  bits.reserve(count * 65 + BLOCK);
  if (count === 0) heads.byte(tag * TAG_STEP);
  let zeros = 0;
  for (let from = 0; from < count; from += BLOCK) {
    const size = Math.min(BLOCK, count - from);
    const head = headOf(numbers, from, size);
    if (from === 0) {
      writeTaggedHead(tag, head, heads);
    } else if (head === 0) {
      zeros++;
      if (zeros === RUN_MAX) zeros = flushRun(zeros, heads);
      continue;
    } else {
      zeros = flushRun(zeros, heads);
      heads.byte(head);
    }
    writeBlock(numbers, from, size, head, bits);
  }
  flushRun(zeros, heads);
}

function writeTaggedHead(tag: number, head: number, heads: ByteWriter): void {
  const base = tag * TAG_STEP;
  if (head < TAGGED_DENSE) return heads.byte(base + head);
  if (head >= SPARSE_HEAD && head < SPARSE_HEAD + TAGGED_SPARSE) return heads.byte(base + TAGGED_DENSE + head - SPARSE_HEAD);
  heads.byte(base + TAGGED_ESCAPE);
  heads.byte(head);
}

/** The column moves as the one that lies `distance` columns of numbers before it, 1 to 256. */
export function writeCopyHead(distance: number, heads: ByteWriter): void {
  heads.byte(COPY_HEAD);
  heads.byte(distance - 1);
}

function flushRun(zeros: number, heads: ByteWriter): number {
  if (zeros > 0) heads.byte(RUN_HEAD + zeros - 1);
  return 0;
}

/** Reads a tagged head: the tag times 256 plus the head (of a copy: its distance less 1), or -1 for what no encoder writes. */
export function readTaggedHead(heads: ByteReader): number {
  const byte = heads.byte();
  const tag = (byte / TAG_STEP) | 0;
  const rest = byte - tag * TAG_STEP;
  if (tag > TAG_MAX) return COPY_TAG * 256 + heads.byte();
  if (rest < TAGGED_DENSE) return tag * 256 + rest;
  if (rest < TAGGED_ESCAPE) return tag * 256 + SPARSE_HEAD + rest - TAGGED_DENSE;
  const head = heads.byte();
  return head < RUN_HEAD ? tag * 256 + head : -1;
}

/** Reads `count` numbers whose first block has the given head. A malformed head or a read beyond an end sets a `failed`. */
export function readBlocks(numbers: Numbers, count: number, firstHead: number, heads: ByteReader, bits: BitReader): void {
  numbers.wide = false;
  let head = firstHead;
  let from = 0;
  while (from < count) {
    if (from > 0) head = heads.byte();
    const size = Math.min(BLOCK, count - from);
    if (head === 0 || head >= RUN_HEAD) {
      const stop = head === 0 ? from + size : from + (head - RUN_HEAD + 1) * BLOCK;
      if (stop - BLOCK >= count) heads.fail();
      numbers.low.fill(0, from, Math.min(stop, count));
      from = stop;
    } else {
      readBlock(numbers, from, size, head, count, bits);
      from += size;
    }
    if (heads.failed || bits.failed) return;
  }
}

function readBlock(numbers: Numbers, from: number, size: number, head: number, count: number, bits: BitReader): void {
  const sparse = head >= SPARSE_HEAD;
  const width = sparse ? head - SPARSE_HEAD : head;
  if (width > 32 && !numbers.wide) {
    numbers.high.fill(0, 0, count);
    numbers.wide = true;
  }
  if (!sparse) {
    if (width > 32) bits.unpackWide(numbers, from, size, width);
    else bits.unpack(numbers.low, from, size, width);
    return;
  }
  const present = bits.take(size);
  let left = 0;
  for (let rest = present; rest !== 0; rest &= rest - 1) left++;
  if (width > 32) bits.unpackWide(numbers, from, left, width);
  else if (width > 0) bits.unpack(numbers.low, from, left, width);
  else numbers.low.fill(0, from, from + left);
  spread(numbers, from, size, present, left);
}

/** Moves the numbers that are there to their places, the last first, and adds the one that the encoder took off. */
function spread(numbers: Numbers, from: number, size: number, present: number, count: number): void {
  const { low, high, wide } = numbers;
  let left = count;
  for (let i = size - 1; i >= 0; i--) {
    if ((present & (1 << i)) === 0) {
      low[from + i] = 0;
      if (wide) high[from + i] = 0;
      continue;
    }
    left--;
    const number = ((low[from + left] ?? 0) + 1) >>> 0;
    if (wide) high[from + i] = (high[from + left] ?? 0) + (number === 0 ? 1 : 0);
    low[from + i] = number;
  }
}

/** Where the last bytes of a region are copied, so that whole words can be read there without leaving it. */
const tail = new Uint8Array(BLOCK_BYTES_MAX + READ_AHEAD_BYTES);
const tailView = new DataView(tail.buffer);

/** Reads bits of bytes[offset .. end), lowest first. A read beyond the end sets `failed` and reads nothing. */
export class BitReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #end: number;
  #bit: number;
  failed = false;

  constructor(bytes: Uint8Array, offset: number, end: number) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#end = end;
    this.#bit = offset * 8;
  }

  /** The offset after the last byte of which a bit was read. */
  get offset(): number {
    return Math.ceil(this.#bit / 8);
  }

  /** One number of 1 to 16 bits. */
  take(width: number): number {
    const bit = this.#bit;
    const view = this.#advance(width);
    if (view === undefined) return 0;
    const at = view === tailView ? bit & 7 : bit;
    return (view.getUint32(at >>> 3, true) >>> (at & 7)) & ((1 << width) - 1);
  }

  /** count numbers of `width` bits, 1 to 32, to low[from ..]. */
  unpack(low: Uint32Array, from: number, count: number, width: number): void {
    const bit = this.#bit;
    const view = this.#advance(count * width);
    if (view === undefined) return;
    let at = view === tailView ? bit & 7 : bit;
    if (width <= 25) {
      const mask = (1 << width) - 1;
      for (let i = from; i < from + count; i++) {
        low[i] = (view.getUint32(at >>> 3, true) >>> (at & 7)) & mask;
        at += width;
      }
      return;
    }
    for (let i = from; i < from + count; i++) {
      low[i] = wordAt(view, at) & (-1 >>> (32 - width));
      at += width;
    }
  }

  /** count numbers of `width` bits, 33 to 64: the low 32 first. */
  unpackWide(numbers: Numbers, from: number, count: number, width: number): void {
    const bit = this.#bit;
    const view = this.#advance(count * width);
    if (view === undefined) return;
    let at = view === tailView ? bit & 7 : bit;
    for (let i = from; i < from + count; i++) {
      numbers.low[i] = wordAt(view, at);
      numbers.high[i] = wordAt(view, at + 32) & (-1 >>> (64 - width));
      at += width;
    }
  }

  /** Steps over the bits; the view to read them from, the tail's when a word read could leave the region. */
  #advance(count: number): DataView | undefined {
    const start = this.#bit;
    const stop = start + count;
    if (stop > this.#end * 8) {
      this.failed = true;
      return undefined;
    }
    this.#bit = stop;
    if ((stop >>> 3) + READ_AHEAD_BYTES <= this.#end) return this.#view;
    const first = start >>> 3;
    for (let i = first; i < this.#end; i++) tail[i - first] = this.#bytes[i] ?? 0;
    return tailView;
  }
}

/** 32 bits from any bit on; touches 5 bytes. */
function wordAt(view: DataView, bit: number): number {
  const shift = bit & 7;
  const low = view.getUint32(bit >>> 3, true) >>> shift;
  return shift === 0 ? low : low | (view.getUint8((bit >>> 3) + 4) << (32 - shift));
}
