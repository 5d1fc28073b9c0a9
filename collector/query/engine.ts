/**
 * Answers queries: the interface that http/ and alert/ ask, and the engine for plain selectors behind it.
 * Not the language: that will replace `selectorEngine`, not the interface.
 */
import { MatchOp, type Labels, type Matcher } from '../model/labels.ts';
import type { SampleSource, SeriesColumns } from '../model/ports.ts';
import { QueryError } from './errors.ts';
import { parseSelector, type Selector } from './selector.ts';
import { arraysOf, latestBefore, staleAt, stepColumns } from './steps.ts';

/** How far back an instant vector looks for a sample. Prometheus's default; the interval is left-open. */
export const LOOKBACK_MS = 5 * 60 * 1000;
/** Samples that one query may read. Prometheus's default for --query.max-samples. */
export const SAMPLES_MAX = 50_000_000;
/** Points that one answer may hold: 8 bytes each here, some 25 as JSON. */
export const POINTS_MAX = 11_000_000;
/** Steps of one range query, as in Prometheus: enough for 1 minute over a week or 1 s over three hours. */
export const STEPS_MAX = 11_000;
/** The event loop is given back after this long, so that one query does not delay the agents' acks. */
const TURN_MS = 10;

export type VectorSample = { readonly labels: Labels; readonly timeMs: number; readonly value: number };
export type MatrixSeries = { readonly labels: Labels; readonly timesMs: Float64Array; readonly values: Float64Array };
/** Series are sorted by their labels. Series often share one `timesMs` object. */
export type VectorValue = { readonly kind: 'vector'; readonly samples: readonly VectorSample[] };
export type MatrixValue = { readonly kind: 'matrix'; readonly series: readonly MatrixSeries[] };
export type QueryValue = VectorValue | MatrixValue;

/** All methods throw QueryError for what is the query's fault. An aborted signal ends a query with the signal's reason. */
export interface Engine {
  instant(query: string, timeMs: number, signal: AbortSignal): Promise<QueryValue>;
  /** Evaluates at fromMs, fromMs + stepMs, ... up to toMs. */
  range(query: string, fromMs: number, toMs: number, stepMs: number, signal: AbortSignal): Promise<MatrixValue>;
  /** What a query rests on, for its coverage: asked at one time if `fromMs` is `toMs`, else over a range. */
  reads(query: string, fromMs: number, toMs: number): Reads;
}

/** `hosts`: those that the query names (`instance="a"`, `instance=~"a|b"`), or 'all' if it does not say. */
export type Reads = { readonly hosts: readonly string[] | 'all'; readonly fromMs: number; readonly toMs: number };

export type EngineOptions = { readonly source: SampleSource; readonly samplesMax?: number; readonly pointsMax?: number };

export function selectorEngine(options: EngineOptions): Engine {
  const { source, samplesMax = SAMPLES_MAX, pointsMax = POINTS_MAX } = options;

  async function instant(query: string, timeMs: number, signal: AbortSignal): Promise<QueryValue> {
    const selector = parseSelector(query);
    const atMs = evaluationTime(selector, timeMs, timeMs, timeMs) - selector.offsetMs;
    if (selector.rangeMs !== undefined) return rawMatrix(selector, atMs, selector.rangeMs, signal);
    const samples: VectorSample[] = [];
    await eachSeries(selector.matchers, atMs - LOOKBACK_MS + 1, atMs, undefined, signal, (series) => {
      const index = latestBefore(series, atMs, LOOKBACK_MS);
      if (index !== -1) samples.push({ labels: series.labels, timeMs, value: series.values[index] as number });
      return 1;
    });
    return { kind: 'vector', samples: samples.sort(byLabels) };
  }

  /** The samples as they are, without staleness markers. */
  async function rawMatrix(selector: Selector, atMs: number, rangeMs: number, signal: AbortSignal): Promise<MatrixValue> {
    const matrix: MatrixSeries[] = [];
    await eachSeries(selector.matchers, atMs - rangeMs + 1, atMs, undefined, signal, (series) => {
      const clean = withoutMarkers(series);
      if (clean.timesMs.length > 0) matrix.push(clean);
      return clean.timesMs.length;
    });
    return { kind: 'matrix', series: matrix.sort(byLabels) };
  }

  async function range(query: string, fromMs: number, toMs: number, stepMs: number, signal: AbortSignal): Promise<MatrixValue> {
    const grid = stepGrid(fromMs, toMs, stepMs);
    const selector = parseSelector(query);
    if (selector.rangeMs !== undefined) {
      throw new QueryError('query_syntax', 'invalid expression type "range vector" for range query, must be Scalar or instant Vector');
    }
    const fixed = selector.at !== undefined;
    const firstMs = evaluationTime(selector, fromMs, fromMs, toMs) - selector.offsetMs;
    const lastMs = fixed ? firstMs : (grid.at(-1) as number) - selector.offsetMs;
    const matrix: MatrixSeries[] = [];
    const window = { grid, firstMs, stepMs: fixed ? 0 : stepMs, lookbackMs: LOOKBACK_MS };
    const room = arraysOf(grid.length);
    await eachSeries(selector.matchers, firstMs - LOOKBACK_MS + 1, lastMs, stepMs, signal, (series) => {
      const points = stepColumns(series, window, room());
      if (points.values.length > 0) matrix.push({ labels: series.labels, ...points });
      return points.values.length;
    });
    return { kind: 'matrix', series: matrix.sort(byLabels) };
  }

  /** Runs `evaluate` over every selected series, counts the points it gives, and lets others run in between. */
  async function eachSeries(
    matchers: readonly Matcher[],
    fromMs: number,
    toMs: number,
    stepMs: number | undefined,
    signal: AbortSignal,
    evaluate: (series: SeriesColumns) => number,
  ): Promise<void> {
    signal.throwIfAborted();
    const hints = stepMs === undefined ? { samplesMax } : { samplesMax, stepMs };
    let points = 0;
    let turnEndsMs = performance.now() + TURN_MS;
    for await (const batch of source.select(matchers, { fromMs, toMs }, hints, signal)) {
      for (const series of batch) {
        points += evaluate(series);
        if (points > pointsMax) throw tooLarge(pointsMax);
        if (performance.now() < turnEndsMs) continue;
        await new Promise(setImmediate);
        signal.throwIfAborted();
        turnEndsMs = performance.now() + TURN_MS;
      }
      signal.throwIfAborted();
    }
  }

  return { instant, range, reads };
}

