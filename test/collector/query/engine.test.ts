/** The engine for plain selectors: lookback, staleness, steps, ranges, limits. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { labelsOf, labelValue } from '../../../collector/model/labels.ts';
import { LOOKBACK_MS, selectorEngine, stepGrid, type Engine, type QueryValue } from '../../../collector/query/engine.ts';
import { every, FakeSource } from './fake-source.ts';

const signal = new AbortController().signal;

function setUp(options: { samplesMax?: number; pointsMax?: number } = {}): { source: FakeSource; engine: Engine } {
  const source = new FakeSource();
  return { source, engine: selectorEngine({ source, ...options }) };
}

/** `series -> times:values` as text. */
function show(value: QueryValue): Record<string, string> {
  const name = (labels: readonly string[]): string => labelValue(labels, 'i') || labelValue(labels, '__name__');
  if (value.kind === 'vector') return Object.fromEntries(value.samples.map((one) => [name(one.labels), `${one.timeMs}:${one.value}`]));
  return Object.fromEntries(
    value.series.map(({ labels, timesMs, values }) => [
      name(labels),
      Array.from(timesMs, (timeMs, i) => `${timeMs}:${values[i]}`).join(' '),
    ]),
  );
}

test('an instant vector has the newest sample within five minutes, at the evaluation time', async () => {
  const { source, engine } = setUp();
  source.add({ __name__: 'up', i: 'a' }, [
    [1000, 1],
    [2000, 2],
    [400_000, 3],
  ]);
  const at = async (timeMs: number): Promise<unknown> => show(await engine.instant('up', timeMs, signal));
  assert.deepEqual(await at(999), {});
  assert.deepEqual(await at(1000), { a: '1000:1' });
  assert.deepEqual(await at(2500), { a: '2500:2' });
  assert.deepEqual(await at(2000 + LOOKBACK_MS - 1), { a: `${2000 + LOOKBACK_MS - 1}:2` });
  assert.deepEqual(await at(2000 + LOOKBACK_MS), {}, 'the interval is left-open');
  assert.deepEqual(await at(400_000), { a: '400000:3' });
  const steps = await engine.range('up', 2000, 2000 + 2 * LOOKBACK_MS, LOOKBACK_MS, signal);
  assert.deepEqual(show(steps), { a: `2000:2 ${2000 + 2 * LOOKBACK_MS}:3` }, 'in a range query as well');
});

test('a staleness marker ends a series, an ordinary NaN does not', async () => {
  const { source, engine } = setUp();
  source.add({ __name__: 'up', i: 'ended' }, [
    [1000, 1],
    [2000, 'stale'],
  ]);
  source.add({ __name__: 'up', i: 'again' }, [
    [1000, 1],
    [2000, 'stale'],
    [3000, 5],
  ]);
  source.add({ __name__: 'up', i: 'nan' }, [
    [1000, 1],
    [2000, Number.NaN],
  ]);
  assert.deepEqual(show(await engine.instant('up', 1500, signal)), { again: '1500:1', ended: '1500:1', nan: '1500:1' });
  assert.deepEqual(show(await engine.instant('up', 2500, signal)), { nan: '2500:NaN' });
  assert.deepEqual(show(await engine.instant('up', 3000, signal)), { again: '3000:5', nan: '3000:NaN' });
  assert.deepEqual(show(await engine.range('up{i="again"}', 1000, 3000, 500, signal)), { again: '1000:1 1500:1 3000:5' });
});

test('all four matchers select', async () => {
  const { source, engine } = setUp();
  for (const i of ['a', 'b', 'ab']) source.add({ __name__: 'up', i, job: i === 'b' ? '' : 'node' }, [[1000, 1]]);
  source.add({ __name__: 'other', i: 'a' }, [[1000, 1]]);
  const found = async (query: string): Promise<string[]> => Object.keys(show(await engine.instant(query, 1000, signal)));
  assert.deepEqual(await found('up{i="a"}'), ['a']);
  assert.deepEqual(await found('up{i!="a"}'), ['ab', 'b']);
  assert.deepEqual(await found('up{i=~"a.*"}'), ['a', 'ab']);
  assert.deepEqual(await found('up{i!~"a|b"}'), ['ab']);
  assert.deepEqual(await found('up{job=""}'), ['b']);
  assert.deepEqual(await found('up{job!=""}'), ['a', 'ab']);
  assert.deepEqual(await found('up{none!="x",i="a"}'), ['a']);
});

test('answers are sorted by labels whatever the order of the store', async () => {
  const { source, engine } = setUp();
  for (const i of ['c', 'a', 'b']) source.add({ __name__: 'up', i }, [[1000, 1]]);
  source.add({ __name__: 'aa', z: '1' }, [[1000, 1]]);
  const vector = await engine.instant('{__name__=~"up|aa"}', 1000, signal);
  assert.ok(vector.kind === 'vector');
  assert.deepEqual(
    vector.samples.map(({ labels }) => labels.join(' ')),
    ['__name__ aa z 1', '__name__ up i a', '__name__ up i b', '__name__ up i c'],
  );
});

test('a range selector gives the raw samples of a left-open interval, markers left out', async () => {
  const { source, engine } = setUp();
  source.add(
    { __name__: 'up', i: 'a' },
    every(1000, 1000, 5, (i) => i),
  );
  source.add({ __name__: 'up', i: 'b' }, [
    [3000, 7],
    [4000, 'stale'],
    [5000, 8],
  ]);
  source.add({ __name__: 'up', i: 'c' }, [[4000, 'stale']]);
  assert.deepEqual(show(await engine.instant('up[4s]', 5000, signal)), { a: '2000:1 3000:2 4000:3 5000:4', b: '3000:7 5000:8' });
  assert.deepEqual(show(await engine.instant('up[2s] offset 1s', 5000, signal)), { a: '3000:2 4000:3', b: '3000:7' });
  assert.deepEqual(show(await engine.instant('up[1s] @ 3', 99_000, signal)), { a: '3000:2', b: '3000:7' });
});

