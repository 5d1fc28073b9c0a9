/** From counters and gauges to points: resets, gaps, sharing between steps. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addGauge, addRates, latestRate, latestValue, usualIntervalMs, type Columns, type Steps } from '../../../collector/query/rates.ts';
import { setStale } from '../../../collector/query/steps.ts';

function columns(...samples: readonly (readonly [timeMs: number, value: number | 'stale'])[]): Columns {
  const values = new Float64Array(samples.length);
  for (const [i, [, value]] of samples.entries()) {
    if (value === 'stale') setStale(values, i);
    else values[i] = value;
  }
  return { timesMs: Float64Array.from(samples, ([timeMs]) => timeMs), values };
}

/** What each step has, null where nothing was measured. */
function points(add: typeof addRates, series: Columns, steps: Steps): (number | null)[] {
  const sums = new Float64Array(steps.count);
  const counts = new Uint32Array(steps.count);
  add(series, steps, sums, counts);
  return Array.from(sums, (sum, k) => (counts[k] === 0 ? null : sum));
}

const seconds = (count: number): Steps => ({ firstMs: 1000, stepMs: 1000, count });

test('a counter read each second gives its increase in each second', () => {
  assert.deepEqual(points(addRates, columns([0, 10], [1000, 12], [2000, 12], [3000, 20]), seconds(4)), [2, 0, 8, null]);
});

test('a step longer than the interval has the average', () => {
  const series = columns([0, 0], [1000, 1], [2000, 2], [3000, 5], [4000, 10]);
  assert.deepEqual(points(addRates, series, { firstMs: 2000, stepMs: 2000, count: 2 }), [1, 4]);
});

test('an interval longer than the step is shared by time, also when it begins between steps', () => {
  assert.deepEqual(points(addRates, columns([0, 0], [4000, 8], [8000, 8]), seconds(6)), [2, 2, 2, 2, 0, 0]);
  assert.deepEqual(points(addRates, columns([500, 0], [1500, 10], [2500, 30]), seconds(3)), [10, 15, 20]);
});

test('a counter that fell began again at zero', () => {
  assert.deepEqual(points(addRates, columns([0, 100], [1000, 3], [2000, 5]), seconds(2)), [3, 2]);
});

test('a gap stays empty; one missed sample is no gap', () => {
  const series = columns([0, 0], [1000, 1], [2000, 2], [3000, 3], [9000, 90], [10_000, 91]);
  assert.deepEqual(points(addRates, series, seconds(10)), [1, 1, 1, null, null, null, null, null, null, 1]);
  assert.deepEqual(points(addRates, columns([0, 0], [1000, 1], [2000, 2], [4000, 6]), seconds(4)), [1, 1, 2, 2]);
});

test('a staleness marker breaks a counter', () => {
  assert.deepEqual(points(addRates, columns([0, 0], [1000, 1], [2000, 'stale'], [3000, 50], [4000, 51]), seconds(4)), [1, null, null, 1]);
});

test('a gauge has its newest value in each step, is held between slow samples and ends in a gap', () => {
  assert.deepEqual(points(addGauge, columns([1000, 1], [1900, 2], [3000, 3]), seconds(3)), [1, 2, 3]);
  assert.deepEqual(points(addGauge, columns([0, 1], [3000, 3], [6000, 6]), seconds(7)), [1, 1, 3, 3, 3, 6, 6]);
  const gap = columns([0, 0], [1000, 1], [2000, 2], [8000, 8]);
  assert.deepEqual(points(addGauge, gap, seconds(8)), [1, 2, 2, 2, null, null, null, 8]);
  assert.deepEqual(points(addGauge, columns([1000, 1], [2000, 'stale']), seconds(3)), [1, null, null]);
});

test('series add up where they have values', () => {
  const sums = new Float64Array(2);
  const counts = new Uint32Array(2);
  addGauge(columns([1000, 1], [2000, 2]), seconds(2), sums, counts);
  addGauge(columns([2000, 5]), seconds(2), sums, counts);
  assert.deepEqual([...sums], [1, 7]);
  assert.deepEqual([...counts], [1, 2]);
});

test('the rate at the end is over the span, or over two samples if they are further apart', () => {
  const each = columns([0, 0], [1000, 1], [2000, 2], [3000, 3], [4000, 14], [5000, 15]);
  assert.equal(latestRate(each, 2000), 6);
  assert.equal(latestRate(columns([0, 0], [60_000, 120]), 5000), 2);
  assert.equal(latestRate(columns([0, 5]), 5000), undefined);
  assert.equal(latestRate(columns([0, 5], [1000, 6], [2000, 'stale']), 5000), undefined);
  assert.equal(latestRate(columns([0, 9], [1000, 10], [2000, 1]), 5000), 1, 'a reset');
});

test('the newest value is none after a marker', () => {
  assert.equal(latestValue(columns([0, 1], [1000, 2])), 2);
  assert.equal(latestValue(columns([0, 1], [1000, 'stale'])), undefined);
  assert.equal(latestValue(columns()), undefined);
});

test('the usual interval is the median of the last ones', () => {
  assert.equal(usualIntervalMs(Float64Array.of(0, 1000, 2000, 9000, 10_000)), 1000);
  assert.equal(usualIntervalMs(Float64Array.of(0, 30_000)), 30_000);
});
