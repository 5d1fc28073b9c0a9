/** The LevelDB store beyond the ports: what a restart finds, who may open it. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import type { StoreOptions } from '../../../collector/store/options.ts';
import { openStore, type Store } from '../../../collector/store/store.ts';
import { key, read, T0 } from '../model/conformance.ts';
import { FakeAgent } from '../model/fake-agent.ts';

const root = await mkdtemp(join(tmpdir(), 'picket-store-'));
after(() => rm(root, { recursive: true }));
const log = { info: () => undefined, warn: () => undefined, error: () => undefined };
let folders = 0;
const newFolder = (): string => join(root, String(folders++));

function open(directory: string, more: Partial<StoreOptions> = {}): Promise<Store> {
  return openStore({ directory, retention: { ageMs: 'off', bytesMax: 'off' }, nowMs: () => T0, log, ...more });
}

describe('a restart', () => {
  it('finds samples, ranges, digests and dictionaries of the log, and goes on with the same epoch', async () => {
    const directory = newFolder();
    const agent = new FakeAgent('a');
    const first = await open(directory);
    await first.append([agent.dictionary([{ name: 'm' }])]);
    const last = agent.samples([T0, T0 + 1000], [[1, 2]]);
    await first.append([last]);
    const received = await first.received(agent.agentId);
    await first.close();

    const second = await open(directory);
    assert.deepEqual(await second.received(agent.agentId), received, 'before the replay is through');
    assert.equal(second.state(), 'warming');
    await second.append([agent.samples([T0 + 2000], [[3]]), last]);
    await second.ready;
    await second.settled();
    assert.equal(second.state(), 'ready');
    assert.deepEqual(await read(second, []), {
      [key('m', 'a')]: [
        [T0, 1],
        [T0 + 1000, 2],
        [T0 + 2000, 3],
      ],
    });
    assert.equal((await second.stats()).framesDuplicate, 1);
    await second.close();
    assert.equal(second.state(), 'closed');
    await assert.rejects(second.append([last]), { code: 'store_closed' });
  });

  it('keeps records', async () => {
    const directory = newFolder();
    const first = await open(directory);
    await first.records.putIfAbsent('host', 'a', { name: 'a' });
    await first.close();
    const second = await open(directory);
    assert.deepEqual((await second.records.get('host', 'a'))?.value, { name: 'a' });
    await second.close();
  });
});

describe('opening', () => {
  it('a second time says who has the store and what to do', async () => {
    const directory = newFolder();
    const store = await open(directory);
    await assert.rejects(open(directory), (error: Error & { code?: string }) => {
      assert.equal(error.code, 'store_locked');
      assert.ok(
        error.message.includes(directory) && error.message.includes(String(process.pid)) && error.message.includes('PICKET_DATA_DIR'),
        error.message,
      );
      return true;
    });
    await store.close();
  });

  it('where no folder can be made names the path', async () => {
    await assert.rejects(open('/proc/picket-store'), (error: Error & { code?: string }) => {
      assert.equal(error.code, 'store_unwritable');
      assert.match(error.message, /\/proc\/picket-store/);
      return true;
    });
  });
});
