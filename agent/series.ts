/** The series of this process: which metric and labels a number stands for. Grows, never shrinks, is bounded; no values. */
import { entryProblem, HELP_BYTES_MAX, type DictionaryEntry } from '../protocol/index.ts';
import type { LabelPairs, Metric, SeriesRef } from './gather/gatherer.ts';

/** Stands for a series that was refused: setting it does nothing but count. */
export const REFUSED: SeriesRef = -1;
/** Series that one process may ever have: twice a full dictionary; about 50 MB. A host with more churn than that excludes what churns. */
const SERIES_MAX = 131_072;
/** A character takes at most three bytes of UTF-8 per UTF-16 unit: a help text cut to this many fits. */
const HELP_CHARACTERS_MAX = Math.floor(HELP_BYTES_MAX / 3);

export class SeriesTable {
  /** By ref. */
  readonly #entries: DictionaryEntry[] = [];
  readonly #refs = new Map<string, SeriesRef>();
  #refused = 0;

  get size(): number {
    return this.#entries.length;
  }

  /** Series that could not be taken: against the wire's limits, or one too many. */
  get refused(): number {
    return this.#refused;
  }

  /** Finds or makes a series; REFUSED if the collector would refuse it or there are too many. */
  find(metric: Metric, labels: LabelPairs | undefined): SeriesRef {
    const flat = flatten(labels);
    const key = JSON.stringify([metric.name, ...flat]);
    const known = this.#refs.get(key);
    if (known !== undefined) return known;
    const entry: DictionaryEntry = { name: metric.name, type: metric.type, scope: 'node', labels: flat, help: cutHelp(metric.help) };
    if (this.#entries.length >= SERIES_MAX || entryProblem(entry) !== undefined) {
      this.#refused++;
      return REFUSED;
    }
    const ref = this.#entries.length;
    this.#entries.push(entry);
    this.#refs.set(key, ref);
    return ref;
  }

  /** What a ref stands for, with its help text. */
  entry(ref: SeriesRef): DictionaryEntry {
    return this.#entries[ref] as DictionaryEntry;
  }
}

/** Sorted by name; a label with an empty value is no label. */
function flatten(labels: LabelPairs | undefined): string[] {
  if (labels === undefined) return [];
  const flat: string[] = [];
  for (const name of Object.keys(labels).toSorted()) {
    const value = labels[name];
    if (value !== undefined && value !== '') flat.push(name, value);
  }
  return flat;
}

function cutHelp(help: string): string {
  return Buffer.byteLength(help) <= HELP_BYTES_MAX ? help : help.slice(0, HELP_CHARACTERS_MAX);
}
