import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crc32 } from 'node:zlib';
import { SpoolError } from '../../../agent/spool/error.ts';
import type { Spool } from '../../../agent/spool/spool.ts';
import { encodeSegmentHeader, SPOOLED_BYTES_MAX } from '../../../agent/spool/record.ts';
import { FRAME_BYTES_MAX } from '../../../protocol/limits.ts';
import { DIRECTORY, epochOf, frameOf, leasable, Machine } from './support.ts';

function fill(spool: Spool, from: number, to: number, over: Parameters<typeof frameOf>[1] = {}): void {
  for (let sequence = from; sequence < to; sequence++) spool.append(frameOf(sequence, over), { lease: false });
}

function balance(spool: Spool): void {
  const { accounts, lanes, afloat } = spool.stats();
  const held = lanes.reduce((sum, lane) => sum + lane.frames, 0);
  assert.equal(accounts.found + accounts.appended, accounts.acked + accounts.refused + accounts.dropped + accounts.corrupt + held + afloat);
}

test('on line an append is one write, and an ack touches no file', () => {
  const { disk, spool } = opened();
  spool.append(frameOf(0), { lease: true });
  disk.calls.clear();
  spool.append(frameOf(1), { lease: true });
  spool.ack(epochOf(1), 0, [[0, 2]]);
  assert.deepEqual([...disk.calls], [['write', 1]]);
});

test('on line the disk holds a segment and no more, however much goes through', async () => {
  const { disk, spool } = opened({ lanes: [{ bytesMax: 256 * 2 ** 20, ageMsMax: 1e9 }], segmentBytes: 4 * 2 ** 20 });
  let most = 0;
  for (let sequence = 0; sequence < 2_000; sequence++) {
    spool.append(frameOf(sequence, { bytes: new Uint8Array(2_000) }), { lease: true });
    spool.ack(epochOf(1), 0, [[sequence, sequence + 1]]);
    if (sequence % 100 === 0) await spool.sync();
    most = Math.max(most, spool.stats().lanes[0]?.diskBytes ?? 0);
  }
  assert(most < 260 * 1024, `${most} bytes`);
  const syncs = disk.calls.get('sync') ?? 0;
  assert(syncs <= 2, `acked frames need no sync, there were ${syncs}`);
});

test('an acked frame is not leased, a leased one not twice, and a lost link gives leases back', () => {
  const { spool } = opened();
  fill(spool, 0, 6);
  spool.append(frameOf(6), { lease: true });
  spool.ack(epochOf(1), 0, [[1, 3]]);
  assert.deepEqual(leasable(spool), [0, 3, 4, 5]);
  assert.deepEqual(leasable(spool), []);
  spool.release();
  assert.deepEqual(leasable(spool), [0, 3, 4, 5, 6]);
  balance(spool);
});

test('a lease keeps to its bounds but gives one frame at least', () => {
  const { spool } = opened();
  fill(spool, 0, 10);
  const leased = (bytes: number, frames: number): number[] => spool.lease(0, bytes, frames).map((frame) => frame.sequence);
  assert.deepEqual(leased(1e9, 2), [0, 1]);
  assert.deepEqual(leased(650, 10), [2, 3, 4]);
  assert.deepEqual(leased(1, 10), [5]);
  assert.deepEqual(leased(0, 10), []);
  assert.deepEqual(leased(1e9, 0), []);
});

test('a leased frame has the bytes and facts that were appended', () => {
  const { spool } = opened();
  const frame = frameOf(0, {
    bytes: Uint8Array.from({ length: 1000 }, (_, i) => i % 251),
    fromMs: -5,
    toMs: 1.7e12,
    samples: 4_000_000_000,
  });
  spool.append(frame, { lease: false });
  const [leased] = spool.lease(0, 1e9, 1);
  assert.deepEqual({ ...leased, bytes: new Uint8Array(leased?.bytes ?? []) }, frame);
});

test('after kill -9 the oldest epoch goes first and hello tells floor and next of each', async () => {
  const machine = new Machine();
  fill(machine.open(), 0, 5);
  const second = machine.reopen();
  fill(second, 0, 3, { epoch: epochOf(2) });
  second.ack(epochOf(1), 0, [[0, 2]]);
  assert.deepEqual(second.held()[0]?.lanes, [{ lane: 0, floor: 2, next: 5, bytes: 600, frames: 3, oldestMs: 2000 }]);
  const third = machine.reopen();
  assert.deepEqual(
    third.lease(0, 1e9, 100).map(({ epoch, sequence }) => [Number(epoch), sequence]),
    [2, 3, 4].map((sequence) => [1, sequence]).concat([0, 1, 2].map((sequence) => [2, sequence])),
  );
  third.ack(epochOf(1), 0, [[0, 5]]);
  const gone = third.held().find(({ epoch }) => epoch === epochOf(1));
  assert.deepEqual(gone?.lanes, [{ lane: 0, floor: 5, next: 5, bytes: 0, frames: 0, oldestMs: 0 }], 'the collector learns the last floor');
  balance(third);
  await third.close();
});

