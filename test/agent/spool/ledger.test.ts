import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Ledger } from '../../../agent/spool/ledger.ts';
import { GAPS_MAX, LEDGER_BYTES, type Gap, type Loss } from '../../../agent/spool/ledger-image.ts';
import { MemoryDisk, seeded } from './memory-disk.ts';
import { epochOf } from './support.ts';

const PATH = '/spool/ledger';

function opened(random?: () => number): { disk: MemoryDisk; ledger: Ledger } {
  const disk = new MemoryDisk(random);
  disk.makeDirectory('/spool');
  return { disk, ledger: Ledger.open(disk, PATH).ledger };
}

function loss(fromSequence: number, toSequence: number, over: Partial<Loss> = {}): Loss {
  const frames = toSequence - fromSequence;
  const times = { fromMs: fromSequence * 1000, toMs: toSequence * 1000 };
  return {
    epoch: epochOf(1),
    lane: 0,
    cause: 'spool_full',
    fromSequence,
    toSequence,
    ...times,
    frames,
    samples: frames * 10,
    bytes: frames * 100,
    ...over,
  };
}

function totals(gaps: readonly Gap[]): { frames: number; samples: number; bytes: number } {
  const sum = { frames: 0, samples: 0, bytes: 0 };
  for (const { frames, samples, bytes } of gaps) {
    sum.frames += frames;
    sum.samples += samples;
    sum.bytes += bytes;
  }
  return sum;
}

function spans(gaps: readonly Gap[]): unknown[] {
  return gaps.map(({ lane, cause, fromSequence, toSequence }) => [lane, cause, fromSequence, toSequence]);
}

test('gaps that touch are one; others are not', () => {
  const { ledger } = opened();
  ledger.add(loss(0, 5));
  ledger.add(loss(5, 7));
  ledger.add(loss(8, 9));
  ledger.add(loss(9, 10, { cause: 'spool_age' }));
  ledger.add(loss(9, 10, { lane: 1 }));
  assert.deepEqual(spans(ledger.peek()), [
    [0, 'spool_full', 0, 7],
    [0, 'spool_full', 8, 9],
    [0, 'spool_age', 9, 10],
    [1, 'spool_full', 9, 10],
  ]);
});

test('a gap on its way to the collector does not grow, so that its confirmation confirms what was sent', () => {
  const { ledger } = opened();
  ledger.add(loss(0, 5));
  const sent = ledger.gaps();
  ledger.add(loss(5, 6));
  ledger.delivered(sent.map(({ id }) => id));
  assert.deepEqual(spans(ledger.peek()), [[0, 'spool_full', 5, 6]]);
  ledger.gaps();
  ledger.takeBack();
  ledger.add(loss(6, 7));
  assert.deepEqual(spans(ledger.peek()), [[0, 'spool_full', 5, 7]], 'after a lost link it may');
});

test('what was written is there after kill -9, what was synced after a power cut, with ids that go on', async () => {
  const { disk, ledger } = opened(seeded(7));
  ledger.add(loss(0, 5));
  assert(await ledger.sync());
  const synced = ledger.peek();
  disk.restart('power');
  const second = Ledger.open(disk, PATH).ledger;
  assert.deepEqual(second.peek(), synced);
  second.delivered(synced.map(({ id }) => id));
  second.add(loss(20, 21, { cause: 'refused:time_range' }));
  second.write();
  disk.restart('kill');
  const third = Ledger.open(disk, PATH).ledger;
  assert.deepEqual(third.peek(), second.peek());
  assert.notEqual(third.peek()[0]?.id, synced[0]?.id);
});

test('a write torn at any byte leaves what was synced before', () => {
  for (let at = 0; at < 400; at++) {
    const { disk, ledger } = opened();
    ledger.add(loss(0, 5));
    ledger.writeNow();
    const before = ledger.peek();
    disk.restart('kill');
    const whole = disk.files().get(PATH);
    assert(whole !== undefined);
    const saved = whole.slice();
    const second = Ledger.open(disk, PATH).ledger;
    second.add(loss(7, 8));
    second.add(loss(9, 10));
    second.write();
    // The first `at` bytes of the newest write arrived.
    const written = disk.files().get(PATH)?.slice() ?? new Uint8Array();
    const changed = written.findIndex((byte, i) => byte !== saved[i]);
    const half = changed < LEDGER_BYTES / 2 ? 0 : LEDGER_BYTES / 2;
    saved.set(written.subarray(half, half + at), half);
    disk.restart('kill');
    disk.set(PATH, saved);
    const { ledger: third, damaged } = Ledger.open(disk, PATH);
    if (third.peek().length !== 3) assert.deepEqual(third.peek(), before, `torn at ${at}`);
    else assert(at >= 128 * 3, `torn at ${at}`);
    assert.equal(damaged, false);
  }
});

