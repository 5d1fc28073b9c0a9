/** The data of one host's charts: loaded once, then grown by the stream and cut at the old end. Pure data and functions; draws nothing. */
import type { Chart, ChartsAnswer, Points, Unit } from './contract.ts';

type Values = (number | null)[];
export type TimelineSeries = { readonly name: string; readonly values: Values };
export type TimelineChart = {
  readonly id: string;
  readonly title: string;
  readonly unit: Unit;
  readonly stacked: boolean;
  readonly series: TimelineSeries[];
};

/** One time axis for all charts; every values array is as long as `times`. Mutable: it grows each second. */
export type Timeline = { readonly stepMs: number; readonly times: number[]; readonly charts: TimelineChart[]; counts: number[] };

/** More lines than this in one chart cannot be told apart; the largest stay and the rest is said in words. */
export const SERIES_MAX = 12;
/** What is kept beyond the window, so that cutting is not done each second. */
const SLACK_POINTS = 60;
/** Asked for again at most: a chart that has ended long ago does not make the stream bring minutes. */
const RESUME_MS_MAX = 60_000;
/** Asked for again at least: the last seconds were drawn from the samples there were, and some of them come after the others. */
const RESUME_MS_MIN = 5000;

export function timelineOf(answer: ChartsAnswer): Timeline {
  const times = [...answer.times];
  const charts = answer.charts.map((chart) => ({
    ...chart,
    series: chart.series.map((series) => ({ name: series.name, values: fitted(series.values, times.length) })),
  }));
  return { stepMs: answer.step, times, charts, counts: times.map(() => 1) };
}

/**
 * Adds what came. A step is named by its end and keeps the mean of what fell into it; a hole in time gets a row of nulls, so that no line is
 * drawn across it; what is older than the newest point replaces the point it belongs to, or is left for the next full load.
 */
export function append(timeline: Timeline, points: Points, into: 'all' | 'holes' = 'all'): void {
  for (const [index, timeMs] of points.times.entries()) {
    const at = Math.ceil(timeMs / timeline.stepMs) * timeline.stepMs;
    const last = timeline.times.at(-1);
    if (last === undefined || at > last) {
      if (last !== undefined && at - last > timeline.stepMs * 1.5) addRow(timeline, last + timeline.stepMs, 0);
      addRow(timeline, at, 0);
    }
    const row = rowOf(timeline.times, at);
    if (row !== undefined) putRow(timeline, row, points, index, into);
  }
}

/**
 * From where the stream has to go on. Not from the end of the axis: that is the time of asking, and an agent that nobody watched has sent only
 * what it had seconds ago. Each chart ends at its own last value; the earliest end counts.
 */
export function resumeMs(timeline: Timeline): number | undefined {
  const newestMs = timeline.times.at(-1);
  if (newestMs === undefined) return undefined;
  const ends = timeline.charts.map((chart) => endMs(timeline, chart)).filter((end) => end !== undefined);
  const endedMs = Math.min(newestMs, ...ends);
  // What is asked for again replaces a second; in a coarse step it would count twice.
  return Math.max(newestMs - RESUME_MS_MAX, endedMs - (timeline.stepMs > 1000 ? 0 : RESUME_MS_MIN));
}

/** Fills the holes of a timeline just loaded with points that came before or meanwhile: its answer may have been made before them. */
export function fillHoles(timeline: Timeline, recent: readonly Points[]): void {
  // In a coarse step they are a part of the mean already.
  if (timeline.stepMs > 1000) return;
  for (const points of recent) append(timeline, points, 'holes');
}

/** Drops what lies before `fromMs`, in bites. */
export function prune(timeline: Timeline, fromMs: number): void {
  let first = 0;
  while (first < timeline.times.length && (timeline.times[first] ?? 0) < fromMs) first++;
  if (first <= SLACK_POINTS) return;
  const cut = first - 1;
  timeline.times.splice(0, cut);
  timeline.counts.splice(0, cut);
  for (const chart of timeline.charts) for (const series of chart.series) series.values.splice(0, cut);
}

/** Columns to draw: the series as they are, or each on top of those before it. A time without any value stays empty; one missing of many counts as 0. */
export function columnsOf(
  chart: Pick<Chart, 'stacked'> & { readonly series: readonly { readonly values: readonly (number | null)[] }[] },
): readonly Values[] {
  if (!chart.stacked) return chart.series.map((series) => [...series.values]);
  const columns: Values[] = [];
  for (const series of chart.series) {
    const below = columns.at(-1);
    columns.push(series.values.map((value, i) => sum(value, below?.[i] ?? null)));
  }
  // A time is drawn in all layers or in none: the top layer has a value as soon as any has.
  const top = columns.at(-1);
  for (const column of columns) for (let i = 0; i < column.length; i++) if (column[i] === null && top?.[i] !== null) column[i] = 0;
  return columns;
}

