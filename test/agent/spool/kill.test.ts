/** A real process on a real disk, killed in mid-write. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { Spool } from '../../../agent/spool/spool.ts';
import { epochOf } from './support.ts';

const KILLS = 4;
const LANES = [{ bytesMax: 64 * 2 ** 20, ageMsMax: 1e9 }];
const QUIET = { info: () => undefined, warn: () => undefined, error: () => undefined };

/** Appends for ever, acks every third frame, and says of each frame what is promised of it once the call has returned. */
const AGENT = `
  import { writeSync } from 'node:fs';
  import { Spool } from '${import.meta.resolve('../../../agent/spool/spool.ts')}';
  const [directory, epoch] = process.argv.slice(1);
  const log = { info() {}, warn() {}, error() {} };
  const spool = Spool.open({ directory, epoch, lanes: ${JSON.stringify(LANES)}, segmentBytes: 256 * 1024, nowMs: Date.now, log });
  setInterval(() => void spool.sync(), 5);
  let sequence = 0;
  const some = () => {
    for (let i = 0; i < 50; i++, sequence++) {
      const bytes = Buffer.alloc(1 + (sequence * 7919) % 5000, sequence);
      const nowMs = Date.now();
      spool.append({ epoch, lane: 0, sequence, bytes, fromMs: nowMs, toMs: nowMs, samples: 1 }, { lease: sequence % 3 === 0 });
      if (sequence % 3 === 0) spool.ack(epoch, 0, [[sequence, sequence + 1]]);
      else writeSync(1, sequence + '\\n');
    }
    setImmediate(some);
  };
  some();`;

test('kill -9 in mid-write loses no frame whose append had returned', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'picket-kill-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const promised = new Set<string>();
  for (let life = 1; life <= KILLS; life++) {
    const child = spawn(process.execPath, ['--input-type=module', '-e', AGENT, directory, epochOf(life)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let lines = 0;
    for await (const line of createInterface(child.stdout)) {
      promised.add(`${life}/${line}`);
      // At a different point of its work each time.
      if (++lines === 100 + life * 37) child.kill('SIGKILL');
    }
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    assert.equal(child.signalCode, 'SIGKILL');
  }
  const spool = Spool.open({ directory, epoch: epochOf(99), lanes: LANES, nowMs: Date.now, log: QUIET });
  const found = spool.lease(0, 1e9, 1e9).map(({ epoch, sequence, bytes }) => {
    assert.deepEqual(bytes, Buffer.alloc(1 + ((sequence * 7919) % 5000), sequence));
    return `${Number.parseInt(epoch, 16)}/${sequence}`;
  });
  assert.equal(new Set(found).size, found.length, 'none twice');
  const missing = [...promised].filter((key) => !found.includes(key));
  assert.deepEqual(missing, []);
  assert(promised.size >= KILLS * 100);
  await spool.close();
});
