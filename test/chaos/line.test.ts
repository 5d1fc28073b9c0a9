/** The whole line over some seeds of the simulation: what is broken and how is in line-simulation.ts, what must hold in promises.ts. More by hand: main.ts. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { simulate, type RunResult } from './line-simulation.ts';

/** Seeds that found something once, each for its promise; then some that nobody has looked at. */
const SEEDS = [7, 8, 12, 13, 23, 38, 51, 58, 111, 10055, 10060, ...Array.from({ length: 12 }, (_, i) => 5000 + i)];
/** A busy machine runs fewer of them. */
const SECONDS_MAX = 11;

const directory = mkdtempSync(join(tmpdir(), 'picket-chaos-'));
after(() => rmSync(directory, { recursive: true, force: true }));

test('nothing acked is lost, nothing doubled, wrong or unexplained, whatever fails', async () => {
  const deadlineMs = Date.now() + SECONDS_MAX * 1000;
  const runs: RunResult[] = [];
  for (const seed of SEEDS) if (Date.now() < deadlineMs) runs.push(await simulate(seed, directory));
  const sum = (of: (run: RunResult) => number): number => runs.reduce((total, run) => total + of(run), 0);
  // A world in which nothing happens keeps every promise.
  assert.ok(sum((run) => run.tally.stored) > 100 * runs.length, 'frames were stored');
  assert.ok(sum((run) => run.tally.gaps) > runs.length, 'gaps were told');
  assert.ok(sum((run) => Object.values(run.faults).reduce((a, b) => a + b, 0)) > 10 * runs.length, 'things were broken');
});

test('a seed tells its story again', async () => {
  assert.deepEqual(await simulate(3, directory), await simulate(3, directory));
});
