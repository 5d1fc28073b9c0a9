/**
 * The store against the in-memory double under seeded orders of events: live frames, backlog, resends, agents that start anew, cuts, merges, restarts and
 * crashes. A crash is a copy of the folder as it stands around a write: what kill -9 would leave. Not power cuts: those are fault tests' affair.
 */
import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, it } from 'node:test';
import type { VerifiedFrame } from '../../../collector/model/ports.ts';
import { MemoryStore } from '../../../collector/model/memory-store.ts';
import { openStore, type Store } from '../../../collector/store/store.ts';
import { mulberry32 } from '../../support/harsh-mix.ts';
import { read, T0 } from '../model/conformance.ts';
import { FakeAgent, type FakeSeries } from '../model/fake-agent.ts';

const SEEDS = Number(process.env['PICKET_SIMULATION_SEEDS'] ?? 12);
const FIRST_SEED = Number(process.env['PICKET_SIMULATION_SEED'] ?? 1);
const STEPS = 40;

const root = await mkdtemp(join(tmpdir(), 'picket-simulation-'));
after(() => rm(root, { recursive: true }));
const quiet = { info: () => undefined, warn: () => undefined, error: () => undefined };

class World {
  readonly model = new MemoryStore();
  readonly #random: () => number;
  readonly #agents: FakeAgent[] = [];
  readonly #sent: VerifiedFrame[] = [];
  #directory: string;
  #folders = 0;
  #seconds = 0;
  #epochs = 0;
  #store: Store | undefined;
  readonly #name: string;

  constructor(seed: number) {
    this.#random = mulberry32(seed);
    this.#name = `seed-${seed}`;
    this.#directory = join(root, `${this.#name}-0`);
  }

  get store(): Store {
    assert.ok(this.#store !== undefined);
    return this.#store;
  }

  async open(): Promise<void> {
    this.#store = await openStore({
      directory: this.#directory,
      retention: { ageMs: 'off', bytesMax: 'off' },
      nowMs: () => T0,
      log: quiet,
    });
  }

  async step(): Promise<void> {
    const [name] = this.#pick(
      Object.entries(STEPS_BY_WEIGHT).flatMap(([step, weight]) => Array.from({ length: weight }, () => [step] as const)),
    );
    switch (name) {
      case 'live':
        return this.#append([this.#frame(this.#seconds++ * 60_000)]);
      case 'backlog':
        return this.#append(
          Array.from({ length: this.#upTo(4) }, () => this.#frame(this.#upTo(this.#seconds * 60) * 1000 - 86_400_000 * this.#upTo(2))),
        );
      case 'resend':
        return this.#append(this.#sent.length === 0 ? [] : [this.#pick(this.#sent), this.#pick(this.#sent)]);
      case 'newEpoch':
        return this.#newEpoch();
      case 'cut':
        return this.store.cutNow();
      case 'merge':
        return this.store.compactNow();
      case 'restart':
        await this.store.close();
        return this.open();
      default:
        return this.#crash();
    }
  }

  async check(): Promise<void> {
    await this.store.ready;
    await this.store.settled();
    assert.deepEqual(await read(this.store, []), await read(this.model, []));
    for (const { agentId } of this.#agents)
      assert.deepEqual(sorted(await this.store.received(agentId)), sorted(await this.model.received(agentId)));
    const range = { fromMs: T0 - 90_000_000, toMs: T0 + 90_000_000 };
    const never = new AbortController().signal;
    assert.deepEqual(await this.store.series([], range, never), await this.model.series([], range, never));
  }

  async close(): Promise<void> {
    await this.store.close();
  }

  /** Something is under way; the folder as it is now is all that is left. */
  async #crash(): Promise<void> {
    const frames = this.#sent.length === 0 ? [] : [this.#frame(this.#seconds++ * 60_000)];
    await this.#append(frames);
    const work = this.#random() < 0.5 ? this.store.cutNow() : this.store.compactNow();
    for (let turns = this.#upTo(6); turns > 0; turns--) await new Promise((resolve) => setImmediate(resolve));
    const next = join(root, `${this.#name}-${++this.#folders}`);
    copyAtOnce(this.#directory, next);
    await work;
    await this.store.close();
    await rm(this.#directory, { recursive: true });
    this.#directory = next;
    await this.open();
  }

  async #append(frames: readonly VerifiedFrame[]): Promise<void> {
    await Promise.all([this.store.append(frames), this.model.append(frames)]);
    this.#sent.push(...frames);
  }

  async #newEpoch(): Promise<void> {
    const host = this.#pick(['a', 'b', 'c']);
    const agent = new FakeAgent(host, `epoch-${this.#epochs++}`);
    this.#agents.push(agent);
    const series = Array.from({ length: 1 + this.#upTo(5) }, (_, i): FakeSeries => ({
      name: `m${i % 3}`,
      labels: { x: String(i) },
      relayed: i === 4,
    }));
    await this.#append([agent.dictionary(series)]);
  }

  #frame(offsetMs: number): VerifiedFrame {
    const agent = this.#agents.at(-1 - this.#upTo(Math.min(2, this.#agents.length - 1))) ?? new FakeAgent('nobody');
    const ticks = 1 + this.#upTo(4);
    const times = Array.from({ length: ticks }, (_, i) => T0 + offsetMs + i * 1000 * (1 + this.#upTo(2)) * (i + 1));
    const rising = times.filter((time, i) => i === 0 || time > (times[i - 1] as number));
    const rows = Array.from({ length: Math.max(1, agent.dictionaryLength - this.#upTo(2)) }, () =>
      rising.map(() => Math.floor(this.#random() * 100)),
    );
    return agent.samples(rising, agent.dictionaryLength === 0 ? [[1]] : rows);
  }

  #upTo(n: number): number {
    return Math.floor(this.#random() * (n + 1));
  }

  #pick<T>(from: readonly T[]): T {
    return from[Math.floor(this.#random() * from.length)] as T;
  }
}

/** LevelDB works in threads of its own: the copy counts only if nothing in the folder changed meanwhile. */
function copyAtOnce(from: string, to: string): void {
  for (;;) {
    const before = listing(from);
    rmSync(to, { recursive: true, force: true });
    try {
      copyFolder(from, to);
    } catch {
      // A file went away under the copy.
      continue;
    }
    if (before === listing(from)) return;
  }
}

/** Node's own cpSync ends the process when a folder vanishes under it. */
function copyFolder(from: string, to: string): void {
  mkdirSync(to);
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    if (entry.isDirectory()) copyFolder(join(from, entry.name), join(to, entry.name));
    else copyFileSync(join(from, entry.name), join(to, entry.name));
  }
}

function listing(directory: string): string {
  const files = readdirSync(directory, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return files
    .map(({ parentPath, name }) => `${parentPath}/${name} ${statSync(join(parentPath, name), { throwIfNoEntry: false })?.size}`)
    .join('\n');
}

const STEPS_BY_WEIGHT = { live: 12, backlog: 5, resend: 3, newEpoch: 2, cut: 3, merge: 1, restart: 2, crash: 2 };

function sorted<T extends { epoch: string }>(epochs: readonly T[]): T[] {
  return epochs.toSorted((a, b) => (a.epoch < b.epoch ? -1 : 1));
}

for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++) {
  it(`what was acked is there once, whatever happens in between (seed ${seed})`, async () => {
    const world = new World(seed);
    await world.open();
    for (let step = 0; step < STEPS; step++) await world.step();
    await world.check();
    await world.close();
  });
}
