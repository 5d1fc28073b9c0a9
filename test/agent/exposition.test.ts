/** Prometheus's text format as Go writes it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Exposition, formatValue, gatherOnce } from '../../agent/exposition.ts';
import type { Gatherer } from '../../agent/gather/gatherer.ts';
import { FakeTime } from './gather/fake-time.ts';

test('numbers are written as Go writes a float in its shortest form', () => {
  const check = (value: number, expected: string): void => assert.equal(formatValue(value), expected);
  check(0, '0');
  check(-0, '-0');
  check(1, '1');
  check(-1.5, '-1.5');
  check(0.21, '0.21');
  check(507_162, '507162');
  check(999_999, '999999');
  check(1_000_000, '1e+06');
  check(7_344_136, '7.344136e+06');
  check(1.795265011522778e9, '1.795265011522778e+09');
  check(14.036781000000001, '14.036781000000001');
  check(123456.789, '123456.789');
  check(0.0001, '0.0001');
  check(0.00001, '1e-05');
  check(2.1813e-5, '2.1813e-05');
  check(1e100, '1e+100');
  check(1e-300, '1e-300');
  check(18_446_744_073_709_551_615, '1.8446744073709552e+19');
  check(NaN, 'NaN');
  check(Infinity, '+Inf');
  check(-Infinity, '-Inf');
});

test('what is written reads back as the same number', () => {
  for (const value of [Math.PI, 1 / 3, 5e-324, Number.MAX_VALUE, Number.MAX_SAFE_INTEGER, 1e21, 123456789.123]) {
    assert.equal(Number(formatValue(value)), value);
    assert.equal(Number(formatValue(-value)), -value);
  }
});

test('families and series are sorted, labels too, and what was not set is left out', () => {
  const sink = new Exposition();
  const b = { name: 'b_total', type: 'counter', help: 'Second.' } as const;
  const a = { name: 'a', type: 'unknown', help: 'First.' } as const;
  sink.set(sink.series(b, { z: '2', a: 'x' }), 2);
  sink.set(sink.series(b, { a: 'x', z: '1' }), 1);
  sink.set(sink.series(a), 3);
  sink.series({ name: 'never', type: 'gauge', help: '' });
  assert.equal(
    sink.text(),
    '# HELP a First.\n# TYPE a untyped\na 3\n# HELP b_total Second.\n# TYPE b_total counter\nb_total{a="x",z="1"} 1\nb_total{a="x",z="2"} 2\n',
  );
  assert.equal(new Exposition().text(), '');
});

test('the same labels in another order are the same series, and the last value stands', () => {
  const sink = new Exposition();
  const metric = { name: 'a', type: 'gauge', help: '' } as const;
  const ref = sink.series(metric, { x: '1', y: '2' });
  assert.equal(sink.series(metric, { y: '2', x: '1' }), ref);
  sink.set(ref, 1);
  sink.set(ref, 2);
  assert.match(sink.text(), /^a\{x="1",y="2"\} 2$/m);
  assert.throws(() => sink.set(99, 1), RangeError);
});

test('quotes, backslashes and line ends in labels and help are escaped', () => {
  const sink = new Exposition();
  sink.set(sink.series({ name: 'a', type: 'gauge', help: 'one\\two\nthree "four"' }, { l: 'x\\y\n"z"' }), 1);
  assert.equal(sink.text(), '# HELP a one\\\\two\\nthree "four"\n# TYPE a gauge\na{l="x\\\\y\\n\\"z\\""} 1\n');
});

test('one gather waits for the slow, survives the broken, and says how each went', async () => {
  const time = new FakeTime();
  const metric = { name: 'slow_value', type: 'gauge', help: 'Slow.' } as const;
  const slow: Gatherer = {
    name: 'slow',
    intervalMs: 10_000,
    gather: async (_, sink) => {
      await new Promise<void>((resolve) => time.setTimer(resolve, 2000));
      sink.set(sink.series(metric), 5);
    },
    close: () => {},
  };
  const broken: Gatherer = {
    name: 'broken',
    intervalMs: 1000,
    gather: () => {
      throw new Error('no');
    },
    close: () => {},
  };
  const told: string[] = [];
  const log = { warn: (fields: object) => told.push(JSON.stringify(fields)), info: () => {} };
  const text = gatherOnce([slow, broken], time, time, log);
  await time.advance(2000);
  const lines = (await text).split('\n');
  assert.ok(lines.includes('slow_value 5'));
  assert.ok(lines.includes('node_scrape_collector_success{collector="slow"} 1'));
  assert.ok(lines.includes('node_scrape_collector_success{collector="broken"} 0'));
  assert.ok(lines.includes('node_scrape_collector_duration_seconds{collector="slow"} 2'));
  assert.equal(told.length, 1);
});
