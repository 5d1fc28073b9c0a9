/** Numbers and times as Prometheus 3.5.3 writes them, and answers in pieces. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { queryAnswer } from '../../../collector/http/json.ts';
import { formatTime, formatValue } from '../../../collector/http/json-numbers.ts';
import type { MatrixValue } from '../../../collector/query/engine.ts';

test('values are written shortest, with exponents where Go writes them', () => {
  const check = (value: number, text: string): void => assert.equal(formatValue(value), text);
  check(0, '0');
  check(-0, '-0');
  check(1, '1');
  check(0.1, '0.1');
  check(123456789.125, '123456789.125');
  check(1e20, '100000000000000000000');
  check(1e21, '1e+21');
  check(-1.5e21, '-1.5e+21');
  check(1e-6, '0.000001');
  check(1e-7, '1e-07');
  check(-1.5e-10, '-1.5e-10');
  check(1.7976931348623157e308, '1.7976931348623157e+308');
  check(5e-324, '5e-324');
  check(Number.NaN, 'NaN');
  check(Infinity, '+Inf');
  check(-Infinity, '-Inf');
});

test('every value reads back as itself', () => {
  const bits = new DataView(new ArrayBuffer(8));
  let seed = 12345;
  for (let i = 0; i < 20_000; i++) {
    for (const at of [0, 4]) bits.setUint32(at, (seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0));
    const value = bits.getFloat64(0);
    if (!Number.isNaN(value)) assert.equal(Number(formatValue(value).replace('+Inf', 'Infinity').replace('-Inf', '-Infinity')), value);
  }
});

test('times are seconds with no or exactly three decimals', () => {
  const check = (timeMs: number, text: string): void => assert.equal(formatTime(timeMs), text);
  check(0, '0');
  check(1_700_000_000_000, '1700000000');
  check(1100, '1.100');
  check(1001, '1.001');
  check(1_700_000_000_073, '1700000000.073');
  check(-1250, '-1.250');
  check(-250, '-0.250');
});

test('a large matrix comes in many pieces that are one JSON text', () => {
  const timesMs = Float64Array.from({ length: 5000 }, (_, i) => i * 1000);
  const one = (name: string): MatrixValue['series'][number] => ({
    labels: ['__name__', name],
    timesMs,
    values: timesMs.map((timeMs) => timeMs / 3),
  });
  const pieces = [
    ...queryAnswer({ kind: 'matrix', series: ['a', 'b"\\\u2028', 'c'].map(one) }, { warnings: ['w'], members: '"coverage":1' }),
  ];
  assert.ok(pieces.length > 3, `${pieces.length} pieces`);
  const answer = JSON.parse(Buffer.concat(pieces).toString());
  assert.deepEqual(answer.warnings, ['w']);
  assert.equal(answer.coverage, 1);
  assert.deepEqual(
    answer.data.result.map((series: { metric: { __name__: string } }) => series.metric.__name__),
    ['a', 'b"\\\u2028', 'c'],
  );
  assert.deepEqual(answer.data.result[2].values[4999], [4999, String(4999000 / 3)]);
});

test('an answer without results is complete', () => {
  const text = (kind: 'vector' | 'matrix'): string =>
    Buffer.concat([...queryAnswer(kind === 'vector' ? { kind, samples: [] } : { kind, series: [] }, {})]).toString();
  assert.equal(text('vector'), '{"status":"success","data":{"resultType":"vector","result":[]}}');
  assert.equal(text('matrix'), '{"status":"success","data":{"resultType":"matrix","result":[]}}');
});

test('points are written byte for byte as their numbers are', () => {
  const values: number[] = [
    0,
    -0,
    1,
    -1,
    0.1,
    1e-6,
    9e-7,
    1e9,
    1e9 - 0.000001,
    999_999_999.999_999,
    1e15 - 1,
    1e15,
    2 ** 53,
    1e21,
    1e-7,
    0.30000000000000004,
  ];
  values.push(
    Number.NaN,
    Infinity,
    -Infinity,
    1 / 3,
    123456.7,
    4294967296,
    2147483648,
    16_384_000_000,
    -16_384_000_001,
    5e-324,
    0.000_001_5,
  );
  let seed = 1;
  const random = (): number => (seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0) / 2 ** 32;
  for (let i = 0; i < 30_000; i++)
    values.push((Math.round((random() - 0.5) * 10 ** (i % 17)) / 10 ** (i % 9)) * (i % 7 === 0 ? random() : 1));
  const timesMs = Float64Array.from(values, (_, i) => i * 250);
  const [text] = [
    Buffer.concat([
      ...queryAnswer({ kind: 'matrix', series: [{ labels: [], timesMs, values: Float64Array.from(values) }] }, {}),
    ]).toString(),
  ];
  const expected = values.map((value, i) => `[${formatTime(i * 250)},"${formatValue(value)}"]`).join(',');
  assert.equal(text, `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[${expected}]}]}}`);
});