test('what is refused is a gap with the code', () => {
  const { spool } = opened();
  fill(spool, 0, 3);
  spool.refuse(epochOf(1), 0, 1, 'time_range');
  assert.deepEqual(leasable(spool), [0, 2]);
  const [gap] = spool.gaps();
  assert.deepEqual(gap && { ...gap, id: 0 }, {
    id: 0,
    epoch: epochOf(1),
    lane: 0,
    cause: 'refused:time_range',
    fromSequence: 1,
    toSequence: 2,
    fromMs: 1000,
    toMs: 1999,
    frames: 1,
    samples: 5,
    bytes: 200,
  });
  spool.gapsDelivered([gap?.id ?? 0]);
  assert.deepEqual(spool.gaps(), []);
});

test('a full lane drops its oldest segment, tells it as one gap, and leaves other lanes alone', () => {
  const { spool } = opened();
  fill(spool, 0, 3);
  fill(spool, 0, 200, { lane: 1 });
  const [gap, ...others] = spool.gaps();
  assert.deepEqual(others, []);
  assert.deepEqual([gap?.cause, gap?.lane, gap?.fromSequence], ['spool_full', 1, 0]);
  const kept = leasable(spool, 1);
  assert.equal(kept[0], gap?.toSequence);
  assert.equal(kept.at(-1), 199);
  assert.equal(gap?.frames, gap?.toSequence);
  assert.equal(gap?.samples, 5 * (gap?.frames ?? 0));
  assert.deepEqual(leasable(spool, 0), [0, 1, 2]);
  assert((spool.stats().lanes[1]?.diskBytes ?? Infinity) <= 16 * 1024);
  balance(spool);
});

test('frames that are held for longer than the lane may are dropped; a clock that is set forward drops nothing', async () => {
  const { machine, spool } = opened();
  fill(spool, 0, 3);
  machine.nowMs += 1e10;
  machine.monotonicMs += 59_000;
  await spool.sync();
  assert.equal(spool.stats().gaps, 0);
  fill(spool, 3, 5);
  machine.monotonicMs += 2_000;
  await spool.sync();
  assert.deepEqual(leasable(spool), [3, 4]);
  assert.deepEqual(
    spool.gaps().map(({ cause, fromSequence, toSequence }) => [cause, fromSequence, toSequence]),
    [['spool_age', 0, 3]],
  );
});

test('what was held before the start counts as held, by the clock', async () => {
  const machine = new Machine();
  fill(machine.open(), 0, 3);
  machine.nowMs = 100_000;
  const spool = machine.reopen();
  await spool.sync();
  assert.deepEqual(leasable(spool), []);
  assert.equal(spool.gaps()[0]?.cause, 'spool_age');
});

test('on a full disk the lanes that matter less pay first, and a flood of logs does not evict metrics', () => {
  const { disk, spool } = opened();
  fill(spool, 0, 1);
  fill(spool, 0, 4, { lane: 2 });
  fill(spool, 0, 4, { lane: 1 });
  let roomBytes = 0;
  disk.fault = (call, _, grows) => {
    if (call === 'remove') roomBytes += 500;
    if (call === 'create' || !grows) return undefined;
    if (roomBytes <= 0) return 'ENOSPC';
    roomBytes -= 260;
    return undefined;
  };
  fill(spool, 1, 2);
  fill(spool, 4, 8, { lane: 1 });
  assert.deepEqual(
    spool.gaps().map(({ cause, lane, fromSequence, toSequence }) => [cause, lane, fromSequence, toSequence]),
    [
      ['disk_full', 2, 0, 4],
      ['disk_full', 1, 0, 3],
    ],
    'bulk, then logs of their own',
  );
  assert.deepEqual(leasable(spool, 0), [0, 1]);
  assert.deepEqual(leasable(spool, 1), [3, 4, 5, 6, 7]);
  assert.equal(spool.stats().diskError, '');
  balance(spool);
});

