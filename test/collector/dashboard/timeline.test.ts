/** The data of charts as it grows. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ChartsAnswer, Points } from '../../../collector/dashboard/src/contract.ts';
import {
  append,
  axisSplits,
  axisTop,
  columnsOf,
  fillHoles,
  largestSeries,
  prune,
  resumeMs,
  SERIES_MAX,
  timelineOf,
} from '../../../collector/dashboard/src/timeline.ts';
import type { Timeline } from '../../../collector/dashboard/src/timeline.ts';

function answer(step: number, times: readonly number[], values: readonly (number | null)[]): ChartsAnswer {
  const chart = { id: 'cpu', title: 'CPU', unit: 'percent', stacked: true, series: [{ name: 'user', values }] } as const;
  return { from: times[0] ?? 0, to: times.at(-1) ?? 0, step, times, charts: [chart], coverage: { live: [], late: [], gaps: [] } };
}

function points(times: readonly number[], series: Readonly<Record<string, readonly (number | null)[]>>): Points {
  return { times, charts: { cpu: { series } }, newestMs: times.at(-1) ?? null };
}

function valuesOf(timeline: Timeline, name: string): readonly (number | null)[] | undefined {
  return timeline.charts[0]?.series.find((series) => series.name === name)?.values;
}

test('a point of the next second is added, one of a known second replaces it', () => {
  const timeline = timelineOf(answer(1000, [1000, 2000], [1, 2]));
  append(timeline, points([2000, 3000], { user: [5, 6] }));
  assert.deepEqual(timeline.times, [1000, 2000, 3000]);
  assert.deepEqual(valuesOf(timeline, 'user'), [1, 5, 6]);
});

test('a hole in time gets a row of nulls, so that no line crosses it', () => {
  const timeline = timelineOf(answer(1000, [1000], [1]));
  append(timeline, points([9000], { user: [9] }));
  assert.deepEqual(timeline.times, [1000, 2000, 9000]);
  assert.deepEqual(valuesOf(timeline, 'user'), [1, null, 9]);
});

test('the stream goes on where values end, not where the axis of the answer ends, and what it brings fills the hole', () => {
  const times = Array.from({ length: 30 }, (_, i) => (i + 1) * 1000);
  const timeline = timelineOf(
    answer(
      1000,
      times,
      times.map((time) => (time <= 24_000 ? 1 : null)),
    ),
  );
  const fromMs = resumeMs(timeline) ?? Infinity;
  assert.ok(fromMs <= 24_000 - 1000, `from ${fromMs}`);
  const sent = Array.from({ length: 31_000 / 1000 - fromMs / 1000 }, (_, i) => fromMs + (i + 1) * 1000);
  append(timeline, points(sent, { user: sent.map((time) => (time === 20_000 ? null : 2)) }));
  assert.equal(timeline.times.at(-1), 31_000);
  assert.ok(valuesOf(timeline, 'user')?.every((value) => value !== null));
});

test('the chart that ends first says where to go on; one without any value, or that ended minutes ago, does not bring minutes', () => {
  const times = Array.from({ length: 300 }, (_, i) => (i + 1) * 1000);
  const ending = (endMs: number): (number | null)[] => times.map((time) => (time <= endMs ? 1 : null));
  const charts = (...ends: number[]): Timeline => {
    const one = answer(1000, times, []).charts[0];
    assert.ok(one);
    const made = ends.map((endMs, i) => ({ ...one, id: `c${i}`, series: [{ name: 'a', values: ending(endMs) }] }));
    return timelineOf({ ...answer(1000, times, []), charts: made });
  };
  assert.equal(resumeMs(charts(300_000, 290_000, 0)), 285_000);
  assert.equal(resumeMs(charts(300_000, 20_000)), 240_000);
  assert.equal(resumeMs(timelineOf(answer(1000, [], []))), undefined);
});

test('points that came before an answer that lacks them stay; what the answer has is not replaced', () => {
  const recent = [points([2000, 3000], { user: [8, 9] }), points([4000], { user: [10] })];
  const timeline = timelineOf(answer(1000, [1000, 2000, 3000], [1, 2, null]));
  fillHoles(timeline, recent);
  assert.deepEqual(timeline.times, [1000, 2000, 3000, 4000]);
  assert.deepEqual(valuesOf(timeline, 'user'), [1, 2, 9, 10]);
  const coarse = timelineOf(answer(10_000, [10_000], [1]));
  fillHoles(coarse, recent);
  assert.deepEqual(valuesOf(coarse, 'user'), [1]);
});

test('a series that begins later has nulls before; a chart that is not known is left alone', () => {
  const timeline = timelineOf(answer(1000, [1000], [1]));
  append(timeline, {
    ...points([2000], { user: [2], steal: [7] }),
    charts: { cpu: { series: { user: [2], steal: [7] } }, gpu: { series: { a: [1] } } },
  });
  assert.deepEqual(valuesOf(timeline, 'steal'), [null, 7]);
  assert.equal(timeline.charts.length, 1);
});

test('a step of many seconds is named by its end and shows the mean of what fell into it', () => {
  const timeline = timelineOf(answer(10_000, [10_000], [1]));
  append(timeline, points([11_000, 12_000], { user: [2, 4] }));
  append(timeline, points([20_000, 21_000], { user: [9, 8] }));
  assert.deepEqual(timeline.times, [10_000, 20_000, 30_000]);
  assert.deepEqual(valuesOf(timeline, 'user'), [1, 5, 8]);
});

test('all columns stay as long as the axis, whatever comes and goes', () => {
  const timeline = timelineOf(answer(1000, [1000, 2000, 3000], [1]));
  for (let second = 4; second < 400; second++) {
    append(timeline, points([second * 1000], second % 3 ? { user: [second] } : { other: [second] }));
    prune(timeline, (second - 100) * 1000);
    for (const series of timeline.charts[0]?.series ?? []) assert.equal(series.values.length, timeline.times.length);
    assert.equal(timeline.counts.length, timeline.times.length);
  }
  assert.ok(timeline.times.length < 170, 'what left the window was cut');
  assert.ok((timeline.times[0] ?? Infinity) <= 299_000, 'one point before the window stays, so that the line reaches its edge');
});

test('stacked columns lie on each other; a time without any value is empty in all layers', () => {
  const series = [{ values: [1, null, null] }, { values: [2, null, 5] }, { values: [3, null, null] }];
  assert.deepEqual(columnsOf({ stacked: true, series }), [
    [1, null, 0],
    [3, null, 5],
    [6, null, 5],
  ]);
  assert.deepEqual(columnsOf({ stacked: false, series })[1], [2, null, 5]);
});

test('of too many series the largest stay, in their order, and the rest is counted', () => {
  const series = Array.from({ length: SERIES_MAX + 3 }, (_, i) => ({ name: `s${i}`, values: [i === 0 ? 99 : i] }));
  const { shown, hidden } = largestSeries(series);
  assert.equal(hidden, 3);
  assert.equal(shown.length, SERIES_MAX);
  assert.equal(shown[0]?.name, 's0');
  assert.ok(!shown.some((one) => one.name === 's1'));
});

test('the value axis has a calm top and round lines up to it', () => {
  assert.equal(axisTop(3, 'percent'), 5);
  assert.equal(axisTop(51, 'percent'), 100);
  assert.equal(axisTop(100.0004, 'percent'), 100, 'rounding does not double the axis');
  assert.equal(axisTop(130, 'percent'), 200);
  assert.equal(axisTop(0, 'load'), 1);
  assert.equal(axisTop(Number.NaN, 'load'), 1);
  assert.equal(axisTop(2.8, 'load'), 3);
  assert.equal(axisTop(900 * 1024, 'bytes'), 1000 * 1024);
  assert.equal(axisTop(1.9 * 1024 ** 3, 'bytes'), 2 * 1024 ** 3);
  assert.deepEqual(axisSplits(3, 'load'), [0, 1, 2, 3]);
  assert.deepEqual(axisSplits(100, 'percent'), [0, 25, 50, 75, 100]);
  for (const largest of [0.001, 0.3, 7, 12_345, 9e15]) {
    const top = axisTop(largest, 'count');
    assert.ok(top >= largest && top <= largest * 2.2, `${largest} -> ${top}`);
  }
});
