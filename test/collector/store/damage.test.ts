/** Damaged files: flipped bytes, torn logs, vanished databases, frames that do not decode. Nothing wrong is read, nothing is lost in silence. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { FrameKind, Lane } from '../../../protocol/index.ts';
import type { StoreLoss } from '../../../collector/model/ports.ts';
import { openStore, type Store } from '../../../collector/store/store.ts';
import { mulberry32 } from '../../support/harsh-mix.ts';
import { key, read, T0 } from '../model/conformance.ts';
import { FakeAgent } from '../model/fake-agent.ts';

const root = await mkdtemp(join(tmpdir(), 'picket-damage-'));
after(() => rm(root, { recursive: true }));
const log = { info: () => undefined, warn: () => undefined, error: () => undefined };
let folders = 0;
const newFolder = (): string => join(root, String(folders++));

async function open(directory: string): Promise<{ store: Store; losses: StoreLoss[] }> {
  const store = await openStore({ directory, retention: { ageMs: 'off', bytesMax: 'off' }, nowMs: () => T0, log });
  const losses: StoreLoss[] = [];
  store.onLoss((loss) => losses.push(loss));
  await store.ready;
  return { store, losses };
}

/** Ten commits of one frame with four ticks each; tick i has the value i. */
async function fill(directory: string, finish: (store: Store) => Promise<void>): Promise<FakeAgent> {
  const { store } = await open(directory);
  const agent = new FakeAgent('a');
  await store.append([
    agent.dictionary([
      { name: 'm', labels: { x: '0' } },
      { name: 'm', labels: { x: '1' } },
    ]),
  ]);
  for (let i = 0; i < 40; i += 4) {
    const ticks = [i, i + 1, i + 2, i + 3];
    await store.append([
      agent.samples(
        ticks.map((tick) => T0 + tick * 1000),
        [ticks, ticks.map((tick) => tick * 0.1)],
      ),
    ]);
  }
  await finish(store);
  await store.close();
  return agent;
}

/** Everything that is read is what was written; how many samples of the 80 are there. */
async function readRight(store: Store): Promise<number> {
  let count = 0;
  for (const [name, samples] of Object.entries(await read(store, []))) {
    const isSecond = name === key('m', 'a', { x: '1' });
    assert.ok(isSecond || name === key('m', 'a', { x: '0' }), `${name} was never written`);
    for (const [time, value] of samples) assert.equal(value, isSecond ? ((time - T0) / 1000) * 0.1 : (time - T0) / 1000);
    count += samples.length;
  }
  return count;
}

function filesBelow(directory: string, suffix: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(suffix))
    .map((entry) => join(entry.parentPath, entry.name));
}

function flip(path: string, offset: number, bit: number): void {
  const bytes = readFileSync(path);
  bytes[offset] = (bytes[offset] as number) ^ (1 << bit);
  writeFileSync(path, bytes);
}

describe('a flipped bit', () => {
  it('in the log costs what stood with it, which leaves the ranges and is told', async () => {
    const origin = newFolder();
    const agent = await fill(origin, () => Promise.resolve());
    const [file] = filesBelow(join(origin, 'wal'), '.log');
    assert.ok(file !== undefined);
    const length = readFileSync(file).length;
    const random = mulberry32(1);
    for (let round = 0; round < 12; round++) {
      const directory = newFolder();
      await cp(origin, directory, { recursive: true });
      // Behind the first two commits (the note that opens the generation, and the dictionary).
      const offset = 400 + Math.floor(random() * (length - 800));
      flip(file.replace(origin, directory), offset, Math.floor(random() * 8));
      const { store, losses } = await open(directory);
      const count = await readRight(store);
      const lane = (await store.received(agent.agentId))[0]?.lanes.find(({ lane: number }) => number === 0);
      const received = lane?.ranges.reduce((sum, [from, to]) => sum + to - from, 0);
      assert.equal(count, (received ?? 0) * 8, `samples and ranges agree (offset ${offset})`);
      assert.ok(count < 80, `offset ${offset}`);
      assert.ok(
        losses.some(({ cause }) => cause === 'store_corruption'),
        `told (offset ${offset})`,
      );
      await store.close();
    }
  });

  it('in a table of chunks is never read as a value, and is told', async () => {
    const origin = newFolder();
    await fill(origin, async (store) => {
      await store.cutNow();
      await store.compactNow();
    });
    const [file] = filesBelow(join(origin, 'raw'), '.ldb');
    assert.ok(file !== undefined);
    const random = mulberry32(2);
    let told = 0;
    for (let round = 0; round < 24; round++) {
      const directory = newFolder();
      await cp(origin, directory, { recursive: true });
      flip(file.replace(origin, directory), Math.floor(random() * readFileSync(file).length), Math.floor(random() * 8));
      const { store, losses } = await open(directory);
      await readRight(store);
      told += losses.length > 0 ? 1 : 0;
      await store.close();
    }
    // The rest hits LevelDB's own index and footer, or names that nobody asks for.
    assert.ok(told >= 6, `${told} of 24 told`);
  });
});