test('on a disk that takes nothing, live frames go from memory: acked they are no loss, with the link they are', () => {
  const { disk, spool } = opened();
  fill(spool, 0, 1);
  disk.fault = (call) => (call === 'read' ? undefined : 'EROFS');
  spool.append(frameOf(1), { lease: true });
  spool.append(frameOf(2), { lease: true });
  spool.append(frameOf(3), { lease: false });
  assert.equal(spool.stats().afloat, 2);
  assert.equal(spool.stats().diskError, 'EROFS');
  assert.equal(spool.held()[0]?.lanes[0]?.floor, 0);
  spool.ack(epochOf(1), 0, [[0, 2]]);
  assert.equal(spool.held()[0]?.lanes[0]?.floor, 2, 'what is afloat is held');
  spool.release();
  assert.deepEqual(
    spool.gaps().map(({ cause, fromSequence, toSequence, frames }) => ({ cause, fromSequence, toSequence, frames })),
    [{ cause: 'disk_error', fromSequence: 2, toSequence: 4, frames: 2 }],
  );
  balance(spool);
  disk.fault = () => undefined;
  spool.append(frameOf(4), { lease: false });
  assert.deepEqual(leasable(spool), [4]);
  assert.equal(spool.stats().diskError, '');
});

test('one bad write spoils one segment and no frame', () => {
  const { disk, spool } = opened();
  fill(spool, 0, 2);
  let faults = 1;
  disk.fault = (call) => (call === 'write' && faults-- > 0 ? 'EIO' : undefined);
  fill(spool, 2, 4);
  assert.deepEqual(leasable(spool), [0, 1, 2, 3]);
  assert.equal(spool.stats().gaps, 0);
});

test('a write that a full disk broke off leaves nothing behind', () => {
  const { machine, disk, spool } = opened({ lanes: [{ bytesMax: 64 * 1024, ageMsMax: 60_000 }], segmentBytes: 8 * 1024 });
  // The header goes in, half of the record does not.
  disk.fault = (call, path) => (call === 'write' && disk.files().get(path)?.length === 28 ? 'ENOSPC' : undefined);
  spool.append(frameOf(0, { bytes: new Uint8Array(3_000).fill(9) }), { lease: false });
  disk.fault = () => undefined;
  fill(spool, 1, 2);
  const again = machine.reopen();
  assert.deepEqual(leasable(again), [1]);
  assert.deepEqual(
    again.gaps().map(({ cause, fromSequence }) => [cause, fromSequence]),
    [['disk_full', 0]],
  );
  assert.equal(again.stats().corruptions, 0);
});

test('a segment that goes while it is synced is closed afterwards', async () => {
  const { disk, spool } = opened();
  fill(spool, 0, 8);
  const sync = disk.sync.bind(disk);
  disk.sync = (fd) => {
    const running = sync(fd);
    spool.ack(epochOf(1), 0, [[0, 8]]);
    return running;
  };
  await spool.sync();
  await spool.close();
  assert.equal(disk.openFiles(), 0);
});

test('a sync that fails rejects until every held frame is on the disk again', async () => {
  const { machine, disk, spool } = opened();
  fill(spool, 0, 3);
  disk.fault = (call) => (call === 'sync' ? 'EIO' : undefined);
  await assert.rejects(
    spool.sync(),
    (error) => error instanceof SpoolError && error.code === 'spool_sync' && error.message.includes(DIRECTORY),
  );
  disk.fault = () => undefined;
  await spool.sync();
  disk.restart('power');
  assert.deepEqual(leasable(machine.open()), [0, 1, 2], 'the first sync said nothing was safe, the second one wrote it again');
});

test('a sync that is asked for while one runs covers what was appended in between', async () => {
  const { machine, disk, spool } = opened();
  fill(spool, 0, 1);
  const first = spool.sync();
  fill(spool, 1, 2);
  await Promise.all([first, spool.sync(), spool.sync()]);
  disk.restart('power');
  assert.deepEqual(leasable(machine.open()), [0, 1]);
});

test('a frame that is damaged on the disk is skipped and becomes a gap', () => {
  const { disk, spool } = opened();
  fill(spool, 0, 4);
  const [file] = [...disk.files()].filter(([path]) => path.endsWith('.seg')).map(([, bytes]) => bytes);
  assert(file !== undefined);
  file[28 + 260 + 100] = 0xff;
  assert.deepEqual(leasable(spool), [0, 2, 3]);
  assert.deepEqual(
    spool.gaps().map(({ cause, fromSequence, toSequence, samples }) => [cause, fromSequence, toSequence, samples]),
    [['spool_corruption', 1, 2, 5]],
  );
  assert.equal(spool.stats().corruptions, 1);
  balance(spool);
});

