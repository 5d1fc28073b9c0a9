/** When gatherers run: whole seconds, late seconds, hanging and failing ones. All on fake time. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Gatherer, Metric, SampleSink, Tick } from '../../agent/gather/gatherer.ts';
import { GatherError } from '../../agent/gather/scanner.ts';
import { Scheduler } from '../../agent/scheduler.ts';
import { FakeTime } from './gather/fake-time.ts';
import { Recorder } from './gather/recorder.ts';

const START_MS = 1_700_000_000_000;
const VALUE = (name: string): Metric => ({ name: `value_${name}`, type: 'gauge', help: '' });

/** Sets 1 per run; may be told to fail or to wait. */
class FakeGatherer implements Gatherer {
  readonly name: string;
  readonly intervalMs = 1000;
  readonly ticks: number[] = [];
  isClosed = false;
  onGather: (tick: Tick, sink: SampleSink) => void | Promise<void> = () => {};

  constructor(name: string) {
    this.name = name;
  }

  gather(tick: Tick, sink: SampleSink): void | Promise<void> {
    this.ticks.push(tick.timeMs);
    sink.set(sink.series(VALUE(this.name)), this.ticks.length);
    return this.onGather(tick, sink);
  }

  close(): void {
    this.isClosed = true;
  }
}

type Seen = { readonly timeMs: number; readonly samples: Map<string, number>; readonly ran: readonly string[] };

function scheduled(
  time: FakeTime,
  gatherers: readonly (readonly [gatherer: Gatherer, intervalMs: number])[],
): { scheduler: Scheduler; seen: Seen[]; logged: string[] } {
  const sink = new Recorder();
  const seen: Seen[] = [];
  const logged: string[] = [];
  const scheduler = new Scheduler({
    gatherers: gatherers.map(([gatherer, intervalMs]) => ({ gatherer, intervalMs })),
    sink,
    clock: time,
    timers: time,
    onTick: (tick, ran) => seen.push({ timeMs: tick.timeMs, samples: sink.take(), ran: ran.map(({ name }) => name) }),
    log: { warn: (_, message) => logged.push(message), info: (_, message) => logged.push(message) },
  });
  return { scheduler, seen, logged };
}

const secondsOf = (seen: readonly Seen[]): number[] => seen.map(({ timeMs }) => (timeMs - START_MS) / 1000);
const success = (seen: Seen | undefined, name: string): number | undefined =>
  seen?.samples.get(`node_scrape_collector_success{collector="${name}"}`);

test('ticks fall on whole seconds from the next one on, each once, with the second as their stamp', async () => {
  const time = new FakeTime(START_MS + 300);
  const gatherer = new FakeGatherer('a');
  const { scheduler, seen } = scheduled(time, [[gatherer, 1000]]);
  scheduler.start();
  await time.advance(699);
  assert.equal(seen.length, 0);
  await time.advance(1);
  assert.deepEqual(secondsOf(seen), [1]);
  await time.advance(3000);
  assert.deepEqual(secondsOf(seen), [1, 2, 3, 4]);
  assert.deepEqual(
    gatherer.ticks,
    seen.map(({ timeMs }) => timeMs),
  );
  assert.equal(seen[3]?.samples.get('picket_agent_ticks_missed_total'), 0);
  await scheduler.stop();
});

test('each gatherer has its interval, aligned, and all run in the first tick', async () => {
  const time = new FakeTime(START_MS + 2500);
  const fast = new FakeGatherer('fast');
  const slow = new FakeGatherer('slow');
  const { scheduler, seen } = scheduled(time, [
    [fast, 1000],
    [slow, 10_000],
  ]);
  scheduler.start();
  await time.advance(28_000);
  assert.deepEqual(
    slow.ticks.map((ms) => (ms - START_MS) / 1000),
    [3, 10, 20, 30],
  );
  assert.equal(fast.ticks.length, 28);
  assert.deepEqual(seen[0]?.ran, ['fast', 'slow']);
  assert.deepEqual(seen[1]?.ran, ['fast']);
  await scheduler.stop();
});

test('a timer that fires up to 10 ms early stands for its second, an earlier one is set again', async () => {
  const time = new FakeTime(START_MS + 500);
  let earlyMs = 8;
  const early = {
    setTimer: (callback: () => void, ms: number) => time.setTimer(callback, Math.max(0, ms - earlyMs)),
    clearTimer: (timer: unknown) => time.clearTimer(timer),
  };
  const stamps: number[] = [];
  const scheduler = new Scheduler({
    gatherers: [],
    sink: new Recorder(),
    clock: time,
    timers: early,
    onTick: ({ timeMs }) => stamps.push((timeMs - START_MS) / 1000),
    log: { warn: () => {}, info: () => {} },
  });
  scheduler.start();
  await time.advance(1490);
  assert.deepEqual(stamps, [1]);
  await time.advance(10);
  assert.deepEqual(stamps, [1, 2]);
  earlyMs = 100;
  await time.advance(1000);
  assert.deepEqual(stamps, [1, 2, 3]);
  earlyMs = 0;
  await time.advance(980);
  assert.deepEqual(stamps, [1, 2, 3], 'a timer 100 ms early is no tick');
  await time.advance(20);
  assert.deepEqual(stamps, [1, 2, 3, 4]);
  await scheduler.stop();
});

