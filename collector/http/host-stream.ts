/** One host live: its points as they become readable, and its state as it changes. Opening it makes the agent flush each second. */
import type { AppendedFeed, SampleSource } from '../model/ports.ts';
import { chartsOf, stepTimes, type Chart } from './charts.ts';
import { pageCoverage, type CoverageSource } from './coverage.ts';
import type { Fleet } from './fleet.ts';
import type { Roster, RosterHost } from '../model/roster.ts';
import { hostJson } from './roster.ts';
import type { EventStream } from './sse.ts';

const TICK_MS = 1000;
const STEP_MS = 1000;
/** Points of one event: what a client that was away gets at once. For more it asks `charts`. */
const CATCH_UP_MS_MAX = 60 * 60_000;

export type HostStreamDeps = {
  readonly source: SampleSource;
  readonly feed: AppendedFeed;
  readonly roster: Roster;
  readonly fleet: Fleet;
  readonly coverage: CoverageSource;
  readonly watch: (agentId: string) => () => void;
  readonly warn: (error: unknown, message: string) => void;
};

/** Sends until the stream closes. Points begin after `fromMs`, which is the last time the client has. */
export function streamHost(stream: EventStream, host: RosterHost, fromMs: number, deps: HostStreamDeps): void {
  const view = new HostView(stream, host, fromMs, deps);
  const unwatch = deps.watch(host.agentId);
  const unsubscribe = deps.feed.onAppended((agentId, newestMs) => view.appended(agentId, newestMs));
  const timer = setInterval(() => void view.look(), TICK_MS);
  stream.onClose(() => {
    clearInterval(timer);
    unsubscribe();
    unwatch();
    view.close();
  });
  void view.look();
}

class HostView {
  readonly #stream: EventStream;
  readonly #name: string;
  readonly #deps: HostStreamDeps;
  readonly #abort = new AbortController();
  #agentId: string;
  #sentMs: number;
  #newestMs: number;
  #hostText = '';
  #looking = false;

  constructor(stream: EventStream, host: RosterHost, fromMs: number, deps: HostStreamDeps) {
    this.#stream = stream;
    this.#name = host.name;
    this.#agentId = host.agentId;
    this.#deps = deps;
    this.#sentMs = Math.floor(fromMs / STEP_MS) * STEP_MS;
    this.#newestMs = host.lastSampleMs ?? 0;
  }

  close(): void {
    this.#abort.abort(new Error('the stream is closed'));
  }

  appended(agentId: string, newestMs: number): void {
    if (agentId !== this.#agentId || newestMs <= this.#newestMs) return;
    this.#newestMs = newestMs;
    void this.look();
  }

  /** Sends what is new. A client that has not read the last event waits for the next look. */
  async look(): Promise<void> {
    if (this.#looking || !this.#stream.ready) return;
    this.#looking = true;
    try {
      await this.#sendHost();
      await this.#sendPoints();
    } catch (error) {
      if (!this.#abort.signal.aborted) this.#deps.warn(error, 'the live points of a host could not be read');
    } finally {
      this.#looking = false;
    }
  }

  async #sendHost(): Promise<void> {
    const host = this.#deps.roster.host(this.#name);
    if (host === undefined) return this.#stream.close();
    await this.#deps.fleet.refreshHost(host);
    this.#agentId = host.agentId;
    this.#newestMs = Math.max(this.#newestMs, host.lastSampleMs ?? 0);
    const text = JSON.stringify(hostJson(host, this.#deps.fleet.values(host.name)));
    if (text === this.#hostText) return;
    this.#hostText = text;
    this.#stream.send('host', text);
  }

  async #sendPoints(): Promise<void> {
    const lastMs = Math.floor(this.#newestMs / STEP_MS) * STEP_MS;
    if (lastMs <= this.#sentMs) return;
    const fromMs = Math.max(this.#sentMs, lastMs - CATCH_UP_MS_MAX);
    const steps = { firstMs: fromMs + STEP_MS, stepMs: STEP_MS, count: (lastMs - fromMs) / STEP_MS };
    const [charts, coverage] = await Promise.all([
      chartsOf(this.#deps.source, this.#name, steps, this.#abort.signal),
      this.#deps.coverage.of([this.#name], fromMs, lastMs),
    ]);
    this.#sentMs = lastMs;
    const points = { times: stepTimes(steps), charts: chartPoints(charts), gaps: pageCoverage(coverage).gaps, newestMs: this.#newestMs };
    this.#stream.send('points', JSON.stringify(points));
  }
}

function chartPoints(charts: readonly Chart[]): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    charts.map((chart) => [chart.id, { series: Object.fromEntries(chart.series.map((series) => [series.name, series.values])) }]),
  );
}
