/** From values set to frames sealed, decoded again with the protocol alone. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Batcher } from '../../agent/batcher.ts';
import type { Metric, SampleSink } from '../../agent/gather/gatherer.ts';
import { Sealer, type SealedFrame } from '../../agent/sealer.ts';
import {
  agentIdOf,
  decodeDictionary,
  decodeSamples,
  keyPairFromSeed,
  payloadOf,
  readFrame,
  signer,
  type DictionaryEntry,
  type FrameView,
  type SampleGroup,
} from '../../protocol/index.ts';

const KEYS = keyPairFromSeed(new Uint8Array(32).fill(1));
const START_MS = 1_700_000_000_000;
const LOAD: Metric = { name: 'node_load1', type: 'gauge', help: 'Load.' };
const CPU: Metric = { name: 'node_cpu_seconds_total', type: 'counter', help: 'Seconds.' };
const STALE = '7ff0000000000002';

function unseal(bytes: Uint8Array): { view: FrameView; payload: Uint8Array } {
  const read = readFrame(bytes);
  assert.ok(read.ok);
  const payload = payloadOf(read.value);
  assert.ok(payload.ok);
  return { view: read.value, payload: payload.value };
}

/** A batcher whose frames are decoded as a collector would. */
function scene() {
  let drawn = 0;
  const random = (size: number): Uint8Array => new Uint8Array(size).fill(++drawn);
  const sealer = new Sealer({ agentId: agentIdOf(KEYS.publicKey), fleetId: new Uint8Array(16), sign: signer(KEYS.secretKey), random });
  const clock = { segment: { number: 0, baseMs: START_MS } };
  const dictionaries = new Map<string, DictionaryEntry[]>();
  const frames: SealedFrame[] = [];
  const groupsOf = new Map<SealedFrame, readonly SampleGroup[]>();
  const batcher = new Batcher({
    sealer,
    segment: () => clock.segment,
    outlet: {
      dictionary(part) {
        const decoded = decodeDictionary(unseal(part.bytes).payload);
        assert.ok(decoded.ok);
        const known = dictionaries.get(part.epoch) ?? [];
        assert.equal(known.length, part.from);
        dictionaries.set(part.epoch, [...known, ...decoded.value.entries]);
      },
      frame(frame) {
        const { view, payload } = unseal(frame.bytes);
        const known = dictionaries.get(frame.epoch)?.length ?? 0;
        assert.ok(view.header.dictionaryLength <= known, 'the dictionary came before the frame');
        const groups = decodeSamples(payload, view.header.dictionaryLength);
        assert.ok(groups.ok);
        frames.push(frame);
        groupsOf.set(frame, groups.value);
      },
    },
    renew: () => sealer.renew(),
  });
  /** `name{labels} time=value ...` of every sample sealed; times as seconds from the start. */
  const samples = (frame: SealedFrame): string[] => {
    const lines: string[] = [];
    const base = unseal(frame.bytes).view.header.timeMs;
    for (const { times, refs, values } of groupsOf.get(frame) ?? []) {
      // Read as words: a staleness marker does not survive as a number.
      const words = new Uint32Array(values.buffer, values.byteOffset, values.length * 2);
      refs.forEach((ref, i) => {
        const { name, labels } = dictionaries.get(frame.epoch)?.[ref] as DictionaryEntry;
        const points = [...times].map((time, t) => {
          const at = (i * times.length + t) * 2;
          const hex = words[at + 1]!.toString(16).padStart(8, '0') + words[at]!.toString(16).padStart(8, '0');
          return `${(base + time - START_MS) / 1000}=${hex === STALE ? 'stale' : Object.is(values[at / 2], -0) ? '-0' : values[at / 2]}`;
        });
        lines.push([`${name}${labels.join(',')}`, ...points].join(' '));
      });
    }
    return lines.toSorted();
  };
  const tick = (second: number, ended: string[], set: () => void): void => {
    set();
    batcher.endTick(
      { timeMs: START_MS + second * 1000 },
      ended.map((name) => ({ name })),
    );
  };
  return { batcher, sealer, dictionaries, frames, samples, tick, clock };
}

