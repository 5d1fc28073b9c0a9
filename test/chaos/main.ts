/** The simulation by hand: `packaging/node test/chaos/main.ts --seed S --runs N [--seconds T] [--stop]`. Prints what broke and a sum of all runs. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { FAULTS, simulate } from './line-simulation.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    runs: { type: 'string', default: '100' },
    seconds: { type: 'string', default: '600' },
    stop: { type: 'boolean', default: false },
  },
});
const first = Number(values.seed);
const deadlineMs = Date.now() + Number(values.seconds) * 1000;
const directory = mkdtempSync(join(tmpdir(), 'picket-chaos-'));
const total = { runs: 0, virtualHours: 0, events: 0, violations: 0 };
const faults = Object.fromEntries(FAULTS.map((fault) => [fault, 0]));
const tally: Record<string, number> = {};
const broken = new Map<string, number[]>();

try {
  for (let seed = first; seed < first + Number(values.runs) && Date.now() < deadlineMs; seed++) {
    total.runs++;
    try {
      const result = await simulate(seed, directory);
      total.virtualHours += result.virtualMs / 3_600_000;
      total.events += result.events;
      for (const fault of FAULTS) faults[fault] = (faults[fault] ?? 0) + result.faults[fault];
      for (const [name, count] of Object.entries(result.tally)) tally[name] = (tally[name] ?? 0) + count;
    } catch (error) {
      total.violations++;
      const text = (error as Error).message;
      const promise = text.split('\n').at(-1)?.split(':')[0] ?? '';
      const seeds = broken.get(promise);
      if (seeds === undefined) console.log(`${text}\n`);
      broken.set(promise, [...(seeds ?? []), seed]);
      if (values.stop) break;
    }
  }
} finally {
  rmSync(directory, { recursive: true, force: true });
}
for (const [promise, seeds] of broken) console.log(`broken: ${promise}: ${seeds.length} seeds: ${seeds.slice(0, 20).join(' ')}`);
console.log(JSON.stringify({ ...total, virtualHours: Math.round(total.virtualHours * 10) / 10, faults, tally }));
process.exitCode = total.violations === 0 ? 0 : 1;
