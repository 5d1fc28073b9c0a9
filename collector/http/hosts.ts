/** Picket's own API of hosts and agents: the list, one host, its charts, and both as live streams. What the page reads. */
import type Router from '@koa/router';
import type { Context } from 'koa';
import type { AppendedFeed, SampleSource } from '../model/ports.ts';
import type { Steps } from '../query/rates.ts';
import { STEPS_MAX } from '../query/engine.ts';
import { sendJson, sendPieces } from './answer.ts';
import { fieldsOf } from './body.ts';
import { chartsOf, stepTimes } from './charts.ts';
import { pageCoverage, type CoverageSource } from './coverage.ts';
import { HttpError, parameterError } from './errors.ts';
import type { Fleet } from './fleet.ts';
import { gathered } from './json.ts';
import { QUERY_MS_MAX, type QueryGate } from './gate.ts';
import type { HostList } from './host-list.ts';
import { streamHost } from './host-stream.ts';
import { millisecondsOf } from './parameters.ts';
import type { Roster, RosterHost } from '../model/roster.ts';
import { hostJson } from './roster.ts';
import type { Streams } from './sse.ts';

/** Samples lie on whole seconds: a finer step shows nothing more. */
const STEP_MS_MIN = 1000;
/** What `charts` shows unless it is told. */
const SPAN_MS_DEFAULT = 15 * 60_000;
/** Steps that the default step divides a span into: about the pixels of a phone, and half of those of a desk. */
const STEPS_DEFAULT = 600;

export type HostsDeps = {
  readonly source: SampleSource;
  readonly feed: AppendedFeed;
  readonly roster: Roster;
  readonly coverage: CoverageSource;
  /** Asks the agent to flush each second until the returned function is called. */
  readonly watch: (agentId: string) => () => void;
  readonly fleet: Fleet;
  readonly list: HostList;
  readonly streams: Streams;
  readonly gate: QueryGate;
  /** Whether who opened a stream may go on reading it. */
  readonly stillAllowed: (ctx: Context) => () => Promise<boolean>;
  readonly warn: (error: unknown, message: string) => void;
  readonly nowMs: () => number;
};

export function hostsRoutes(router: Router, deps: HostsDeps): void {
  router.get('/api/v1/hosts', (ctx) => listHosts(ctx, deps));
  router.get('/api/v1/hosts/stream', (ctx) => {
    if (!isHead(ctx)) deps.list.add(deps.streams.open(ctx, deps.stillAllowed(ctx)));
  });
  router.get('/api/v1/hosts/:name', (ctx) => oneHost(ctx, deps));
  router.get('/api/v1/hosts/:name/charts', (ctx) => charts(ctx, deps));
  router.get('/api/v1/hosts/:name/stream', (ctx) => {
    const host = hostOf(ctx, deps);
    const fromMs = millisecondsOf(fieldsOf(ctx.querystring), 'from', deps.nowMs() - 60_000);
    if (!isHead(ctx)) streamHost(deps.streams.open(ctx, deps.stillAllowed(ctx)), host, fromMs, deps);
  });
  router.get('/api/v1/agents', (ctx) => sendJson(ctx, { agents: deps.roster.hosts().map(agentJson) }));
  router.delete('/api/v1/agents/:id', (ctx) => revoke(ctx, deps));
  router.post('/api/v1/agents/:id/revoke', (ctx) => revoke(ctx, deps));
}

/** A HEAD gets a stream's headers and no stream. */
function isHead(ctx: Context): boolean {
  if (ctx.method !== 'HEAD') return false;
  ctx.status = 200;
  ctx.type = 'text/event-stream';
  return true;
}

async function listHosts(ctx: Context, deps: HostsDeps): Promise<void> {
  await deps.gate.run(ctx, QUERY_MS_MAX, () => deps.fleet.refresh());
  sendPieces(ctx, 'application/json', gathered(hostTexts(deps)));
}