test('ticks become one frame with one group when every series is set at each', () => {
  const { batcher, frames, samples, tick, dictionaries, sealer } = scene();
  const source = batcher.sourceOf('cpu');
  const load = source.series(LOAD);
  const cpu = source.series(CPU, { mode: 'idle', cpu: '0' });
  for (let second = 1; second <= 3; second++) {
    tick(second, ['cpu'], () => {
      source.set(load, second / 4);
      source.set(cpu, second * 100);
    });
  }
  batcher.flush();
  assert.equal(frames.length, 1);
  assert.deepEqual(samples(frames[0]!), ['node_cpu_seconds_totalcpu,0,mode,idle 1=100 2=200 3=300', 'node_load1 1=0.25 2=0.5 3=0.75']);
  assert.equal(frames[0]?.samples, 6);
  assert.deepEqual([frames[0]?.fromMs, frames[0]?.toMs], [START_MS + 1000, START_MS + 3000]);
  assert.deepEqual(
    dictionaries.get(sealer.epochName)?.map(({ name, type, help, scope }) => ({ name, type, help, scope })),
    [
      { name: 'node_load1', type: 'gauge', help: 'Load.', scope: 'node' },
      { name: 'node_cpu_seconds_total', type: 'counter', help: 'Seconds.', scope: 'node' },
    ],
  );
  assert.equal(batcher.lastMs, START_MS + 3000);
});

test('nothing pending, nothing sealed', () => {
  const { batcher, frames, tick } = scene();
  batcher.flush();
  tick(1, [], () => {});
  batcher.flush();
  assert.equal(frames.length, 0);
});

test('help goes with the first entry of a metric only, later series cost one entry', () => {
  const { batcher, tick, dictionaries, sealer } = scene();
  const source = batcher.sourceOf('cpu');
  tick(1, ['cpu'], () => source.set(source.series(CPU, { cpu: '0' }), 1));
  batcher.flush();
  tick(2, ['cpu'], () => {
    source.set(source.series(CPU, { cpu: '0' }), 1);
    source.set(source.series(CPU, { cpu: '1' }), 1);
  });
  batcher.flush();
  assert.deepEqual(
    dictionaries.get(sealer.epochName)?.map(({ labels, help }) => [labels, help]),
    [
      [['cpu', '0'], 'Seconds.'],
      [['cpu', '1'], ''],
    ],
  );
});

test('a series that its gatherer no longer sets gets one staleness marker', () => {
  const { batcher, frames, samples, tick } = scene();
  const source = batcher.sourceOf('cpu');
  const a = source.series(CPU, { cpu: 'a' });
  const b = source.series(CPU, { cpu: 'b' });
  tick(1, ['cpu'], () => [source.set(a, 1), source.set(b, 1)]);
  tick(2, ['cpu'], () => source.set(a, 2));
  tick(3, ['cpu'], () => source.set(a, 3));
  batcher.flush();
  assert.deepEqual(samples(frames[0]!), ['node_cpu_seconds_totalcpu,a 1=1 2=2 3=3', 'node_cpu_seconds_totalcpu,b 1=1 2=stale']);
  tick(4, ['cpu'], () => source.set(b, 4));
  batcher.flush();
  assert.deepEqual(samples(frames[1]!), ['node_cpu_seconds_totalcpu,a 4=stale', 'node_cpu_seconds_totalcpu,b 4=4']);
});

test('the series of a gatherer that did not run at a tick are neither set nor ended', () => {
  const { batcher, frames, samples, tick } = scene();
  const slow = batcher.sourceOf('filesystem');
  const quick = batcher.sourceOf('loadavg');
  const load = quick.series(LOAD);
  const size = slow.series(CPU);
  tick(1, ['loadavg', 'filesystem'], () => [quick.set(load, 1), slow.set(size, 5)]);
  tick(2, ['loadavg'], () => quick.set(load, 2));
  tick(3, ['loadavg', 'filesystem'], () => [quick.set(load, 3), slow.set(size, 6)]);
  batcher.flush();
  assert.deepEqual(samples(frames[0]!), ['node_cpu_seconds_total 1=5 3=6', 'node_load1 1=1 2=2 3=3']);
});

