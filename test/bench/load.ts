/** The load of the ingest benchmark, in a process of its own: many agents with real keys, sockets and frames. Started by ingest.bench.ts with one JSON argument. */
import type { ControlMessage, DictionaryEntry, SampleGroup } from '../../protocol/index.ts';
import { encodeSamples, FrameKind, Lane } from '../../protocol/index.ts';
import { harshMix } from '../support/harsh-mix.ts';
import { quantile } from '../support/processes.ts';
import { WireAgent } from '../support/wire-agent.ts';

export type LoadPlan = {
  readonly url: string;
  readonly token: string;
  readonly agents: number;
  readonly series: number;
  readonly ticksPerFrame: number;
  /** Ms between ticks of the data. */
  readonly tickMs: number;
  /** Frames of one agent under way at once (saturated), or 0: one frame per agent and second (paced). */
  readonly outstanding: number;
  readonly seconds: number;
  /** Stop after this many samples, if above 0. */
  readonly samplesMax: number;
  /** Time of the first sample, ms; 0 = now, as live agents. */
  readonly fromMs: number;
  readonly namePrefix: string;
};

export type LoadReport = {
  frames: number;
  samples: number;
  wireBytes: number;
  ackMs: { p50: number; p99: number; max: number };
  /** The same without the first ten seconds, in which every series is new. */
  steadyAckMs: { p50: number; p99: number; max: number };
  seconds: number;
  refused: number;
  unacked: number;
};

/** Different agents send different values: this many sets, as in the peers' measurements. */
const DATA_SETS = 8;

class DataSet {
  readonly #plan: LoadPlan;
  readonly #mix: { next(into: Float64Array): void };
  readonly #refs: Uint32Array;
  readonly #times: Float64Array;
  readonly #payloads: Uint8Array[] = [];
  #first = 0;

  constructor(plan: LoadPlan, seed: number) {
    this.#plan = plan;
    this.#mix = harshMix(seed, plan.series);
    this.#refs = Uint32Array.from({ length: plan.series }, (_, i) => i);
    this.#times = Float64Array.from({ length: plan.ticksPerFrame }, (_, i) => i * plan.tickMs);
  }

  /** The payload of frame n; made once for all agents of the set, forgotten when all are past it. */
  payload(n: number): Uint8Array {
    while (this.#first + this.#payloads.length <= n) this.#payloads.push(this.#make());
    while (this.#payloads.length > 512) {
      this.#payloads.shift();
      this.#first++;
    }
    return this.#payloads[Math.max(0, n - this.#first)] as Uint8Array;
  }

  #make(): Uint8Array {
    const { series, ticksPerFrame } = this.#plan;
    const tick = new Float64Array(series);
    const values = new Float64Array(series * ticksPerFrame);
    for (let t = 0; t < ticksPerFrame; t++) {
      this.#mix.next(tick);
      for (let s = 0; s < series; s++) values[s * ticksPerFrame + t] = tick[s] as number;
    }
    const group: SampleGroup = { times: this.#times, refs: this.#refs, values };
    return encodeSamples([group]);
  }
}

/** When series are new, names are interned and code is compiled; a fleet does that once. */
const STEADY_AFTER_MS = 10_000;

class Latencies {
  readonly all: number[] = [];
  readonly steady: number[] = [];
  steadyFromMs = Infinity;

  add(nowMs: number, ms: number): void {
    this.all.push(ms);
    if (nowMs >= this.steadyFromMs) this.steady.push(ms);
  }
}

function summary(numbers: readonly number[]): { p50: number; p99: number; max: number } {
  return { p50: quantile(numbers, 0.5), p99: quantile(numbers, 0.99), max: quantile(numbers, 1) };
}

class LoadAgent {
  readonly wire: WireAgent;
  readonly #plan: LoadPlan;
  readonly #data: DataSet;
  readonly #report: LoadReport;
  readonly #latencies: Latencies;
  readonly #sentAt = new Map<number, number>();
  #frame = 0;
  underway = 0;
  isStopped = false;

  constructor(plan: LoadPlan, index: number, data: DataSet, report: LoadReport, latencies: Latencies) {
    this.#plan = plan;
    this.#data = data;
    this.#report = report;
    this.#latencies = latencies;
    this.wire = new WireAgent({ name: `${plan.namePrefix}${index}`, token: plan.token, machine: Buffer.alloc(32, index) });
  }

