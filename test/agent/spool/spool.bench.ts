/** What the spool costs on this machine's disk: packaging/node test/agent/spool/spool.bench.ts [directory]. */
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Spool } from '../../../agent/spool/spool.ts';
import { epochOf } from './support.ts';

const MIB = 1024 * 1024;
const FRAME_BYTES = 2048;
const LANES = [{ bytesMax: 256 * MIB, ageMsMax: 1e12 }];
const LOG = { info: () => undefined, warn: () => undefined, error: () => undefined };
const bytes = new Uint8Array(FRAME_BYTES).fill(0x5a);

const directory = mkdtempSync(join(process.argv[2] ?? tmpdir(), 'picket-spool-bench-'));
try {
  await live();
  offLine();
  restart();
} finally {
  rmSync(directory, { recursive: true });
}

function open(epoch: number): Spool {
  return Spool.open({ directory, epoch: epochOf(epoch), lanes: LANES, nowMs: Date.now, log: LOG });
}

/** One frame after the other, each acked before the next, a sync every 100 (a busy second). */
async function live(): Promise<void> {
  const spool = open(1);
  let diskBytesMax = 0;
  const run = async (from: number, to: number): Promise<void> => {
    for (let sequence = from; sequence < to; sequence++) {
      spool.append({ epoch: epochOf(1), lane: 0, sequence, bytes, fromMs: sequence, toMs: sequence, samples: 700 }, { lease: true });
      spool.ack(epochOf(1), 0, [[sequence, sequence + 1]]);
      if (sequence % 100 === 0) {
        await spool.sync();
        diskBytesMax = Math.max(diskBytesMax, diskBytes());
      }
    }
  };
  await run(0, 5_000);
  const count = 50_000;
  const before = process.cpuUsage();
  await run(5_000, 5_000 + count);
  const { user, system } = process.cpuUsage(before);
  print('append + ack of 2 KB, live', `${((user + system) / count).toFixed(1)} us CPU (${(user / count).toFixed(1)} user)`);
  print('on the disk meanwhile, at most', `${Math.round(diskBytesMax / 1024)} KiB`);
  await spool.close();
  print('on the disk after close', `${Math.round(diskBytes() / 1024)} KiB`);
}

/** The lane full and dropping. */
function offLine(): void {
  const spool = open(2);
  const count = 140_000;
  const before = process.cpuUsage();
  for (let sequence = 0; sequence < count; sequence++) {
    spool.append({ epoch: epochOf(2), lane: 0, sequence, bytes, fromMs: sequence, toMs: sequence, samples: 700 }, { lease: false });
  }
  const { user, system } = process.cpuUsage(before);
  print('append of 2 KB, off line', `${((user + system) / count).toFixed(1)} us CPU`);
  const { lanes, indexBytes, gaps } = spool.stats();
  const frames = lanes[0]?.frames ?? 0;
  print('held, full', `${frames} frames, ${Math.round((lanes[0]?.diskBytes ?? 0) / MIB)} MiB on the disk, ${gaps} gap`);
  print('index', `${(indexBytes / frames).toFixed(1)} B per frame, ${(indexBytes / MIB).toFixed(1)} MiB`);
}

function restart(): void {
  // The process before was "killed": its lock names this very process, which still lives.
  rmSync(join(directory, 'lock'));
  const startedMs = performance.now();
  const spool = open(3);
  print('open with a full lane', `${Math.round(performance.now() - startedMs)} ms`);
  const before = process.cpuUsage();
  let frames = 0;
  let total = 0;
  for (let leased = spool.lease(0, MIB, 1e9); leased.length > 0 && frames < 50_000; leased = spool.lease(0, MIB, 1e9)) {
    frames += leased.length;
    for (const frame of leased) total += frame.bytes.length;
    const [first] = leased;
    if (first !== undefined) spool.ack(first.epoch, 0, [[first.sequence, first.sequence + leased.length]]);
  }
  const { user, system } = process.cpuUsage(before);
  print('lease + ack of 2 KB, backlog', `${((user + system) / frames).toFixed(1)} us CPU (${Math.round(total / MIB)} MiB)`);
}

function diskBytes(): number {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0);
}

function print(what: string, figure: string): void {
  process.stdout.write(`${what.padEnd(34)} ${figure}\n`);
}
