/** The inventory: a real one of this machine, and children that hang, flood, fail or print nonsense. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { inventoryOf, keepInventory, readInventory, type Inventory } from '../../agent/inventory.ts';
import { FakeTime } from './gather/fake-time.ts';

const CHILD = fileURLToPath(new URL('../../agent/inventory-child.ts', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'picket-inventory-'));
after(() => rmSync(folder, { recursive: true }));

function childOf(name: string, source: string): string {
  const path = join(folder, `${name}.mjs`);
  writeFileSync(path, source);
  return path;
}

const OS_LINE = JSON.stringify({ section: 'os', facts: { platform: 'linux' } });

test('a real inventory of this machine has facts and no secrets', async () => {
  const inventory = await readInventory({ childPath: CHILD });
  assert.equal(inventory.os?.platform, process.platform);
  assert.equal(inventory.os?.hostname, hostname());
  assert.ok(Number(inventory.cpu?.cores) >= 1);
  assert.ok(Number(inventory.memory?.total) > 1e8);
  assert.ok((inventory.networkInterfaces?.length ?? 0) >= 1);
  const text = JSON.stringify(inventory);
  assert.doesNotMatch(text, /serial|uuid/i);
  const machineId = readOptional('/etc/machine-id');
  if (machineId !== '') assert.equal(text.includes(machineId), false);
});

test('a child that hangs is ended at its deadline with everything it started, and what it had printed is kept', async () => {
  const pidFile = join(folder, 'grandchild.pid');
  const hanging = childOf(
    'hanging',
    `import { spawn } from 'node:child_process'; import { writeFileSync } from 'node:fs';
     console.log(${JSON.stringify(OS_LINE)}); process.stdout.write('{"section":"cpu","facts":{"co');
     const child = spawn('sleep', ['60']); writeFileSync(${JSON.stringify(pidFile)}, String(child.pid)); setInterval(() => {}, 1000);`,
  );
  const inventory = await readInventory({ childPath: hanging, deadlineMs: 1500 });
  assert.deepEqual(inventory.os, { platform: 'linux' });
  assert.equal(inventory.cpu, undefined);
  assert.equal(inventory.problems.cpu, 'not done within 1500 ms');
  const pid = Number(readFileSync(pidFile, 'utf8'));
  for (let i = 0; i < 50 && isAlive(pid); i++) await sleep(10);
  assert.equal(isAlive(pid), false);
});

test('a child that floods is ended at the bound', async () => {
  const flooding = childOf(
    'flooding',
    `console.log(${JSON.stringify(OS_LINE)}); const f = () => process.stdout.write('x'.repeat(65536), f); f();`,
  );
  const inventory = await readInventory({ childPath: flooding, bytesMax: 100_000 });
  assert.equal(inventory.problems.cpu, 'more than 100000 bytes');
  assert.deepEqual(inventory.os, { platform: 'linux' });
});

test('a child that fails or says nothing is an error with what it said', async () => {
  const failing = childOf('failing', `console.error('first'); throw new Error('no lsblk here');`);
  await assert.rejects(readInventory({ childPath: failing }), {
    code: 'inventory_failed',
    message: /cannot take the inventory with .*failing\.mjs: ended with 1/,
  });
  await assert.rejects(readInventory({ childPath: childOf('silent', '') }), { code: 'inventory_failed' });
  await assert.rejects(readInventory({ childPath: join(folder, 'absent.mjs') }), { code: 'inventory_failed' });
});

test('an agent that ends does not wait for the inventory', async () => {
  const hanging = childOf('endless', 'setInterval(() => {}, 1000);');
  const abort = new AbortController();
  const reading = readInventory({ childPath: hanging, signal: abort.signal });
  abort.abort();
  await assert.rejects(reading, { message: /the agent is ending/ });
  await assert.rejects(readInventory({ childPath: hanging, signal: abort.signal }), { message: /the agent is ending/ });
});

test('lines that are no section, sections of another shape and unknown ones are left out', () => {
  const lines = [
    'nonsense',
    '[]',
    'null',
    '7',
    '{"section":"cpu","facts":[1]}',
    '{"section":"os","facts":{"a":{"deep":1}}}',
    '{"section":"disks","facts":{"not":"a list"}}',
    '{"section":"unknown","facts":{}}',
    '{"section":"bios","problem":"no access"}',
    '{"section":"blockDevices","facts":[{"name":"vda","size":5}]}',
    '{"section":"chassis","facts":{"cut":',
  ];
  const { problems, ...sections } = inventoryOf(lines.join('\n'), 'the end');
  assert.deepEqual(sections, { blockDevices: [{ name: 'vda', size: 5 }] });
  assert.equal(problems.bios, 'no access');
  assert.equal(problems.os, 'the end');
  assert.equal(problems.chassis, 'the end');
  assert.equal(problems.blockDevices, undefined);
});

test('it is taken at once and each hour, also after a failure, until it is stopped', async () => {
  const time = new FakeTime();
  const taken: Inventory[] = [];
  let failures = 0;
  let reads = 0;
  const kept = keepInventory({
    read: () => (++reads === 2 ? Promise.reject(new Error('no')) : Promise.resolve({ problems: {} })),
    timers: time,
    onInventory: (inventory) => taken.push(inventory),
    onFailure: () => failures++,
  });
  await time.advance(0);
  assert.deepEqual([taken.length, failures], [1, 0]);
  await time.advance(3_599_999);
  assert.equal(reads, 1);
  await time.advance(1);
  assert.deepEqual([taken.length, failures], [1, 1]);
  await time.advance(3_600_000);
  assert.deepEqual([taken.length, failures], [2, 1]);
  await kept.stop();
  assert.equal(time.pending, 0);
  await time.advance(10_000_000);
  assert.equal(reads, 3);
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !/^\d+ \(.*\) Z/.test(readOptional(`/proc/${pid}/stat`));
  } catch {
    return false;
  }
}

function readOptional(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return '';
  }
}
