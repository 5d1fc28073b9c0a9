/** Events and inventory as frames. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Documents } from '../../agent/documents.ts';
import { Sealer, type SealedFrame } from '../../agent/sealer.ts';
import { AGENT_VERSION } from '../../agent/version.ts';
import {
  agentIdOf,
  decodeEvents,
  FrameKind,
  keyPairFromSeed,
  payloadOf,
  readFrame,
  signer,
  unpack,
  type GapEvent,
} from '../../protocol/index.ts';

const KEYS = keyPairFromSeed(new Uint8Array(32).fill(1));
const SEGMENT = { number: 4, baseMs: 1000 };

function scene() {
  let drawn = 0;
  const random = (size: number): Uint8Array => new Uint8Array(size).fill(++drawn);
  const sealer = new Sealer({ agentId: agentIdOf(KEYS.publicKey), fleetId: new Uint8Array(16), sign: signer(KEYS.secretKey), random });
  const frames: SealedFrame[] = [];
  const documents = new Documents({
    sealer,
    segment: () => SEGMENT,
    wallMs: () => 5000.7,
    bootId: 'boot',
    offer: (frame) => frames.push(frame),
  });
  return { sealer, frames, documents };
}

function payloadIn(frame: SealedFrame | undefined): { kind: number; value: unknown } {
  const read = readFrame((frame as SealedFrame).bytes);
  assert.ok(read.ok);
  assert.deepEqual([read.value.header.lane, read.value.header.timeMs, read.value.header.clockSegment], [0, 5000, 4]);
  const payload = payloadOf(read.value);
  assert.ok(payload.ok);
  const { kind } = read.value.header;
  const value = kind === FrameKind.events ? decodeEvents(payload.value) : unpack(payload.value, 'payload_malformed');
  assert.ok(value.ok);
  return { kind, value: value.value };
}

test('a start says how the run before ended, if there was one', () => {
  const { frames, documents } = scene();
  documents.start(undefined);
  const previous = { epoch: 'ab'.repeat(16), end: 'crashed', lastMs: 9 } as const;
  documents.start(previous);
  const start = { type: 'start', atMs: 5000, version: AGENT_VERSION, bootId: 'boot' };
  assert.deepEqual(
    frames.map((frame) => payloadIn(frame).value),
    [[start], [{ ...start, previous }]],
  );
});

test('when the dictionary is worn out the old epoch is stopped and the new one started after it', () => {
  const { sealer, frames, documents } = scene();
  const before = sealer.epochName;
  documents.renew(4000);
  assert.deepEqual(
    frames.map(({ epoch }) => epoch === before),
    [true, false],
  );
  assert.deepEqual(payloadIn(frames[0]).value, [{ type: 'stop', atMs: 5000 }]);
  const [started] = payloadIn(frames[1]).value as { previous: unknown }[];
  assert.deepEqual(started?.previous, { epoch: before, end: 'stopped', lastMs: 4000 });
});

test('clock steps, gaps and the inventory arrive as they were given', () => {
  const { frames, documents } = scene();
  const gap: GapEvent = {
    type: 'gap',
    id: 1,
    epoch: 'ab'.repeat(16),
    lane: 2,
    cause: 'spool_full',
    fromSequence: 1,
    toSequence: 3,
    fromMs: 1,
    toMs: 2,
    frames: 2,
    samples: 5,
    bytes: 6,
  };
  documents.clockStepped(SEGMENT, -250);
  const sealed = documents.gaps([gap]);
  documents.inventory({ os: { distro: 'Debian' }, problems: {} });
  assert.deepEqual(payloadIn(frames[0]).value, [{ type: 'clock', atMs: 5000, segment: 4, stepMs: -250 }]);
  assert.deepEqual(payloadIn(frames[1]).value, [gap]);
  assert.equal(sealed, frames[1]);
  assert.deepEqual(payloadIn(frames[2]), { kind: FrameKind.inventory, value: { os: { distro: 'Debian' }, problems: {} } });
});
