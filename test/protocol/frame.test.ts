/** Sealing and reading frames: round trip, bounds, and every hostile shape refused by code without a throw. */
import assert from 'node:assert/strict';
import { zstdCompressSync } from 'node:zlib';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  agentIdOf,
  digestOf,
  ENVELOPE_BYTES,
  FLAG_ZSTD,
  FRAME_BYTES_MAX,
  FrameKind,
  keyPairFromSeed,
  Lane,
  PAYLOAD_BYTES_MAX,
  payloadOf,
  readFrame,
  seal,
  signer,
  unpack,
  verifier,
  verifyFrame,
  type FrameView,
  type SealOptions,
} from '../../protocol/index.ts';

const keys = keyPairFromSeed(Buffer.alloc(32, 7));
const sign = signer(keys.secretKey);
const verify = verifier(keys.publicKey);

const options: SealOptions = {
  kind: FrameKind.samples,
  lane: Lane.now,
  agentId: agentIdOf(keys.publicKey),
  fleetId: Buffer.alloc(16, 1),
  epoch: Buffer.alloc(16, 2),
  sequence: 5_000_000_000,
  previous: Buffer.alloc(32, 3),
  dictionaryLength: 70_000,
  clockSegment: 3,
  timeMs: 1_790_000_000_123,
  clockBaseMs: -5,
};

function view(bytes: Uint8Array): FrameView {
  const read = readFrame(bytes);
  assert.ok(read.ok, read.ok ? '' : read.detail);
  return read.value;
}

function code(bytes: Uint8Array): string {
  const read = readFrame(bytes);
  return read.ok ? 'accepted' : read.code;
}

test('a sealed frame reads back whole, verifies, and any msgpack decoder sees 15 elements', () => {
  const payload = Buffer.from('some payload');
  const { bytes, digest } = seal(options, payload, sign);
  const frame = view(bytes);
  const { flags, ...header } = frame.header;
  assert.equal(flags, 0);
  assert.deepEqual(
    { ...header, agentId: Buffer.from(header.agentId), previous: Buffer.from(header.previous) },
    { ...options, agentId: Buffer.from(options.agentId) },
  );
  assert.deepEqual(Buffer.from(frame.payload), payload);
  assert.deepEqual(digestOf(bytes), digest);
  assert.ok(verifyFrame(frame, digest, verify));
  const decoded = unpack(bytes, 'frame_malformed');
  assert.ok(decoded.ok && Array.isArray(decoded.value));
  assert.equal(decoded.value[7], 5_000_000_000);
});

test('a resend of the same content is the same bytes', () => {
  const payload = Buffer.alloc(5000, 'abc');
  assert.deepEqual(seal(options, payload, sign).bytes, seal(options, payload, sign).bytes);
});

test('a payload is compressed when that pays and comes back', () => {
  const payload = Buffer.alloc(20_000, 'repeat ');
  const { bytes } = seal(options, payload, sign);
  const frame = view(bytes);
  assert.equal(frame.header.flags, FLAG_ZSTD);
  assert.ok(bytes.length < 1000);
  const opened = payloadOf(frame);
  assert.ok(opened.ok);
  assert.deepEqual(Buffer.from(opened.value), payload);
});

test('a bit flipped anywhere is found by shape or by signature', () => {
  const { bytes } = seal(options, Buffer.from('payload of a frame'), sign);
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const damaged = Uint8Array.from(bytes);
    damaged[bit >> 3] = (damaged[bit >> 3] as number) ^ (1 << (bit & 7));
    const read = readFrame(damaged);
    if (read.ok) assert.equal(verifyFrame(read.value, digestOf(damaged), verify), false, `bit ${bit}`);
  }
});

test('every cut of a frame is refused as truncated', () => {
  const { bytes } = seal(options, Buffer.from('payload'), sign);
  for (let length = 0; length < bytes.length; length++) assert.equal(code(bytes.subarray(0, length)), 'frame_truncated', `${length} bytes`);
});

test('shapes that are not ours are refused by code', () => {
  const { bytes } = seal(options, Buffer.from('payload'), sign);
  const changed = (offset: number, value: number): Uint8Array => {
    const copy = Uint8Array.from(bytes);
    copy[offset] = value;
    return copy;
  };
  assert.equal(code(changed(0, 0x9e)), 'frame_malformed');
  assert.equal(code(changed(1, 2)), 'frame_version');
  assert.equal(code(changed(2, 7)), 'frame_kind');
  assert.equal(code(changed(2, FrameKind.dictionary)), 'frame_malformed');
  assert.equal(code(changed(3, 4)), 'frame_malformed');
  assert.equal(code(changed(4, 0x40)), 'frame_malformed');
  assert.equal(code(changed(5, 0xc5)), 'frame_malformed');
  assert.equal(code(new Uint8Array(FRAME_BYTES_MAX + 1)), 'frame_oversized');
});

test("somebody else's signature and a frame signed for another purpose do not verify", () => {
  const other = keyPairFromSeed(Buffer.alloc(32, 8));
  const theirs = seal(options, Buffer.from('payload'), signer(other.secretKey));
  assert.equal(verifyFrame(view(theirs.bytes), theirs.digest, verify), false);
  const hello = seal(options, Buffer.from('payload'), (_purpose, digest) => sign('picket/1 hello', digest));
  assert.equal(verifyFrame(view(hello.bytes), hello.digest, verify), false);
});

/** A frame with a payload as given and the compressed flag, as a hostile agent with a good key can make it. */
function compressedFrame(payload: Uint8Array): FrameView {
  const { bytes } = seal({ ...options, compress: false }, payload, sign);
  const frame = view(bytes);
  return { ...frame, header: { ...frame.header, flags: FLAG_ZSTD } };
}

test('a decompression bomb is refused before or while it opens', () => {
  const check = (payload: Uint8Array): void => {
    const opened = payloadOf(compressedFrame(payload));
    assert.equal(opened.ok ? 'accepted' : opened.code, 'payload_bomb');
  };
  check(zstdCompressSync(Buffer.alloc(PAYLOAD_BYTES_MAX + 1)));
  const lying = Buffer.from(zstdCompressSync(Buffer.alloc(3 * 1024 * 1024)));
  // Frame_Content_Size of four bytes behind magic and descriptor: claims 1 KiB.
  lying.writeUInt32LE(1024, 5);
  check(lying);
  check(Buffer.from('not zstd at all'));
  check(new Uint8Array(0));
});

test('sealing refuses what a collector would refuse', () => {
  assert.throws(() => seal(options, new Uint8Array(PAYLOAD_BYTES_MAX + 1), sign), RangeError);
  assert.throws(() => seal({ ...options, epoch: new Uint8Array(3) }, new Uint8Array(1), sign), /epoch: expected 16 bytes/);
  assert.throws(() => seal({ ...options, timeMs: 0.5 }, new Uint8Array(1), sign), RangeError);
});

test('random bytes and random damage never throw', () => {
  const { bytes } = seal(options, Buffer.from('payload'), sign);
  fc.assert(fc.property(fc.uint8Array({ maxLength: ENVELOPE_BYTES * 2 }), (random) => void readFrame(random)));
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { minLength: 1, maxLength: 8 }), (changes) => {
      const damaged = Uint8Array.from(bytes);
      for (const [at, value] of changes) damaged[at] = value;
      const read = readFrame(damaged);
      if (read.ok) payloadOf(read.value);
    }),
  );
});
