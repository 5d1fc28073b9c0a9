/** What every store must do, whatever lies below: run on LevelDB and on the in-memory double. Not LevelDB's own affairs (crashes, cuts, files). */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { labelsOf, labelsRecord, MatchOp, STALE_NAN_HIGH, STALE_NAN_LOW, type Matcher } from '../../../collector/model/labels.ts';
import type { AppendedFeed, Appender, LabelSource, RecordStore, SampleSource, TimeRange } from '../../../collector/model/ports.ts';
import { QueryLimitError } from '../../../collector/model/query-limit.ts';
import { FakeAgent } from './fake-agent.ts';

export type StoreUnderTest = Appender & SampleSource & LabelSource & AppendedFeed & { readonly records: RecordStore };
/** Gives an empty store and a function that waits until what was appended is readable. */
export type StoreFactory = () => Promise<{ store: StoreUnderTest; settle: () => Promise<void>; close: () => Promise<void> }>;

/** 2026-03-01 10:00 UTC. */
export const T0 = Date.UTC(2026, 2, 1, 10);
const ALWAYS: TimeRange = { fromMs: 0, toMs: T0 + 1e9 };
const never = new AbortController().signal;

export function equal(name: string, value: string): Matcher {
  return { name, op: MatchOp.equal, value, matches: (given) => given === value };
}

export function regexp(name: string, value: string): Matcher {
  const pattern = new RegExp(`^(?:${value})$`);
  return { name, op: MatchOp.regexp, value, matches: (given) => pattern.test(given) };
}

export function notEqual(name: string, value: string): Matcher {
  return { name, op: MatchOp.notEqual, value, matches: (given) => given !== value };
}

/** Everything that a selector finds: `name{labels}` to [time, value] pairs, by sorted key. Fails if a label set comes twice or times do not rise. */
export async function read(
  store: SampleSource,
  matchers: readonly Matcher[],
  range: TimeRange = ALWAYS,
  samplesMax?: number,
): Promise<Record<string, [number, number][]>> {
  const found: Record<string, [number, number][]> = {};
  for await (const batch of store.select(matchers, range, samplesMax === undefined ? {} : { samplesMax }, never)) {
    for (const { labels, timesMs, values } of batch) {
      const key = JSON.stringify(labelsRecord(labels));
      assert.ok(!(key in found), `${key} comes twice`);
      assert.deepEqual(labels, labelsOf(labelsRecord(labels)), 'labels are sorted');
      assert.equal(timesMs.length, values.length);
      found[key] = [...timesMs].map((time, i) => [time, values[i] as number]);
      for (let i = 1; i < timesMs.length; i++) assert.ok((timesMs[i] as number) > (timesMs[i - 1] as number), `${key}: times rise`);
    }
  }
  return Object.fromEntries(Object.entries(found).sort(([a], [b]) => (a < b ? -1 : 1)));
}

export const key = (name: string, instance: string, labels: Record<string, string> = {}): string =>
  JSON.stringify(labelsRecord(labelsOf({ __name__: name, instance, job: 'node', ...labels })));

