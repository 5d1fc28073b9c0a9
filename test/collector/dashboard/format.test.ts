/** How values, times and ages are written. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Unit } from '../../../collector/dashboard/src/contract.ts';
import {
  formatAge,
  formatBytes,
  formatDuration,
  formatOffset,
  formatPercent,
  formatTick,
  formatTime,
  formatTimeTick,
  formatUtc,
  formatValue,
  NOTHING,
  plural,
} from '../../../collector/dashboard/src/format.ts';

test('a percentage has one decimal only where it tells something', () => {
  const check = (value: number | null, expected: string): void => assert.equal(formatPercent(value), expected);
  check(0, '0.0 %');
  check(9.94, '9.9 %');
  check(9.95, '10 %');
  check(99.6, '100 %');
  check(null, NOTHING);
  check(Number.NaN, NOTHING);
});

test('bytes are scaled by 1024 with three digits, and never show four before the point', () => {
  const check = (value: number, expected: string): void => assert.equal(formatBytes(value), expected);
  check(0, '0 B');
  check(999, '999 B');
  check(1000, '0.98 KiB');
  check(1536, '1.50 KiB');
  check(16 * 1024 ** 3, '16.0 GiB');
  check(999.6 * 1024, '0.98 MiB');
  check(3 * 1024 ** 6, '3072 PiB');
});

test('every unit has its words, and a missing value is the same dash in all of them', () => {
  const check = (unit: Unit, expected: string): void => {
    assert.equal(formatValue(1.5, unit), expected);
    assert.equal(formatValue(null, unit), NOTHING);
    assert.equal(formatValue(undefined, unit), NOTHING);
  };
  check('percent', '1.5 %');
  check('bytes', '2 B');
  check('bytes_per_second', '2 B/s');
  check('load', '1.50');
  check('seconds', '2 s');
  check('count', '1.50');
});

test('axis ticks drop zeros that say nothing', () => {
  assert.equal(formatTick(12.5, 'percent'), '12.5%');
  assert.equal(formatTick(50, 'percent'), '50%');
  assert.equal(formatTick(0, 'bytes'), '0');
  assert.equal(formatTick(2 * 1024 ** 2, 'bytes_per_second'), '2 MiB/s');
  assert.equal(formatTick(0.5, 'load'), '0.5');
});

test('a duration shows its two largest parts', () => {
  const check = (seconds: number, expected: string): void => assert.equal(formatDuration(seconds * 1000), expected);
  check(-3, '0 s');
  check(59, '59 s');
  check(65, '1 min 5 s');
  check(900, '15 min');
  check(905, '15 min');
  check(7500, '2 h 5 min');
  check(12 * 86_400 + 3 * 3600, '12 d 3 h');
  check(40 * 86_400 + 3 * 3600, '40 d');
});

test('an age is brief, and a clock that is a little ahead is now and not the future', () => {
  assert.equal(formatAge(null, 5000), 'never');
  assert.equal(formatAge(5400, 5000), 'just now');
  assert.equal(formatAge(3000, 5000), '2 s ago');
  assert.equal(formatAge(0, 194_000), '3 min ago');
});

test('a time of another day carries its date', () => {
  const noon = new Date(2026, 10, 21, 12, 4, 5).getTime();
  assert.equal(formatTime(noon, noon + 3_600_000), '12:04:05');
  assert.equal(formatTime(noon, noon + 86_400_000), '2026-11-21 12:04:05');
  assert.equal(formatUtc(Date.UTC(2026, 10, 21, 12, 4, 5)), '2026-11-21 12:04:05 UTC');
});

test('axis times show seconds only if ticks are that close, and the day where one begins', () => {
  const late = new Date(2026, 10, 21, 23, 59, 30).getTime();
  const midnight = new Date(2026, 10, 22, 0, 0, 0).getTime();
  assert.equal(formatTimeTick(late, undefined, 30_000), '23:59:30');
  assert.equal(formatTimeTick(late, late - 60_000, 60_000), '23:59');
  assert.match(formatTimeTick(midnight, late, 30_000), /22/);
});

test('a clock offset keeps its sign', () => {
  assert.equal(formatOffset(7), '+7 ms');
  assert.equal(formatOffset(-1200), '−1.2 s');
  assert.equal(formatOffset(null), NOTHING);
});

test('one is not many', () => {
  assert.equal(plural(1, 'host'), '1 host');
  assert.equal(plural(10_000, 'host'), '10,000 hosts');
});
