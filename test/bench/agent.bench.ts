/**
 * What the agent costs a host: the bundle against a real collector on loopback, every gatherer on, each second. CPU, memory, bytes on the wire with
 * the default flush and while somebody watches. Beside it node_exporter, scraped each second in the same minute, where it can be had.
 * `--seconds N` (60) and `--warmup N` (30), `--profile DIR` keeps a CPU profile of the agent, `--no-peer` leaves node_exporter out.
 */
import { execFileSync } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { bundle } from '../../packaging/bundle.ts';
import { peers } from '../support/outside.ts';
import {
  api,
  enrollToken,
  eventually,
  Fatal,
  freePort,
  freshFolder,
  residentBytes,
  ROOT,
  start,
  startCollector,
  type CollectorProcess,
  type Running,
} from '../support/processes.ts';
import { fineCpuSeconds, round } from './cost.ts';
import type { BenchOptions, Figures } from './main.ts';

const HOST = 'bench';
/** Flushing each second begins with the collector's next word to the agent. */
const WATCH_SETTLE_MS = 3000;
/** A frame comes every 5 s at the latest. */
const FRAME_MS_MAX = 20_000;
/** The collector reads the figures of its store now and then, those of ingest at once. */
const COUNTERS_MS = 2500;
/** Unpacked once and kept: some 600 MB with the other peers, so that it is no temporary folder. */
const PEERS = join(ROOT, 'node_modules/.cache/peers');
/** For the archive's lists and packages, over the network. */
const UNPACK_MS_MAX = 180_000;

type Exporter = { readonly running: Running; readonly series: number; scrapes: () => number; end(): Promise<unknown> };
type Moment = {
  readonly atMs: number;
  readonly cpuSeconds: number;
  readonly bytes: number;
  readonly samples: number;
  readonly frames: number;
};
type Costs = Readonly<Record<'cpuPercent' | 'cpuSecondsPerMillion' | 'samplesPerSecond' | 'bytesPerSample' | 'bytesPerFrame', number>>;

export async function run(options: BenchOptions): Promise<Figures> {
  const { values } = parseArgs({
    args: [...options.args],
    options: {
      seconds: { type: 'string', default: '60' },
      warmup: { type: 'string', default: '30' },
      profile: { type: 'string' },
      'no-peer': { type: 'boolean', default: false },
    },
  });
  // A service has none; reading certificates would cost the agent 2 MB that are not its own.
  delete process.env['NODE_EXTRA_CA_CERTS'];
  const folder = freshFolder('bench-agent');
  const ending: (() => unknown)[] = [() => folder.remove()];
  try {
    await bundle(join(folder.path, 'bundle'));
    const collector = await startCollector({ dataDir: join(folder.path, 'collector'), env: { PICKET_LOG_LEVEL: 'warn' } });
    ending.push(() => collector.end());
    const agent = await startBundle(folder.path, collector, values.profile);
    ending.push(() => agent.end());
    const exporter = values['no-peer'] ? undefined : await startExporter();
    if (exporter !== undefined) ending.push(() => exporter.end());
    await wait(Number(values.warmup) * 1000);
    const figures = await measure({ collector, agent, exporter, agentFolder: join(folder.path, 'agent'), seconds: Number(values.seconds) });
    for (const [name, value] of Object.entries(figures)) process.stdout.write(`${name.padEnd(36)} ${JSON.stringify(value)}\n`);
    return { bench: 'agent', ...figures };
  } finally {
    for (const end of ending.reverse()) await end();
  }
}

type Parts = { collector: CollectorProcess; agent: Running; exporter: Exporter | undefined; agentFolder: string; seconds: number };

async function measure({ collector, agent, exporter, agentFolder, seconds }: Parts): Promise<Figures> {
  const exporterBefore = exporter === undefined ? undefined : { cpu: fineCpuSeconds(exporter.running.pid), scrapes: exporter.scrapes() };
  const usual = await during(collector, agent, seconds);
  const memory = residentBytes(agent.pid);
  const peer = exporter === undefined || exporterBefore === undefined ? {} : peerFigures(exporter, exporterBefore, usual);
  const unwatch = await watch(collector);
  await wait(WATCH_SETTLE_MS);
  const watched = await during(collector, agent, Math.ceil(seconds / 2));
  unwatch();
  return {
    series: await seriesOfHost(collector),
    cpuPercentOfCore: usual.cpuPercent,
    cpuSecondsPerMillionSamples: usual.cpuSecondsPerMillion,
    samplesPerSecond: usual.samplesPerSecond,
    bytesPerSampleWire: usual.bytesPerSample,
    bytesPerFrame: usual.bytesPerFrame,
    cpuPercentOfCoreWatched: watched.cpuPercent,
    bytesPerSampleWireWatched: watched.bytesPerSample,
    rssBytes: memory.rss,
    anonymousBytes: memory.anonymous,
    rssBytesAtEnd: residentBytes(agent.pid).rss,
    anonymousBytesAtEnd: residentBytes(agent.pid).anonymous,
    folderBytes: bytesBelow(agentFolder),
    ...peer,
  };
}

/** Costs of a span, from the kernel's accounts and the collector's counters. */
async function during(collector: CollectorProcess, agent: Running, seconds: number): Promise<Costs> {
  const from = await moment(collector, agent);
  await wait(seconds * 1000);
  const to = await moment(collector, agent);
  const spent = (key: keyof Moment): number => to[key] - from[key];
  const spanSeconds = spent('atMs') / 1000;
  return {
    cpuPercent: round((spent('cpuSeconds') / spanSeconds) * 100, 3),
    cpuSecondsPerMillion: round((spent('cpuSeconds') / spent('samples')) * 1e6, 2),
    samplesPerSecond: round(spent('samples') / spanSeconds, 0),
    bytesPerSample: round(spent('bytes') / spent('samples'), 3),
    bytesPerFrame: round(spent('bytes') / spent('frames'), 0),
  };
}