function* hostTexts(deps: HostsDeps): Generator<string> {
  let separator = '{"hosts":[';
  for (const host of deps.roster.hosts()) {
    yield `${separator}${JSON.stringify(hostJson(host, deps.fleet.values(host.name)))}`;
    separator = ',';
  }
  yield separator === ',' ? ']}' : '{"hosts":[]}';
}

async function oneHost(ctx: Context, deps: HostsDeps): Promise<void> {
  const host = hostOf(ctx, deps);
  await deps.gate.run(ctx, QUERY_MS_MAX, () => deps.fleet.refreshHost(host));
  sendJson(ctx, hostJson(host, deps.fleet.values(host.name)));
}

async function charts(ctx: Context, deps: HostsDeps): Promise<void> {
  const host = hostOf(ctx, deps);
  const fields = fieldsOf(ctx.querystring);
  const toMs = millisecondsOf(fields, 'to', deps.nowMs());
  const fromMs = millisecondsOf(fields, 'from', Math.max(0, toMs - SPAN_MS_DEFAULT));
  if (toMs < fromMs) throw parameterError('to', 'the end must not be before the start');
  const stepMs = millisecondsOf(fields, 'step', defaultStepMs(toMs - fromMs));
  const steps = chartSteps(fromMs, toMs, stepMs);
  const [found, coverage] = await deps.gate.run(ctx, QUERY_MS_MAX, (signal) =>
    Promise.all([chartsOf(deps.source, host.name, steps, signal), deps.coverage.of([host.name], fromMs, toMs)]),
  );
  sendJson(ctx, { from: fromMs, to: toMs, step: steps.stepMs, charts: found, times: stepTimes(steps), coverage: pageCoverage(coverage) });
}

/** Whole multiples of the step, so that two requests whose spans overlap have the same points. */
function chartSteps(fromMs: number, toMs: number, askedMs: number): Steps {
  const stepMs = Math.max(STEP_MS_MIN, askedMs);
  const firstMs = Math.ceil(fromMs / stepMs) * stepMs;
  const count = Math.max(0, Math.floor((toMs - firstMs) / stepMs) + 1);
  if (count > STEPS_MAX) {
    throw parameterError('step', `the span has ${count} steps of ${stepMs} ms, at most ${STEPS_MAX} are answered: take a longer step`);
  }
  return { firstMs, stepMs, count };
}

/** The first of 1, 2, 5, 10, 15, 30 seconds, minutes, hours that gives at most STEPS_DEFAULT steps. */
function defaultStepMs(spanMs: number): number {
  for (const unitMs of [1000, 60_000, 3_600_000]) {
    for (const factor of [1, 2, 5, 10, 15, 30]) if (spanMs <= factor * unitMs * STEPS_DEFAULT) return factor * unitMs;
  }
  return Math.ceil(spanMs / STEPS_DEFAULT / 86_400_000) * 86_400_000;
}

function hostOf(ctx: Context, deps: HostsDeps): RosterHost {
  const name = String(ctx['params']['name']);
  const host = deps.roster.host(name);
  if (host === undefined)
    throw new HttpError(404, 'host_unknown', `no host is called ${JSON.stringify(name)}; /api/v1/hosts lists those there are`);
  return host;
}

function agentJson(host: RosterHost): unknown {
  const { agentId, name, status, lastSeenMs, version, link } = host;
  return { agentId, host: name, status, lastSeenMs, version, connected: link.connected };
}

async function revoke(ctx: Context, deps: HostsDeps): Promise<void> {
  const agentId = String(ctx['params']['id']).toLowerCase();
  const host = deps.roster.hosts().find((one) => one.agentId === agentId);
  if (host === undefined)
    throw new HttpError(404, 'agent_unknown', `no agent has the id ${JSON.stringify(agentId)}; /api/v1/agents lists those there are`);
  const now = await deps.roster.revoke(agentId);
  sendJson(ctx, { agentId, host: host.name, revoked: true, already: !now });
}
