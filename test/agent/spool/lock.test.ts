import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { nodeFs } from '../../../agent/spool/disk.ts';
import { SpoolError } from '../../../agent/spool/error.ts';
import { nodeProcesses, SpoolLock, type Processes } from '../../../agent/spool/lock.ts';
import { MemoryDisk } from './memory-disk.ts';

const SPOOL = '/spool';

function processes(pid: number, lives: Record<number, string>): Processes {
  return { pid, lifeOf: (of) => lives[of] };
}

const isLocked = (error: unknown): boolean => error instanceof SpoolError && error.code === 'spool_locked';

test('a lock is free again after its release, and after the death of its holder', () => {
  const disk = new MemoryDisk();
  SpoolLock.take(disk, SPOOL, processes(1, { 1: 'a' })).release();
  SpoolLock.take(disk, SPOOL, processes(2, { 2: 'b' }));
  assert.throws(() => SpoolLock.take(disk, SPOOL, processes(3, { 2: 'b', 3: 'c' })), isLocked);
  SpoolLock.take(disk, SPOOL, processes(3, { 3: 'c' }));
  assert.equal(disk.readLink(`${SPOOL}/lock`), '3-c');
});

test('a process that got the pid of the dead holder does not hold the lock', () => {
  const disk = new MemoryDisk();
  SpoolLock.take(disk, SPOOL, processes(2, { 2: 'before the reboot' }));
  SpoolLock.take(disk, SPOOL, processes(3, { 2: 'after', 3: 'c' }));
});

test('the same process does not get it twice', () => {
  const disk = new MemoryDisk();
  SpoolLock.take(disk, SPOOL, processes(1, { 1: 'a' }));
  assert.throws(() => SpoolLock.take(disk, SPOOL, processes(1, { 1: 'a' })), isLocked);
});

test('one that was taken over by somebody else is not released', () => {
  const disk = new MemoryDisk();
  const first = SpoolLock.take(disk, SPOOL, processes(1, { 1: 'a' }));
  SpoolLock.take(disk, SPOOL, processes(2, { 2: 'b' }));
  first.release();
  assert.equal(disk.readLink(`${SPOOL}/lock`), '2-b');
});

test('a lock that somebody makes in the very moment of a take-over is put back', () => {
  const disk = new MemoryDisk();
  disk.link('9-dead', `${SPOOL}/lock`);
  let isFirst = true;
  const rival: MemoryDisk['rename'] = (from, to) => {
    if (isFirst) {
      isFirst = false;
      disk.remove(`${SPOOL}/lock`);
      disk.link('2-b', `${SPOOL}/lock`);
    }
    MemoryDisk.prototype.rename.call(disk, from, to);
  };
  disk.rename = rival;
  assert.throws(() => SpoolLock.take(disk, SPOOL, processes(3, { 2: 'b', 3: 'c' })), isLocked);
  assert.equal(disk.readLink(`${SPOOL}/lock`), '2-b');
});

test('a real process that lives holds it, and no longer once it was killed', async (t) => {
  const directory = temporary(t);
  const source = `
    import { nodeFs } from '${import.meta.resolve('../../../agent/spool/disk.ts')}';
    import { nodeProcesses, SpoolLock } from '${import.meta.resolve('../../../agent/spool/lock.ts')}';
    SpoolLock.take(nodeFs, process.argv[1], nodeProcesses);
    process.stdout.write('taken');
    setInterval(() => undefined, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', source, directory], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  assert.throws(
    () => SpoolLock.take(nodeFs, directory, nodeProcesses),
    (error) => isLocked(error) && String(error).includes(`process ${child.pid} has it`),
  );
  child.kill('SIGKILL');
  await once(child, 'exit');
  SpoolLock.take(nodeFs, directory, nodeProcesses).release();
});

function temporary(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'picket-lock-'));
  t.after(() => rmSync(directory, { recursive: true }));
  return directory;
}
