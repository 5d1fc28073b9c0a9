/** Writes that fail, retention, and work at the edges of time: what the store does when it cannot do what it should. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it, mock } from 'node:test';
import { Level } from 'level';
import type { StoreOptions } from '../../../collector/store/options.ts';
import { openStore, type Store } from '../../../collector/store/store.ts';
import { key, read, T0 } from '../model/conformance.ts';
import { FakeAgent } from '../model/fake-agent.ts';

const DAY = 86_400_000;
const root = await mkdtemp(join(tmpdir(), 'picket-failure-'));
after(() => rm(root, { recursive: true }));
const log = { info: () => undefined, warn: () => undefined, error: () => undefined };
let folders = 0;
const newFolder = (): string => join(root, String(folders++));

function open(directory: string, more: Partial<StoreOptions> = {}): Promise<Store> {
  return openStore({
    directory,
    retention: { ageMs: 'off', bytesMax: 'off' },
    nowMs: () => T0,
    log,
    every: () => () => undefined,
    ...more,
  });
}

/** Maintenance is queued a turn after its timer; what is asked for then comes after it. */
const behind = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** The next write of a database below `part` fails as on a full disk. */
function failNextWrite(part: string, message: string): void {
  const original = Level.prototype.batch as (this: { location: string }, ...args: unknown[]) => Promise<void>;
  const mocked = mock.method(Level.prototype, 'batch', function (this: { location: string }, ...args: unknown[]) {
    if (!this.location.includes(`/${part}/`)) return original.apply(this, args);
    mocked.mock.restore();
    return Promise.reject(new Error(message));
  } as never);
}

describe('a write that fails', () => {
  it('of the log is told with its code, nothing of it is acked, and the next one succeeds', async () => {
    const directory = newFolder();
    const store = await open(directory);
    const agent = new FakeAgent('a');
    await store.append([agent.dictionary([{ name: 'm' }]), agent.samples([T0], [[0]])]);
    const frame = agent.samples([T0 + 1000], [[1]]);
    failNextWrite('wal', 'IO error: No space left on device');
    await assert.rejects(store.append([frame]), { code: 'store_full' });
    assert.deepEqual((await store.received(agent.agentId))[0]?.lanes[0]?.ranges, [[0, 1]]);
    await store.append([frame, agent.samples([T0 + 2000], [[2]])]);
    await store.settled();
    const expected = {
      [key('m', 'a')]: [
        [T0, 0],
        [T0 + 1000, 1],
        [T0 + 2000, 2],
      ],
    };
    assert.deepEqual(await read(store, []), expected);
    assert.equal((await store.stats()).commitFailures, 1);
    await store.close();
    const again = await open(directory);
    const losses: unknown[] = [];
    again.onLoss((loss) => losses.push(loss));
    await again.ready;
    assert.deepEqual(await read(again, []), expected);
    assert.deepEqual(losses, [], 'a failed commit is no hole');
    await again.close();
  });

  it('of a cut leaves the samples readable and is tried again', async () => {
    const directory = newFolder();
    const store = await open(directory, { limits: { maintenanceMs: 10 } });
    const agent = new FakeAgent('a');
    await store.append([agent.dictionary([{ name: 'm' }]), agent.samples([T0], [[0]])]);
    failNextWrite('raw', 'IO error: Input/output error');
    await store.cutNow();
    const stats = await store.stats();
    assert.deepEqual([stats.cutFailures, stats.generationsCut], [1, 1]);
    assert.deepEqual(await read(store, []), { [key('m', 'a')]: [[T0, 0]] });
    await store.close();
  });
});

