/** Feeds random and mutated bytes to the decoders of columns, times and references for a bounded time. Not run by npm test as a file. */
import assert from 'node:assert/strict';
import { decodeRefs, decodeTimes, encodeRefs, encodeTimes } from '../../protocol/axis.ts';
import { ByteWriter } from '../../protocol/bytes.ts';
import { decodeColumns, encodeColumns } from '../../protocol/columns.ts';
import type { Result } from '../../protocol/errors.ts';
import { harshMix, mulberry32 } from '../support/harsh-mix.ts';

const SERIES_MAX = 40;
const TICKS_MAX = 70;
/** Bytes around the region that a decoder is given; they must not matter. */
const MARGIN_BYTES = 16;
/** One decode of at most SERIES_MAX * TICKS_MAX values; a loop that hostile bytes can prolong would take far longer. */
const DECODE_MS_MAX = 500;

export type FuzzReport = { seed: number; runs: number; accepted: number; refused: number };

type Random = (limit: number) => number;

/** Throws an error that names the seed and the run when a decoder throws, reads outside its region or writes outside its room. */
export function fuzzColumns(seed: number, ms: number): FuzzReport {
  const uniform = mulberry32(seed);
  const random: Random = (limit) => Math.floor(uniform() * limit);
  const report: FuzzReport = { seed, runs: 0, accepted: 0, refused: 0 };
  const stop = performance.now() + ms;
  while (performance.now() < stop) {
    report.runs++;
    try {
      const accepted = [fuzzValues(random), fuzzTimes(random), fuzzRefs(random)];
      for (const one of accepted) report[one ? 'accepted' : 'refused']++;
    } catch (cause) {
      throw new Error(`fuzzing the columns failed with seed ${seed} in run ${report.runs}`, { cause });
    }
  }
  return report;
}

function fuzzValues(random: Random): boolean {
  const seriesCount = 1 + random(SERIES_MAX);
  const ticks = 1 + random(TICKS_MAX);
  const bytes = random(4) === 0 ? noise(random, 200) : mutated(random, columnBytes(random, seriesCount, ticks));
  const room = seriesCount * ticks;
  const decode = (region: Uint8Array, offset: number, end: number): [Result<number>, Uint8Array] => {
    const into = new Float64Array(room + 1).fill(7);
    const started = performance.now();
    const result = decodeColumns(region, offset, end, seriesCount, ticks, into);
    assert.ok(performance.now() - started < DECODE_MS_MAX, 'decoding took too long');
    assert.equal(into[room], 7);
    return [result, new Uint8Array(into.buffer)];
  };
  return sameWhereverItLies(random, bytes, decode);
}

function fuzzTimes(random: Random): boolean {
  const count = random(TICKS_MAX);
  const times = new Float64Array(count);
  for (let i = 0, time = random(1000); i < count; i++) times[i] = time += 1 + (random(5) === 0 ? random(3000) : 999);
  const out = new ByteWriter();
  encodeTimes(times, out);
  const bytes = random(4) === 0 ? noise(random, 40) : mutated(random, out.copy());
  return sameWhereverItLies(random, bytes, (region, offset, end) => {
    const into = new Float64Array(count);
    const result = decodeTimes(region, offset, end, count, into);
    if (result.ok) assert.ok(into.every((time, i) => Number.isSafeInteger(time) && (i === 0 || time > (into[i - 1] ?? time))));
    return [result, new Uint8Array(into.buffer)];
  });
}

function fuzzRefs(random: Random): boolean {
  const count = random(SERIES_MAX);
  const refs = new Uint32Array(count);
  for (let i = 0, ref = random(100); i < count; i++) refs[i] = ref += 1 + (random(5) === 0 ? random(1e6) : 0);
  const out = new ByteWriter();
  encodeRefs(refs, out);
  const bytes = random(4) === 0 ? noise(random, 40) : mutated(random, out.copy());
  return sameWhereverItLies(random, bytes, (region, offset, end) => {
    const into = new Uint32Array(count);
    const result = decodeRefs(region, offset, end, into);
    if (result.ok) assert.ok(into.every((ref, i) => i === 0 || ref > (into[i - 1] ?? ref)));
    return [result, new Uint8Array(into.buffer)];
  });
}

/** The verdict and the values must not depend on what lies around the region. */
function sameWhereverItLies(
  random: Random,
  bytes: Uint8Array,
  decode: (region: Uint8Array, offset: number, end: number) => [Result<number>, Uint8Array],
): boolean {
  const [alone, values] = decode(bytes, 0, bytes.length);
  const around = noise(random, MARGIN_BYTES, MARGIN_BYTES);
  const region = new Uint8Array(bytes.length + 2 * MARGIN_BYTES);
  region.set(around, 0);
  region.set(bytes, MARGIN_BYTES);
  region.set(around, MARGIN_BYTES + bytes.length);
  const [within, same] = decode(region, MARGIN_BYTES, MARGIN_BYTES + bytes.length);
  assert.equal(alone.ok, within.ok);
  if (alone.ok && within.ok) {
    assert.equal(within.value, alone.value + MARGIN_BYTES);
    assert.ok(alone.value <= bytes.length);
    assert.deepEqual(same, values);
  } else {
    assert.ok(!alone.ok && alone.code === 'payload_malformed');
  }
  return alone.ok;
}

function columnBytes(random: Random, seriesCount: number, ticks: number): Uint8Array {
  const mix = harshMix(random(1000), seriesCount);
  const tick = new Float64Array(seriesCount);
  const values = new Float64Array(seriesCount * ticks);
  for (let t = 0; t < ticks; t++) {
    mix.next(tick);
    for (let s = 0; s < seriesCount; s++) values[s * ticks + t] = random(60) === 0 ? NaN : (tick[s] ?? 0);
  }
  const out = new ByteWriter();
  encodeColumns(values, seriesCount, ticks, out);
  return out.copy();
}

function noise(random: Random, most: number, least = 0): Uint8Array {
  return Uint8Array.from({ length: least + random(most - least + 1) }, () => random(256));
}

/** Up to three of: a byte changed, a bit flipped, the end cut, bytes put in. Sometimes none. */
function mutated(random: Random, bytes: Uint8Array): Uint8Array {
  let result = bytes;
  for (let left = random(4); left > 0 && result.length > 0; left--) {
    const at = random(result.length);
    const kind = random(4);
    if (kind === 0) result[at] = random(256);
    else if (kind === 1) result[at] = (result[at] ?? 0) ^ (1 << random(8));
    else if (kind === 2) result = result.slice(0, at);
    else result = Uint8Array.from([...result.subarray(0, at), ...noise(random, 4, 1), ...result.subarray(at)]);
  }
  return result;
}

if (import.meta.main) {
  const seed = Number(process.argv[2] ?? process.env['PICKET_FUZZ_SEED'] ?? Date.now() & 0x7fff_ffff);
  const seconds = Number(process.argv[3] ?? process.env['PICKET_FUZZ_SECONDS'] ?? 30);
  process.stdout.write(`columns.fuzz seed ${seed}, ${seconds} s\n`);
  process.stdout.write(`${JSON.stringify(fuzzColumns(seed, seconds * 1000))}\n`);
}
