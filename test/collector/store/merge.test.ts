/** Merges of a window that are repeated, interrupted, or met by late pieces: nothing is lost, and nothing is called lost that is there. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import type { StoreLoss } from '../../../collector/model/ports.ts';
import { mergeWindow } from '../../../collector/store/merge.ts';
import { newCounters } from '../../../collector/store/options.ts';
import { Pace } from '../../../collector/store/pace.ts';
import { Partition, type Damage } from '../../../collector/store/partition.ts';
import { dayName, dayOf, windowOf } from '../../../collector/store/window.ts';
import { openStore, type Store } from '../../../collector/store/store.ts';
import { read, T0 } from '../model/conformance.ts';
import { FakeAgent } from '../model/fake-agent.ts';

const root = await mkdtemp(join(tmpdir(), 'picket-merge-'));
after(() => rm(root, { recursive: true }));
const log = { info: () => undefined, warn: () => undefined, error: () => undefined };

async function open(directory: string): Promise<{ store: Store; losses: StoreLoss[] }> {
  const store = await openStore({ directory, retention: { ageMs: 'off', bytesMax: 'off' }, nowMs: () => T0, log });
  const losses: StoreLoss[] = [];
  store.onLoss((loss) => losses.push(loss));
  await store.ready;
  return { store, losses };
}

/** A host whose series are in the window only from one cut to another. */
class Guest {
  readonly #agent: FakeAgent;
  readonly #store: Store;
  #announced = false;

  constructor(store: Store, name: string) {
    this.#store = store;
    this.#agent = new FakeAgent(name);
  }

  async say(second: number): Promise<void> {
    const frames = this.#announced ? [] : [this.#agent.dictionary([{ name: 'm' }])];
    this.#announced = true;
    await this.#store.append([...frames, this.#agent.samples([T0 + second * 1000], [[second]])]);
  }
}

async function countSamples(store: Store): Promise<number> {
  return Object.values(await read(store, [])).reduce((sum, samples) => sum + samples.length, 0);
}

/** Three cuts into one window: one host is in all, one only in the first, one only in the last. */
async function fill(store: Store): Promise<{ steady: Guest; early: Guest }> {
  const [steady, early, late] = [new Guest(store, 'steady'), new Guest(store, 'early'), new Guest(store, 'late')] as const;
  await steady.say(1);
  await early.say(1);
  await store.cutNow();
  await steady.say(2);
  await store.cutNow();
  await steady.say(3);
  await late.say(3);
  await store.cutNow();
  return { steady, early };
}

describe('merging a window', () => {
  it('again after a late piece takes in what an earlier merge has left of every host', async () => {
    const { store, losses } = await open(join(root, 'late'));
    const { steady, early } = await fill(store);
    await store.compactNow();
    await steady.say(4);
    await early.say(4);
    await store.cutNow();
    await store.compactNow();
    await store.compactNow();
    assert.deepEqual(losses, []);
    assert.equal(await countSamples(store), 7);
    await store.close();
  });

  for (const writesBefore of [0, 1]) {
    it(`that was interrupted after ${writesBefore} of its writes is done again and calls nothing lost`, async () => {
      const directory = join(root, `interrupted-${writesBefore}`);
      const first = await open(directory);
      await fill(first.store);
      await first.store.close();
      const damage: Damage[] = [];
      const day = dayOf(windowOf(T0));
      const window = windowOf(T0);
      const path = join(directory, 'raw', dayName(day));
      const partition = await Partition.open(day, path, 4 * 1024 * 1024, (told) => damage.push(told));
      const write = partition.write.bind(partition);
      let writes = 0;
      partition.write = (operations) => (writes++ < writesBefore ? write(operations) : Promise.reject(new Error('killed')));
      const pace = new Pace(1, () => true, new AbortController().signal);
      const merging = mergeWindow(partition, window, partition.markers(window), newCounters(), pace);
      await assert.rejects(merging, /killed/);
      await partition.close();
      const second = await open(directory);
      await second.store.compactNow();
      await second.store.compactNow();
      assert.deepEqual([damage, second.losses], [[], []]);
      assert.equal(await countSamples(second.store), 5);
      await second.store.close();
    });
  }

  it('misses a chunk that has vanished from a merged window once a late piece has it merged again', async () => {
    const directory = join(root, 'vanished');
    const first = await open(directory);
    await fill(first.store);
    await first.store.compactNow();
    await first.store.close();
    const day = dayOf(windowOf(T0));
    const partition = await Partition.open(day, join(directory, 'raw', dayName(day)), 4 * 1024 * 1024, () => undefined);
    const { chunkRange } = await import('../../../collector/store/keys.ts');
    const [[gone] = []] = await partition.database.iterator(chunkRange(windowOf(T0))).all();
    assert.ok(gone !== undefined);
    await partition.database.del(gone);
    await partition.close();
    const { store, losses } = await open(directory);
    await new Guest(store, 'other').say(5);
    await store.cutNow();
    await store.compactNow();
    assert.equal(losses.length, 1);
    assert.match(losses[0]?.detail ?? '', /missing: 1 of 3/);
    await store.close();
  });
});