describe('retention', () => {
  it('by age unlinks whole days, counts samples that come too late, and keeps the rest', async () => {
    const directory = newFolder();
    let nowMs = T0;
    let tick = (): void => undefined;
    const every: StoreOptions['every'] = (_ms, run) => {
      tick = run;
      return () => undefined;
    };
    const store = await open(directory, { retention: { ageMs: 2 * DAY, bytesMax: 'off' }, nowMs: () => nowMs, every });
    const agent = new FakeAgent('a');
    await store.append([agent.dictionary([{ name: 'm' }]), ...[0, 1, 2].map((day) => agent.samples([T0 + day * DAY], [[day]]))]);
    await store.cutNow();
    assert.equal((await store.stats()).partitions, 3);
    nowMs = T0 + 3.5 * DAY;
    tick();
    await store.append([agent.samples([T0 + 60_000], [[9]])]);
    await store.cutNow();
    assert.deepEqual(readdirSync(join(directory, 'raw')).sort(), ['2026-03-02', '2026-03-03']);
    assert.deepEqual(await read(store, []), {
      [key('m', 'a')]: [
        [T0 + DAY, 1],
        [T0 + 2 * DAY, 2],
      ],
    });
    const stats = await store.stats();
    assert.deepEqual([stats.partitionsDropped, stats.samplesOutOfRetention], [1, 1]);
    await store.close();
  });

  it('by bytes unlinks the oldest days, never the newest', async () => {
    const directory = newFolder();
    let tick = (): void => undefined;
    const every: StoreOptions['every'] = (_ms, run) => {
      tick = run;
      return () => undefined;
    };
    const store = await open(directory, { retention: { ageMs: 'off', bytesMax: 1 }, every });
    const agent = new FakeAgent('a');
    await store.append([agent.dictionary([{ name: 'm' }]), ...[0, 1, 2].map((day) => agent.samples([T0 + day * DAY], [[day]]))]);
    await store.cutNow();
    tick();
    await behind();
    await store.compactNow();
    assert.deepEqual(readdirSync(join(directory, 'raw')), ['2026-03-03']);
    assert.deepEqual(await read(store, []), { [key('m', 'a')]: [[T0 + 2 * DAY, 2]] });
    await store.close();
  });

  it('a day that goes while it is read is read to its end', async () => {
    const directory = newFolder();
    let nowMs = T0;
    let tick = (): void => undefined;
    const every: StoreOptions['every'] = (_ms, run) => {
      tick = run;
      return () => undefined;
    };
    const store = await open(directory, { retention: { ageMs: DAY, bytesMax: 'off' }, nowMs: () => nowMs, every });
    const agents = ['a', 'b'].map((host) => new FakeAgent(host));
    for (const agent of agents) await store.append([agent.dictionary([{ name: 'm' }, { name: 'n' }]), agent.samples([T0], [[1], [2]])]);
    await store.cutNow();
    const reading = store.select([], { fromMs: T0, toMs: T0 }, {}, new AbortController().signal)[Symbol.asyncIterator]();
    nowMs = T0 + 4 * DAY;
    tick();
    await behind();
    const batch = await reading.next();
    assert.equal(batch.done !== true && batch.value.length, 4);
    assert.equal((await reading.next()).done, true);
    await store.compactNow();
    assert.equal(existsSync(join(directory, 'raw', '2026-03-01')), false);
    await store.close();
  });
});

describe('a generation', () => {
  it('closes when it is old, or large, and appends wait when cuts cannot keep up', async () => {
    let nowMs = T0;
    let tick = (): void => undefined;
    const every: StoreOptions['every'] = (_ms, run) => {
      tick = run;
      return () => undefined;
    };
    const store = await open(newFolder(), { nowMs: () => nowMs, every, limits: { generationBytesMax: 2000 } });
    await store.ready;
    const agent = new FakeAgent('a');
    await store.append([agent.dictionary([{ name: 'm' }])]);
    for (let i = 0; i < 40; i++) await store.append([agent.samples([T0 + i * 1000], [[i]])]);
    await store.cutNow();
    const { generationsCut } = await store.stats();
    assert.ok(generationsCut >= 5, `${generationsCut} generations by size`);
    await store.append([agent.samples([T0 + 50_000], [[50]])]);
    nowMs += 11 * 60 * 1000;
    tick();
    await store.cutNow();
    assert.equal((await store.stats()).generationsCut, generationsCut + 1);
    assert.equal(Object.values(await read(store, []))[0]?.length, 41);
    await store.close();
  });
});
