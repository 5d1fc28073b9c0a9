/** How the next run learns how the last one ended. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { endOf, readRunState, writeRunState, type RunState } from '../../agent/run-state.ts';

const EPOCH = 'ab'.repeat(16);
const RUN: RunState = { epoch: EPOCH, bootId: 'boot-1', lastMs: 5000, stopped: false };

function directoryOf(t: TestContext): string {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'picket-run-'));
  t.after(() => fs.rmSync(directory, { recursive: true, force: true }));
  return directory;
}

test('what was written is read, the last one wins', (t) => {
  const directory = directoryOf(t);
  assert.equal(readRunState(directory), undefined);
  writeRunState(directory, RUN);
  writeRunState(directory, { ...RUN, stopped: true });
  assert.deepEqual(readRunState(directory), { ...RUN, stopped: true });
});

test('a damaged record is as good as none', (t) => {
  const directory = directoryOf(t);
  for (const text of [
    '',
    '{',
    '[]',
    '{"epoch":"x","bootId":"b","lastMs":1,"stopped":true}',
    `{"epoch":"${EPOCH}","bootId":"b","lastMs":"1","stopped":true}`,
  ]) {
    fs.writeFileSync(path.join(directory, 'state.json'), text);
    assert.equal(readRunState(directory), undefined, text);
  }
});

test('a run ended by a stop, a crash or a reboot; its last time is the newer of record and spool', () => {
  assert.deepEqual(endOf({ ...RUN, stopped: true }, 'boot-2', 0), { epoch: EPOCH, end: 'stopped', lastMs: 5000 });
  assert.deepEqual(endOf(RUN, 'boot-1', 9000), { epoch: EPOCH, end: 'crashed', lastMs: 9000 });
  assert.deepEqual(endOf(RUN, 'boot-2', 4000), { epoch: EPOCH, end: 'rebooted', lastMs: 5000 });
});