  async open(entries: readonly DictionaryEntry[]): Promise<void> {
    const answer = await this.wire.connect(this.#plan.url);
    if (!('welcome' in answer)) throw new Error(`refused: ${answer.rejected.message}`);
    this.wire.send(this.wire.dictionary(entries));
    this.wire.onControl = (message) => this.#heard(message);
  }

  sendOne(timeMs: number): void {
    const { ticksPerFrame, series } = this.#plan;
    const bytes = this.wire.seal(FrameKind.samples, Lane.now, this.#data.payload(this.#frame), timeMs);
    this.#sentAt.set(this.#frame++, performance.now());
    this.underway++;
    this.#report.frames++;
    this.#report.samples += ticksPerFrame * series;
    this.#report.wireBytes += bytes.length;
    this.wire.send(bytes);
  }

  /** Keeps the window full. */
  fill(): void {
    const { outstanding, ticksPerFrame, tickMs, fromMs, samplesMax } = this.#plan;
    while (!this.isStopped && this.underway < outstanding) {
      if (samplesMax > 0 && this.#report.samples >= samplesMax) {
        this.isStopped = true;
        return;
      }
      this.sendOne(fromMs + this.#frame * ticksPerFrame * tickMs);
    }
  }

  #heard(message: ControlMessage): void {
    if (message.kind === 'refuse') this.#report.refused++;
    if (message.kind !== 'ack') return;
    const now = performance.now();
    for (const [from, to] of message.ranges) {
      for (let sequence = from; sequence < to; sequence++) {
        const sentAt = this.#sentAt.get(sequence);
        if (sentAt === undefined) continue;
        this.#sentAt.delete(sequence);
        this.#latencies.add(now, now - sentAt);
        this.underway--;
      }
    }
    if (this.#plan.outstanding > 0) this.fill();
  }
}

async function main(plan: LoadPlan): Promise<LoadReport> {
  const report: LoadReport = {
    frames: 0,
    samples: 0,
    wireBytes: 0,
    ackMs: { p50: 0, p99: 0, max: 0 },
    steadyAckMs: { p50: 0, p99: 0, max: 0 },
    seconds: 0,
    refused: 0,
    unacked: 0,
  };
  const latencies = new Latencies();
  const sets = Array.from({ length: DATA_SETS }, (_, seed) => new DataSet(plan, seed + 1));
  const agents = Array.from({ length: plan.agents }, (_, i) => new LoadAgent(plan, i, sets[i % DATA_SETS] as DataSet, report, latencies));
  const entries = Array.from({ length: plan.series }, (_, i): DictionaryEntry => {
    const metric = Math.floor(i / 5);
    return { name: `bench_metric_${metric}_total`, type: 'counter', scope: 'node', labels: ['dev', `dev${i % 5}`], help: '' };
  });
  for (let i = 0; i < agents.length; i += 20) await Promise.all(agents.slice(i, i + 20).map((agent) => agent.open(entries)));
  process.send?.({ kind: 'connected' });
  await new Promise((resolve) => process.once('message', resolve));
  const began = performance.now();
  latencies.steadyFromMs = began + STEADY_AFTER_MS;
  if (plan.outstanding > 0) await saturate(plan, agents, began);
  else await pace(plan, agents, began);
  const deadline = performance.now() + 20_000;
  while (agents.some((agent) => agent.underway > 0) && performance.now() < deadline)
    await new Promise((resolve) => setTimeout(resolve, 20));
  report.seconds = (performance.now() - began) / 1000;
  report.unacked = agents.reduce((sum, agent) => sum + agent.underway, 0);
  report.ackMs = summary(latencies.all);
  report.steadyAckMs = summary(latencies.steady);
  for (const agent of agents) agent.wire.terminate();
  return report;
}

async function saturate(plan: LoadPlan, agents: readonly LoadAgent[], began: number): Promise<void> {
  for (const agent of agents) agent.fill();
  while (performance.now() - began < plan.seconds * 1000 && agents.some((agent) => !agent.isStopped))
    await new Promise((resolve) => setTimeout(resolve, 50));
  for (const agent of agents) agent.isStopped = true;
}

/** Each agent at its own moment of every second, as their jitter spreads them. */
async function pace(plan: LoadPlan, agents: readonly LoadAgent[], began: number): Promise<void> {
  for (let second = 0; second < plan.seconds; second++) {
    for (let i = 0; i < agents.length; i++) {
      const due = began + second * 1000 + (i / agents.length) * 1000;
      const wait = due - performance.now();
      if (wait > 1) await new Promise((resolve) => setTimeout(resolve, wait));
      const timeMs = plan.fromMs > 0 ? plan.fromMs + second * plan.tickMs : Math.floor(Date.now() / 1000) * 1000;
      (agents[i] as LoadAgent).sendOne(timeMs);
    }
  }
}

process.send?.({ kind: 'report', report: await main(JSON.parse(process.argv[2] ?? '{}') as LoadPlan) });
process.disconnect?.();
process.exit(0);
