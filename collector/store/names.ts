/**
 * The index: metrics, shapes (a metric with its labels without the source's) and sources, each label set once, with small numbers.
 * One such index belongs to the head and one to each open partition. Not which series have samples when: that stand in blocks and chunks.
 */
import { labelsKey, MatchOp, type Labels, type Matcher } from '../model/labels.ts';

/** Labels that say who a series comes from. They make the source; all others make the shape. Sorted. */
export const SOURCE_LABELS: readonly string[] = ['agent', 'instance', 'job'];

export type Metric = { readonly id: number; readonly name: string; type: string; help: string; readonly shapes: Set<Shape> };
export type Shape = {
  readonly id: number;
  readonly metric: Metric;
  /** Sorted, without `__name__` and without the source's. */
  readonly labels: Labels;
  readonly key: string;
  /** How many dictionary entries of the head name it; at 0 the head forgets it. */
  uses: number;
};
export type Source = { readonly id: number; readonly labels: Labels; readonly key: string; uses: number };

/** What a selector finds in one index. */
export type Matched = { readonly sources: ReadonlySet<Source>; readonly metrics: ReadonlyMap<string, MatchedMetric> };
export type MatchedMetric = { readonly metric: Metric; readonly shapes: ReadonlySet<Shape> };

export class NameIndex {
  readonly metrics = new Map<string, Metric>();
  readonly sources = new Map<string, Source>();
  readonly #shapes = new Map<string, Shape>();
  #nextMetric = 0;
  #nextShape = 0;
  #nextSource = 0;

