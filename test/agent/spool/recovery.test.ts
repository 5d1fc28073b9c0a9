import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Spool } from '../../../agent/spool/spool.ts';
import type { Gap } from '../../../agent/spool/ledger-image.ts';
import { epochOf, frameOf, leasable, Machine } from './support.ts';

const FRAMES = 6;
const HEADER = 28;
const RECORD = 60 + 200;
/** Small records count as 512 bytes: seven fit. */
const PER_SEGMENT = 7;
const ROOMY = { lanes: [{ bytesMax: 64 * 1024, ageMsMax: 60_000 }], segmentBytes: 4 * 1024 };

/** A machine whose spool was killed with frames 0 to 5 in segment 1, the last of lane 0. */
function killed(frames = FRAMES): Machine {
  const machine = new Machine();
  const spool = machine.open(ROOMY);
  for (let sequence = 0; sequence < frames; sequence++) spool.append(frameOf(sequence), { lease: false });
  return machine;
}

function segment(machine: Machine, number = 1): { path: string; bytes: Uint8Array } {
  const found = [...machine.disk.files()].find(([path]) => path.endsWith(`${number}.seg`));
  assert(found !== undefined);
  return { path: found[0], bytes: found[1] };
}

function summary(gaps: readonly Gap[]): unknown[] {
  return gaps.map(({ cause, fromSequence, toSequence, frames }) => [cause, fromSequence, toSequence, frames]);
}

function appendable(spool: Spool): boolean {
  spool.append(frameOf(0, { epoch: epochOf(2) }), { lease: false });
  return leasable(spool).at(-1) === 0;
}

test('a torn tail is cut at any byte, the frames before it survive and appends go on behind them', () => {
  for (let size = 0; size <= HEADER + RECORD * 2; size++) {
    const machine = killed(2);
    const { path, bytes } = segment(machine);
    machine.disk.set(path, bytes.slice(0, size));
    const spool = machine.reopen(ROOMY);
    const whole = Math.max(0, Math.floor((size - HEADER) / RECORD));
    assert.deepEqual(leasable(spool), [0, 1].slice(0, whole), `cut at ${size}`);
    const rest = size - HEADER - whole * RECORD;
    const isKnown = rest >= 60;
    const expected = isKnown ? [['power_loss', whole, whole + 1, 1]] : [];
    if (rest <= 0 || isKnown) assert.deepEqual(summary(spool.gaps()), expected, `cut at ${size}`);
    else
      assert.deepEqual(
        spool.gaps().map(({ cause, frames }) => [cause, frames]),
        [['power_loss', 0]],
        `cut at ${size}`,
      );
    assert(appendable(spool), `cut at ${size}`);
  }
});

test('a flipped bit costs one frame at most, and that one is a gap', () => {
  for (let position = 0; position < HEADER + RECORD * FRAMES; position += 3) {
    const machine = killed();
    const { bytes } = segment(machine);
    bytes[position] = (bytes[position] ?? 0) ^ (1 << (position % 8));
    const spool = machine.reopen(ROOMY);
    const kept = leasable(spool);
    const lost = Array.from({ length: FRAMES }, (_, i) => i).filter((sequence) => !kept.includes(sequence));
    const hit = position < HEADER ? [] : [Math.floor((position - HEADER) / RECORD)];
    assert.deepEqual(lost, hit, `flipped at ${position}`);
    const gaps = spool.gaps();
    const isLastHeader = hit[0] === FRAMES - 1 && (position - HEADER) % RECORD < 60;
    const isFirstHeader = hit[0] === 0 && (position - HEADER) % RECORD < 60;
    // The frames on one side alone do not tell how many lay in between.
    if (isLastHeader) assert.deepEqual(summary(gaps), [['spool_corruption', FRAMES - 1, FRAMES - 1, 0]]);
    else if (isFirstHeader) assert.deepEqual(summary(gaps), [['spool_corruption', 1, 1, 0]]);
    else
      assert.deepEqual(
        summary(gaps),
        hit.map((sequence) => ['spool_corruption', sequence, sequence + 1, 1]),
        `flipped at ${position}`,
      );
    assert(appendable(spool));
  }
});

test('blocks that were given to the file and never written count as torn', () => {
  const machine = killed();
  const { path, bytes } = segment(machine);
  const longer = new Uint8Array(bytes.length + 5_000);
  longer.set(bytes);
  machine.disk.set(path, longer);
  const spool = machine.reopen(ROOMY);
  assert.deepEqual(leasable(spool), [0, 1, 2, 3, 4, 5]);
  assert.deepEqual(summary(spool.gaps()), [['power_loss', 6, 6, 0]]);
  assert.equal(segment(machine).bytes.length, HEADER + RECORD * FRAMES);
});

test('garbage over several frames is one gap whose size shows from both sides, also across segments', () => {
  const machine = killed(20);
  assert.equal([...machine.disk.files().keys()].filter((path) => path.endsWith('.seg')).length, 3);
  segment(machine, 1).bytes.fill(0xc1, HEADER + RECORD * 5);
  segment(machine, 2).bytes.fill(0x50, 0, HEADER + RECORD * 2);
  const spool = machine.reopen(ROOMY);
  const lost = Array.from({ length: PER_SEGMENT + 2 - 5 }, (_, i) => i + 5);
  assert.deepEqual(
    leasable(spool),
    Array.from({ length: 20 }, (_, i) => i).filter((sequence) => !lost.includes(sequence)),
  );
  assert.deepEqual(summary(spool.gaps()), [['spool_corruption', 5, 5 + lost.length, lost.length]]);
});

test('the same damage is one gap, however often the agent starts', () => {
  const machine = killed();
  const { bytes } = segment(machine);
  bytes[HEADER + RECORD + 100] = 0;
  for (let i = 0; i < 3; i++) {
    const spool = machine.reopen(ROOMY);
    assert.deepEqual(leasable(spool), [0, 2, 3, 4, 5]);
    assert.deepEqual(summary(spool.gaps()), [['spool_corruption', 1, 2, 1]]);
  }
});

test('damage in frames that were acked below a stated floor is no gap', () => {
  const machine = new Machine();
  const spool = machine.open(ROOMY);
  for (let sequence = 0; sequence < FRAMES; sequence++) spool.append(frameOf(sequence), { lease: false });
  spool.ack(epochOf(1), 0, [[0, 3]]);
  spool.held();
  segment(machine).bytes[HEADER + RECORD + 100] = 0;
  assert.deepEqual(summary(machine.reopen(ROOMY).gaps()), []);
});

test('a segment under another number is damage: its checksums are seeded with the number', () => {
  const machine = killed();
  const { path, bytes } = segment(machine);
  machine.disk.set(path.replace('1.seg', '7.seg'), bytes);
  machine.disk.remove(path);
  const spool = machine.reopen(ROOMY);
  assert.deepEqual(leasable(spool), []);
  assert.deepEqual(
    spool.gaps().map(({ cause, epoch, frames, bytes: lost }) => [cause, Number(epoch), frames, lost]),
    [['spool_corruption', 0, 0, RECORD * FRAMES]],
  );
});

test('a segment that the disk does not give costs its frames, not the start', () => {
  const machine = killed(20);
  machine.disk.restart('kill');
  machine.disk.fault = (call, path) => (call === 'read' && path.endsWith('2.seg') ? 'EIO' : undefined);
  const spool = machine.open(ROOMY);
  assert.deepEqual(summary(spool.gaps()), [['spool_corruption', PER_SEGMENT, 2 * PER_SEGMENT, PER_SEGMENT]]);
  assert.equal(leasable(spool).length, 20 - PER_SEGMENT);
});
