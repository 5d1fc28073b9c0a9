/** Times, durations, limits and escaped names of requests, as Prometheus takes them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { limitOf, millisecondsOf, parseDuration, parseTime, unescapeLabelName } from '../../../collector/http/parameters.ts';

test('times are seconds or RFC 3339', () => {
  const check = (text: string, timeMs: number | undefined): void => assert.equal(parseTime(text), timeMs, text);
  check('1700000000', 1_700_000_000_000);
  check('1700000000.781', 1_700_000_000_781);
  check('1e3', 1_000_000);
  check('+5', 5000);
  check('-1.25', -1250);
  check('.5', 500);
  check('1.9999', 2000);
  check('2015-07-01T20:10:51.781Z', 1_435_781_451_781);
  check('2015-07-01T20:10:51.123456789Z', 1_435_781_451_123);
  check('2015-07-01T20:10:51+02:00', 1_435_774_251_000);
  check('2015-07-01T20:10:51-02:30', 1_435_790_451_000);
  check('2016-02-29T00:00:00Z', 1_456_704_000_000);
  for (const bad of ['', 'abc', ' 5', '0x10', '1e400', 'NaN', 'Inf', '2015-07-01', '2015-07-01t20:10:51z', '2015-07-01 20:10:51Z'])
    check(bad, undefined);
  for (const bad of ['2015-13-01T20:10:51Z', '2015-02-30T20:10:51Z', '2015-07-01T24:00:00Z', '2015-07-01T20:60:00Z', '1e20'])
    check(bad, undefined);
});

test('durations are seconds or units', () => {
  assert.equal(parseDuration('step', '15'), 15_000);
  assert.equal(parseDuration('step', '1.5'), 1500);
  assert.equal(parseDuration('step', '1h30m'), 5_400_000);
  assert.equal(parseDuration('step', '-1'), -1000);
  for (const bad of ['', 'x', '-1m', '1m ', 'NaN', 'Inf', '1m2h']) {
    assert.throws(() => parseDuration('step', bad), {
      message: `invalid parameter "step": cannot parse ${JSON.stringify(bad)} to a valid duration`,
    });
  }
});

test('limits are whole numbers, and 0 is none', () => {
  const limit = (text: string): number => limitOf(new URLSearchParams({ limit: text }));
  assert.equal(limit('5'), 5);
  assert.equal(limit('0'), Infinity);
  assert.equal(limit(''), Infinity);
  assert.throws(() => limit('x'), { message: 'invalid parameter "limit": strconv.Atoi: parsing "x": invalid syntax' });
  assert.throws(() => limit('-1'), { message: 'invalid parameter "limit": limit must be non-negative' });
});

test("Picket's own times are whole milliseconds", () => {
  const read = (text: string): number => millisecondsOf(new URLSearchParams({ from: text }), 'from', 7);
  assert.equal(read('1700000000123'), 1_700_000_000_123);
  assert.equal(read(''), 7);
  for (const bad of ['-1', '1.5', 'x', '1e3', '9'.repeat(20)]) assert.throws(() => read(bad), { code: 'parameter_invalid' });
});

test('escaped label names are read back, badly escaped ones stay', () => {
  const check = (escaped: string, name: string): void => assert.equal(unescapeLabelName(escaped), name);
  check('job', 'job');
  check('U__a_2e_b', 'a.b');
  check('U__a__b', 'a_b');
  check('U___1f600_', '😀');
  check('U__a_', 'U__a_');
  check('U__a_zz_', 'U__a_zz_');
  check('U___d800_', 'U___d800_');
  check('U___1234567_', 'U___1234567_');
});
