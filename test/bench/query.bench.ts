/**
 * Questions to a real collector over HTTP: 200 hosts x 100 series x 31 minutes at 10 s, sent by signed frames, then asked while they lie in the head
 * (warm) and after a restart when they lie in chunks. Times are to the last byte of the answer. `--runs N` (60), `--hosts N` (200),
 * `--profile DIR` keeps CPU profiles of the collector.
 */
import { Agent, request } from 'node:http';
import { parseArgs } from 'node:util';
import { openStore } from '../../collector/store/store.ts';
import { encodeSamples, FrameKind, Lane, type DictionaryEntry } from '../../protocol/index.ts';
import { harshMix } from '../support/harsh-mix.ts';
import {
  enrollToken,
  eventually,
  freshFolder,
  quantile,
  residentBytes,
  startCollector,
  type CollectorProcess,
} from '../support/processes.ts';
import { WireAgent } from '../support/wire-agent.ts';
import { fineCpuSeconds, round } from './cost.ts';
import type { BenchOptions, Figures } from './main.ts';

const STEP_MS = 10_000;
const TICKS_PER_FRAME = 6;
/** 31 minutes, so that 30 of them lie inside. */
const FRAMES = 31;
const SPAN_MS = 30 * 60_000;
const BENCH_METRICS = 18;
const SERIES_PER_METRIC = 5;
/** Different hosts send different values: this many sets. */
const DATA_SETS = 8;
const HOSTS_AT_ONCE = 20;
/** For what was acked to be readable, and for a collector whose log is empty to start. */
const READY_MS_MAX = 10_000;
/** What the hosts list reads. */
const HOST_SERIES: readonly (readonly [name: string, labels: readonly string[]])[] = [
  ['node_cpu_seconds_total', ['cpu', '0', 'mode', 'idle']],
  ['node_cpu_seconds_total', ['cpu', '1', 'mode', 'idle']],
  ['node_memory_MemTotal_bytes', []],
  ['node_memory_MemAvailable_bytes', []],
  ['node_load1', []],
  ['node_load5', []],
  ['node_filesystem_size_bytes', ['device', '/dev/vda', 'fstype', 'ext4', 'mountpoint', '/']],
  ['node_filesystem_avail_bytes', ['device', '/dev/vda', 'fstype', 'ext4', 'mountpoint', '/']],
  ['node_network_receive_bytes_total', ['device', 'eth0']],
  ['node_network_transmit_bytes_total', ['device', 'eth0']],
];
const SERIES = BENCH_METRICS * SERIES_PER_METRIC + HOST_SERIES.length;
const SILENT = {
  info: () => undefined,
  warn: () => undefined,
  error: (fields: object) => process.stderr.write(`${JSON.stringify(fields)}\n`),
};

type Question = { readonly name: string; readonly path: string; readonly gzip?: boolean; readonly expect: (body: Buffer) => boolean };
type Answer = { readonly firstMs: number; readonly p50Ms: number; readonly p99Ms: number; readonly cpuMs: number; readonly bytes: number };