  /** The numbers that the next new metric, shape and source get. */
  get next(): readonly [metric: number, shape: number, source: number] {
    return [this.#nextMetric, this.#nextShape, this.#nextSource];
  }

  /** Numbers below these were given out once, even if nothing here has them any more. */
  reserve([metric, shape, source]: readonly [metric: number, shape: number, source: number]): void {
    this.#nextMetric = Math.max(this.#nextMetric, metric);
    this.#nextShape = Math.max(this.#nextShape, shape);
    this.#nextSource = Math.max(this.#nextSource, source);
  }

  /** `id` is given when a definition is read back from disk; new ones are numbered after the highest. */
  metric(name: string, id?: number): Metric {
    const known = this.metrics.get(name);
    if (known !== undefined) return known;
    const metric: Metric = { id: id ?? this.#nextMetric, name, type: 'unknown', help: '', shapes: new Set() };
    this.#nextMetric = Math.max(this.#nextMetric, metric.id + 1);
    this.metrics.set(name, metric);
    return metric;
  }

  shape(metric: Metric, labels: Labels, id?: number): Shape {
    const key = shapeKey(metric.name, labels);
    const known = this.#shapes.get(key);
    if (known !== undefined) return known;
    const shape: Shape = { id: id ?? this.#nextShape, metric, labels, key, uses: 0 };
    this.#nextShape = Math.max(this.#nextShape, shape.id + 1);
    this.#shapes.set(key, shape);
    metric.shapes.add(shape);
    return shape;
  }

  source(labels: Labels, id?: number): Source {
    const key = labelsKey(labels);
    const known = this.sources.get(key);
    if (known !== undefined) return known;
    const source: Source = { id: id ?? this.#nextSource, labels, key, uses: 0 };
    this.#nextSource = Math.max(this.#nextSource, source.id + 1);
    this.sources.set(key, source);
    return source;
  }

  /** One use less; what nobody uses is forgotten. */
  releaseShape(shape: Shape): void {
    shape.uses--;
    if (shape.uses > 0) return;
    this.#shapes.delete(shape.key);
    shape.metric.shapes.delete(shape);
    if (shape.metric.shapes.size === 0) this.metrics.delete(shape.metric.name);
  }

  releaseSource(source: Source): void {
    source.uses--;
    if (source.uses <= 0) this.sources.delete(source.key);
  }

  match(matchers: readonly Matcher[]): Matched {
    const sources = this.#matchSources(matchers.filter((matcher) => SOURCE_LABELS.includes(matcher.name)));
    const metrics = new Map<string, MatchedMetric>();
    if (sources.size === 0) return { sources, metrics };
    const onName = matchers.filter((matcher) => matcher.name === '__name__');
    const onShape = matchers.filter((matcher) => matcher.name !== '__name__' && !SOURCE_LABELS.includes(matcher.name));
    for (const metric of this.#matchMetrics(onName)) {
      const shapes = matchShapes(metric, onShape);
      if (shapes.size > 0) metrics.set(metric.name, { metric, shapes });
    }
    return { sources, metrics };
  }

  #matchMetrics(matchers: readonly Matcher[]): Metric[] {
    const finite = matchers.find((matcher) => namesOf(matcher) !== undefined);
    const candidates = finite === undefined ? this.metrics.values() : present(this.metrics, namesOf(finite) ?? []);
    const found: Metric[] = [];
    for (const metric of candidates) if (matchers.every((matcher) => matcher.matches(metric.name))) found.push(metric);
    return found;
  }

  #matchSources(matchers: readonly Matcher[]): Set<Source> {
    const found = new Set<Source>();
    for (const source of this.sources.values()) if (matchesLabels(source.labels, matchers)) found.add(source);
    return found;
  }
}

function matchShapes(metric: Metric, matchers: readonly Matcher[]): ReadonlySet<Shape> {
  // A set of its own in any case: the head forgets shapes while a read is under way.
  const found = new Set<Shape>();
  for (const shape of metric.shapes) if (matchesLabels(shape.labels, matchers)) found.add(shape);
  return found;
}

function matchesLabels(labels: Labels, matchers: readonly Matcher[]): boolean {
  for (const matcher of matchers) {
    let value = '';
    for (let i = 0; i < labels.length; i += 2) {
      if (labels[i] === matcher.name) {
        value = labels[i + 1] as string;
        break;
      }
    }
    if (!matcher.matches(value)) return false;
  }
  return true;
}

/** The values that a matcher on the name can match, if they are few and known. */
function namesOf(matcher: Matcher): readonly string[] | undefined {
  return matcher.op === MatchOp.equal ? [matcher.value] : matcher.op === MatchOp.regexp ? matcher.values : undefined;
}

function* present<T>(map: ReadonlyMap<string, T>, keys: readonly string[]): Iterable<T> {
  for (const key of new Set(keys)) {
    const value = map.get(key);
    if (value !== undefined) yield value;
  }
}

function shapeKey(name: string, labels: Labels): string {
  return `${name.length}:${name}${labelsKey(labels)}`;
}

/** The labels without those that make the source. */
export function withoutSource(labels: Labels): Labels {
  const rest: string[] = [];
  for (let i = 0; i < labels.length; i += 2) {
    if (!SOURCE_LABELS.includes(labels[i] as string)) rest.push(labels[i] as string, labels[i + 1] as string);
  }
  return rest;
}

/** Identity of a relayed series (law 7): its own job and instance, and `agent`, the host that passed it on. */
export function relayedSource(own: Labels, agentHost: string): Labels {
  const labels: string[] = agentHost === '' ? [] : ['agent', agentHost];
  for (let i = 0; i < own.length; i += 2) {
    const name = own[i] as string;
    if (name === 'instance' || name === 'job') labels.push(name, own[i + 1] as string);
  }
  return labels;
}

/** The whole label set of a series, sorted, `__name__` included. */
export function seriesLabels(source: Source, shape: Shape): Labels {
  const out: string[] = [];
  const a = source.labels;
  const b = shape.labels;
  let nameDone = false;
  for (let i = 0, k = 0; i < a.length || k < b.length;) {
    const takeSource = k >= b.length || (i < a.length && (a[i] as string) < (b[k] as string));
    const labels = takeSource ? a : b;
    const at = takeSource ? i : k;
    if (!nameDone && (labels[at] as string) > '__name__') {
      out.push('__name__', shape.metric.name);
      nameDone = true;
    }
    out.push(labels[at] as string, labels[at + 1] as string);
    if (takeSource) i += 2;
    else k += 2;
  }
  if (!nameDone) out.push('__name__', shape.metric.name);
  return out;
}