/** At one time a selector reads its range or the lookback before; over a range, its steps: what lies before the first is nobody's question. */
function reads(query: string, fromMs: number, toMs: number): Reads {
  const selector = parseSelector(query);
  const firstMs = evaluationTime(selector, fromMs, fromMs, toMs) - selector.offsetMs;
  const lastMs = selector.at === undefined ? toMs - selector.offsetMs : firstMs;
  const backMs = firstMs === lastMs ? (selector.rangeMs ?? LOOKBACK_MS) : 0;
  return { hosts: hostsOf(selector), fromMs: firstMs - backMs, toMs: lastMs };
}

function hostsOf(selector: Selector): readonly string[] | 'all' {
  for (const matcher of selector.matchers) {
    if (matcher.name !== 'instance') continue;
    if (matcher.op === MatchOp.equal) return [matcher.value];
    if (matcher.values !== undefined) return matcher.values;
  }
  return 'all';
}

/** Checks the numbers of a range query and gives its evaluation times. Throws QueryError `query_range`. */
export function stepGrid(fromMs: number, toMs: number, stepMs: number): Float64Array {
  if (!(stepMs > 0))
    throw new QueryError('query_range', 'zero or negative query resolution step widths are not accepted. Try a positive integer');
  if (!(toMs >= fromMs)) throw new QueryError('query_range', 'end timestamp must not be before start time');
  const steps = Math.floor((toMs - fromMs) / stepMs) + 1;
  if (steps - 1 > STEPS_MAX) {
    throw new QueryError(
      'query_range',
      'exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)',
    );
  }
  const grid = new Float64Array(steps);
  for (let i = 0; i < steps; i++) grid[i] = fromMs + i * stepMs;
  return grid;
}

function evaluationTime(selector: Selector, timeMs: number, startMs: number, endMs: number): number {
  switch (selector.at?.kind) {
    case undefined:
      return timeMs;
    case 'time':
      return selector.at.timeMs;
    case 'start':
      return startMs;
    case 'end':
      return endMs;
  }
}

function withoutMarkers(series: SeriesColumns): MatrixSeries {
  const { labels, timesMs, values } = series;
  let markers = 0;
  for (let i = 0; i < values.length; i++) if (staleAt(values, i)) markers++;
  if (markers === 0) return { labels, timesMs, values };
  const times = new Float64Array(values.length - markers);
  const kept = new Float64Array(values.length - markers);
  for (let i = 0, n = 0; i < values.length; i++) {
    if (staleAt(values, i)) continue;
    times[n] = timesMs[i] as number;
    kept[n++] = values[i] as number;
  }
  return { labels, timesMs: times, values: kept };
}

function byLabels(a: { readonly labels: Labels }, b: { readonly labels: Labels }): number {
  return compareLabels(a.labels, b.labels);
}

/** Prometheus's order: pair by pair, then the shorter first. */
export function compareLabels(a: Labels, b: Labels): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const left = a[i] as string;
    const right = b[i] as string;
    if (left !== right) return left < right ? -1 : 1;
  }
  return a.length - b.length;
}

function tooLarge(pointsMax: number): QueryError {
  return new QueryError(
    'query_too_large',
    `the answer would hold more than ${pointsMax} points: narrow the selector, shorten the range or take a longer step`,
  );
}