export async function run(options: BenchOptions): Promise<Figures> {
  const { values } = parseArgs({
    args: [...options.args],
    options: { runs: { type: 'string', default: '60' }, hosts: { type: 'string', default: '200' }, profile: { type: 'string' } },
  });
  const hosts = Number(values.hosts);
  const runs = Number(values.runs);
  const folder = freshFolder('bench-query');
  const nodeArgs = values.profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${values.profile}`];
  const env = { PICKET_LOG_LEVEL: 'warn' };
  const fromMs = Math.floor(Date.now() / STEP_MS) * STEP_MS - FRAMES * TICKS_PER_FRAME * STEP_MS;
  const questions = questionsOf(hosts, fromMs);
  try {
    const first = await startCollector({ dataDir: folder.path, env, nodeArgs });
    const agents = await fill(first, hosts, fromMs);
    const head = await askAll(first, questions, runs);
    const headBytes = residentBytes(first.pid);
    for (const agent of agents) agent.terminate();
    await first.end();
    await cut(folder.path);
    const second = await startCollector({ dataDir: folder.path, env, nodeArgs });
    await eventually(async () => (await fetch(`${second.url}/-/ready`)).ok, READY_MS_MAX);
    const chunks = await askAll(second, questions, runs);
    const chunksBytes = residentBytes(second.pid);
    await second.end();
    print('in the head', head);
    print('in chunks, after a restart', chunks);
    return {
      bench: 'query',
      hosts,
      series: hosts * SERIES,
      samples: hosts * SERIES * FRAMES * TICKS_PER_FRAME,
      head,
      chunks,
      rssBytes: headBytes.rss,
      rssBytesChunks: chunksBytes.rss,
    };
  } finally {
    folder.remove();
  }
}

function questionsOf(hosts: number, fromMs: number): readonly Question[] {
  const toMs = fromMs + SPAN_MS;
  const text = encodeURIComponent;
  const instant = (query: string): string => `/api/v1/query?query=${text(query)}&time=${toMs / 1000}`;
  const range = (query: string, step: number): string =>
    `/api/v1/query_range?query=${text(query)}&start=${fromMs / 1000}&end=${toMs / 1000}&step=${step}`;
  const span = `start=${fromMs / 1000}&end=${toMs / 1000}`;
  const ofMetric = hosts * SERIES_PER_METRIC;
  const all = `{job="node",__name__=~"bench_.+|node_.+"}`;
  return [
    { name: 'instant, 1 series', path: instant('bench_metric_0_total{instance="q-7",dev="dev3"}'), expect: countOf('"metric"', 1) },
    { name: `instant, ${hosts} series`, path: instant('bench_metric_0_total{dev="dev0"}'), expect: countOf('"metric"', hosts) },
    { name: `instant, ${hosts * SERIES} series`, path: instant(all), expect: countOf('"metric"', hosts * SERIES) },
    { name: 'range, 1 series x 181', path: range('bench_metric_0_total{instance="q-7",dev="dev3"}', 10), expect: countOf('"metric"', 1) },
    { name: `range, ${ofMetric} series x 121`, path: range('bench_metric_0_total', 15), expect: countOf('"metric"', ofMetric) },
    { name: `range, ${ofMetric} x 121, gzip`, path: range('bench_metric_0_total', 15), gzip: true, expect: (body) => body.length > 0 },
    {
      name: `series of a metric (${ofMetric})`,
      path: `/api/v1/series?match[]=bench_metric_0_total&${span}`,
      expect: countOf('"dev"', ofMetric),
    },
    { name: 'label names', path: `/api/v1/labels?${span}`, expect: countOf('"instance"', 1) },
    { name: 'values of __name__', path: `/api/v1/label/__name__/values?${span}`, expect: countOf('"bench_', BENCH_METRICS) },
    { name: 'values of instance', path: `/api/v1/label/instance/values?${span}`, expect: countOf('"q-', hosts) },
    { name: `hosts list (${hosts})`, path: '/api/v1/hosts', expect: countOf('"name":"q-', hosts) },
  ];
}

function countOf(word: string, expected: number): (body: Buffer) => boolean {
  return (body) => body.toString('latin1').split(word).length - 1 === expected;
}

/** Every host enrols, announces its series and sends its frames; all are acked when this ends. */
async function fill(collector: CollectorProcess, hosts: number, fromMs: number): Promise<WireAgent[]> {
  const token = await enrollToken(collector, hosts);
  const payloads = Array.from({ length: DATA_SETS }, (_, seed) => payloadsOf(seed + 1));
  const agents: WireAgent[] = [];
  for (let i = 0; i < hosts; i += HOSTS_AT_ONCE) {
    const some = Array.from({ length: Math.min(HOSTS_AT_ONCE, hosts - i) }, (_, k) => i + k);
    agents.push(...(await Promise.all(some.map((n) => fillHost(collector, n, token, payloads[n % DATA_SETS] as Uint8Array[], fromMs)))));
  }
  await eventually(async () => (await samplesReadable(collector)) >= hosts * SERIES * FRAMES * TICKS_PER_FRAME, READY_MS_MAX);
  return agents;
}

/** Acked means durable; readable is a moment later. */
async function samplesReadable(collector: CollectorProcess): Promise<number> {
  const response = await fetch(`${collector.url}/metrics`, { headers: { authorization: `Bearer ${collector.token}` } });
  return Number(/^picket_store_samples_appended_total (\S+)$/m.exec(await response.text())?.[1]);
}

async function fillHost(
  collector: CollectorProcess,
  n: number,
  token: string,
  payloads: readonly Uint8Array[],
  fromMs: number,
): Promise<WireAgent> {
  const agent = new WireAgent({ name: `q-${n}`, token, machine: Buffer.alloc(32, `machine ${n}`) });
  const answer = await agent.connect(collector.agentUrl);
  if (!('welcome' in answer)) throw new Error(`refused: ${answer.rejected.message}`);
  agent.send(agent.dictionary(entries()));
  for (const [i, payload] of payloads.entries())
    agent.send(agent.seal(FrameKind.samples, Lane.now, payload, fromMs + i * TICKS_PER_FRAME * STEP_MS));
  await agent.acked(FRAMES - 1, Lane.now, 30_000);
  return agent;
}

function entries(): DictionaryEntry[] {
  const bench = Array.from({ length: BENCH_METRICS * SERIES_PER_METRIC }, (_, i): DictionaryEntry => {
    const name = `bench_metric_${Math.floor(i / SERIES_PER_METRIC)}_total`;
    return { name, type: 'counter', scope: 'node', labels: ['dev', `dev${i % SERIES_PER_METRIC}`], help: '' };
  });
  return [...bench, ...HOST_SERIES.map(([name, labels]): DictionaryEntry => ({ name, type: 'gauge', scope: 'node', labels, help: '' }))];
}

function payloadsOf(seed: number): Uint8Array[] {
  const mix = harshMix(seed, SERIES);
  const refs = Uint32Array.from({ length: SERIES }, (_, i) => i);
  const times = Float64Array.from({ length: TICKS_PER_FRAME }, (_, t) => t * STEP_MS);
  return Array.from({ length: FRAMES }, () => {
    const tick = new Float64Array(SERIES);
    const values = new Float64Array(SERIES * TICKS_PER_FRAME);
    for (let t = 0; t < TICKS_PER_FRAME; t++) {
      mix.next(tick);
      for (let s = 0; s < SERIES; s++) values[s * TICKS_PER_FRAME + t] = tick[s] as number;
    }
    return encodeSamples([{ times, refs, values }]);
  });
}

/** While no collector runs: what the log holds becomes chunks, so that the next one starts with an empty head. */
async function cut(dataDir: string): Promise<void> {
  const store = await openStore({ directory: dataDir, retention: { ageMs: 'off', bytesMax: 'off' }, nowMs: Date.now, log: SILENT });
  try {
    await store.cutNow();
    await store.compactNow();
  } finally {
    await store.close();
  }
}

async function askAll(collector: CollectorProcess, questions: readonly Question[], runs: number): Promise<Record<string, Answer>> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const answers: Record<string, Answer> = {};
  for (const question of questions) answers[question.name] = await ask(collector, question, runs, agent);
  agent.destroy();
  return answers;
}

async function ask(collector: CollectorProcess, question: Question, runs: number, agent: Agent): Promise<Answer> {
  const began = performance.now();
  const body = await get(collector, question, agent);
  const firstMs = performance.now() - began;
  if (!question.expect(body)) throw new Error(`${question.name}: not the expected answer: ${body.toString('latin1', 0, 300)}`);
  const times: number[] = [];
  const cpu = fineCpuSeconds(collector.pid);
  for (let i = 0; i < runs; i++) {
    const startedMs = performance.now();
    await get(collector, question, agent);
    times.push(performance.now() - startedMs);
  }
  const cpuMs = ((fineCpuSeconds(collector.pid) - cpu) / runs) * 1000;
  const [p50Ms, p99Ms] = [quantile(times, 0.5), quantile(times, 0.99)] as const;
  return { firstMs: round(firstMs, 2), p50Ms: round(p50Ms, 2), p99Ms: round(p99Ms, 2), cpuMs: round(cpuMs, 2), bytes: body.length };
}

/** The whole body; a client that parses nothing, so that times are the collector's. */
function get(collector: CollectorProcess, { path, gzip }: Question, agent: Agent): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${collector.token}`, 'accept-encoding': gzip === true ? 'gzip' : 'identity' };
    const asked = request(collector.url + path, { agent, headers }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const body = Buffer.concat(chunks);
        if (response.statusCode === 200) resolve(body);
        else reject(new Error(`${path}: ${response.statusCode} ${body.toString()}`));
      });
    });
    asked.on('error', reject);
    asked.end();
  });
}

function print(title: string, answers: Readonly<Record<string, Answer>>): void {
  process.stdout.write(`${title.padEnd(34)}  first ms    p50 ms    p99 ms    CPU ms      bytes\n`);
  for (const [name, { firstMs, p50Ms, p99Ms, cpuMs, bytes }] of Object.entries(answers)) {
    const numbers = [firstMs, p50Ms, p99Ms, cpuMs].map((ms) => ms.toFixed(2).padStart(10)).join('');
    process.stdout.write(`  ${name.padEnd(32)}${numbers}${String(bytes).padStart(11)}\n`);
  }
}