describe('a torn log', () => {
  it('keeps what stands before the tear, and takes new frames', async () => {
    const origin = newFolder();
    const agent = await fill(origin, () => Promise.resolve());
    const [file] = filesBelow(join(origin, 'wal'), '.log');
    assert.ok(file !== undefined);
    const length = readFileSync(file).length;
    for (const cut of [1, 7, 300, 1500]) {
      const directory = newFolder();
      await cp(origin, directory, { recursive: true });
      truncateSync(file.replace(origin, directory), length - cut);
      const { store } = await open(directory);
      const count = await readRight(store);
      assert.ok(count >= 32 && count < 80, `${count} samples after ${cut} bytes were cut off`);
      await store.append([agent.samples([T0 + 60_000], [[60], [60 * 0.1]], { sequence: 1000 + cut })]);
      await store.settled();
      assert.equal(await readRight(store), count + 2);
      await store.close();
    }
  });
});

describe('a database that vanished', () => {
  it('of the log is a loss of the commits that it held', async () => {
    const directory = newFolder();
    const agent = await fill(directory, () => Promise.resolve());
    // A file where the day's partition should be: no cut succeeds, so the generation of each start is still there at the next.
    const inTheWay = join(directory, 'raw', '2026-03-01');
    writeFileSync(inTheWay, '');
    for (const tick of [40, 41]) {
      const { store } = await open(directory);
      await store.append([agent.samples([T0 + tick * 1000], [[tick], [tick * 0.1]])]);
      await store.close();
    }
    const names = readdirSync(join(directory, 'wal')).sort();
    assert.equal(names.length, 3);
    await rm(join(directory, 'wal', names[1] as string), { recursive: true });
    await rm(inTheWay);
    const { store, losses } = await open(directory);
    assert.ok(losses.some(({ detail, fromMs }) => detail.includes('commits') && fromMs !== undefined));
    assert.equal(await readRight(store), 82);
    await store.close();
  });

  it('of a day leaves the other days', async () => {
    const directory = newFolder();
    const { store } = await open(directory);
    const agent = new FakeAgent('a');
    await store.append([agent.dictionary([{ name: 'm' }]), agent.samples([T0], [[1]]), agent.samples([T0 + 86_400_000], [[2]])]);
    await store.cutNow();
    await store.close();
    await rm(join(directory, 'raw', '2026-03-01'), { recursive: true });
    const again = await open(directory);
    assert.deepEqual(await read(again.store, []), { [key('m', 'a')]: [[T0 + 86_400_000, 2]] });
    await again.store.close();
  });

  it('or lost its manifest is put aside, told, and written anew', async () => {
    const directory = newFolder();
    const agent = await fill(directory, (store) => store.cutNow());
    for (const name of readdirSync(join(directory, 'raw', '2026-03-01'))) {
      if (/^(CURRENT|MANIFEST|.*\.log|.*\.ldb)/.test(name)) writeFileSync(join(directory, 'raw', '2026-03-01', name), 'rubbish');
    }
    const { store, losses } = await open(directory);
    assert.equal(await readRight(store), 0);
    assert.ok(losses.length > 0);
    await store.append([agent.samples([T0 + 60_000], [[60], [60 * 0.1]])]);
    await store.cutNow();
    assert.equal(await readRight(store), 2);
    await store.close();
  });
});

