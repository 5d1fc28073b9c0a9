/** Times and references round-trip in few bytes, and no bytes whatever make the decoders throw or answer nonsense. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodeRefs, decodeTimes, encodeRefs, encodeTimes } from '../../protocol/axis.ts';
import { ByteWriter } from '../../protocol/bytes.ts';

function timesBytes(times: readonly number[]): Uint8Array {
  const out = new ByteWriter();
  encodeTimes(Float64Array.from(times), out);
  return out.copy();
}

function checkTimes(times: readonly number[], bytesMax: number): void {
  const bytes = timesBytes(times);
  assert.ok(bytes.length <= bytesMax, `${times.length} times take ${bytes.length} bytes`);
  const into = new Float64Array(times.length);
  assert.deepEqual(decodeTimes(bytes, 0, bytes.length, times.length, into), {
    ok: true,
    value: bytes.length,
  });
  assert.deepEqual([...into], times);
}

function checkRefs(refs: readonly number[], bytesMax: number): void {
  const out = new ByteWriter();
  encodeRefs(Uint32Array.from(refs), out);
  assert.ok(out.length <= bytesMax, `${refs.length} references take ${out.length} bytes`);
  const into = new Uint32Array(refs.length);
  assert.deepEqual(decodeRefs(out.view(), 0, out.length, into), { ok: true, value: out.length });
  assert.deepEqual([...into], refs);
}

const every = (stepMs: number, count: number, firstMs = 0): number[] => Array.from({ length: count }, (_, i) => firstMs + i * stepMs);
const risingTimes = fc.array(fc.integer({ min: 1, max: 100_000 }), { maxLength: 80 }).map((steps) => {
  let time = -50_000;
  return steps.map((step) => (time += step));
});
const risingRefs = fc
  .uniqueArray(fc.integer({ min: 0, max: 2 ** 32 - 1 }), { maxLength: 80 })
  .map((refs) => refs.toSorted((a, b) => a - b));

test('a regular axis costs 2 to 4 bytes whatever its length', () => {
  checkTimes([], 0);
  checkTimes([0], 1);
  checkTimes(every(1000, 2), 4);
  checkTimes(every(1000, 5), 4);
  checkTimes(every(1000, 3600), 4);
  checkTimes(every(10_000, 600), 4);
});

test('one late tick and one missing tick cost a few bytes, jitter one byte a tick', () => {
  checkTimes([...every(1000, 30), 30_007, ...every(1000, 29, 31_000)], 10);
  checkTimes([...every(1000, 30), ...every(1000, 30, 40_000)], 9);
  checkTimes(
    every(1000, 600).map((time, i) => time + (i % 7)),
    604,
  );
});

test('times far from zero and one millisecond apart survive', () => {
  checkTimes(every(1, 10, 1_790_000_000_000), 8);
  checkTimes([-5000, -1, 0, 2 ** 50], 40);
});

test('rising times of any shape round-trip', () => {
  fc.assert(fc.property(risingTimes, (times) => checkTimes(times, 4 + times.length * 4)));
});

test('times that do not rise are refused on both sides', () => {
  assert.throws(() => timesBytes([0, 1000, 1000]), /rising/);
  assert.throws(() => timesBytes([0, 0.5]), /rising/);
  const into = new Float64Array(3);
  const refused = (bytes: readonly number[]): void => {
    const result = decodeTimes(Uint8Array.from(bytes), 0, bytes.length, 3, into);
    assert.equal(result.ok, false);
    assert.equal(!result.ok && result.code, 'payload_malformed');
  };
  refused([]);
  refused([0]);
  refused([0, 0]);
  refused([0, 3, 3]);
  refused([0, 3, 1, 7]);
  refused([0, 3, 8]);
  refused([64, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f]);
  refused([0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1]);
});

test('neighbouring references cost two bytes a run', () => {
  checkRefs([], 0);
  checkRefs(every(1, 1000), 3);
  checkRefs([0, 1, 2, 10, 11, 12], 4);
  checkRefs([2 ** 32 - 1], 6);
});

test('rising references of any shape round-trip', () => {
  fc.assert(fc.property(risingRefs, (refs) => checkRefs(refs, refs.length * 6)));
});

test('references that end early, run on or leave 32 bits are refused', () => {
  const refused = (bytes: readonly number[], count: number): void => {
    const result = decodeRefs(Uint8Array.from(bytes), 0, bytes.length, new Uint32Array(count));
    assert.equal(!result.ok && result.code, 'payload_malformed');
  };
  refused([], 1);
  refused([0], 1);
  refused([0, 1], 1);
  refused([0, 0], 2);
  refused([0xff, 0xff, 0xff, 0xff, 0x0f, 1], 2);
});

test('any bytes give a verdict, and an accepted axis rises', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), fc.integer({ min: 0, max: 20 }), (bytes, count) => {
      const times = new Float64Array(count);
      const result = decodeTimes(bytes, 0, bytes.length, count, times);
      if (result.ok) {
        assert.ok(times.every((time, i) => Number.isSafeInteger(time) && (i === 0 || time > (times[i - 1] ?? time))));
        assert.ok(result.value <= bytes.length);
      }
      const refs = new Uint32Array(count);
      if (decodeRefs(bytes, 0, bytes.length, refs).ok) assert.ok(refs.every((ref, i) => i === 0 || ref > (refs[i - 1] ?? ref)));
    }),
  );
});

test('a writer grows, keeps what it holds and starts anew after reset', () => {
  const out = new ByteWriter();
  for (let i = 0; i < 10_000; i++) out.byte(i & 255);
  out.bytes(Uint8Array.of(1, 2, 3));
  assert.equal(out.length, 10_003);
  assert.deepEqual(out.view().subarray(9_998), Uint8Array.of(14, 15, 1, 2, 3));
  const copy = out.copy();
  out.reset();
  out.varint(300);
  assert.deepEqual(out.view(), Uint8Array.of(0xac, 2));
  assert.equal(copy.length, 10_003);
  assert.throws(() => out.varint(-1), /varint/);
  assert.throws(() => out.varint(2 ** 53), /varint/);
});
