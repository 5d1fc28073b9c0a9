/**
 * The whole real collector under agents' load: CPU seconds per million samples (user and system, all threads), wire bytes, ack latency, memory, disk.
 * `--shape ten` (200 agents x 500 series, 10-tick frames), `one` (the same, 1-tick frames), `paced` (1,000 agents x 500 series, one frame a second).
 */
import { fork } from 'node:child_process';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { cpuSeconds, enrollToken, freshFolder, residentBytes, startCollector } from '../support/processes.ts';
import type { LoadPlan, LoadReport } from './load.ts';
import type { BenchOptions, Figures } from './main.ts';

type Shape = { readonly title: string; readonly plan: Omit<LoadPlan, 'url' | 'token' | 'fromMs' | 'namePrefix'> };

const SHAPES: Readonly<Record<string, Shape>> = {
  ten: {
    title: '200 agents x 500 series, 10-tick frames, saturated',
    plan: { agents: 200, series: 500, ticksPerFrame: 10, tickMs: 1000, outstanding: 4, seconds: 40, samplesMax: 150_000_000 },
  },
  one: {
    title: '200 agents x 500 series, 1-tick frames, saturated',
    plan: { agents: 200, series: 500, ticksPerFrame: 1, tickMs: 1000, outstanding: 4, seconds: 40, samplesMax: 60_000_000 },
  },
  paced: {
    title: '1,000 agents x 500 series, one 1-tick frame per agent and second',
    plan: { agents: 1000, series: 500, ticksPerFrame: 1, tickMs: 1000, outstanding: 0, seconds: 60, samplesMax: 0 },
  },
};
/** How long the collector may take after the load to write what it holds, so that its CPU counts. */
const SETTLE_MS = 5000;

export async function run(options: BenchOptions): Promise<Figures> {
  const { values } = parseArgs({
    args: [...options.args],
    options: { shape: { type: 'string', default: 'all' }, seconds: { type: 'string' }, profile: { type: 'string' } },
  });
  const chosen = values.shape === 'all' ? Object.keys(SHAPES) : [values.shape];
  const figures: Figures = {};
  for (const name of chosen) {
    const shape = SHAPES[name];
    if (shape === undefined) throw new Error(`--shape is one of ${Object.keys(SHAPES).join(', ')}, all`);
    const result = await measure(shape, values.seconds === undefined ? undefined : Number(values.seconds), values.profile);
    figures[name] = result;
    process.stdout.write(`${shape.title}\n`);
    for (const [key, value] of Object.entries(result)) process.stdout.write(`  ${key.padEnd(30)} ${String(value)}\n`);
  }
  return figures;
}

async function measure(shape: Shape, seconds: number | undefined, profile: string | undefined): Promise<Figures> {
  const folder = freshFolder('bench-ingest');
  const collector = await startCollector({
    dataDir: folder.path,
    env: { PICKET_LOG_LEVEL: 'warn' },
    nodeArgs: profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profile}`],
  });
  try {
    const token = await enrollToken(collector, shape.plan.agents);
    // Data of the last hour, so that it lies in windows as live data does; paced load is live.
    const fromMs = shape.plan.outstanding > 0 ? Math.floor(Date.now() / 1000) * 1000 - 50 * 60_000 : 0;
    const plan: LoadPlan = {
      ...shape.plan,
      ...(seconds === undefined ? {} : { seconds }),
      url: collector.agentUrl,
      token,
      fromMs,
      namePrefix: 'load-',
    };
    const load = fork(join(import.meta.dirname, 'load.ts'), [JSON.stringify(plan)], { stdio: 'inherit' });
    await message(load, 'connected');
    const before = cpuSeconds(collector.pid);
    load.send('go');
    const { report } = (await message(load, 'report')) as { report: LoadReport };
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
    const cpu = cpuSeconds(collector.pid) - before;
    const memory = residentBytes(collector.pid);
    const metrics = await metricsOf(collector);
    return {
      samples: report.samples,
      seconds: round(report.seconds, 2),
      samplesPerSecond: Math.round(report.samples / report.seconds),
      framesPerSecond: Math.round(report.frames / report.seconds),
      cpuSeconds: round(cpu, 2),
      cpuSecondsPerMillionSamples: round((cpu / report.samples) * 1e6, 4),
      coreShare: round(cpu / (report.seconds + SETTLE_MS / 1000), 3),
      bytesPerSampleWire: round(report.wireBytes / report.samples, 3),
      ackP50Ms: round(report.ackMs.p50, 2),
      ackP99Ms: round(report.ackMs.p99, 2),
      ackMaxMs: round(report.ackMs.max, 2),
      steadyAckP50Ms: round(report.steadyAckMs.p50, 2),
      steadyAckP99Ms: round(report.steadyAckMs.p99, 2),
      steadyAckMaxMs: round(report.steadyAckMs.max, 2),
      refused: report.refused,
      unacked: report.unacked,
      rssBytes: memory.rss,
      anonymousBytes: memory.anonymous,
      generationsCut: metrics('picket_store_generations_cut_total'),
      cutTurnMsMax: metrics('picket_store_cut_turn_seconds_max'),
    };
  } finally {
    await collector.end();
    folder.remove();
  }
}

async function metricsOf(collector: { url: string; token: string }): Promise<(name: string) => number> {
  const response = await fetch(`${collector.url}/metrics`, { headers: { authorization: `Bearer ${collector.token}` } });
  const text = await response.text();
  return (name) => Number(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)`, 'm').exec(text)?.[1] ?? Number.NaN);
}

function message(child: ReturnType<typeof fork>, kind: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    child.on('message', (value: { kind: string }) => value.kind === kind && resolve(value));
    child.on('exit', (code) => reject(new Error(`the load ended with ${code}`)));
  });
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
