/** Comparisons that the collector asked for: does a value that was just gathered change the truth of one? Not the flush that follows. */
import type { DictionaryEntry, Hint } from '../protocol/index.ts';
import type { SeriesRef } from './gather/gatherer.ts';

/** Pairs of hint and series that are watched; a hint that fits more is watched for the first of them. */
const WATCHED_MAX = 4096;

type Watched = { readonly hint: Hint; truth: boolean };

export class HintWatch {
  #hints: readonly Hint[] = [];
  #watched = new Map<SeriesRef, Watched[]>();
  #pairs = 0;
  #crossed = false;

  /** Nothing is watched: `update` need not be called. */
  get idle(): boolean {
    return this.#pairs === 0;
  }

  /** Replaces all hints. `series` are those known so far, by ref. */
  set(hints: readonly Hint[], series: { readonly size: number; entry(ref: SeriesRef): DictionaryEntry }): void {
    this.#hints = hints;
    this.#watched = new Map();
    this.#pairs = 0;
    for (let ref = 0; hints.length > 0 && ref < series.size; ref++) this.add(ref, series.entry(ref));
  }

  /** A series that came after the hints. */
  add(ref: SeriesRef, entry: DictionaryEntry): void {
    for (const hint of this.#hints) {
      if (this.#pairs >= WATCHED_MAX || !fits(hint, entry)) continue;
      this.#pairs++;
      const watched = this.#watched.get(ref);
      // Nothing was known of it, as if the comparison had been false: its first true value is news.
      if (watched === undefined) this.#watched.set(ref, [{ hint, truth: false }]);
      else watched.push({ hint, truth: false });
    }
  }

  update(ref: SeriesRef, value: number): void {
    const watched = this.#watched.get(ref);
    if (watched === undefined) return;
    for (const item of watched) {
      const truth = compare(value, item.hint);
      if (truth !== item.truth) this.#crossed = true;
      item.truth = truth;
    }
  }

  /** Whether a comparison changed its truth since the last call. */
  takeCrossed(): boolean {
    const crossed = this.#crossed;
    this.#crossed = false;
    return crossed;
  }
}

function fits(hint: Hint, entry: DictionaryEntry): boolean {
  if (hint.metric !== entry.name) return false;
  for (let i = 0; i < hint.labels.length; i += 2) if (labelOf(entry, hint.labels[i] as string) !== hint.labels[i + 1]) return false;
  return true;
}

function labelOf(entry: DictionaryEntry, name: string): string {
  for (let i = 0; i < entry.labels.length; i += 2) if (entry.labels[i] === name) return entry.labels[i + 1] as string;
  return '';
}

function compare(value: number, hint: Hint): boolean {
  const { operator, threshold } = hint;
  switch (operator) {
    case '>':
      return value > threshold;
    case '>=':
      return value >= threshold;
    case '<':
      return value < threshold;
    case '<=':
      return value <= threshold;
    case '==':
      return value === threshold;
    case '!=':
      return value !== threshold;
    default:
      return operator satisfies never;
  }
}
