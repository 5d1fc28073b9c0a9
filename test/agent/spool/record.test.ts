import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeSegmentHeader, encodeRecord, encodeSegmentHeader, RECORD_HEADER_BYTES, walk } from '../../../agent/spool/record.ts';
import { frameOf } from './support.ts';

/** Written by version 1. Never edited: a reader of these bytes exists wherever an agent is installed. */
const GOLDEN_HEADER = '504b5453504f4f4c01000000020000000900000000000000a6b7fa70';
const GOLDEN_RECORD =
  'c1504b52bd67a012bc5ee8b805000000ffffffffffffffffffffffffffffff01070000000200000000008056febc784200007a57febc7842dd0200006672616d65';

function record(): Buffer {
  const frame = frameOf(2 ** 33 + 7, {
    lane: 2,
    epoch: 'ff'.repeat(15) + '01',
    bytes: Buffer.from('frame'),
    fromMs: 1.7e12,
    toMs: 1.7e12 + 4000,
    samples: 733,
  });
  const bytes = Buffer.alloc(RECORD_HEADER_BYTES + 5);
  encodeRecord(bytes, frame, Buffer.from(frame.epoch, 'hex'), 9);
  return bytes;
}

test('the bytes of version 1 are what README.md says', () => {
  assert.equal(encodeSegmentHeader(2, 9).toString('hex'), GOLDEN_HEADER);
  assert.equal(record().toString('hex'), GOLDEN_RECORD);
});

test('a header that is cut or changed is not read', () => {
  const header = encodeSegmentHeader(2, 9);
  assert.deepEqual(decodeSegmentHeader(header), { version: 1, lane: 2, number: 9 });
  assert.equal(decodeSegmentHeader(header.subarray(0, 27)), undefined);
  for (let i = 0; i < header.length; i++) {
    const changed = Buffer.from(header);
    changed.writeUInt8(changed.readUInt8(i) ^ 1, i);
    assert.equal(decodeSegmentHeader(changed), undefined);
  }
});

test('a walk finds frames behind anything, even behind what looks like the beginning of one', () => {
  const magic = record().subarray(0, 4);
  const file = Buffer.concat([encodeSegmentHeader(2, 9), magic, magic, record(), magic, record()]);
  assert.deepEqual(
    [...walk(file, 9)].map(({ kind, position, bytes }) => [kind, position, bytes]),
    [
      ['unreadable', 28, 8],
      ['frame', 36, 65],
      ['unreadable', 101, 4],
      ['frame', 105, 65],
    ],
  );
});

test('a header may not claim more than a frame can have', () => {
  const bytes = record();
  bytes.writeUInt32LE(0xffff_ffff, 12);
  const file = Buffer.concat([encodeSegmentHeader(2, 9), bytes]);
  assert.deepEqual(
    [...walk(file, 9)].map(({ kind }) => kind),
    ['unreadable'],
  );
});
