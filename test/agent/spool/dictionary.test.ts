import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DictionaryShelf } from '../../../agent/spool/dictionary.ts';
import { MemoryDisk } from './memory-disk.ts';
import { epochOf } from './support.ts';

const SHELF = '/spool/dictionary';

function filled(): { disk: MemoryDisk; shelf: DictionaryShelf } {
  const disk = new MemoryDisk();
  const shelf = new DictionaryShelf(disk, SHELF);
  shelf.begin(epochOf(1));
  for (const [from, to] of [
    [0, 10],
    [10, 12],
    [12, 40],
  ] as const) {
    shelf.append(from, to, Buffer.from(`${from}-${to}`));
  }
  assert.equal(shelf.flush(), undefined);
  return { disk, shelf };
}

function read(shelf: DictionaryShelf, from: number): { frames: string[]; damaged: boolean } {
  const { frames, damaged } = shelf.read(epochOf(1), from);
  return { frames: frames.map((frame) => Buffer.from(frame).toString()), damaged };
}

/** Another process on the same disk. */
function again(disk: MemoryDisk): DictionaryShelf {
  const shelf = new DictionaryShelf(disk, SHELF);
  shelf.begin(epochOf(2));
  return shelf;
}

test('frames lead from the entry that is asked for to the end', () => {
  const { disk, shelf } = filled();
  for (const reader of [shelf, again(disk)]) {
    assert.deepEqual(read(reader, 0).frames, ['0-10', '10-12', '12-40']);
    assert.deepEqual(read(reader, 10).frames, ['10-12', '12-40']);
    assert.deepEqual(read(reader, 11).frames, ['10-12', '12-40']);
    assert.deepEqual(read(reader, 40).frames, []);
  }
});

test('a damaged file gives what lies before the damage, at any byte, and says so', () => {
  const { disk } = filled();
  const path = `${SHELF}/${epochOf(1)}`;
  const whole = disk.files().get(path)?.slice() ?? new Uint8Array();
  const ends = [12, 12 + 16 + 4, 12 + 32 + 9, whole.length];
  for (let position = 0; position < whole.length; position++) {
    const bytes = whole.slice();
    bytes[position] = (bytes[position] ?? 0) ^ 1;
    disk.set(path, bytes);
    const intact = position < 12 ? 0 : ends.findIndex((end) => end > position) - 1;
    assert.deepEqual(read(again(disk), 0), { frames: ['0-10', '10-12', '12-40'].slice(0, intact), damaged: true }, `at ${position}`);
    disk.set(path, whole.slice(0, position));
    assert.equal(read(again(disk), 0).frames.length, position < 12 ? 0 : ends.findIndex((end) => end > position) - 1, `cut at ${position}`);
  }
});

test('a hole is not skipped: frames behind it lead nowhere', () => {
  const { shelf } = filled();
  shelf.append(50, 60, Buffer.from('50-60'));
  shelf.flush();
  assert.deepEqual(read(shelf, 0).frames, ['0-10', '10-12', '12-40']);
  assert.deepEqual(read(shelf, 45).frames, []);
});

test('what the disk does not take waits, in order, and no more than there is room for', () => {
  const { disk, shelf } = filled();
  disk.fault = (call) => (call === 'write' ? 'ENOSPC' : undefined);
  assert.equal(shelf.append(40, 41, Buffer.from('40-41')), true);
  assert.equal(shelf.flush(), 'ENOSPC');
  assert.deepEqual(read(shelf, 12).frames, ['12-40', '40-41']);
  assert.equal(shelf.append(41, 42, new Uint8Array(17 * 2 ** 20)), false);
  disk.fault = () => undefined;
  assert.equal(shelf.flush(), undefined);
  assert.deepEqual(read(again(disk), 12).frames, ['12-40', '40-41']);
});

test('after a sync that failed all of it is written again before a sync succeeds', async () => {
  const { disk, shelf } = filled();
  disk.fault = (call) => (call === 'sync' ? 'EIO' : undefined);
  assert.equal(await shelf.sync(), false);
  disk.fault = () => undefined;
  assert.equal(await shelf.sync(), true);
  disk.restart('power');
  assert.deepEqual(read(again(disk), 0).frames, ['0-10', '10-12', '12-40']);
});
