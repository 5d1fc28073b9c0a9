/** Memory for the head's compressed blocks: large segments, filled from the front, freed as a whole. Not a general allocator. */

/** Large enough that a segment's own cost vanishes, small enough that the last one wastes little. */
const SEGMENT_BYTES = 1024 * 1024;

export class Arena {
  #segment = new Uint8Array(0);
  #used = 0;
  #bytes = 0;

  /** Bytes of all segments, used or not. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Copies bytes in; the view stays valid as long as somebody holds it. */
  store(bytes: Uint8Array): Uint8Array {
    if (this.#used + bytes.length > this.#segment.length) {
      this.#segment = new Uint8Array(Math.max(SEGMENT_BYTES, bytes.length));
      this.#used = 0;
      this.#bytes += this.#segment.length;
    }
    const view = this.#segment.subarray(this.#used, this.#used + bytes.length);
    view.set(bytes);
    this.#used += bytes.length;
    return view;
  }
}