test('the values of a tick that is going on wait for the next frame', () => {
  const { batcher, frames, samples, tick } = scene();
  const source = batcher.sourceOf('loadavg');
  const load = source.series(LOAD);
  tick(1, ['loadavg'], () => source.set(load, 1));
  source.set(load, 2);
  batcher.flush();
  assert.deepEqual(samples(frames[0]!), ['node_load1 1=1']);
  tick(2, ['loadavg'], () => {});
  batcher.flush();
  assert.deepEqual(samples(frames[1]!), ['node_load1 2=2']);
});

test('a frame has at most 60 ticks, spans at most five minutes and only rising times', () => {
  const { batcher, frames, tick } = scene();
  const source = batcher.sourceOf('loadavg');
  const load = source.series(LOAD);
  const run = (second: number): void => tick(second, ['loadavg'], () => source.set(load, second));
  for (let second = 1; second <= 61; second++) run(second);
  assert.deepEqual(
    frames.map((frame) => frame.samples),
    [60],
  );
  for (const second of [361, 362, 300]) run(second);
  batcher.flush();
  assert.deepEqual(
    frames.map((frame) => frame.samples),
    [60, 2, 1, 1],
  );
});

test('a table that grows in the middle of a tick keeps what it holds', () => {
  const { batcher, frames, samples, tick } = scene();
  const source = batcher.sourceOf('x');
  const set = (count: number): void => {
    for (let i = 0; i < count; i++) source.set(source.series(CPU, { i: `${i}` }), i + 0.5);
  };
  tick(1, ['x'], () => set(10));
  tick(2, ['x'], () => set(3000));
  batcher.flush();
  const lines = samples(frames[0]!);
  assert.equal(lines.length, 3000);
  assert.ok(lines.includes('node_cpu_seconds_totali,7 1=7.5 2=7.5') && lines.includes('node_cpu_seconds_totali,2999 2=2999.5'));
});

test('every bit pattern arrives: NaN, infinities, negative zero', () => {
  const { batcher, frames, samples, tick } = scene();
  const source = batcher.sourceOf('x');
  const values = [NaN, Infinity, -Infinity, -0, 5e-324];
  values.forEach((value, i) => tick(i + 1, ['x'], () => source.set(source.series(LOAD), value)));
  batcher.flush();
  assert.deepEqual(samples(frames[0]!), ['node_load1 1=NaN 2=Infinity 3=-Infinity 4=-0 5=5e-324']);
});

test('more groups than a frame may have become two frames', () => {
  const { batcher, frames, tick } = scene();
  const source = batcher.sourceOf('x');
  const refs = Array.from({ length: 1500 }, (_, i) => source.series(CPU, { i: `${i}` }));
  // Series i is set at the ticks that are the bits of i + 1: 1,500 different masks.
  for (let bit = 0; bit < 11; bit++) tick(bit + 1, [], () => refs.forEach((ref, i) => ((i + 1) >> bit) & 1 && source.set(ref, 1)));
  batcher.flush();
  assert.equal(frames.length, 2);
  const set = refs.reduce((sum, _, i) => sum + (i + 1).toString(2).replaceAll('0', '').length, 0);
  assert.equal(
    frames.reduce((sum, frame) => sum + frame.samples, 0),
    set,
  );
});

