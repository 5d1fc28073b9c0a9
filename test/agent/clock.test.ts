/** Segments of the agent's clock under a machine's clock that drifts and steps. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SegmentClock, systemTime } from '../../agent/clock.ts';

function fakeTime(wallMs: number, monotonicMs: number) {
  const time = { wall: wallMs, monotonic: monotonicMs };
  return {
    source: { wallMs: () => time.wall, monotonicMs: () => time.monotonic },
    pass: (ms: number) => {
      time.wall += ms;
      time.monotonic += ms;
    },
    step: (ms: number) => {
      time.wall += ms;
    },
  };
}

test('time is the base of the segment plus monotonic time', () => {
  const { source, pass } = fakeTime(1_000_000, 400);
  const clock = new SegmentClock(source);
  pass(1234.5);
  assert.equal(clock.wallMs(), 1_001_234.5);
  assert.deepEqual(clock.segment, { number: 0, baseMs: 999_600 });
});

test('a wall clock that drifts by 100 ms moves neither time nor segment', () => {
  const { source, pass, step } = fakeTime(1_000_000, 0);
  const clock = new SegmentClock(source);
  pass(1000);
  step(100);
  assert.equal(clock.check(), false);
  assert.equal(clock.wallMs(), 1_001_000);
});

test('a step of more than 100 ms, either way, begins a segment with its own base and says how far it was', () => {
  const { source, pass, step } = fakeTime(1_000_000, 0);
  const clock = new SegmentClock(source);
  const heard: unknown[] = [];
  clock.onStep((segment, stepMs) => heard.push([segment, stepMs, clock.wallMs()]));
  pass(1000);
  step(3_600_000);
  assert.equal(clock.check(), true);
  assert.equal(clock.check(), false);
  step(-101);
  assert.equal(clock.check(), true);
  assert.deepEqual(heard, [
    [{ number: 1, baseMs: 4_600_000 }, 3_600_000, 4_601_000],
    [{ number: 2, baseMs: 4_599_899 }, -101, 4_600_899],
  ]);
});

test('the base is a whole number, as the envelope needs it', () => {
  const clock = new SegmentClock({ wallMs: () => 1_000_000, monotonicMs: () => 12.34567 });
  assert.equal(clock.segment.baseMs, 999_988);
});

test("the machine's monotonic clock does not run against its wall clock", () => {
  const source = systemTime();
  const clock = new SegmentClock(source);
  assert.ok(Math.abs(clock.wallMs() - Date.now()) < 50);
  assert.ok(source.monotonicMs() > 0);
});