export function storeConformance(name: string, make: StoreFactory): void {
  const withStore = (title: string, run: (under: Awaited<ReturnType<StoreFactory>>) => Promise<void>): void => {
    it(title, async () => {
      const under = await make();
      try {
        await run(under);
      } finally {
        await under.close();
      }
    });
  };

  describe(`${name}: samples`, () => {
    withStore('what was appended is read back with its labels, times and values', async ({ store, settle }) => {
      const agent = new FakeAgent('a');
      await store.append([
        agent.dictionary([{ name: 'node_load1' }, { name: 'node_cpu_seconds_total', labels: { cpu: '0', mode: 'idle' }, type: 'counter' }]),
        agent.samples(
          [T0, T0 + 1000],
          [
            [0.5, 0.75],
            [100, 101],
          ],
        ),
      ]);
      await settle();
      assert.deepEqual(await read(store, []), {
        [key('node_cpu_seconds_total', 'a', { cpu: '0', mode: 'idle' })]: [
          [T0, 100],
          [T0 + 1000, 101],
        ],
        [key('node_load1', 'a')]: [
          [T0, 0.5],
          [T0 + 1000, 0.75],
        ],
      });
    });

    withStore('matchers choose by name, by source and by other labels', async ({ store, settle }) => {
      for (const host of ['a', 'b', 'c']) {
        const agent = new FakeAgent(host);
        await store.append([
          agent.dictionary([{ name: 'm', labels: { device: 'sda' } }, { name: 'm', labels: { device: 'sdb' } }, { name: 'n' }]),
          agent.samples([T0], [[1], [2], [3]]),
        ]);
      }
      await settle();
      const names = async (...matchers: Matcher[]): Promise<number> => Object.keys(await read(store, matchers)).length;
      assert.equal(await names(equal('__name__', 'm')), 6);
      assert.equal(await names(equal('__name__', 'm'), equal('instance', 'b')), 2);
      assert.equal(await names(equal('__name__', 'm'), equal('device', 'sda')), 3);
      assert.equal(await names(equal('__name__', 'm'), notEqual('device', 'sda'), regexp('instance', 'a|c')), 2);
      assert.equal(await names(regexp('__name__', 'm|n'), equal('instance', 'c')), 3);
      assert.equal(await names(equal('instance', 'a')), 3, 'a selector needs no name');
      assert.equal(await names(equal('device', '')), 3, 'a missing label is the empty string');
      assert.equal(await names(equal('__name__', 'nothing')), 0);
    });

    withStore('the range is inclusive at both ends and exact', async ({ store, settle }) => {
      const agent = new FakeAgent('a');
      const times = [0, 1, 2, 3, 4].map((s) => T0 + s * 1000);
      await store.append([agent.dictionary([{ name: 'm' }]), agent.samples(times, [[0, 1, 2, 3, 4]])]);
      await settle();
      const values = async (fromMs: number, toMs: number): Promise<number[]> => {
        const found = await read(store, [], { fromMs, toMs });
        return Object.values(found).flatMap((samples) => samples.map(([, value]) => value));
      };
      assert.deepEqual(await values(T0 + 1000, T0 + 3000), [1, 2, 3]);
      assert.deepEqual(await values(T0 + 1001, T0 + 2999), [2]);
      assert.deepEqual(await values(T0 + 4001, T0 + 9000), []);
    });

    withStore('the same frame twice is stored once', async ({ store, settle }) => {
      const agent = new FakeAgent('a');
      const dictionary = agent.dictionary([{ name: 'm' }]);
      const frame = agent.samples([T0], [[1]]);
      await store.append([dictionary, frame, frame]);
      await store.append([frame, dictionary]);
      await settle();
      assert.deepEqual(await read(store, []), { [key('m', 'a')]: [[T0, 1]] });
    });

    withStore(
      'backlog that comes after live frames is merged by time; of equal times the first stored stays',
      async ({ store, settle }) => {
        const agent = new FakeAgent('a');
        await store.append([agent.dictionary([{ name: 'm' }]), agent.samples([T0 + 10_000, T0 + 11_000], [[10, 11]])]);
        await store.append([agent.samples([T0, T0 + 1000], [[0, 1]]), agent.samples([T0 + 12_000], [[12]])]);
        await store.append([agent.samples([T0 + 2000, T0 + 10_000, T0 + 10_500], [[2, 99, 10.5]])]);
        await settle();
        assert.deepEqual(
          (await read(store, []))[key('m', 'a')]?.map(([time, value]) => [(time - T0) / 1000, value]),
          [
            [0, 0],
            [1, 1],
            [2, 2],
            [10, 10],
            [10.5, 10.5],
            [11, 11],
            [12, 12],
          ],
        );
      },
    );

    withStore('every bit of a value survives, staleness markers included', async ({ store, settle }) => {
      const values = [-0, 0, 1e300, 5e-324, Infinity, -Infinity, 0.1, 2 ** 53 - 1, NaN];
      const agent = new FakeAgent('a');
      // Through typed arrays only: a plain array turns every NaN into the same one.
      const sent = Float64Array.from([...values, 0]);
      new Uint32Array(sent.buffer).set([STALE_NAN_LOW, STALE_NAN_HIGH], values.length * 2);
      const times = Float64Array.from(sent.keys(), (i) => i * 1000);
      await store.append([agent.dictionary([{ name: 'm' }]), agent.groups(T0, [{ times, refs: Uint32Array.of(0), values: sent }])]);
      await settle();
      for await (const batch of store.select([], ALWAYS, {}, never)) {
        const got = batch[0]?.values as Float64Array;
        assert.deepEqual([...got.subarray(0, values.length)], values);
        const bits = new Uint32Array(got.slice(values.length).buffer);
        assert.deepEqual([...bits], [STALE_NAN_LOW, STALE_NAN_HIGH]);
      }
    });

    withStore('the correction of the clock is added to every time', async ({ store, settle }) => {
      const agent = new FakeAgent('a');
      await store.append([agent.dictionary([{ name: 'm' }]), agent.samples([T0, T0 + 1000], [[1, 2]], { correctionMs: -500 })]);
      await settle();
      assert.deepEqual(await read(store, []), {
        [key('m', 'a')]: [
          [T0 - 500, 1],
          [T0 + 500, 2],
        ],
      });
    });

    withStore('a node series takes its identity from the frame, a relayed one carries agent', async ({ store, settle }) => {
      const agent = new FakeAgent('host-1');
      await store.append([
        agent.dictionary([
          { name: 'm', labels: { instance: 'forged', job: 'forged', x: '1' } },
          { name: 'up', labels: { instance: 'db:9187', job: 'postgres' }, relayed: true },
          { name: 'loose', labels: { agent: 'forged' }, relayed: true },
        ]),
        agent.samples([T0], [[1], [2], [3]]),
      ]);
      await settle();
      assert.deepEqual(Object.keys(await read(store, [])), [
        JSON.stringify({ __name__: 'loose', agent: 'host-1' }),
        key('m', 'host-1', { x: '1' }),
        JSON.stringify({ __name__: 'up', agent: 'host-1', instance: 'db:9187', job: 'postgres' }),
      ]);
    });

    withStore('two epochs of a host are one series', async ({ store, settle }) => {
      const first = new FakeAgent('a', 'epoch-1');
      const second = new FakeAgent('a', 'epoch-2');
      await store.append([first.dictionary([{ name: 'm' }]), first.samples([T0], [[1]])]);
      await store.append([second.dictionary([{ name: 'other' }, { name: 'm' }]), second.samples([T0 + 1000], [[7], [2]])]);
      await settle();
      assert.deepEqual(await read(store, [equal('__name__', 'm')]), {
        [key('m', 'a')]: [
          [T0, 1],
          [T0 + 1000, 2],
        ],
      });
    });

    withStore('groups of one frame have their own times', async ({ store, settle }) => {
      const agent = new FakeAgent('a');
      await store.append([
        agent.dictionary([{ name: 'fast' }, { name: 'slow' }]),
        agent.groups(T0, [
          { times: Float64Array.of(0, 1000, 2000), refs: Uint32Array.of(0), values: Float64Array.of(1, 2, 3) },
          { times: Float64Array.of(500), refs: Uint32Array.of(1), values: Float64Array.of(9) },
        ]),
      ]);
      await settle();
      assert.deepEqual(await read(store, []), {
        [key('fast', 'a')]: [
          [T0, 1],
          [T0 + 1000, 2],
          [T0 + 2000, 3],
        ],
        [key('slow', 'a')]: [[T0 + 500, 9]],
      });
    });

    withStore('series of one host and tick share the very same times', async ({ store, settle }) => {
      const agent = new FakeAgent('a');
      await store.append([
        agent.dictionary([
          { name: 'm', labels: { x: '1' } },
          { name: 'm', labels: { x: '2' } },
        ]),
        agent.samples(
          [T0, T0 + 1],
          [
            [1, 2],
            [3, 4],
          ],
        ),
      ]);
      await settle();
      const axes = new Set<Float64Array>();
      for await (const batch of store.select([], ALWAYS, {}, never)) for (const series of batch) axes.add(series.timesMs);
      assert.equal(axes.size, 1);
    });

    withStore('a read above samplesMax fails', async ({ store, settle }) => {
      const agent = new FakeAgent('a');
      await store.append([agent.dictionary([{ name: 'm' }]), agent.samples([T0, T0 + 1, T0 + 2], [[1, 2, 3]])]);
      await settle();
      await assert.rejects(read(store, [], ALWAYS, 2), QueryLimitError);
      assert.equal(Object.keys(await read(store, [], ALWAYS, 3)).length, 1);
    });

    withStore('a read that was cancelled ends', async ({ store, settle }) => {
      const agent = new FakeAgent('a');
      await store.append([agent.dictionary([{ name: 'm' }]), agent.samples([T0], [[1]])]);
      await settle();
      const reads = store.select([], ALWAYS, {}, AbortSignal.abort(new Error('enough')))[Symbol.asyncIterator]();
      await assert.rejects(reads.next(), /enough/);
    });

    withStore('appended samples are told with the newest time', async ({ store, settle }) => {
      const agent = new FakeAgent('a');
      const told: [string, number][] = [];
      const stop = store.onAppended((agentId, newestMs) => told.push([agentId, newestMs]));
      await store.append([agent.dictionary([{ name: 'm' }]), agent.samples([T0, T0 + 5000], [[1, 2]])]);
      await settle();
      assert.deepEqual(told.at(-1), [agent.agentId, T0 + 5000]);
      stop();
      const count = told.length;
      await store.append([agent.samples([T0 + 6000], [[3]])]);
      await settle();
      assert.equal(told.length, count);
    });
  });

  describe(`${name}: received`, () => {
    withStore('ranges per epoch and lane, the last digest and the dictionary length', async ({ store }) => {
      const agent = new FakeAgent('a');
      const dictionary = agent.dictionary([{ name: 'm' }, { name: 'n' }]);
      const frames = [0, 1, 2, 3, 4].map((i) => agent.samples([T0 + i], [[i]]));
      await store.append([dictionary, ...frames.filter((_, i) => i !== 2)]);
      assert.deepEqual(await store.received(agent.agentId), [
        {
          epoch: agent.epoch,
          dictionaryLength: 2,
          lanes: [
            {
              lane: 0,
              ranges: [
                [0, 2],
                [3, 5],
              ],
              lastDigest: frames[4]?.digest,
            },
            { lane: 3, ranges: [[0, 1]], lastDigest: dictionary.digest },
          ],
        },
      ]);
      assert.deepEqual(await store.received('0'.repeat(32)), []);
    });

    withStore('collapse settles everything below the floor, forget forgets the epoch', async ({ store }) => {
      const agent = new FakeAgent('a');
      await store.append([
        agent.samples([T0], [[1]], { sequence: 3, dictionaryLength: 0 }),
        agent.samples([T0], [[1]], { sequence: 7, dictionaryLength: 0 }),
      ]);
      store.collapse(agent.agentId, agent.epoch, 0, 6);
      assert.deepEqual((await store.received(agent.agentId))[0]?.lanes[0]?.ranges, [
        [0, 6],
        [7, 8],
      ]);
      store.forget(agent.agentId, agent.epoch);
      assert.deepEqual(await store.received(agent.agentId), []);
    });
  });

  describe(`${name}: names`, () => {
    withStore('series, label names, label values and metadata are sorted and exact', async ({ store, settle }) => {
      const agent = new FakeAgent('a');
      await store.append([
        agent.dictionary([
          { name: 'n', labels: { x: '2' }, type: 'counter', help: 'N in all.' },
          { name: 'm', labels: { y: '1' } },
          { name: 'silent' },
        ]),
        agent.samples([T0], [[1], [2]]),
      ]);
      await settle();
      const range = { fromMs: T0, toMs: T0 + 1000 };
      assert.deepEqual(await store.series([], range, never), [
        labelsOf({ __name__: 'm', instance: 'a', job: 'node', y: '1' }),
        labelsOf({ __name__: 'n', instance: 'a', job: 'node', x: '2' }),
      ]);
      assert.deepEqual(await store.series([equal('x', '2')], range, never), [
        labelsOf({ __name__: 'n', instance: 'a', job: 'node', x: '2' }),
      ]);
      assert.deepEqual(await store.labelNames([], range, never), ['__name__', 'instance', 'job', 'x', 'y']);
      assert.deepEqual(await store.labelNames([equal('__name__', 'm')], range, never), ['__name__', 'instance', 'job', 'y']);
      assert.deepEqual(await store.labelValues('__name__', [], range, never), ['m', 'n']);
      assert.deepEqual(await store.labelValues('instance', [equal('__name__', 'm')], range, never), ['a']);
      assert.deepEqual(await store.labelValues('x', [equal('__name__', 'm')], range, never), []);
      assert.deepEqual(await store.series([], { fromMs: T0 + 86_400_000, toMs: T0 + 90_000_000 }, never), []);
      assert.deepEqual((await store.metadata()).get('n'), { type: 'counter', help: 'N in all.' });
    });
  });

  describe(`${name}: records`, () => {
    withStore('a record is put once, changed by version, deleted by version', async ({ store: { records } }) => {
      assert.equal(await records.get('agent', 'a'), undefined);
      assert.equal(await records.putIfAbsent('agent', 'a', { n: 1 }), true);
      assert.equal(await records.putIfAbsent('agent', 'a', { n: 2 }), false);
      const first = await records.get<{ n: number }>('agent', 'a');
      assert.deepEqual(first?.value, { n: 1 });
      const version = await records.compareAndSet('agent', 'a', first.version, { n: 3 });
      assert.ok(version !== undefined && version > first.version);
      assert.equal(await records.compareAndSet('agent', 'a', first.version, { n: 4 }), undefined);
      assert.deepEqual(await records.get('agent', 'a'), { id: 'a', version, value: { n: 3 } });
      assert.equal(await records.delete('agent', 'a', first.version), false);
      assert.equal(await records.delete('agent', 'a', version), true);
      assert.equal(await records.get('agent', 'a'), undefined);
    });

    withStore('of several at once exactly one wins', async ({ store: { records } }) => {
      const puts = await Promise.all([1, 2, 3].map((n) => records.putIfAbsent('token', 't', n)));
      assert.equal(puts.filter(Boolean).length, 1);
      const { version } = (await records.get('token', 't')) ?? { version: -1 };
      const sets = await Promise.all([1, 2, 3].map((n) => records.compareAndSet('token', 't', version, n)));
      assert.equal(sets.filter((set) => set !== undefined).length, 1);
    });

    withStore('lists are sorted by id and page by prefix, after and limit', async ({ store: { records } }) => {
      for (const id of ['b/2', 'a/1', 'b/1', 'b/3', 'c/1', 'ü']) await records.putIfAbsent('gap', id, id);
      await records.putIfAbsent('event', 'b/9', 'other kind');
      const ids = async (options: Parameters<RecordStore['list']>[1]): Promise<string[]> =>
        (await records.list('gap', options)).map(({ id }) => id);
      assert.deepEqual(await ids({}), ['a/1', 'b/1', 'b/2', 'b/3', 'c/1', 'ü']);
      assert.deepEqual(await ids({ prefix: 'b/' }), ['b/1', 'b/2', 'b/3']);
      assert.deepEqual(await ids({ prefix: 'b/', after: 'b/1', limit: 1 }), ['b/2']);
      assert.deepEqual(await ids({ after: 'b/3' }), ['c/1', 'ü']);
      assert.deepEqual(await ids({ limit: 0 }), []);
    });

    withStore('the revision of a kind rises with each of its writes', async ({ store: { records } }) => {
      const before = records.revision('host');
      await records.putIfAbsent('host', 'h', {});
      const after = records.revision('host');
      assert.ok(after > before);
      await records.putIfAbsent('host', 'h', {});
      await records.putIfAbsent('audit', 'x', {});
      assert.equal(records.revision('host'), after);
    });
  });
}
