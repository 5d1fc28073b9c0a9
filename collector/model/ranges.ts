/** A set of sequence numbers as sorted half-open ranges. Pure; grows at its end in constant time, which is what live frames do. */
import type { SequenceRange } from './ports.ts';

export class SequenceRanges {
  // Flat [from, to, from, to, ...]: sorted, disjoint, not touching.
  readonly #bounds: number[] = [];

  static of(ranges: Iterable<SequenceRange>): SequenceRanges {
    const set = new SequenceRanges();
    for (const [from, to] of ranges) set.addRange(from, to);
    return set;
  }

  get count(): number {
    return this.#bounds.length / 2;
  }

  /** One after the highest member; 0 when empty. */
  get end(): number {
    return this.#bounds.length === 0 ? 0 : (this.#bounds[this.#bounds.length - 1] as number);
  }

  has(sequence: number): boolean {
    const at = this.#after(sequence);
    return at % 2 === 1;
  }

  /** False if it was there already. */
  add(sequence: number): boolean {
    const bounds = this.#bounds;
    const last = bounds.length - 1;
    if (last > 0 && bounds[last] === sequence) {
      bounds[last] = sequence + 1;
      return true;
    }
    if (this.has(sequence)) return false;
    this.addRange(sequence, sequence + 1);
    return true;
  }

  addRange(from: number, to: number): void {
    if (from >= to) return;
    const bounds = this.#bounds;
    // First range that touches or follows `from`, and first that begins after `to`.
    let first = 0;
    while (first < bounds.length && (bounds[first + 1] as number) < from) first += 2;
    let next = first;
    while (next < bounds.length && (bounds[next] as number) <= to) next += 2;
    if (next > first) {
      const low = Math.min(from, bounds[first] as number);
      const high = Math.max(to, bounds[next - 1] as number);
      bounds.splice(first, next - first, low, high);
      return;
    }
    bounds.splice(first, 0, from, to);
  }

  /** True if all of [from, to) is there. */
  isWhole(from: number, to: number): boolean {
    if (from >= to) return true;
    const at = this.#after(from);
    return at % 2 === 1 && (this.#bounds[at] as number) >= to;
  }

  /** Members of [from, to) that are missing, as ranges. */
  missing(from: number, to: number): SequenceRange[] {
    const holes: SequenceRange[] = [];
    let at = from;
    const bounds = this.#bounds;
    for (let i = 0; i < bounds.length && at < to; i += 2) {
      const low = bounds[i] as number;
      const high = bounds[i + 1] as number;
      if (high <= at) continue;
      if (low > at) holes.push([at, Math.min(low, to)]);
      at = Math.max(at, high);
    }
    if (at < to) holes.push([at, to]);
    return holes;
  }

  toArray(): SequenceRange[] {
    const ranges: SequenceRange[] = [];
    for (let i = 0; i < this.#bounds.length; i += 2) ranges.push([this.#bounds[i] as number, this.#bounds[i + 1] as number]);
    return ranges;
  }

  /** Index of the first bound above `sequence`: odd means inside a range. */
  #after(sequence: number): number {
    const bounds = this.#bounds;
    let low = 0;
    let high = bounds.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((bounds[middle] as number) <= sequence) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