test('big ticks are sealed before a frame grows past its goal', () => {
  const { batcher, frames, tick } = scene();
  const source = batcher.sourceOf('x');
  const refs = Array.from({ length: 20_000 }, (_, i) => source.series(CPU, { i: `${i}` }));
  let seed = 1;
  const random = (): number => (seed = (seed * 48271) % 2147483647) / 2147483647;
  for (let second = 1; second <= 20; second++) tick(second, ['x'], () => refs.forEach((ref) => source.set(ref, random())));
  batcher.flush();
  assert.ok(Math.max(...frames.map((frame) => frame.bytes.length)) < 1024 * 1024);
  assert.ok(
    frames.slice(3).every((frame) => frame.bytes.length < 256 * 1024),
    frames.map((frame) => frame.bytes.length).join(' '),
  );
  assert.equal(
    frames.reduce((sum, frame) => sum + frame.samples, 0),
    400_000,
  );
});

test('a dictionary that is mostly dead begins another epoch, with only what lives', () => {
  const { batcher, frames, tick, dictionaries, sealer } = scene();
  const source = batcher.sourceOf('x');
  const first = sealer.epochName;
  const set = (from: number, to: number, sink: SampleSink): void => {
    for (let i = from; i < to; i++) sink.set(sink.series(CPU, { i: `${i}` }), i);
  };
  tick(1, ['x'], () => set(0, 1100, source));
  tick(2, ['x'], () => set(1000, 1100, source));
  assert.notEqual(sealer.epochName, first);
  assert.deepEqual(
    frames.map(({ epoch, samples }) => [epoch === first, samples]),
    [[true, 2200]],
  );
  tick(3, ['x'], () => set(1000, 1101, source));
  batcher.flush();
  assert.equal(dictionaries.get(sealer.epochName)?.length, 101);
  assert.equal(dictionaries.get(sealer.epochName)?.[0]?.help, 'Seconds.');
  assert.equal(frames[1]?.sequence, 0);
});

test('what has no room in the dictionary is counted, and a full one that lives is not renewed', () => {
  const { batcher, tick, sealer } = scene();
  const source = batcher.sourceOf('x');
  const first = sealer.epochName;
  const refs = Array.from({ length: 65_540 }, (_, i) => source.series(CPU, { i: `${i}` }));
  tick(1, ['x'], () => refs.forEach((ref) => source.set(ref, 1)));
  assert.equal(batcher.drops.samples, 4);
  assert.equal(sealer.epochName, first);
});

test('a series beyond the limits of the wire is refused and counted, the others go on', () => {
  const { batcher, frames, samples, tick } = scene();
  const source = batcher.sourceOf('x');
  tick(1, ['x'], () => {
    source.set(source.series(CPU, { name: 'v'.repeat(3000) }), 1);
    source.set(source.series(LOAD, { empty: '' }), 2);
  });
  batcher.flush();
  assert.deepEqual(batcher.drops, { series: 1, samples: 1 });
  assert.deepEqual(samples(frames[0]!), ['node_load1 1=2']);
});

test('a frame belongs to the segment in which its ticks ran', () => {
  const { batcher, frames, tick, clock } = scene();
  const source = batcher.sourceOf('x');
  tick(1, ['x'], () => source.set(source.series(LOAD), 1));
  clock.segment = { number: 1, baseMs: START_MS + 500 };
  assert.equal(frames.length, 0);
  batcher.flush();
  tick(2, ['x'], () => source.set(source.series(LOAD), 2));
  batcher.flush();
  assert.deepEqual(
    frames.map((frame) => unseal(frame.bytes).view.header).map(({ clockSegment, clockBaseMs }) => [clockSegment, clockBaseMs]),
    [
      [0, START_MS],
      [1, START_MS + 500],
    ],
  );
});

test('a crossed hint is seen once, at the tick at which its truth changed', () => {
  const { batcher, tick } = scene();
  const source = batcher.sourceOf('x');
  const load = source.series(LOAD);
  batcher.setHints([{ metric: 'node_load1', labels: [], operator: '>', threshold: 5 }]);
  const crossed = [1, 4, 6, 7, 5, 3].map((value, i) => {
    tick(i + 1, ['x'], () => source.set(load, value));
    return batcher.takeCrossed();
  });
  assert.deepEqual(crossed, [false, false, true, false, true, false]);
});
