/** The time axis and the dictionary references of a group of samples as bytes. Not their values: those are columns.ts. */
import assert from 'node:assert/strict';
import { ByteReader, type ByteWriter } from './bytes.ts';
import { fail, ok, type Result } from './errors.ts';

/** Times and the steps between them stay below this, so that every zigzag of a difference is a safe integer. */
const TIME_MAGNITUDE_MAX = 2 ** 50;
/** Dictionary references are unsigned 32-bit numbers. */
const REF_MAX = 2 ** 32 - 1;

/** Integers, strictly rising. A regular axis costs 2-4 bytes whatever its length, one late tick 2-4 more. */
export function encodeTimes(times: Float64Array, out: ByteWriter): void {
  const first = times[0];
  if (first === undefined) return;
  if (!(Number.isInteger(first) && Math.abs(first) <= TIME_MAGNITUDE_MAX))
    assert.fail(`a time must be an integer below 2^50, got ${first}`);
  out.zigzag(first);
  if (times.length === 1) return;
  const steps = stepsOf(times);
  const usual = steps.toSorted()[steps.length >> 1] ?? 0;
  const regular = steps.every((step) => step === usual);
  out.varint(usual * 2 + (regular ? 0 : 1));
  if (!regular) encodeDeviations(steps, usual, out);
}

function stepsOf(times: Float64Array): Float64Array {
  const steps = new Float64Array(times.length - 1);
  for (let i = 0; i < steps.length; i++) {
    const time = times[i + 1] ?? 0;
    const step = time - (times[i] ?? 0);
    if (!(Number.isInteger(step) && step > 0 && Math.abs(time) <= TIME_MAGNITUDE_MAX))
      assert.fail(`times must be rising integers, got ${time}`);
    steps[i] = step;
  }
  return steps;
}

/** Even number 2(n-1): n usual steps. Odd number 2z+1: one step that differs from the usual by the zigzag z. */
function encodeDeviations(steps: Float64Array, usual: number, out: ByteWriter): void {
  let run = 0;
  for (const step of steps) {
    if (step === usual) {
      run++;
      continue;
    }
    if (run > 0) out.varint((run - 1) * 2);
    run = 0;
    const deviation = step - usual;
    out.varint((deviation < 0 ? -2 * deviation - 1 : 2 * deviation) * 2 + 1);
  }
  if (run > 0) out.varint((run - 1) * 2);
}

/** Fills `into` with `count` strictly rising safe integers. The value is the offset after the last byte read. */
export function decodeTimes(bytes: Uint8Array, offset: number, end: number, count: number, into: Float64Array): Result<number> {
  const reader = new ByteReader(bytes, offset, end);
  if (count > into.length) return fail('payload_malformed', `${count} times do not fit into ${into.length}`);
  if (count === 0) return reader.failed ? truncated('times') : ok(offset);
  let time = reader.zigzag();
  into[0] = time;
  if (count > 1) {
    const head = reader.varint();
    const usual = Math.floor(head / 2);
    let left = count - 1;
    if (head % 2 === 0) {
      time = fillSteps(into, count - left, left, time, usual);
      left = 0;
    }
    while (left > 0 && !reader.failed) {
      const token = reader.varint();
      const half = Math.floor(token / 2);
      const run = token % 2 === 0 ? half + 1 : 1;
      if (run > left) return fail('payload_malformed', `a run of ${run} steps is longer than the ${left} times left`);
      const step = token % 2 === 0 ? usual : usual + (half % 2 === 0 ? half / 2 : -(half + 1) / 2);
      if (step <= 0) return fail('payload_malformed', 'times do not rise');
      time = fillSteps(into, count - left, run, time, step);
      left -= run;
    }
    if (!reader.failed && usual === 0 && head % 2 === 0) return fail('payload_malformed', 'times do not rise');
  }
  if (reader.failed) return truncated('times');
  return Number.isSafeInteger(time) ? ok(reader.at) : fail('payload_malformed', 'times leave the safe integers');
}

function fillSteps(into: Float64Array, from: number, run: number, start: number, step: number): number {
  let time = start;
  for (let i = from; i < from + run; i++) {
    time += step;
    into[i] = time;
  }
  return time;
}

/** Strictly rising dictionary references as pairs of varints: how many are skipped, how many follow each other less one. */
export function encodeRefs(refs: Uint32Array, out: ByteWriter): void {
  let next = 0;
  let i = 0;
  while (i < refs.length) {
    const start = refs[i] ?? 0;
    if (start < next) assert.fail(`references must rise, got ${start} after ${next - 1}`);
    let run = 1;
    while (i + run < refs.length && refs[i + run] === start + run) run++;
    out.varint(start - next);
    out.varint(run - 1);
    next = start + run;
    i += run;
  }
}

/** Fills the whole of `into`. The value is the offset after the last byte read. */
export function decodeRefs(bytes: Uint8Array, offset: number, end: number, into: Uint32Array): Result<number> {
  const reader = new ByteReader(bytes, offset, end);
  let next = 0;
  let i = 0;
  while (i < into.length && !reader.failed) {
    const start = next + reader.varint();
    const run = reader.varint() + 1;
    if (run > into.length - i) return fail('payload_malformed', `a run of ${run} references is longer than the ${into.length - i} left`);
    if (start + run - 1 > REF_MAX) return fail('payload_malformed', 'a reference is above 2^32-1');
    for (let k = 0; k < run; k++) into[i + k] = start + k;
    next = start + run;
    i += run;
  }
  return reader.failed ? truncated('references') : ok(reader.at);
}

function truncated(what: string): Result<number> {
  return fail('payload_malformed', `the ${what} end too early or hold a number above 2^53`);
}
