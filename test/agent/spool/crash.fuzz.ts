/** The histories of crash.test.ts, from a seed on and for as long as told: packaging/node test/agent/spool/crash.fuzz.ts [seconds] [seed]. */
import { runHistories } from './history.ts';

const seconds = Number(process.argv[2] ?? 30);
const firstSeed = Number(process.argv[3] ?? Date.now() % 1_000_000_000);
const endMs = performance.now() + seconds * 1000;
let seed = firstSeed;
for (; performance.now() < endMs; seed++) {
  await runHistories({ faults: false, power: false }, seed, 1);
  await runHistories({ faults: false, power: true }, seed, 1);
  await runHistories({ faults: true, power: true }, seed, 1);
}
process.stdout.write(`${(seed - firstSeed) * 3} histories from seed ${firstSeed} on: none lost a frame in silence\n`);
