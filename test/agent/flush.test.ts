/** When batches are sealed, under a clock and timers that the test moves. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Flusher, flushPhaseMs, nextFlushMs } from '../../agent/flush.ts';
import { FakeTime } from './fake-time.ts';

const START_MS = 1_700_000_000_000;

function idOf(n: number): Uint8Array {
  const id = new Uint8Array(16);
  new DataView(id.buffer).setUint32(0, Math.imul(n, 2654435761) >>> 0);
  new DataView(id.buffer).setUint32(4, Math.imul(n, 2246822519) >>> 0);
  return id;
}

function scene() {
  const time = new FakeTime(START_MS);
  const flushes: number[] = [];
  const agentId = idOf(7);
  const flusher = new Flusher({
    agentId,
    wallMs: () => time.wallMs,
    monotonicMs: () => time.monotonicMs,
    timers: time.timers,
    flushMs: 5000,
    offlineFlushMs: 60_000,
    flush: () => flushes.push(time.wallMs - START_MS),
  });
  return { time, flusher, flushes, phaseMs: flushPhaseMs(agentId, 5000), offlinePhaseMs: flushPhaseMs(agentId, 60_000) };
}

test('instants lie a phase after multiples of the interval and strictly after now', () => {
  assert.equal(nextFlushMs(10_000, 5000, 1200), 11_200);
  assert.equal(nextFlushMs(11_200, 5000, 1200), 16_200);
  assert.equal(nextFlushMs(11_199.5, 5000, 1200), 11_200);
});

test('phases spread a fleet over the interval and keep clear of the seconds at which ticks run', () => {
  const perSecond = new Map<number, number>();
  for (let n = 0; n < 10_000; n++) {
    const phaseMs = flushPhaseMs(idOf(n), 5000);
    const inSecond = phaseMs % 1000;
    assert.ok(phaseMs < 5000 && inSecond >= 50 && inSecond < 950, `${phaseMs}`);
    perSecond.set(Math.floor(phaseMs / 1000), (perSecond.get(Math.floor(phaseMs / 1000)) ?? 0) + 1);
  }
  for (const count of perSecond.values()) assert.ok(count > 1800 && count < 2200, `${count} agents in one second`);
  assert.equal(flushPhaseMs(idOf(3), 5000), flushPhaseMs(idOf(3), 5000));
});

test('the first tick is flushed at once, the next ones wait', () => {
  const { flusher, flushes } = scene();
  flusher.tickDone(false);
  flusher.tickDone(false);
  assert.deepEqual(flushes, [0]);
});

test('off line a flush comes once a minute, on line every five seconds, at once when the link comes up', () => {
  const { time, flusher, flushes, phaseMs, offlinePhaseMs } = scene();
  time.pass(125_000);
  const first = nextFlushMs(START_MS, 60_000, offlinePhaseMs) - START_MS;
  assert.deepEqual(
    flushes,
    [first, first + 60_000].filter((at) => at <= 125_000),
  );
  flushes.length = 0;
  flusher.setOnline(true);
  time.pass(10_000);
  const online = nextFlushMs(START_MS + 125_000, 5000, phaseMs) - START_MS;
  assert.deepEqual(flushes, [125_000, online, online + 5000]);
  flushes.length = 0;
  flusher.setOnline(false);
  time.pass(40_000);
  assert.ok(flushes.length <= 1);
});

test('a crossed hint flushes its tick, on line only', () => {
  const { flusher, flushes } = scene();
  flusher.tickDone(false);
  flusher.tickDone(true);
  assert.equal(flushes.length, 1);
  flusher.setOnline(true);
  flusher.tickDone(true);
  assert.equal(flushes.length, 3);
});

test('while somebody watches each tick is flushed, until the watch runs out or is ended', () => {
  const { time, flusher, flushes } = scene();
  flusher.setOnline(true);
  flusher.tickDone(false);
  flushes.length = 0;
  flusher.live(30_000);
  flusher.tickDone(false);
  assert.equal(flushes.length, 1);
  time.pass(30_000);
  flushes.length = 0;
  flusher.tickDone(false);
  assert.equal(flushes.length, 0);
  flusher.live(30_000);
  flusher.live(0);
  flusher.tickDone(false);
  assert.equal(flushes.length, 0);
});

test('after a step of the wall clock the instants are those of the new time', () => {
  const { time, flusher, flushes, phaseMs } = scene();
  flusher.setOnline(true);
  flushes.length = 0;
  time.step(-3_600_123);
  time.pass(12_000);
  assert.ok(flushes.length >= 1 && flushes.length <= 3, flushes.join(' '));
  for (const at of flushes) assert.equal((((START_MS + at - phaseMs) % 5000) + 5000) % 5000, 0);
});

test('once stopped nothing is flushed', () => {
  const { time, flusher, flushes } = scene();
  flusher.stop();
  time.pass(200_000);
  assert.deepEqual(flushes, []);
});