describe('a frame that does not decode', () => {
  it('is acked, kept aside and told; the frames around it are read, also after a restart', async () => {
    const directory = newFolder();
    const { store, losses } = await open(directory);
    const agent = new FakeAgent('a');
    const rubbish = agent.frame(FrameKind.samples, Lane.now, Buffer.from('no samples at all'), {
      timeMs: T0,
      dictionaryLength: 1,
      sequence: 1,
    });
    await store.append([agent.dictionary([{ name: 'm', labels: { x: '0' } }]), agent.samples([T0], [[0]], { sequence: 0 }), rubbish]);
    await store.append([agent.samples([T0 + 2000], [[2]], { sequence: 2 })]);
    await store.settled();
    assert.deepEqual(
      losses.map(({ cause, agentId, lane, ranges }) => ({ cause, agentId, lane, ranges })),
      [{ cause: 'undecodable', agentId: agent.agentId, lane: 0, ranges: [[1, 2]] }],
    );
    assert.equal(await readRight(store), 2);
    assert.equal((await store.stats()).framesQuarantined, 1);
    await store.close();
    const again = await open(directory);
    assert.equal(await readRight(again.store), 2);
    assert.deepEqual((await again.store.received(agent.agentId))[0]?.lanes[0]?.ranges, [[0, 3]]);
    await again.store.close();
  });
});

describe('a day whose folder has vanished', () => {
  async function fillAndRemove(directory: string): Promise<void> {
    await fill(directory, (store) => store.cutNow());
    const [day] = readdirSync(join(directory, 'raw'));
    assert.ok(day !== undefined);
    await rm(join(directory, 'raw', day), { recursive: true });
  }
  const isGone = ({ fromMs, toMs, detail }: StoreLoss): boolean =>
    detail.includes('folder is gone') && (fromMs ?? Infinity) <= T0 && (toMs ?? 0) >= T0;

  it('is told when the store is opened, until another cut says which days there are', async () => {
    const directory = newFolder();
    await fillAndRemove(directory);
    const first = await open(directory);
    assert.deepEqual(first.losses.map(isGone), [true]);
    await first.store.cutNow();
    const agent = new FakeAgent('b');
    await first.store.append([agent.dictionary([{ name: 'm' }]), agent.samples([T0 + 86_400_000], [[1]])]);
    await first.store.cutNow();
    await first.store.close();
    const second = await open(directory);
    assert.deepEqual(second.losses, []);
    await second.store.close();
  });

  it('while the store is open is told when it is opened anew', async () => {
    const directory = newFolder();
    await fill(directory, (store) => store.cutNow());
    const { store, losses } = await open(directory);
    const [day] = readdirSync(join(directory, 'raw'));
    assert.ok(day !== undefined);
    await rm(join(directory, 'raw', day), { recursive: true });
    assert.equal((await read(store, []))[key('m', 'a', { x: '0' })], undefined);
    assert.deepEqual(losses.map(isGone), [true]);
    await store.close();
  });

  it('that went out of retention is not missed', async () => {
    const directory = newFolder();
    await fill(directory, (store) => store.cutNow());
    let nowMs = T0;
    const retention = { ageMs: 86_400_000, bytesMax: 'off' } as const;
    const ticks: (() => void)[] = [];
    const every = (_ms: number, run: () => void) => {
      ticks.push(run);
      return () => undefined;
    };
    const store = await openStore({ directory, retention, nowMs: () => nowMs, log, every });
    await store.ready;
    nowMs += 3 * 86_400_000;
    for (const tick of ticks) tick();
    await store.cutNow();
    await store.compactNow();
    assert.deepEqual(readdirSync(join(directory, 'raw')), []);
    await store.close();
    const again = await open(directory);
    assert.deepEqual(again.losses, []);
    await again.store.close();
  });
});
