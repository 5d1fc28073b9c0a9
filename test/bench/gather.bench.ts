/** What gathering costs the agent on this host: CPU per tick back to back (caches warm) and at one tick a second (caches cold). */
import { performance } from 'node:perf_hooks';
import { DEFAULT_PATHS, DEFAULT_SETTINGS, gatherers } from '../../agent/gather/all.ts';
import type { Gatherer, LabelPairs, Metric, SampleSink, SeriesRef, Timers } from '../../agent/gather/gatherer.ts';
import { Scheduler } from '../../agent/scheduler.ts';

const BACK_TO_BACK_TICKS = 2000;
/** The compiler has seen everything often enough by then. */
const WARM_TICKS = 300;
const PACED_SECONDS = 20;

/** Does for a series what a batcher does at least: finds it once, then writes a number. */
class CountingSink implements SampleSink {
  readonly #refs = new Map<string, SeriesRef>();
  readonly #values = new Float64Array(65_536);
  sets = 0;

  get size(): number {
    return this.#refs.size;
  }

  series(metric: Metric, labels: LabelPairs = {}): SeriesRef {
    const key = `${metric.name}${JSON.stringify(labels)}`;
    let ref = this.#refs.get(key);
    if (ref === undefined) this.#refs.set(key, (ref = this.#refs.size));
    return ref;
  }

  set(ref: SeriesRef, value: number): void {
    this.#values[ref] = value;
    this.sets++;
  }
}

const clock = { wallMs: () => performance.timeOrigin + performance.now(), monotonicMs: () => performance.now() };
const timers: Timers = {
  setTimer: (callback, delayMs) => setTimeout(callback, delayMs),
  clearTimer: (timer) => clearTimeout(timer as NodeJS.Timeout),
};
const self = {
  version: 'bench',
  spool: () => ['now', 'logs', 'bulk'].map((lane) => ({ lane, bytes: 0, frames: 0, oldestMs: 0 })),
  drops: () => [],
  linkUp: () => true,
};

export type GatherFigures = {
  readonly series: number;
  readonly samplesPerTick: number;
  readonly cpuMsPerTickBackToBack: number;
  readonly cpuMsPerTickPaced: number;
  readonly cpuPercentOfCorePaced: number;
  /** Per tick, intervals considered; by the wall clock, so that the kernel's threads count too. */
  readonly elapsedMsByGatherer: Readonly<Record<string, number>>;
};

/** Prints for people; the figures are returned. */
export async function run(): Promise<GatherFigures> {
  const print = (line: string): void => void process.stdout.write(`${line}\n`);
  const backToBack = await runBackToBack();
  print(
    `back to back: ${backToBack.cpuMs.toFixed(3)} ms CPU per tick, ${backToBack.series} series, ${backToBack.samples} samples per tick`,
  );
  for (const [name, ms] of Object.entries(backToBack.byGatherer)) print(`  ${name.padEnd(12)} ${ms.toFixed(4)} ms`);
  const paced = await runPaced();
  print(`at 1 s: ${paced.toFixed(3)} ms CPU per tick, ${(paced / 10).toFixed(3)} % of one core (an empty loop of timers included)`);
  return {
    series: backToBack.series,
    samplesPerTick: backToBack.samples,
    cpuMsPerTickBackToBack: backToBack.cpuMs,
    cpuMsPerTickPaced: paced,
    cpuPercentOfCorePaced: paced / 10,
    elapsedMsByGatherer: backToBack.byGatherer,
  };
}

type BackToBack = { cpuMs: number; series: number; samples: number; byGatherer: Record<string, number> };

/** Every gatherer at its own interval, time running as fast as the machine can. */
async function runBackToBack(): Promise<BackToBack> {
  const sink = new CountingSink();
  const list = gatherers(DEFAULT_PATHS, DEFAULT_SETTINGS, { clock, timers, self });
  const spentMs = new Map<string, number>(list.map(({ name }) => [name, 0]));
  let from = process.cpuUsage();
  for (let second = -WARM_TICKS; second < BACK_TO_BACK_TICKS; second++) {
    if (second === 0) {
      from = process.cpuUsage();
      sink.sets = 0;
      for (const name of spentMs.keys()) spentMs.set(name, 0);
    }
    const tick = { timeMs: second * 1000, monotonicMs: (second + WARM_TICKS) * 1000 };
    for (const gatherer of list) if (tick.timeMs % gatherer.intervalMs === 0) await timed(gatherer, tick, sink, spentMs);
  }
  const { user, system } = process.cpuUsage(from);
  for (const gatherer of list) gatherer.close();
  return {
    cpuMs: (user + system) / 1000 / BACK_TO_BACK_TICKS,
    series: sink.size,
    samples: Math.round(sink.sets / BACK_TO_BACK_TICKS),
    byGatherer: Object.fromEntries([...spentMs].map(([name, ms]) => [name, ms / BACK_TO_BACK_TICKS])),
  };
}

async function timed(
  gatherer: Gatherer,
  tick: { timeMs: number; monotonicMs: number },
  sink: SampleSink,
  spentMs: Map<string, number>,
): Promise<void> {
  const startMs = performance.now();
  try {
    const promise = gatherer.gather(tick, sink);
    if (promise !== undefined) await promise;
  } catch {
    // A source that this host does not have costs what it costs.
  }
  spentMs.set(gatherer.name, (spentMs.get(gatherer.name) ?? 0) + performance.now() - startMs);
}

/** The real scheduler on real seconds. */
async function runPaced(): Promise<number> {
  const sink = new CountingSink();
  const list = gatherers(DEFAULT_PATHS, DEFAULT_SETTINGS, { clock, timers, self });
  let ticks = 0;
  let from = process.cpuUsage();
  const figures = Promise.withResolvers<number>();
  const scheduler = new Scheduler({
    gatherers: list.map((gatherer) => ({ gatherer, intervalMs: gatherer.intervalMs })),
    sink,
    clock,
    timers,
    log: { warn: () => {}, info: () => {} },
    onTick: () => {
      ticks++;
      if (ticks === 1) from = process.cpuUsage();
      if (ticks !== PACED_SECONDS + 1) return;
      const { user, system } = process.cpuUsage(from);
      figures.resolve((user + system) / 1000 / PACED_SECONDS);
    },
  });
  scheduler.start();
  const paced = await figures.promise;
  await scheduler.stop();
  return paced;
}

if (import.meta.main) process.stdout.write(`${JSON.stringify(await run())}\n`);