test('seconds in which the process could not run are left out and counted; a late tick carries the second it runs in', async () => {
  const time = new FakeTime(START_MS);
  const { scheduler, seen } = scheduled(time, [[new FakeGatherer('a'), 1000]]);
  scheduler.start();
  await time.advance(2000);
  time.freeze(5600);
  await time.advance(0);
  await time.advance(2000);
  assert.deepEqual(secondsOf(seen), [1, 2, 7, 8, 9]);
  assert.deepEqual(
    seen.map(({ samples }) => samples.get('picket_agent_ticks_missed_total')),
    [0, 0, 4, 4, 4],
  );
  await scheduler.stop();
});

test('a tick that is late inside its second keeps its second, and the next one is on time', async () => {
  const time = new FakeTime(START_MS);
  const { scheduler, seen } = scheduled(time, [[new FakeGatherer('a'), 1000]]);
  scheduler.start();
  time.freeze(1900);
  await time.advance(0);
  assert.deepEqual(secondsOf(seen), [1]);
  await time.advance(100);
  assert.deepEqual(secondsOf(seen), [1, 2]);
  await scheduler.stop();
});

test('an interval whose tick was missed runs in the next tick there is', async () => {
  const time = new FakeTime(START_MS);
  const slow = new FakeGatherer('slow');
  const { scheduler } = scheduled(time, [[slow, 10_000]]);
  scheduler.start();
  await time.advance(9000);
  time.freeze(3500);
  await time.advance(8000);
  assert.deepEqual(
    slow.ticks.map((ms) => (ms - START_MS) / 1000),
    [1, 12, 20],
  );
  await scheduler.stop();
});

test('when the clock is set, ticks go on with the next whole second of the new time and none counts as missed', async () => {
  for (const stepMs of [3_600_000, -3_600_000]) {
    const time = new FakeTime(START_MS);
    const slow = new FakeGatherer('slow');
    const { scheduler, seen } = scheduled(time, [[slow, 60_000]]);
    scheduler.start();
    await time.advance(2000);
    time.step(stepMs + 400);
    await time.advance(3000);
    const after = stepMs / 1000;
    assert.deepEqual(secondsOf(seen), [1, 2, after + 4, after + 5].slice(0, seen.length));
    assert.ok(seen.length >= 4, `${seen.length} ticks`);
    assert.equal(seen.at(-1)?.samples.get('picket_agent_ticks_missed_total'), 0);
    assert.equal(slow.ticks.length, 2);
    await scheduler.stop();
  }
});

test('a gatherer that throws is a sample and a log line once, and stops no other', async () => {
  const time = new FakeTime(START_MS);
  const bad = new FakeGatherer('bad');
  const good = new FakeGatherer('good');
  const { scheduler, seen, logged } = scheduled(time, [
    [bad, 1000],
    [good, 1000],
  ]);
  bad.onGather = () => {
    throw new Error('no');
  };
  scheduler.start();
  await time.advance(3000);
  assert.equal(good.ticks.length, 3);
  assert.deepEqual([success(seen[2], 'bad'), success(seen[2], 'good')], [0, 1]);
  assert.equal(seen[2]?.samples.get('picket_agent_gather_failures_total{collector="bad"}'), 3);
  assert.equal(seen[2]?.samples.has('picket_agent_gather_failures_total{collector="good"}'), false);
  assert.deepEqual(logged, ['gatherer failed']);
  bad.onGather = () => {};
  await time.advance(1000);
  assert.equal(success(seen[3], 'bad'), 1);
  assert.deepEqual(logged, ['gatherer failed', 'gatherer works again']);
  bad.onGather = () => Promise.reject(new Error('later'));
  await time.advance(1000);
  assert.equal(success(seen[4], 'bad'), 0);
  await scheduler.stop();
});

test('what the kernel does not have is told, but not as a warning', async () => {
  const time = new FakeTime(START_MS);
  const told: string[] = [];
  const pressure = new FakeGatherer('pressure');
  pressure.onGather = () => {
    throw new GatherError('source_missing', 'no pressure here');
  };
  const scheduler = new Scheduler({
    gatherers: [{ gatherer: pressure, intervalMs: 1000 }],
    sink: new Recorder(),
    clock: time,
    timers: time,
    onTick: () => {},
    log: { warn: () => told.push('warning'), info: (fields, message) => told.push(`${message}: ${JSON.stringify(fields)}`) },
  });
  scheduler.start();
  await time.advance(3000);
  assert.deepEqual(told, ['gatherer has nothing to read: {"collector":"pressure","reason":"no pressure here"}']);
  await scheduler.stop();
});

