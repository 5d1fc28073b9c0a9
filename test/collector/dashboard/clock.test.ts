/** What an answer's Date header says about our own clock. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { offsetFrom } from '../../../collector/dashboard/src/clock.ts';

const NOON = Date.UTC(2026, 10, 21, 12, 0, 0);
const HEADER = new Date(NOON).toUTCString();

test('a clock that is minutes off is seen, a little is not', () => {
  assert.equal(offsetFrom(HEADER, NOON + 300_000, NOON + 300_100), -299_550);
  assert.equal(offsetFrom(HEADER, NOON - 60_000, NOON - 60_000), 60_500);
  assert.equal(offsetFrom(HEADER, NOON + 900, NOON + 1000), 0);
});

test('a slow answer proves nothing', () => {
  assert.equal(offsetFrom(HEADER, NOON, NOON + 8000), 0, 'written when we asked, and eight seconds on the way');
  assert.equal(offsetFrom(HEADER, NOON - 8000, NOON), 0);
});

test('no header, or one that is no date, says nothing', () => {
  assert.equal(offsetFrom(null, NOON, NOON), undefined);
  assert.equal(offsetFrom('yesterday', NOON, NOON), undefined);
});
