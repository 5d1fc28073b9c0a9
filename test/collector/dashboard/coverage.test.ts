/** What of a window is there, late, missing, and why. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Coverage, Gap } from '../../../collector/dashboard/src/contract.ts';
import {
  causeSentence,
  clipGaps,
  clipSpans,
  gapAt,
  isLate,
  isOpen,
  mergeGaps,
  pickets,
  shareOf,
} from '../../../collector/dashboard/src/coverage.ts';

const WINDOW = { fromMs: 0, toMs: 100_000 };

function gap(from: number, to: number, cause = 'agent_stopped'): Gap {
  return { from, to, cause, detail: '' };
}

test('spans are cut to the window, sorted and joined', () => {
  assert.deepEqual(
    clipSpans(
      [
        [50_000, 60_000],
        [-5000, 10_000],
        [10_000, 20_000],
        [15_000, 18_000],
        [90_000, 120_000],
        [100_000, 130_000],
      ],
      WINDOW,
    ),
    [
      [0, 20_000],
      [50_000, 60_000],
      [90_000, 100_000],
    ],
  );
});

test('gaps join only if they have the same cause', () => {
  assert.deepEqual(clipGaps([gap(10_000, 20_000), gap(20_000, 30_000), gap(30_000, 40_000, 'power_loss')], WINDOW), [
    gap(10_000, 30_000),
    gap(30_000, 40_000, 'power_loss'),
  ]);
});

test('each part of the window is counted once: present before missing, late before live', () => {
  const coverage: Coverage = {
    live: [[0, 60_000]],
    late: [[50_000, 70_000]],
    gaps: [gap(65_000, 90_000), gap(80_000, 95_000, 'power_loss')],
  };
  assert.deepEqual(shareOf(coverage, WINDOW), { liveMs: 50_000, lateMs: 20_000, gapMs: 25_000 });
});

test('a gap begins with its first moment and ends before its last', () => {
  const gaps = [gap(10_000, 20_000)];
  assert.equal(gapAt(gaps, 9999), undefined);
  assert.equal(gapAt(gaps, 10_000), gaps[0]);
  assert.equal(gapAt(gaps, 20_000), undefined);
  assert.equal(isLate({ live: [], late: [[5, 9]], gaps: [] }, 9), false);
});

test('a gap of one second takes its picket out of the fence, whatever else is in it', () => {
  const coverage: Coverage = { live: [[0, 90_000]], late: [[40_000, 50_000]], gaps: [gap(22_000, 23_000)] };
  const kinds = pickets(coverage, WINDOW, 10).map((picket) => picket.kind);
  assert.deepEqual(kinds, ['live', 'live', 'gap', 'live', 'late', 'live', 'live', 'live', 'live', 'none']);
  assert.deepEqual(pickets(coverage, { fromMs: 5, toMs: 5 }, 10), []);
});

test('what the stream tells replaces what was known from there on and leaves the time before', () => {
  const known = [gap(0, 10_000), gap(40_000, 50_000, 'not_received')];
  assert.deepEqual(mergeGaps(known, [gap(40_000, 60_000, 'not_received')], 70_000), [gap(0, 10_000), gap(40_000, 60_000, 'not_received')]);
  assert.deepEqual(mergeGaps(known, [], 70_000), known, 'silence about an older time says nothing');
  assert.deepEqual(mergeGaps(known, [], 45_000), [gap(0, 10_000), gap(40_000, 45_000, 'not_received')], 'what came is not missing');
});

test('only what may still come keeps a gap open', () => {
  assert.equal(isOpen(gap(0, 1, 'not_received')), true);
  assert.equal(isOpen(gap(0, 1)), false);
});

test('a cause that this page does not know is shown in its own words', () => {
  assert.equal(causeSentence('agent_stopped'), 'the agent was stopped');
  assert.equal(causeSentence('moon_phase'), 'moon phase');
});