test('a frame that cannot be read is tried again before it is given up; frames on good blocks are not', () => {
  const { disk, spool } = opened();
  fill(spool, 0, 3);
  disk.fault = (call) => (call === 'read' ? 'EIO' : undefined);
  assert.deepEqual(leasable(spool), []);
  disk.fault = () => undefined;
  assert.deepEqual(leasable(spool), [0, 1, 2]);
});

test('segments that somebody removed are gaps, and the spool goes on', async () => {
  const { disk, spool } = opened();
  fill(spool, 0, 20);
  await spool.sync();
  for (const path of disk.files().keys()) if (path.endsWith('1.seg')) disk.remove(path);
  const kept = leasable(spool);
  const [gap] = spool.gaps();
  assert.equal(gap?.cause, 'spool_corruption');
  assert.deepEqual(kept, Array.from({ length: 20 }, (_, i) => i).slice(gap?.toSequence));
  fill(spool, 20, 21);
  assert.deepEqual(leasable(spool), [20]);
});

test('a dictionary stays as long as a frame of its epoch is on the disk, and goes with the last one', () => {
  const machine = new Machine();
  const first = machine.open();
  first.appendDictionary(epochOf(1), 0, 3, Buffer.from('a'));
  first.appendDictionary(epochOf(1), 3, 5, Buffer.from('b'));
  fill(first, 0, 2);
  const words = (spool: Spool, from: number): string[] => spool.dictionary(epochOf(1), from).map((bytes) => Buffer.from(bytes).toString());
  assert.deepEqual([words(first, 0), words(first, 2), words(first, 3), words(first, 5)], [['a', 'b'], ['a', 'b'], ['b'], []]);
  const second = machine.reopen();
  assert.deepEqual(words(second, 0), ['a', 'b']);
  second.ack(epochOf(1), 0, [[0, 1]]);
  assert.deepEqual(words(second, 0), ['a', 'b']);
  second.ack(epochOf(1), 0, [[1, 2]]);
  second.append(frameOf(0, { epoch: epochOf(2) }), { lease: true });
  second.ack(epochOf(2), 0, [[0, 1]]);
  return second.close().then(() => {
    assert.deepEqual(
      [...machine.disk.files().keys()].filter((path) => path.includes('dictionary')),
      [],
    );
  });
});

test('a new epoch may begin in mid-run; the old one is appended to no more', () => {
  const { spool } = opened();
  spool.appendDictionary(epochOf(1), 0, 1, Buffer.from('old'));
  fill(spool, 0, 2);
  spool.appendDictionary(epochOf(9), 0, 1, Buffer.from('new'));
  fill(spool, 0, 2, { epoch: epochOf(9) });
  assert.throws(() => fill(spool, 2, 3), /only the newest epoch/);
  assert.deepEqual(String(spool.dictionary(epochOf(1), 0)), 'old');
  assert.deepEqual(
    spool.held().map(({ epoch, lanes }) => [Number.parseInt(epoch, 16), lanes[0]?.next]),
    [
      [1, 2],
      [9, 2],
    ],
  );
});

test('a dictionary waits in memory for a disk that takes writes again', async () => {
  const { machine, disk, spool } = opened();
  disk.fault = (_, __, grows) => (grows ? 'ENOSPC' : undefined);
  spool.appendDictionary(epochOf(1), 0, 3, Buffer.from('a'));
  assert.deepEqual(String(spool.dictionary(epochOf(1), 0)), 'a');
  await assert.rejects(spool.sync());
  disk.fault = () => undefined;
  await spool.sync();
  fill(spool, 0, 1);
  assert.deepEqual(String(machine.reopen().dictionary(epochOf(1), 0)), 'a');
});

test('a floor that was stated is not taken back by a restart, although acks are not written down', () => {
  const machine = new Machine();
  const first = machine.open();
  fill(first, 0, 10);
  first.ack(epochOf(1), 0, [[0, 4]]);
  first.held();
  first.ack(epochOf(1), 0, [[4, 5]]);
  const second = machine.reopen();
  assert.equal(second.held()[0]?.lanes[0]?.floor, 4);
  assert.deepEqual(leasable(second), [4, 5, 6, 7, 8, 9], 'the ack after that was forgotten: it is sent again');
});