/** The series worth drawing and how many were left out: those with the largest mean, in their given order. */
export function largestSeries<T extends { readonly values: readonly (number | null)[] }>(
  series: readonly T[],
): { readonly shown: readonly T[]; readonly hidden: number } {
  if (series.length <= SERIES_MAX) return { shown: series, hidden: 0 };
  const keep = new Set(series.toSorted((a, b) => meanOf(b.values) - meanOf(a.values)).slice(0, SERIES_MAX));
  return { shown: series.filter((one) => keep.has(one)), hidden: series.length - SERIES_MAX };
}

/** Shares that are all of it add up to 100.0001 now and then. */
const ROUNDING_PERCENT = 0.5;

/** Top of the value axis: calm steps instead of a scale that breathes with the data. */
export function axisTop(largest: number, unit: Unit): number {
  if (unit === 'percent') return [5, 10, 25, 50, 100].find((top) => largest <= top + ROUNDING_PERCENT) ?? Math.ceil(largest / 100) * 100;
  if (!(largest > 0)) return 1;
  const base = unit === 'bytes' || unit === 'bytes_per_second' ? 1024 ** Math.max(0, Math.floor(Math.log2(largest) / 10)) : 1;
  const scaled = (largest * 1.05) / base;
  const ten = 10 ** Math.floor(Math.log10(scaled));
  const nice = [1, 1.5, 2, 3, 4, 5, 6, 8, 10].find((step) => scaled <= step * ten) ?? 10;
  return nice * ten * base;
}

/** Where the value axis has its lines: a few round values from 0 to the top. */
export function axisSplits(top: number, unit: Unit): number[] {
  const base = unit === 'bytes' || unit === 'bytes_per_second' ? 1024 ** Math.max(0, Math.floor(Math.log2(top) / 10)) : 1;
  const lead = Number((top / base / 10 ** Math.floor(Math.log10(top / base))).toPrecision(3));
  const parts = { 1.5: 3, 3: 3, 6: 3, 4: 4, 8: 4 }[lead] ?? (unit === 'percent' && top === 100 ? 4 : 2);
  return Array.from({ length: parts + 1 }, (_, i) => (top * i) / parts);
}

function addRow(timeline: Timeline, atMs: number, count: number): void {
  timeline.times.push(atMs);
  timeline.counts.push(count);
  for (const chart of timeline.charts) for (const series of chart.series) series.values.push(null);
}

function putRow(timeline: Timeline, row: number, points: Points, index: number, into: 'all' | 'holes'): void {
  const count = timeline.stepMs > 1000 ? (timeline.counts[row] ?? 0) : 0;
  for (const [id, { series }] of Object.entries(points.charts)) {
    const chart = timeline.charts.find((one) => one.id === id);
    if (!chart) continue;
    for (const [name, values] of Object.entries(series)) {
      const value = values[index] ?? null;
      if (value === null) continue;
      const target = seriesOf(chart, name, timeline.times.length);
      const before = target.values[row] ?? null;
      if (before !== null && into === 'holes') continue;
      target.values[row] = before === null || count === 0 ? value : before + (value - before) / (count + 1);
    }
  }
  timeline.counts[row] = count + 1;
}

function seriesOf(chart: TimelineChart, name: string, length: number): TimelineSeries {
  let series = chart.series.find((one) => one.name === name);
  if (!series) {
    series = { name, values: new Array<number | null>(length).fill(null) };
    chart.series.push(series);
  }
  return series;
}

/** The time of a chart's last value; undefined if it has none. */
function endMs(timeline: Timeline, chart: TimelineChart): number | undefined {
  const last = Math.max(-1, ...chart.series.map((series) => series.values.findLastIndex((value) => value !== null)));
  return timeline.times[last];
}

/** Index of a time in the sorted axis. */
function rowOf(times: readonly number[], atMs: number): number | undefined {
  let low = 0;
  let high = times.length - 1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    const time = times[middle] ?? 0;
    if (time === atMs) return middle;
    if (time < atMs) low = middle + 1;
    else high = middle - 1;
  }
  return undefined;
}

function fitted(values: readonly (number | null)[], length: number): Values {
  return Array.from({ length }, (_, i) => values[i] ?? null);
}

function sum(a: number | null, b: number | null): number | null {
  return a === null ? b : a + (b ?? 0);
}

function meanOf(values: readonly (number | null)[]): number {
  let total = 0;
  let count = 0;
  for (const value of values) {
    if (value === null) continue;
    total += Math.abs(value);
    count++;
  }
  return count === 0 ? 0 : total / count;
}