test('a flipped bit in one half leaves the other, in both it is told', () => {
  const { disk, ledger } = opened();
  ledger.add(loss(0, 5));
  ledger.writeNow();
  ledger.add(loss(7, 9));
  ledger.writeNow();
  const flip = (position: number): void => {
    const bytes = disk.files().get(PATH);
    assert(bytes !== undefined);
    bytes[position] = (bytes[position] ?? 0) ^ 4;
  };
  flip(128 + 40);
  disk.restart('kill');
  const one = Ledger.open(disk, PATH);
  assert.deepEqual([one.ledger.peek().length > 0, one.damaged], [true, false]);
  flip(LEDGER_BYTES / 2 + 128 + 40);
  disk.restart('kill');
  const both = Ledger.open(disk, PATH);
  assert.equal(both.damaged, true);
});

test('a full ledger merges what lies nearest; counts stay right and unlike neighbours say so', () => {
  const { disk, ledger } = opened();
  const random = seeded(3);
  let frames = 0;
  for (let i = 0; i < GAPS_MAX * 4; i++) {
    const from = i * 10 + Math.floor(random() * 5);
    const count = 1 + Math.floor(random() * 3);
    frames += count;
    ledger.add(loss(from, from + count, { lane: i % 3, epoch: epochOf(i % 50), cause: i % 4 < 2 ? 'spool_full' : 'disk_full' }));
    assert(ledger.size <= GAPS_MAX);
  }
  assert.deepEqual(totals(ledger.peek()), { frames, samples: frames * 10, bytes: frames * 100 });
  assert(ledger.peek().some(({ cause }) => cause === 'several'));
  for (const gap of ledger.peek()) assert(gap.frames <= gap.toSequence - gap.fromSequence);
  ledger.writeNow();
  disk.restart('kill');
  assert.deepEqual(Ledger.open(disk, PATH).ledger.peek(), ledger.peek());
});

test('more epochs than slots still lose no count', () => {
  const { ledger } = opened();
  for (let i = 0; i < GAPS_MAX + 100; i++) ledger.add(loss(i, i + 2, { epoch: epochOf(i) }));
  assert(ledger.size <= GAPS_MAX);
  assert.equal(totals(ledger.peek()).frames, 2 * (GAPS_MAX + 100));
});

test('only a gap that lost all it spans covers', () => {
  const { ledger } = opened();
  ledger.add(loss(0, 5));
  ledger.add(loss(10, 20, { frames: 4 }));
  const covers = (from: number, to: number): boolean => ledger.covers(epochOf(1), 0, from, to);
  assert.deepEqual([covers(0, 5), covers(2, 3), covers(4, 6), covers(10, 12)], [true, true, false, false]);
});

test('a code from the wire becomes a plain word of bounded length', () => {
  const { ledger } = opened();
  ledger.add(loss(0, 1, { cause: `refused:${'Ü"\n'.repeat(50)}` }));
  assert.match(ledger.peek()[0]?.cause ?? '', /^refused:[a-z0-9_]{1,32}$/);
});

test('on a full disk the ledger is kept in memory until there is room', () => {
  const disk = new MemoryDisk();
  disk.makeDirectory('/spool');
  disk.fault = (_, __, grows) => (grows ? 'ENOSPC' : undefined);
  const { ledger } = Ledger.open(disk, PATH);
  ledger.add(loss(0, 1));
  assert.equal(ledger.writeNow(), false);
  assert.equal(ledger.errno, 'ENOSPC');
  disk.fault = () => undefined;
  assert.equal(ledger.writeNow(), true);
  disk.fault = (_, __, grows) => (grows ? 'ENOSPC' : undefined);
  ledger.add(loss(4, 5));
  assert.equal(ledger.writeNow(), true, 'once made, it needs no more room');
});