test('how long each took is a sample, in whole tenths of a millisecond', async () => {
  const time = new FakeTime(START_MS);
  const gatherer = new FakeGatherer('a');
  gatherer.onGather = () => time.freeze(1.234567);
  const { scheduler, seen } = scheduled(time, [[gatherer, 1000]]);
  scheduler.start();
  await time.advance(1000);
  assert.equal(seen[0]?.samples.get('node_scrape_collector_duration_seconds{collector="a"}'), 0.0012);
  await scheduler.stop();
});

test('an answer of the kernel within the grace belongs to its tick', async () => {
  const time = new FakeTime(START_MS);
  const gatherer = new FakeGatherer('a');
  gatherer.onGather = (_, sink) =>
    new Promise((resolve) =>
      time.setTimer(() => {
        sink.set(sink.series(VALUE('late')), 7);
        resolve();
      }, 499),
    );
  const { scheduler, seen } = scheduled(time, [[gatherer, 10_000]]);
  scheduler.start();
  await time.advance(1400);
  assert.equal(seen.length, 0);
  await time.advance(600);
  assert.deepEqual(secondsOf(seen), [1, 2]);
  assert.equal(seen[0]?.samples.get('value_late'), 7);
  assert.equal(success(seen[0], 'a'), 1);
  await scheduler.stop();
});

test('a gatherer that hangs holds up no tick, is not run again, and is counted; what it sets late goes with the tick after', async () => {
  const time = new FakeTime(START_MS);
  const hanging = new FakeGatherer('hanging');
  const good = new FakeGatherer('good');
  const answer = Promise.withResolvers<void>();
  hanging.onGather = async (_, sink) => {
    await answer.promise;
    sink.set(sink.series(VALUE('late')), 9);
  };
  const { scheduler, seen } = scheduled(time, [
    [hanging, 2000],
    [good, 1000],
  ]);
  scheduler.start();
  await time.advance(6900);
  assert.deepEqual(secondsOf(seen), [1, 2, 3, 4, 5, 6]);
  assert.equal(hanging.ticks.length, 1);
  assert.equal(seen[0]?.samples.get('value_hanging'), 1, 'what it set at once is of its tick');
  assert.equal(seen[5]?.samples.get('picket_agent_gather_overruns_total{collector="hanging"}'), 3);
  assert.equal(success(seen[5], 'hanging'), 0);
  answer.resolve();
  await time.advance(1100);
  assert.equal(seen[6]?.samples.get('value_late'), 9);
  assert.equal(success(seen[6], 'hanging'), 1);
  assert.deepEqual(seen[6]?.ran, ['hanging', 'good']);
  await time.advance(1000);
  assert.equal(hanging.ticks.length, 2);
  await scheduler.stop();
});

test('runOnce waits for the slowest and gives one tick', async () => {
  const time = new FakeTime(START_MS);
  const slow = new FakeGatherer('slow');
  slow.onGather = () => new Promise((resolve) => time.setTimer(resolve, 3000));
  const { scheduler, seen } = scheduled(time, [
    [slow, 10_000],
    [new FakeGatherer('fast'), 1000],
  ]);
  for (const round of [1, 2]) {
    const once = scheduler.runOnce({ timeMs: START_MS, monotonicMs: 0 });
    await time.advance(3000);
    await once;
    assert.equal(seen.length, round);
    assert.deepEqual([seen[round - 1]?.samples.get('value_slow'), seen[round - 1]?.samples.get('value_fast')], [round, round]);
    assert.equal(seen[round - 1]?.samples.get('node_scrape_collector_duration_seconds{collector="slow"}'), 3);
  }
});

test('after stop nothing runs, every gatherer is closed and no timer is left, even with one that hangs', async () => {
  const time = new FakeTime(START_MS);
  const hanging = new FakeGatherer('hanging');
  hanging.onGather = () => new Promise(() => {});
  const { scheduler, seen } = scheduled(time, [
    [hanging, 1000],
    [new FakeGatherer('a'), 1000],
  ]);
  scheduler.start();
  await time.advance(1100);
  const stopped = scheduler.stop();
  await time.advance(500);
  await stopped;
  assert.equal(hanging.isClosed, true);
  assert.equal(time.pending, 0);
  const count = seen.length;
  await time.advance(5000);
  assert.equal(seen.length, count);
});

test('the clock is looked at before each tick', async () => {
  const time = new FakeTime(START_MS);
  let looks = 0;
  const scheduler = new Scheduler({
    gatherers: [],
    sink: new Recorder(),
    clock: time,
    timers: time,
    onTick: () => assert.ok(looks > 0),
    beforeTick: () => looks++,
    log: { warn: () => {}, info: () => {} },
  });
  scheduler.start();
  await time.advance(3000);
  assert.equal(looks, 3);
  await scheduler.stop();
});

test('an interval that is no multiple of a second is a mistake of the caller', () => {
  const time = new FakeTime(START_MS);
  for (const intervalMs of [0, 500, 1500, NaN, Infinity]) {
    assert.throws(() => scheduled(time, [[new FakeGatherer('a'), intervalMs]]), RangeError, String(intervalMs));
  }
});