/** Shortly after a frame, when the collector's counters agree with each other. */
async function moment(collector: CollectorProcess, agent: Running): Promise<Moment> {
  const frames = (await counters(collector))('picket_ingest_frames_total');
  await eventually(async () => {
    if (agent.child.exitCode !== null) throw new Fatal(`the agent ended with ${agent.child.exitCode}:\n${agent.output()}`);
    return (await counters(collector))('picket_ingest_frames_total') > frames;
  }, FRAME_MS_MAX);
  await wait(COUNTERS_MS);
  const value = await counters(collector);
  return {
    atMs: performance.now(),
    cpuSeconds: fineCpuSeconds(agent.pid),
    bytes: value('picket_ingest_bytes_total'),
    samples: value('picket_store_samples_appended_total'),
    frames: value('picket_ingest_frames_total'),
  };
}

async function counters(collector: CollectorProcess): Promise<(name: string) => number> {
  const response = await fetch(`${collector.url}/metrics`, { headers: { authorization: `Bearer ${collector.token}` } });
  const text = await response.text();
  return (name) => Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1]);
}

/** As the package's unit starts it: the bundle alone, nothing of a checkout. */
async function startBundle(folder: string, collector: CollectorProcess, profile: string | undefined): Promise<Running> {
  const nodeArgs = profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profile}`];
  return start(process.execPath, [...nodeArgs, join(folder, 'bundle/agent.mjs')], {
    PICKET_COLLECTOR_URL: collector.agentUrl,
    PICKET_AGENT_DIR: join(folder, 'agent'),
    PICKET_NAME: HOST,
    PICKET_ENROLL_TOKEN: await enrollToken(collector),
  });
}

/** Somebody looks at the host's page: its agent flushes each second until the returned function is called. */
async function watch(collector: CollectorProcess): Promise<() => void> {
  const abort = new AbortController();
  const headers = { authorization: `Bearer ${collector.token}` };
  const response = await fetch(`${collector.url}/api/v1/hosts/${HOST}/stream`, { headers, signal: abort.signal });
  if (!response.ok || response.body === null) throw new Error(`the host's stream answers ${response.status}`);
  // Read to its end, so that the collector does not find a slow client; the end is our abort.
  void response.body.pipeTo(new WritableStream()).catch(() => undefined);
  return () => abort.abort();
}

async function seriesOfHost(collector: CollectorProcess): Promise<number> {
  const answer = (await api(collector, `/api/v1/query?query=${encodeURIComponent(`{instance="${HOST}"}`)}`)) as {
    data: { result: readonly unknown[] };
  };
  return answer.data.result.length;
}

async function startExporter(): Promise<Exporter | undefined> {
  const binary = exporterBinary();
  if (binary === undefined) return undefined;
  const port = await freePort();
  const running = start(binary, [`--web.listen-address=127.0.0.1:${port}`, '--log.level=error'], {});
  const scrape = async (): Promise<string> => (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  let text = '';
  await eventually(async () => (text = await scrape()).length > 0, 10_000);
  let scrapes = 0;
  const timer = setInterval(
    () =>
      void scrape().then(
        () => scrapes++,
        () => undefined,
      ),
    1000,
  );
  return {
    running,
    series: text.split('\n').filter((line) => line !== '' && !line.startsWith('#')).length,
    scrapes: () => scrapes,
    end() {
      clearInterval(timer);
      return running.end();
    },
  };
}

function exporterBinary(): string | undefined {
  const script = peers();
  if (script === undefined) {
    process.stdout.write('node_exporter is not measured beside it: the script that unpacks the peers is not there (PICKET_PEERS)\n');
    return undefined;
  }
  try {
    const folder = execFileSync('bash', [script, PEERS], { encoding: 'utf8', timeout: UNPACK_MS_MAX, stdio: ['ignore', 'pipe', 'ignore'] });
    return join(folder.trim(), 'prometheus-node-exporter');
  } catch (error) {
    process.stdout.write(`node_exporter is not measured beside it: it could not be unpacked (${(error as Error).message})\n`);
    return undefined;
  }
}

function peerFigures(exporter: Exporter, before: { readonly cpu: number; readonly scrapes: number }, agent: Costs): Figures {
  const scrapes = exporter.scrapes() - before.scrapes;
  // One scrape a second: CPU of a scrape is CPU of a second.
  const cpuPercent = ((fineCpuSeconds(exporter.running.pid) - before.cpu) / scrapes) * 100;
  const memory = residentBytes(exporter.running.pid);
  return {
    nodeExporter: {
      series: exporter.series,
      cpuPercentOfCore: round(cpuPercent, 3),
      rssBytes: memory.rss,
      anonymousBytes: memory.anonymous,
    },
    timesCheaperThanNodeExporter: round(cpuPercent / agent.cpuPercent, 2),
    timesCheaperPerSample: round(cpuPercent / exporter.series / (agent.cpuPercent / agent.samplesPerSecond), 2),
  };
}

function bytesBelow(path: string): number {
  return readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((bytes, entry) => bytes + statSync(join(entry.parentPath, entry.name)).size, 0);
}
