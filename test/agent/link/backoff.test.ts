/** Waiting times between attempts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Backoff } from '../../../agent/link/backoff.ts';

test('the ceiling doubles from half a second to a minute and stays there until the connection held', () => {
  const backoff = new Backoff(() => 1);
  const waits = Array.from({ length: 10 }, () => backoff.next());
  assert.deepEqual(waits, [500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000]);
  backoff.reset();
  assert.equal(backoff.next(), 500);
});

test('the wait is anything up to the ceiling, but never nothing', () => {
  let random = 0;
  const backoff = new Backoff(() => random);
  assert.equal(backoff.next(), 100);
  random = 0.5;
  assert.equal(backoff.next(), 500);
});

test('a time that the collector named is kept, with jitter on top, and bounded', () => {
  assert.equal(new Backoff(() => 0).nextAfter(5000), 5000);
  assert.equal(new Backoff(() => 1).nextAfter(5000), 5500);
  assert.equal(new Backoff(() => 0).nextAfter(1e15), 15 * 60_000);
});
