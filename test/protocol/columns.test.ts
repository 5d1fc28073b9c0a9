/** Columns of any float64 bit patterns come back exactly, cost few bytes where they are simple, and bad bytes get a verdict. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ByteWriter } from '../../protocol/bytes.ts';
import { decodeColumns, encodeColumns } from '../../protocol/columns.ts';
import { harshMix } from '../support/harsh-mix.ts';
import { fuzzColumns } from './columns.fuzz.ts';

/** What a NaN is made of survives only as words: a number may be canonicalised on the way. */
function fromPatterns(patterns: readonly bigint[]): Float64Array {
  return new Float64Array(BigUint64Array.from(patterns).buffer);
}

function encode(values: Float64Array, seriesCount: number, ticks: number): Uint8Array {
  const out = new ByteWriter();
  encodeColumns(values, seriesCount, ticks, out);
  return out.copy();
}

/** Round-trips within other bytes and into room that is larger and dirty; answers how many bytes it took. */
function check(values: Float64Array, seriesCount: number, ticks: number): number {
  const out = new ByteWriter();
  out.bytes(Uint8Array.of(9, 9, 9));
  encodeColumns(values, seriesCount, ticks, out);
  const end = out.length;
  out.bytes(Uint8Array.of(255, 255));
  const into = new Float64Array(values.length + 1).fill(7);
  assert.deepEqual(decodeColumns(out.copy(), 3, end, seriesCount, ticks, into), { ok: true, value: end });
  assert.deepEqual(new Uint8Array(into.buffer, 0, values.byteLength), new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  assert.equal(into[values.length], 7);
  return end - 3;
}

function checkColumn(values: readonly number[]): number {
  return check(Float64Array.from(values), 1, values.length);
}

function column(ticks: number, value: (t: number) => number): number[] {
  return Array.from({ length: ticks }, (_, t) => value(t));
}

const pattern = fc.oneof(
  fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  fc.constantFrom(0n, 2n ** 63n, 0x7ff0_0000_0000_0002n, 0x7ff8_0000_0000_0001n, 0xfff0_0000_0000_0000n, 0x7ff0_0000_0000_0000n, 1n),
);
const number = fc.oneof(
  fc.integer(),
  fc.integer({ min: -3, max: 3 }),
  fc.maxSafeInteger(),
  fc.integer().map((n) => n / 100),
  fc.integer().map((n) => n * 4096),
  fc.integer({ min: -1e9, max: 1e9 }).map((n) => n / 1e9),
  fc.double(),
  fc.constantFrom(0, -0, NaN, Infinity, 2 ** 50, -(2 ** 50), 2 ** 53, 2 ** 64, 1e300, 5e-324),
);
const shape = fc.record({ seriesCount: fc.integer({ min: 0, max: 20 }), ticks: fc.integer({ min: 0, max: 40 }) });

test('any bit patterns in any shape come back exactly', () => {
  const bits = shape.chain(({ seriesCount, ticks }) =>
    fc.array(pattern, { minLength: seriesCount * ticks, maxLength: seriesCount * ticks }).map((all) => ({ seriesCount, ticks, all })),
  );
  fc.assert(fc.property(bits, ({ seriesCount, ticks, all }) => void check(fromPatterns(all), seriesCount, ticks)));
});

test('columns of any mixture of numbers come back exactly', () => {
  const columns = fc
    .integer({ min: 1, max: 70 })
    .chain((ticks) =>
      fc.array(fc.array(number, { minLength: ticks, maxLength: ticks }), { minLength: 1, maxLength: 6 }).map((all) => ({ ticks, all })),
    );
  fc.assert(fc.property(columns, ({ ticks, all }) => void check(Float64Array.from(all.flat()), all.length, ticks)));
});

test('columns that move by steps of any size come back exactly', () => {
  const walk = fc.record({
    start: number,
    steps: fc.array(fc.oneof(fc.constant(0), fc.integer({ min: -3, max: 3 }), fc.integer(), fc.maxSafeInteger()), { maxLength: 80 }),
    divisor: fc.constantFrom(1, 10, 100, 1000, 1e6, 1e9, 1 / 512, 1 / 4096, 3),
  });
  fc.assert(
    fc.property(walk, ({ start, steps, divisor }) => {
      let level = Math.trunc(start);
      checkColumn([level, ...steps.map((step) => (level += step) / divisor)]);
    }),
  );
});

test('the harsh mix comes back exactly in frames of 1, 5, 10, 17, 18 and 60 ticks and in chunks of 3600', () => {
  for (const ticks of [1, 5, 10, 17, 18, 60, 3600]) {
    const seriesCount = ticks > 1000 ? 20 : 200;
    const mix = harshMix(ticks, seriesCount);
    const tick = new Float64Array(seriesCount);
    const values = new Float64Array(seriesCount * ticks);
    for (let t = 0; t < ticks; t++) {
      mix.next(tick);
      for (let s = 0; s < seriesCount; s++) values[s * ticks + t] = tick[s] ?? 0;
    }
    check(values, seriesCount, ticks);
  }
});

test('a column that never changes costs a bit if zero and a few bytes if not, whatever its length', () => {
  assert.ok(check(new Float64Array(733 * 3600), 733, 3600) <= 92);
  assert.ok(checkColumn(column(3600, () => 1)) <= 5);
  assert.ok(checkColumn(column(3600, () => 137_438_953_472)) <= 7);
  assert.ok(checkColumn(column(3600, () => 12.25)) <= 6);
  assert.ok(checkColumn(column(3600, () => NaN)) <= 12);
  assert.ok(checkColumn(column(3600, () => -0)) <= 12);
});

test('a counter with a steady pace costs no bits a sample, a rare event a few', () => {
  assert.ok(checkColumn(column(3600, (t) => 1e12 + t * 1234)) <= 20);
  assert.ok(checkColumn(column(3600, (t) => 0.01 * 100 * t + 7)) <= 20);
  assert.ok(checkColumn(column(3600, (t) => Math.floor(t / 900))) <= 24);
  assert.ok(checkColumn(column(3600, (t) => 4096 * (1000 + (t % 2)))) <= 3600 / 8 + 240);
});

test('a column that moves as an earlier one costs a few bytes, also in another unit and at another level', () => {
  const pages = column(60, (t) => 5000 + ((t * 7919) % 1013));
  const alone = checkColumn(pages);
  const both = check(Float64Array.from([...pages, ...pages.map((n) => (n + 77) * 4096), ...pages.map((n) => (n - 9000) / 100)]), 3, 60);
  assert.ok(alone > 40 && both <= alone + 20, `${alone} and ${both}`);
  const far = [pages, ...Array.from({ length: 300 }, (_, s) => column(60, (t) => (t * t * (s + 3)) % 997)), pages].flat();
  check(Float64Array.from(far), 302, 60);
});

test('columns that part after their first steps are not taken for copies', () => {
  const pages = column(100, (t) => (t * 7919) % 1013);
  check(Float64Array.from([...pages, ...pages.map((n, t) => (t === 90 ? n + 1 : n))]), 2, 100);
});

test('steps on both sides of every power of two up to 2^49 come back exactly', () => {
  for (let power = 7; power <= 49; power++) {
    for (const size of [2 ** power - 1, 2 ** power, 2 ** power + 1]) {
      checkColumn([5, 5 + size, 5, 5 - size, 5, 6]);
      checkColumn([5, 5 + size, 6 + size, 7 + size, 9 + size]);
    }
  }
});

test('a gauge that climbs beyond 32 bits and then trembles comes back exactly', () => {
  checkColumn(column(100, (t) => (t < 9 ? t * 2 ** 29 : 2 ** 32 + ((t * 7) % 4))));
});

test('one stale marker at the end or a NaN at the start of a column does not make the rest dear', () => {
  const values = Float64Array.from(column(60, (t) => 1000 + t));
  const plain = check(values, 1, 60);
  new Uint32Array(values.buffer).set([2, 0x7ff0_0000], 118);
  assert.ok(check(values, 1, 60) <= plain + 20);
  new Uint32Array(values.buffer).set([1, 0x7ff8_0000], 0);
  assert.ok(check(values, 1, 60) <= plain + 32);
});

test('one writer and one decoder used many times give the same bytes and values as new ones', () => {
  const small = Float64Array.of(1, 2, 3, 4.5, 5, 6);
  const before = encode(small, 2, 3);
  check(fromPatterns(Array.from({ length: 300 }, (_, i) => BigInt(i) << 40n)), 3, 100);
  assert.deepEqual(encode(small, 2, 3), before);
});

test('columns cut short anywhere are refused or were whole', () => {
  const mix = harshMix(3, 100);
  const values = new Float64Array(100 * 20);
  for (let t = 0; t < 20; t++) mix.next(values.subarray(t * 100, t * 100 + 100));
  const bytes = encode(values, 100, 20);
  const into = new Float64Array(values.length);
  for (let end = 0; end < bytes.length; end++) {
    const result = decodeColumns(bytes, 0, end, 100, 20, into);
    assert.equal(!result.ok && result.code, 'payload_malformed', `cut at ${end} of ${bytes.length}`);
  }
});

test('forms, heads, lengths and patches that no encoder writes are refused, each for its reason', () => {
  const decode = (bytes: readonly number[], seriesCount: number, ticks: number): ReturnType<typeof decodeColumns> =>
    decodeColumns(Uint8Array.from(bytes), 0, bytes.length, seriesCount, ticks, new Float64Array(seriesCount * ticks));
  const refused = (bytes: readonly number[], seriesCount: number, ticks: number, why: RegExp): void => {
    const result = decode(bytes, seriesCount, ticks);
    assert.ok(!result.ok && result.code === 'payload_malformed', bytes.join(' '));
    assert.match(result.detail, why, bytes.join(' '));
  };
  assert.deepEqual(decode([1, 0, 0, 1], 1, 1), { ok: true, value: 4 });
  refused([3, 0, 0, 1, 1], 1, 1, /early/);
  refused([1, 0x80, 0, 1], 1, 1, /form/);
  refused([1, 0x11, 0, 1], 1, 1, /form/);
  refused([1, 0x30, 0, 1], 1, 1, /form/);
  refused([1, 0, 1, 1], 1, 1, /run too long/);
  refused([1, 0x20, 0, 1], 1, 1, /constant column has patches/);
  assert.deepEqual(decode([1, 1, 0, 0, 1, 1, 0, 5], 1, 2), { ok: true, value: 8 });
  refused([1, 3, 0, 0, 1, 1, 0, 5], 1, 2, /early/);
  refused([1, 1, 0, 0, 1, 255, 0, 5], 1, 2, /early/);
  refused([1, 1, 0, 0, 2, 1, 0, 0, 5], 1, 2, /left over/);
  refused([1, 1, 0, 0, 1, 2, 0, 5, 5], 1, 2, /left over/);
  refused([1, 1, 0, 0, 2, 1, 50, 130, 5], 1, 2, /unknown head/);
  refused([1, 1, 0, 0, 2, 1, 50, 64, 5, 0, 0, 0], 1, 2, /early/);
  assert.equal(decode([1, 1, 0, 0, 2, 1, 0, 131, 5], 1, 40).ok, true);
  refused([1, 1, 0, 0, 2, 1, 0, 132, 5], 1, 40, /unknown head/);
  refused([1, 1, 0, 0, 2, 1, 255, 0, 5], 1, 2, /unknown head/);
  refused([1, 1, 0x10, 0, 2, 8, 255, 0, 1, 2, 3, 4, 5, 6, 7, 8], 1, 2, /unknown head/);
  const patch = [0, 0, 0, 0, 0, 0, 0, 0];
  assert.equal(decode([1, 1, 0x20, 0, 1, 1, 0, 5, 0, 1, ...patch], 1, 2).ok, true);
  refused([1, 1, 0x20, 0, 1, 1, 0, 5, 2, 0, ...patch, 0, ...patch], 1, 2, /more patches/);
  refused([1, 1, 0x20, 0, 1, 1, 0, 5, 0, 2, ...patch], 1, 2, /outside/);
  refused([1, 1, 0x20, 0, 1, 1, 0, 5, 0, 1, 0], 1, 2, /patches end too early/);
});

test('a region outside the bytes and room that is too small are refused', () => {
  assert.equal(decodeColumns(new Uint8Array(4), 3, 5, 1, 1, new Float64Array(1)).ok, false);
  assert.equal(decodeColumns(new Uint8Array(4), -1, 4, 1, 1, new Float64Array(1)).ok, false);
  assert.equal(decodeColumns(new Uint8Array(4), 0, 4, 2, 2, new Float64Array(3)).ok, false);
  assert.throws(() => encode(new Float64Array(3), 2, 2), /more than the 3 given/);
});

test('a second of random and mutated bytes gives only verdicts', () => {
  const seed = Date.now() & 0x7fff_ffff;
  const report = fuzzColumns(seed, 1000);
  assert.ok(report.accepted > 0 && report.refused > 0, `seed ${seed}: ${JSON.stringify(report)}`);
});

test('seconds as Go programs make them of milliseconds and microseconds stay integers', () => {
  const bytesOf = (value: (n: number) => number): number => {
    const values = Float64Array.from({ length: 600 }, (_, t) => value(14_036_781 + t * 137));
    const out = new ByteWriter();
    encodeColumns(values, 1, 600, out);
    const back = new Float64Array(600);
    assert.ok(decodeColumns(out.view(), 0, out.length, 1, 600, back).ok);
    assert.deepEqual(back, values);
    return out.length;
  };
  const whole = bytesOf((n) => n);
  assert.ok(bytesOf((n) => n * 0.001) <= whole + 4);
  assert.ok(bytesOf((n) => n / 1000 / 1000) <= whole + 4);
});
