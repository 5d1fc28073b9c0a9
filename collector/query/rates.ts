/**
 * From counters and gauges to the points of a chart: what a host did in each step, and nothing where nothing was measured.
 * Not PromQL's rate(), which extrapolates over gaps; a chart must show them. Pure arithmetic over typed arrays.
 */
import { lastAtOrBefore, staleAt } from './steps.ts';

export type Columns = { readonly timesMs: Float64Array; readonly values: Float64Array };

/** Steps end at firstMs, firstMs + stepMs, ...; step k covers (end - stepMs, end]. */
export type Steps = { readonly firstMs: number; readonly stepMs: number; readonly count: number };

/** Samples further apart than this many of the series' own intervals have a gap between them: one missed sample is none. */
const GAP_INTERVALS = 2.5;
/** Assumed interval of a series with a single sample in sight. */
const INTERVAL_DEFAULT_MS = 10_000;
/** Intervals looked at to find the usual one. */
const INTERVALS_SEEN_MAX = 64;

/** The usual distance of a series' samples: the median of the last ones. */
export function usualIntervalMs(timesMs: Float64Array): number {
  if (timesMs.length < 2) return INTERVAL_DEFAULT_MS;
  const seen = Math.min(timesMs.length - 1, INTERVALS_SEEN_MAX);
  const intervals = new Float64Array(seen);
  for (let i = 0, at = timesMs.length - 1; i < seen; i++, at--) intervals[i] = (timesMs[at] as number) - (timesMs[at - 1] as number);
  return intervals.sort()[seen >> 1] as number;
}

/** Adds the series' rate per second in each step to `sums`, and 1 to `counts` where it has one. A counter that fell began again at 0. */
export function addRates(series: Columns, steps: Steps, sums: Float64Array, counts: Uint32Array): void {
  const { timesMs, values } = series;
  const gapMs = GAP_INTERVALS * usualIntervalMs(timesMs);
  const increase = new Float64Array(steps.count);
  const covered = new Float64Array(steps.count);
  for (let i = 1; i < timesMs.length; i++) {
    const fromMs = timesMs[i - 1] as number;
    const toMs = timesMs[i] as number;
    const delta = counterIncrease(values, i);
    if (toMs - fromMs > gapMs || Number.isNaN(delta)) continue;
    spread(steps, fromMs, toMs, delta, increase, covered);
  }
  for (let k = 0; k < steps.count; k++) {
    const ms = covered[k] as number;
    if (ms === 0) continue;
    sums[k] = (sums[k] as number) + ((increase[k] as number) / ms) * 1000;
    counts[k] = (counts[k] as number) + 1;
  }
}

/** Adds the series' value at each step's end to `sums`, and 1 to `counts` where it has one. */
export function addGauge(series: Columns, steps: Steps, sums: Float64Array, counts: Uint32Array): void {
  const { timesMs, values } = series;
  const holdMs = Math.max(steps.stepMs, GAP_INTERVALS * usualIntervalMs(timesMs));
  let index = lastAtOrBefore(timesMs, steps.firstMs);
  for (let k = 0; k < steps.count; k++) {
    const atMs = steps.firstMs + k * steps.stepMs;
    while (index + 1 < timesMs.length && (timesMs[index + 1] as number) <= atMs) index++;
    if (index === -1 || (timesMs[index] as number) <= atMs - holdMs) continue;
    const value = values[index] as number;
    if (Number.isNaN(value)) continue;
    sums[k] = (sums[k] as number) + value;
    counts[k] = (counts[k] as number) + 1;
  }
}

/**
 * The rate per second at the end of a series: over the last `spanMs`, or over the last two samples if they are further apart.
 * Undefined if there are not two samples, or the series has ended.
 */
export function latestRate(series: Columns, spanMs: number): number | undefined {
  const { timesMs, values } = series;
  const last = timesMs.length - 1;
  if (last < 1 || staleAt(values, last)) return undefined;
  const lastMs = timesMs[last] as number;
  const gapMs = GAP_INTERVALS * usualIntervalMs(timesMs);
  let increase = 0;
  let first = last;
  while (first > 0) {
    const fromMs = timesMs[first - 1] as number;
    const delta = counterIncrease(values, first);
    const enough = first < last && fromMs < lastMs - spanMs;
    if (enough || Number.isNaN(delta) || (timesMs[first] as number) - fromMs > gapMs) break;
    increase += delta;
    first--;
  }
  return first === last ? undefined : (increase / (lastMs - (timesMs[first] as number))) * 1000;
}

/** The newest value of a series, or undefined if it has none or has ended. */
export function latestValue(series: Columns): number | undefined {
  const value = series.values.at(-1);
  return value === undefined || Number.isNaN(value) ? undefined : value;
}

/** NaN if either sample is none, as a staleness marker is. */
function counterIncrease(values: Float64Array, i: number): number {
  const before = values[i - 1] as number;
  const after = values[i] as number;
  if (after >= before) return after - before;
  return after < before ? after : Number.NaN;
}

/** Shares an increase over (fromMs, toMs] among the steps it lies in, by time. */
function spread(steps: Steps, fromMs: number, toMs: number, delta: number, increase: Float64Array, covered: Float64Array): void {
  const { firstMs, stepMs, count } = steps;
  const first = Math.max(0, Math.floor((fromMs - firstMs) / stepMs) + 1);
  const last = Math.min(count - 1, Math.ceil((toMs - firstMs) / stepMs));
  for (let k = first; k <= last; k++) {
    const endMs = firstMs + k * stepMs;
    const ms = Math.min(endMs, toMs) - Math.max(endMs - stepMs, fromMs);
    if (ms <= 0) continue;
    increase[k] = (increase[k] as number) + (delta * ms) / (toMs - fromMs);
    covered[k] = (covered[k] as number) + ms;
  }
}
