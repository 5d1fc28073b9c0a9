/**
 * The store alone, in a process per scenario: CPU per million samples from frame bytes to chunks, bytes per sample on disk after everything is cut and
 * merged, memory with 100,000 series, and reads. Frames are made outside the measured spans. Not sockets nor signatures: ingest.bench.ts has those.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { MatchOp, type Matcher } from '../../collector/model/labels.ts';
import type { VerifiedFrame } from '../../collector/model/ports.ts';
import { openStore, type Store } from '../../collector/store/store.ts';
import { FakeAgent, type FakeSeries } from '../collector/model/fake-agent.ts';
import { harshMix } from '../support/harsh-mix.ts';
import { suites } from '../support/outside.ts';

type Ticks = { readonly series: readonly FakeSeries[]; readonly rows: number; readonly stepMs: number; next(into: Float64Array): void };
type Load = { readonly agents: number; readonly ticksPerFrame: number; readonly data: (agent: number) => Ticks };

/** 2026-03-01 00:00 UTC: whole windows of one day. */
const T0 = Date.UTC(2026, 2, 1);
/** Different agents send different values: this many sets, as in the peers' measurements. */
const DATA_SETS = 8;
const HARSH_SERIES = 500;
const TICKS_PER_GENERATION = 61;
const HOSTS = 4;
/** Frames that are made before a measured span: about 30 MB. */
const FRAMES_AHEAD = 4000;
const log = {
  info: () => undefined,
  warn: () => undefined,
  error: (fields: object, message: string) => process.stderr.write(`${message} ${JSON.stringify(fields)}\n`),
};

const SCENARIOS: Readonly<Record<string, () => Promise<Record<string, unknown>>>> = {
  host_1s: async () => diskOf({ agents: HOSTS, ticksPerFrame: 5, data: recordedHost() }),
  harsh: async () => diskOf({ agents: HOSTS, ticksPerFrame: 10, data: harsh(3600, 1000) }),
  cpu_10_ticks: async () => cpuOf({ agents: 200, ticksPerFrame: 10, data: harsh(300, 1000) }),
  cpu_1_tick: async () => cpuOf({ agents: 200, ticksPerFrame: 1, data: harsh(100, 1000) }),
  memory_and_reads: async () => memoryOf({ agents: 200, ticksPerFrame: 1, data: harsh(360, 10_000) }),
};