test('a range query evaluates at each step, with offset and @', async () => {
  const { source, engine } = setUp();
  source.add(
    { __name__: 'up', i: 'a' },
    every(1000, 10_000, 4, (i) => i),
  );
  const range = async (query: string): Promise<unknown> => show(await engine.range(query, 9000, 13_000, 2000, signal));
  assert.deepEqual(await range('up'), { a: '11000:1 13000:3' });
  assert.deepEqual(await range('up offset 1s'), { a: '11000:0 13000:2' });
  assert.deepEqual(await range('up @ 11'), { a: '9000:1 11000:1 13000:1' });
  assert.deepEqual(await range('up @ end()'), { a: '9000:3 11000:3 13000:3' });
  assert.deepEqual(await range('up @ start() offset -1s'), { a: '9000:0 11000:0 13000:0' });
});

test('the last step may lie before the end, and a single step is allowed', async () => {
  assert.deepEqual([...stepGrid(0, 2500, 1000)], [0, 1000, 2000]);
  assert.deepEqual([...stepGrid(5, 5, 1000)], [5]);
});

test('numbers of a range query out of bounds are refused as Prometheus does', () => {
  assert.equal(stepGrid(0, 11_000_000, 1000).length, 11_001);
  assert.throws(() => stepGrid(0, 11_001_000, 1000), { code: 'query_range', message: /^exceeded maximum resolution of 11,000 points/ });
  assert.throws(() => stepGrid(0, 1000, 0), { code: 'query_range' });
  assert.throws(() => stepGrid(0, 1000, Number.NaN), { code: 'query_range' });
  assert.throws(() => stepGrid(1000, 0, 1), { code: 'query_range' });
});

test('the store is asked for the lookback and no more, with the limit of samples', async () => {
  const { source, engine } = setUp({ samplesMax: 123 });
  await engine.range('up', 1_000_000, 1_010_000, 5000, signal);
  await engine.instant('up[1m]', 1_000_000, signal);
  assert.deepEqual(
    source.selects.map(({ range }) => range),
    [
      { fromMs: 1_000_000 - LOOKBACK_MS + 1, toMs: 1_010_000 },
      { fromMs: 940_001, toMs: 1_000_000 },
    ],
  );
  assert.deepEqual(
    source.selects.map(({ hints }) => hints),
    [{ samplesMax: 123, stepMs: 5000 }, { samplesMax: 123 }],
  );
});

test('an answer of too many points is refused', async () => {
  const { source, engine } = setUp({ pointsMax: 10 });
  for (const i of ['a', 'b']) source.add({ __name__: 'up', i }, [[1000, 1]]);
  assert.equal((await engine.range('up', 1000, 5000, 1000, signal)).series.length, 2);
  await assert.rejects(engine.range('up', 1000, 6000, 1000, signal), { code: 'query_too_large' });
});

test('an aborted query ends with the reason of its signal', async () => {
  const { source, engine } = setUp();
  source.add({ __name__: 'up', i: 'a' }, [[1000, 1]]);
  const abort = new AbortController();
  source.before = async () => abort.abort(new Error('the client has gone'));
  await assert.rejects(engine.instant('up', 1000, abort.signal), /the client has gone/);
});

test('a query tells which hosts and which span it rests on', () => {
  const { engine } = setUp();
  const hosts = (query: string): unknown => engine.reads(query, 0, 0).hosts;
  assert.deepEqual(hosts('up{instance="a"}'), ['a']);
  assert.deepEqual(hosts('up{instance=~"a|b"}'), ['a', 'b']);
  assert.equal(hosts('up{instance=~"a.*"}'), 'all');
  assert.equal(hosts('up{job="node"}'), 'all');
  const span = (query: string, fromMs: number, toMs: number): unknown[] => {
    const reads = engine.reads(query, fromMs, toMs);
    return [reads.fromMs, reads.toMs];
  };
  assert.deepEqual(span('up', 1_000_000, 1_000_000), [1_000_000 - LOOKBACK_MS, 1_000_000]);
  assert.deepEqual(span('up[10s] offset 5s', 1_000_000, 1_000_000), [985_000, 995_000]);
  assert.deepEqual(span('up', 1_000_000, 2_000_000), [1_000_000, 2_000_000]);
  assert.deepEqual(span('up offset 1s', 1_000_000, 2_000_000), [999_000, 1_999_000]);
  assert.deepEqual(span('up @ 500', 1_000_000, 2_000_000), [500_000 - LOOKBACK_MS, 500_000]);
});

test('a series without holes shares the times of its answer', async () => {
  const { source, engine } = setUp();
  for (const i of ['a', 'b']) source.add({ __name__: 'up', i }, [[1000, 1]]);
  source.add({ __name__: 'up', i: 'c' }, [[2000, 1]]);
  const { series } = await engine.range('up', 1000, 3000, 1000, signal);
  assert.equal(series[0]?.timesMs, series[1]?.timesMs);
  assert.deepEqual(series[2]?.timesMs, Float64Array.of(2000, 3000));
  assert.deepEqual(series[2]?.labels, labelsOf({ __name__: 'up', i: 'c' }));
});
