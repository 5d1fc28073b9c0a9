/** Samples in an array behind the ports that query/ and http/ read, for their tests. Not the in-memory double of the store. */
import type { Labels, Matcher } from '../../../collector/model/labels.ts';
import { labelsKey, labelsOf, labelValue } from '../../../collector/model/labels.ts';
import type { AppendedFeed, ColumnBatch, LabelSource, SampleSource, SelectHints, TimeRange } from '../../../collector/model/ports.ts';
import { compareLabels } from '../../../collector/query/engine.ts';
import { setStale } from '../../../collector/query/steps.ts';

/** `stale` stands for a staleness marker. */
export type Sample = readonly [timeMs: number, value: number | 'stale'];

export class FakeSource implements SampleSource, LabelSource, AppendedFeed {
  readonly #series = new Map<string, { labels: Labels; samples: Sample[] }>();
  readonly #listeners = new Set<(agentId: string, newestMs: number) => void>();
  /** What has been selected, for tests that count. */
  readonly selects: { readonly matchers: readonly Matcher[]; readonly range: TimeRange; readonly hints: SelectHints }[] = [];
  /** Resolves before the first batch; a test that wants a slow store replaces it. */
  before: (signal: AbortSignal) => Promise<void> = async () => undefined;

  add(labels: Readonly<Record<string, string>>, samples: readonly Sample[]): void {
    const sorted = labelsOf(labels);
    const key = labelsKey(sorted);
    const series = this.#series.get(key) ?? { labels: sorted, samples: [] };
    series.samples.push(...samples);
    this.#series.set(key, series);
  }

  appended(agentId: string, newestMs: number): void {
    for (const listener of this.#listeners) listener(agentId, newestMs);
  }

  onAppended(listener: (agentId: string, newestMs: number) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  get listeners(): number {
    return this.#listeners.size;
  }

  async *select(matchers: readonly Matcher[], range: TimeRange, hints: SelectHints, signal: AbortSignal): AsyncIterable<ColumnBatch> {
    this.selects.push({ matchers, range, hints });
    await this.before(signal);
    signal.throwIfAborted();
    for (const { labels, samples } of this.#matching(matchers)) {
      const inside = samples.filter(([timeMs]) => timeMs >= range.fromMs && timeMs <= range.toMs);
      if (inside.length === 0) continue;
      const values = new Float64Array(inside.length);
      for (const [i, [, value]] of inside.entries()) {
        if (value === 'stale') setStale(values, i);
        else values[i] = value;
      }
      yield [{ labels, timesMs: Float64Array.from(inside, ([timeMs]) => timeMs), values }];
    }
  }

  async series(matchers: readonly Matcher[], range: TimeRange): Promise<readonly Labels[]> {
    return this.#present(matchers, range);
  }

  async labelNames(matchers: readonly Matcher[], range: TimeRange): Promise<readonly string[]> {
    return [...new Set(this.#present(matchers, range).flatMap((labels) => labels.filter((_, i) => i % 2 === 0)))].sort();
  }

  async labelValues(name: string, matchers: readonly Matcher[], range: TimeRange): Promise<readonly string[]> {
    return [...new Set(this.#present(matchers, range).map((labels) => labelValue(labels, name)))].filter((value) => value !== '').sort();
  }

  async metadata(): Promise<ReadonlyMap<string, { readonly type: string; readonly help: string }>> {
    const names = [...new Set([...this.#series.values()].map(({ labels }) => labelValue(labels, '__name__')))];
    return new Map(names.map((name) => [name, { type: name.endsWith('_total') ? 'counter' : 'gauge', help: `Help of ${name}.` }]));
  }

  #matching(matchers: readonly Matcher[]): { labels: Labels; samples: Sample[] }[] {
    return [...this.#series.values()].filter(({ labels }) =>
      matchers.every((matcher) => matcher.matches(labelValue(labels, matcher.name))),
    );
  }

  #present(matchers: readonly Matcher[], range: TimeRange): Labels[] {
    return this.#matching(matchers)
      .filter(({ samples }) => samples.some(([timeMs]) => timeMs >= range.fromMs && timeMs <= range.toMs))
      .map(({ labels }) => labels)
      .sort(compareLabels);
  }
}

/** A sample each `stepMs` from `fromMs`, values given by `value`. */
export function every(stepMs: number, fromMs: number, count: number, value: (i: number) => number): Sample[] {
  return Array.from({ length: count }, (_, i) => [fromMs + i * stepMs, value(i)]);
}
