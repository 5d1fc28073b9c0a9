/** Frames of an epoch: their order, their chain of digests, their dictionary parts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Sealer, type Payload } from '../../agent/sealer.ts';
import {
  agentIdOf,
  decodeDictionary,
  digestOf,
  FrameKind,
  keyPairFromSeed,
  Lane,
  payloadOf,
  readFrame,
  signer,
  verifier,
  verifyFrame,
  type DictionaryEntry,
  type FrameView,
} from '../../protocol/index.ts';

const KEYS = keyPairFromSeed(new Uint8Array(32).fill(1));
const FLEET = new Uint8Array(16).fill(2);
const SEGMENT = { number: 3, baseMs: 1_700_000_000_000 };

function newSealer(): Sealer {
  let drawn = 0;
  const random = (bytes: number): Uint8Array => new Uint8Array(bytes).fill(++drawn);
  return new Sealer({ agentId: agentIdOf(KEYS.publicKey), fleetId: FLEET, sign: signer(KEYS.secretKey), random });
}

function payload(lane: Payload['lane'], dictionaryLength = 0): Payload {
  const bytes = Uint8Array.of(0x90);
  return { kind: FrameKind.events, lane, bytes, dictionaryLength, segment: SEGMENT, fromMs: 1000, toMs: 2000, samples: 0 };
}

function view(bytes: Uint8Array): FrameView {
  const read = readFrame(bytes);
  assert.ok(read.ok);
  return read.value;
}

function entry(name: string, value = 'x'): DictionaryEntry {
  return { name, type: 'gauge', scope: 'node', labels: ['label', value], help: '' };
}

test('each lane counts from 0 and names the digest of the frame before it', () => {
  const sealer = newSealer();
  const frames = [Lane.now, Lane.logs, Lane.now, Lane.now].map((lane) => sealer.seal(payload(lane)));
  assert.deepEqual(
    frames.map(({ lane, sequence }) => [lane, sequence]),
    [
      [Lane.now, 0],
      [Lane.logs, 0],
      [Lane.now, 1],
      [Lane.now, 2],
    ],
  );
  const [first, logs, second, third] = frames.map((frame) => view(frame.bytes));
  assert.deepEqual(Buffer.from(first!.header.previous), Buffer.alloc(32));
  assert.deepEqual(Buffer.from(logs!.header.previous), Buffer.alloc(32));
  assert.deepEqual(Buffer.from(second!.header.previous), digestOf(first!.bytes));
  assert.deepEqual(Buffer.from(third!.header.previous), digestOf(second!.bytes));
});

test('the header says who, when and in which segment, and the signature holds', () => {
  const sealer = newSealer();
  const frame = view(sealer.seal(payload(Lane.now)).bytes);
  const { header } = frame;
  assert.deepEqual(Buffer.from(header.epoch).toString('hex'), sealer.epochName);
  assert.deepEqual([header.clockSegment, header.clockBaseMs, header.timeMs], [3, 1_700_000_000_000, 1000]);
  assert.deepEqual(Uint8Array.from(header.fleetId), FLEET);
  assert.ok(verifyFrame(frame, digestOf(frame.bytes), verifier(KEYS.publicKey)));
});

test('dictionary parts follow each other and are split by size', () => {
  const sealer = newSealer();
  sealer.announce([entry('a')], SEGMENT, 0);
  const big = Array.from({ length: 100 }, (_, i) => entry('b', `${i}`.padStart(1500, 'v')));
  const parts = sealer.announce(big, SEGMENT, 0);
  assert.ok(parts.length > 3, `${parts.length} parts`);
  let next = 1;
  for (const [index, part] of parts.entries()) {
    const frame = view(part.bytes);
    assert.equal(frame.header.sequence, index + 1);
    assert.equal(frame.header.dictionaryLength, next);
    const body = payloadOf(frame);
    assert.ok(body.ok);
    const dictionary = decodeDictionary(body.value);
    assert.ok(dictionary.ok);
    assert.equal(dictionary.value.from, next);
    assert.deepEqual([part.from, part.to], [next, next + dictionary.value.entries.length]);
    next = part.to;
  }
  assert.equal(next, 101);
  assert.equal(sealer.dictionaryLength, 101);
});

test('a new epoch begins everything again', () => {
  const sealer = newSealer();
  const before = sealer.epochName;
  sealer.announce([entry('a')], SEGMENT, 0);
  sealer.seal(payload(Lane.now, 1));
  sealer.renew();
  assert.notEqual(sealer.epochName, before);
  assert.equal(sealer.dictionaryLength, 0);
  const frame = sealer.seal(payload(Lane.now));
  assert.equal(frame.sequence, 0);
  assert.equal(frame.epoch, sealer.epochName);
  assert.deepEqual(Buffer.from(view(frame.bytes).header.previous), Buffer.alloc(32));
});

test('a frame that needs entries which were never announced is our own mistake', () => {
  const sealer = newSealer();
  assert.throws(() => sealer.seal(payload(Lane.now, 1)), /no more entries than were announced/);
});
