/** A growable byte buffer and a bounded reader with the variable-length integers of the wire. Not a codec of anything. */
import assert from 'node:assert/strict';

/** First size of a writer: a frame of a usual host (about 1,000 series, 5 ticks) fits without growing. */
const INITIAL_BYTES = 4096;
/** 8 groups of 7 bits hold 56 bits, more than the 53 of a safe integer. */
const VARINT_BYTES_MAX = 8;
/** Largest magnitude whose zigzag form is still a safe integer. */
export const ZIGZAG_MAX = 2 ** 52 - 1;

/** Appends to a buffer that grows by doubling. `view` and `reserve` are valid until the next append. */
export class ByteWriter {
  #bytes = new Uint8Array(INITIAL_BYTES);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  reset(): void {
    this.#length = 0;
  }

  byte(n: number): void {
    const bytes = this.reserve(1);
    bytes[this.#length++] = n;
  }

  /** Seven bits a byte, lowest first, the top bit set on all but the last. */
  varint(n: number): void {
    if (!(n >= 0 && n <= Number.MAX_SAFE_INTEGER)) assert.fail(`a varint must be an integer from 0 to 2^53-1, got ${n}`);
    this.#length = writeVarint(this.reserve(VARINT_BYTES_MAX), this.#length, n);
  }

  zigzag(n: number): void {
    this.varint(n < 0 ? -2 * n - 1 : 2 * n);
  }

  bytes(b: Uint8Array): void {
    const bytes = this.reserve(b.length);
    bytes.set(b, this.#length);
    this.#length += b.length;
  }

  /** The whole buffer with room for `count` more bytes after `length`: write there, then call `advance`. */
  reserve(count: number): Uint8Array {
    const needed = this.#length + count;
    if (needed > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
      grown.set(this.#bytes.subarray(0, this.#length));
      this.#bytes = grown;
    }
    return this.#bytes;
  }

  /** Sets the length after bytes were written into what `reserve` gave. */
  advance(length: number): void {
    if (!(length >= this.#length && length <= this.#bytes.length))
      assert.fail(`cannot advance a writer of ${this.#length} bytes to ${length}`);
    this.#length = length;
  }

  /** What was written, not copied. */
  view(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  copy(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }
}

/** Writes a safe non-negative integer; returns the offset after it. The caller has reserved 8 bytes. */
export function writeVarint(bytes: Uint8Array, at: number, n: number): number {
  let rest = n;
  while (rest > 0x7fff_ffff) {
    bytes[at++] = (rest % 128) | 0x80;
    rest = Math.floor(rest / 128);
  }
  while (rest > 127) {
    bytes[at++] = (rest & 127) | 0x80;
    rest >>>= 7;
  }
  bytes[at++] = rest;
  return at;
}

/** Reads within [at, end). A read that fails sets `failed`, gives 0 and reads no further; check it before using what was read. */
export class ByteReader {
  readonly bytes: Uint8Array;
  readonly end: number;
  at: number;
  failed = false;

  constructor(bytes: Uint8Array, offset: number, end: number) {
    this.bytes = bytes;
    this.end = end;
    this.at = offset;
    if (!(offset >= 0 && offset <= end && end <= bytes.length)) this.fail();
  }

  /** For those who find what was read impossible. At the end nothing more can be read, so that no other read asks. */
  fail(): number {
    this.failed = true;
    this.at = this.end;
    return 0;
  }

  byte(): number {
    if (this.at >= this.end) return this.fail();
    return this.bytes[this.at++] ?? 0;
  }

  varint(): number {
    const { bytes } = this;
    const at = this.at;
    if (this.end - at < VARINT_BYTES_MAX) return this.#varintNearEnd();
    const first = bytes[at] ?? 0;
    if (first < 128) {
      this.at = at + 1;
      return first;
    }
    const second = bytes[at + 1] ?? 0;
    if (second < 128) {
      this.at = at + 2;
      return (first & 127) | (second << 7);
    }
    const third = bytes[at + 2] ?? 0;
    const low = (first & 127) | ((second & 127) << 7) | ((third & 127) << 14);
    this.at = at + 3;
    return third < 128 ? low : this.#varintRest(low);
  }

  zigzag(): number {
    const n = this.varint();
    if (n <= 0x7fff_ffff) return (n >>> 1) ^ -(n & 1);
    const half = Math.floor(n / 2);
    return half * 2 === n ? half : -half - 1;
  }

  #varintRest(low: number): number {
    let value = low;
    let scale = 2 ** 21;
    for (let left = VARINT_BYTES_MAX - 3; left > 0; left--) {
      const byte = this.bytes[this.at++] ?? 0;
      value += (byte & 127) * scale;
      if (byte < 128) return value <= Number.MAX_SAFE_INTEGER ? value : this.fail();
      scale *= 128;
    }
    return this.fail();
  }

  #varintNearEnd(): number {
    let value = 0;
    let scale = 1;
    while (this.at < this.end) {
      const byte = this.bytes[this.at++] ?? 0;
      value += (byte & 127) * scale;
      if (byte < 128) return value;
      scale *= 128;
    }
    return this.fail();
  }
}