export async function run(options: { json: boolean; args?: readonly string[] }): Promise<Record<string, unknown>> {
  const report: Record<string, unknown> = { bench: 'store' };
  const wanted = options.args ?? [];
  for (const name of Object.keys(SCENARIOS)) {
    if (wanted.length > 0 && !wanted.includes(name)) continue;
    const child = spawnSync(process.execPath, ['--expose-gc', fileURLToPath(import.meta.url), name], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    if (child.status !== 0) throw new Error(`the scenario ${name} ended with ${child.status}`);
    report[name] = JSON.parse(child.stdout) as unknown;
    if (!options.json) process.stdout.write(`${name}: ${JSON.stringify(report[name], null, 2)}\n`);
  }
  return report;
}

async function withStore<T>(use: (store: Store, directory: string) => Promise<T>): Promise<T> {
  const directory = await mkdtemp(join(tmpdir(), 'picket-bench-store-'));
  const store = await openStore({ directory, retention: { ageMs: 'off', bytesMax: 'off' }, nowMs: Date.now, log });
  try {
    return await use(store, directory);
  } finally {
    await store.close();
    await rm(directory, { recursive: true });
  }
}

/** Appends everything; answers samples and the CPU and wall time of the store's own work. */
async function feed(store: Store, load: Load): Promise<{ samples: number; cpuSeconds: number; seconds: number; wireBytes: number }> {
  const total = { samples: 0, cpuSeconds: 0, seconds: 0, wireBytes: 0 };
  for await (const frames of framesOf(load)) {
    for (const frame of frames) total.wireBytes += frame.bytes.length;
    const cpu = process.cpuUsage();
    const startedMs = performance.now();
    // As ingest does: some frames per commit.
    for (let i = 0; i < frames.length; i += 32) await store.append(frames.slice(i, i + 32));
    await store.settled();
    const used = process.cpuUsage(cpu);
    total.cpuSeconds += (used.user + used.system) / 1e6;
    total.seconds += (performance.now() - startedMs) / 1000;
  }
  total.samples = (await store.stats()).samplesAppended;
  return total;
}

async function* framesOf({ agents, ticksPerFrame, data }: Load): AsyncGenerator<VerifiedFrame[]> {
  const sets = Array.from({ length: Math.min(agents, DATA_SETS) }, (_, i) => data(i));
  const senders = Array.from({ length: agents }, (_, i) => new FakeAgent(`h${i}`));
  const rows = Math.min(...sets.map((set) => set.rows));
  let frames = senders.map((sender, i) => sender.dictionary((sets[i % sets.length] as Ticks).series));
  for (let row = 0; row < rows; row += ticksPerFrame) {
    const ticks = Math.min(ticksPerFrame, rows - row);
    const groups = sets.map((set) => groupOf(set, ticks));
    for (const [i, sender] of senders.entries()) {
      const { stepMs } = sets[i % sets.length] as Ticks;
      frames.push(sender.groups(T0 + row * stepMs, [groups[i % groups.length] as ReturnType<typeof groupOf>], { receivedMs: Date.now() }));
    }
    if (frames.length < FRAMES_AHEAD) continue;
    yield frames;
    frames = [];
  }
  yield frames;
}

function groupOf(set: Ticks, ticks: number): { times: Float64Array; refs: Uint32Array; values: Float64Array } {
  const count = set.series.length;
  const tick = new Float64Array(count);
  const values = new Float64Array(count * ticks);
  for (let t = 0; t < ticks; t++) {
    set.next(tick);
    for (let s = 0; s < count; s++) values[s * ticks + t] = tick[s] as number;
  }
  return {
    times: Float64Array.from({ length: ticks }, (_, t) => t * set.stepMs),
    refs: Uint32Array.from({ length: count }, (_, s) => s),
    values,
  };
}

async function cutAndMerge(store: Store): Promise<{ cut: number; merge: number }> {
  const before = process.cpuUsage();
  await store.cutNow();
  const cut = process.cpuUsage(before);
  await store.compactNow();
  const both = process.cpuUsage(before);
  const cutSeconds = (cut.user + cut.system) / 1e6;
  return { cut: cutSeconds, merge: (both.user + both.system) / 1e6 - cutSeconds };
}

async function diskOf(load: Load): Promise<Record<string, unknown>> {
  return withStore(async (store, directory) => {
    const { samples, wireBytes } = await feed(store, load);
    await store.cutNow();
    const cutBytes = await bytesBelow(join(directory, 'raw'));
    await store.compactNow();
    const [raw, records] = await Promise.all(['raw', 'records'].map((name) => bytesBelow(join(directory, name))));
    const perSample = (bytes = 0): number => round(bytes / samples, 4);
    return {
      samples,
      bytesPerSampleFrames: perSample(wireBytes),
      bytesPerSampleBeforeMerge: perSample(cutBytes),
      bytesPerSampleDisk: perSample((raw ?? 0) + (records ?? 0)),
      ofWhichRaw: perSample(raw),
      ofWhichRecords: perSample(records),
    };
  });
}

async function cpuOf(load: Load): Promise<Record<string, unknown>> {
  return withStore(async (store) => {
    const fed = await feed(store, load);
    const { cut, merge } = await cutAndMerge(store);
    const stats = await store.stats();
    const perMillion = (seconds: number): number => round((seconds / fed.samples) * 1e6, 4);
    return {
      samples: fed.samples,
      cpuSecondsPerMillionSamples: perMillion(fed.cpuSeconds + cut),
      ofWhichAppendAndHead: perMillion(fed.cpuSeconds),
      ofWhichLastCut: perMillion(cut),
      mergePerMillionSamples: perMillion(merge),
      samplesPerSecond: Math.round(fed.samples / fed.seconds),
      generationsCut: stats.generationsCut,
      cutTurnMsMax: round(stats.cutTurnMsMax, 1),
      commitMsMean: round(stats.commitMs / stats.commits, 2),
      commitMsMax: round(stats.commitMsMax, 1),
    };
  });
}

async function memoryOf(load: Load): Promise<Record<string, unknown>> {
  return withStore(async (store) => {
    let peakBytes = 0;
    let ticks = 0;
    for await (const frames of framesOf(load)) {
      for (let i = 0; i < frames.length; i += load.agents) {
        await store.append(frames.slice(i, i + load.agents));
        // As the clock would: ten minutes make a generation.
        if (++ticks % TICKS_PER_GENERATION === 0) await store.cutNow();
      }
      await store.settled();
      peakBytes = Math.max(peakBytes, process.memoryUsage.rss());
    }
    const { headBytes, samplesAppended } = await store.stats();
    const rssBytes = process.memoryUsage.rss();
    const newest = await readMs(store);
    await store.cutNow();
    const chunks = await readMs(store);
    await store.compactNow();
    const merged = await readMs(store);
    return {
      samples: samplesAppended,
      rssBytes,
      rssBytesPeak: peakBytes,
      rssBytesAfterCut: process.memoryUsage.rss(),
      headBytes,
      readMs: { newest, chunks, merged },
    };
  });
}

/** Best of five reads of 1,000 series (five of each of 200 hosts) over an hour. */
async function readMs(store: Store): Promise<number> {
  const matcher: Matcher = { name: '__name__', op: MatchOp.equal, value: 'm3', matches: (value) => value === 'm3' };
  let bestMs = Infinity;
  for (let turn = 0; turn < 5; turn++) {
    const startedMs = performance.now();
    let samples = 0;
    for await (const batch of store.select([matcher], { fromMs: T0, toMs: T0 + 3_600_000 }, {}, new AbortController().signal)) {
      for (const { values } of batch) samples += values.length;
    }
    if (samples !== 360_000) throw new Error(`read ${samples} samples instead of 360,000`);
    bestMs = Math.min(bestMs, performance.now() - startedMs);
  }
  return round(bestMs, 1);
}

function harsh(rows: number, stepMs: number): (agent: number) => Ticks {
  const series = Array.from({ length: HARSH_SERIES }, (_, s) => ({ name: `m${Math.floor(s / 5)}`, labels: { dev: String(s % 5) } }));
  return (agent) => {
    const mix = harshMix(agent + 1, HARSH_SERIES);
    return { series, rows, stepMs, next: (into) => mix.next(into) };
  };
}

function recordedHost(): (agent: number) => Ticks {
  const folder = suites();
  if (folder === undefined) throw new Error('host_1s is not there (PICKET_SUITES)');
  const names = JSON.parse(readFileSync(join(folder, 'host_1s', 'names.json'), 'utf8')) as string[];
  const bytes = gunzipSync(readFileSync(join(folder, 'host_1s', 'proc.f64.gz')));
  const cells = new Float64Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
  const width = names.length + 1;
  const series = names.map(seriesOf);
  return () => {
    let row = 0;
    return {
      series,
      rows: Math.floor(cells.length / width),
      stepMs: 1000,
      next(into) {
        into.set(cells.subarray(row * width + 1, (row + 1) * width));
        row++;
      },
    };
  };
}

/** `stat.cpu0.user`: the parts with digits are labels, the rest is the metric. */
function seriesOf(name: string): FakeSeries {
  const metric = name.replaceAll(/\d+/g, 'N').replaceAll(/[^a-zA-Z0-9_]/g, '_');
  const numbers = name.match(/\d+/g) ?? [];
  return { name: metric, labels: Object.fromEntries(numbers.map((number, i) => [`n${i}`, number])) };
}

async function bytesBelow(path: string): Promise<number> {
  let bytes = 0;
  for (const entry of await readdir(path, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) bytes += (await stat(join(entry.parentPath, entry.name))).size;
  }
  return bytes;
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const scenario = SCENARIOS[process.argv[2] ?? ''];
  if (scenario === undefined) throw new Error(`no scenario ${process.argv[2]}`);
  process.stdout.write(JSON.stringify(await scenario()));
}