test('too many epochs cost the oldest ones', () => {
  const { machine, spool } = opened({ lanes: [{ bytesMax: 2 ** 20, ageMsMax: 1e9 }] });
  for (let epoch = 1; epoch <= 515; epoch++) fill(spool, 0, 1, { epoch: epochOf(epoch) });
  const check = (checked: Spool, current: number): void => {
    const held = checked.held();
    assert.equal(held.length, 512);
    assert.equal(held.at(-1)?.epoch, epochOf(current));
    assert.deepEqual(
      checked.gaps().map(({ cause, epoch }) => `${cause} ${Number.parseInt(epoch, 16)}`),
      Array.from({ length: current - 512 }, (_, i) => `epochs_full ${i + 1}`),
    );
    balance(checked);
  };
  check(spool, 515);
  check(machine.reopen({ epoch: epochOf(516), lanes: [{ bytesMax: 2 ** 20, ageMsMax: 1e9 }] }), 516);
});

test('an index entry costs less than 40 bytes', () => {
  const { spool } = opened({ lanes: [{ bytesMax: 2 ** 30, ageMsMax: 1e9 }], segmentBytes: 64 * 1024 });
  fill(spool, 0, 5_000, { bytes: new Uint8Array(10) });
  assert(spool.stats().indexBytes / 5_000 < 40, `${spool.stats().indexBytes / 5_000} bytes`);
});

test('open says in a sentence what is in its way', () => {
  const check = (fault: string, code: string, words: RegExp): void => {
    const machine = new Machine();
    machine.disk.fault = () => fault;
    assert.throws(
      () => machine.open(),
      (error) => error instanceof SpoolError && error.code === code && words.test(error.message) && error.message.includes(DIRECTORY),
    );
  };
  check('EACCES', 'spool_unwritable', /give it to the user/);
  check('EROFS', 'spool_unwritable', /read-only/);
  check('ENOTDIR', 'spool_unwritable', /not a directory/);
});

test('a second agent on the same directory is refused and does no harm', () => {
  const { machine, spool } = opened();
  fill(spool, 0, 2);
  const processes = { pid: 77, lifeOf: (pid: number) => `life${pid}` };
  assert.throws(
    () => machine.open({ processes }),
    (error) => error instanceof SpoolError && error.code === 'spool_locked' && /process 1 has it/.test(error.message),
  );
  fill(spool, 2, 3);
  assert.deepEqual(leasable(spool), [0, 1, 2]);
});

test('a segment of a newer version is left alone', () => {
  const { machine, disk, spool } = opened();
  fill(spool, 0, 1);
  const path = [...disk.files().keys()].find((name) => name.endsWith('.seg')) ?? '';
  const header = encodeSegmentHeader(0, 1);
  header.writeUInt32LE(2, 8);
  header.writeUInt32LE(crc32(header.subarray(0, 24)), 24);
  disk.files().get(path)?.set(header, 0);
  assert.throws(
    () => machine.reopen(),
    (error) => error instanceof SpoolError && error.code === 'spool_version' && error.message.includes(path),
  );
});

test('what the wire allows fits into the spool', () => {
  assert(SPOOLED_BYTES_MAX >= FRAME_BYTES_MAX);
  const { spool } = opened({ lanes: [{ bytesMax: 16 * 2 ** 20, ageMsMax: 1e9 }], segmentBytes: 2 ** 20 });
  fill(spool, 0, 3, { bytes: new Uint8Array(SPOOLED_BYTES_MAX).fill(7) });
  assert.deepEqual(leasable(spool), [0, 1, 2]);
});

test('a frame that is larger than its lane is a gap, not the end', () => {
  const { spool } = opened();
  spool.append(frameOf(0, { bytes: new Uint8Array(20_000) }), { lease: false });
  assert.equal(spool.gaps()[0]?.cause, 'spool_full');
  fill(spool, 1, 2);
  assert.deepEqual(leasable(spool), [1]);
});

test('sequences that do not rise by one are a mistake of the caller', () => {
  const { spool } = opened();
  fill(spool, 0, 1);
  assert.throws(() => fill(spool, 0, 1), /not 1, the next one/);
  assert.throws(() => fill(spool, 2, 3), /not 1, the next one/);
});

test('after close late acks change nothing and the directory is free', async () => {
  const { machine, spool } = opened();
  fill(spool, 0, 2);
  await spool.close();
  spool.ack(epochOf(1), 0, [[0, 2]]);
  spool.release();
  assert.equal(machine.disk.openFiles(), 0);
  assert.deepEqual(leasable(machine.open()), [0, 1]);
});

function opened(over: Parameters<Machine['open']>[0] = {}): { machine: Machine; disk: Machine['disk']; spool: Spool } {
  const machine = new Machine();
  return { machine, disk: machine.disk, spool: machine.open(over) };
}
