/** The address of a view, read and written. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  formatRoute,
  moveWindow,
  parseRoute,
  RANGE_DEFAULT_MS,
  RANGES,
  stepFor,
  ZOOM_MIN_MS,
} from '../../../collector/dashboard/src/route.ts';
import type { Route } from '../../../collector/dashboard/src/route.ts';

test('what is written is read back the same', () => {
  const check = (route: Route, hash: string): void => {
    assert.equal(formatRoute(route), hash);
    assert.deepEqual(parseRoute(hash), route);
  };
  check({ page: 'hosts' }, '#/');
  check({ page: 'host', name: 'web-1', view: { kind: 'live', rangeMs: RANGE_DEFAULT_MS } }, '#/hosts/web-1');
  check({ page: 'host', name: 'a/b ?#ü', view: { kind: 'live', rangeMs: 3_600_000 } }, '#/hosts/a%2Fb%20%3F%23%C3%BC?range=1h');
  check(
    { page: 'host', name: 'web-1', view: { kind: 'fixed', fromMs: 1_000_000, toMs: 1_060_000 } },
    '#/hosts/web-1?from=1000000&to=1060000',
  );
  for (const range of RANGES) {
    const route: Route = { page: 'host', name: 'h', view: { kind: 'live', rangeMs: range.ms } };
    assert.deepEqual(parseRoute(formatRoute(route)), route);
  }
});

test('a broken address shows something sensible', () => {
  for (const hash of ['', '#', '#/nowhere', '#/hosts/%E0%A4%A', '#/hosts/']) assert.deepEqual(parseRoute(hash), { page: 'hosts' }, hash);
  const live = { page: 'host', name: 'h', view: { kind: 'live', rangeMs: RANGE_DEFAULT_MS } };
  for (const search of ['range=7y', 'from=5&to=1', 'from=x&to=y', 'from=1&to=2'])
    assert.deepEqual(parseRoute(`#/hosts/h?${search}`), live, search);
});

test('the step keeps a window within 900 points and is one second up to 15 minutes', () => {
  assert.equal(stepFor(5 * 60_000), 1000);
  assert.equal(stepFor(15 * 60_000), 1000);
  assert.equal(stepFor(15 * 60_000 + 1), 2000);
  for (const { ms } of RANGES) assert.ok(ms / stepFor(ms) <= 900 && ms / stepFor(ms) >= 300, String(ms));
});

test('a window moves and grows about its middle, and not beyond now', () => {
  const window = { fromMs: 100_000, toMs: 200_000 };
  assert.deepEqual(moveWindow(window, { shift: -0.5, factor: 1 }, 1_000_000), { kind: 'fixed', fromMs: 50_000, toMs: 150_000 });
  assert.deepEqual(moveWindow(window, { shift: 0, factor: 0.5 }, 1_000_000), { kind: 'fixed', fromMs: 125_000, toMs: 175_000 });
  assert.deepEqual(moveWindow(window, { shift: 0.5, factor: 1 }, 210_000), { kind: 'fixed', fromMs: 110_000, toMs: 210_000 });
  const closest = moveWindow(window, { shift: 0, factor: 0.0001 }, 1_000_000);
  assert.ok(closest.kind === 'fixed' && closest.toMs - closest.fromMs === ZOOM_MIN_MS);
});
