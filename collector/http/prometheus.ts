/** Prometheus's query API: instant and range queries, series, labels, metadata, build information. Its envelope, its words. */
import type Router from '@koa/router';
import type { Context } from 'koa';
import { labelsKey, type Matcher } from '../model/labels.ts';
import type { LabelSource, StoreState, TimeRange } from '../model/ports.ts';
import { compareLabels, stepGrid, type Engine, type QueryValue } from '../query/engine.ts';
import { QueryError } from '../query/errors.ts';
import { parseMatchers } from '../query/selector.ts';
import { sendPieces, sendText } from './answer.ts';
import { fieldsOf, readForm } from './body.ts';
import type { CoverageSource } from './coverage.ts';
import { HttpError } from './errors.ts';
import { QUERY_MS_MAX, type QueryGate } from './gate.ts';
import { labelsJson, listAnswer, queryAnswer, successText } from './json.ts';
import { limitOf, optionalTime, parseDuration, requiredTime, textOf, unescapeLabelName } from './parameters.ts';

/** `match[]` parameters of one request; each is a select of its own. */
const MATCH_MAX = 64;
/** How far ahead of now an open-ended request for names looks: agents' clocks may be ahead. */
const AHEAD_MS = 60 * 60 * 1000;
const TRUNCATED = 'results truncated due to limit';
const JSON_TYPE = 'application/json';

export type PrometheusDeps = {
  readonly engine: Engine;
  readonly labels: LabelSource;
  readonly gate: QueryGate;
  readonly coverage: CoverageSource;
  readonly storeState: () => StoreState;
  readonly version: string;
  readonly nowMs: () => number;
};

export function prometheusRoutes(router: Router, deps: PrometheusDeps): void {
  const both = ['GET', 'POST'];
  router.register('/api/v1/query', both, (ctx) => instantQuery(ctx, deps));
  router.register('/api/v1/query_range', both, (ctx) => rangeQuery(ctx, deps));
  router.register('/api/v1/series', both, (ctx) => series(ctx, deps));
  router.register('/api/v1/labels', both, (ctx) => labelNames(ctx, deps));
  router.get('/api/v1/label/:name/values', (ctx) => labelValues(ctx, deps, String(ctx.params['name'])));
  router.get('/api/v1/metadata', (ctx) => metadata(ctx, deps));
  router.get('/api/v1/status/buildinfo', (ctx) => buildInfo(ctx, deps));
}

/** True for the paths whose answers carry Prometheus's envelope and nothing else. */
export function isPrometheusPath(path: string): boolean {
  return /^\/api\/v1\/(?:query|query_range|series|labels|label\/[^/]*\/values|metadata|status\/buildinfo)$/.test(path);
}

async function instantQuery(ctx: Context, deps: PrometheusDeps): Promise<void> {
  const fields = await fieldsOfRequest(ctx);
  const limit = limitOf(fields);
  const timeMs = optionalTime(fields, 'time', deps.nowMs());
  const query = fields.get('query') ?? '';
  await answerQuery(ctx, deps, fields, { query, limit, fromMs: timeMs, toMs: timeMs }, (signal) =>
    deps.engine.instant(query, timeMs, signal),
  );
}

async function rangeQuery(ctx: Context, deps: PrometheusDeps): Promise<void> {
  const fields = await fieldsOfRequest(ctx);
  const limit = limitOf(fields);
  const fromMs = requiredTime(fields, 'start');
  const toMs = requiredTime(fields, 'end');
  if (toMs < fromMs) throw rangeError('end', 'end timestamp must not be before start time');
  const stepMs = parseDuration('step', fields.get('step') ?? '');
  if (stepMs <= 0) throw rangeError('step', 'zero or negative query resolution step widths are not accepted. Try a positive integer');
  if (stepMs < 1) throw rangeError('step', 'a step below one millisecond is not accepted');
  const wholeStepMs = Math.trunc(stepMs);
  stepGrid(fromMs, toMs, wholeStepMs);
  const query = fields.get('query') ?? '';
  await answerQuery(ctx, deps, fields, { query, limit, fromMs, toMs }, (signal) =>
    deps.engine.range(query, fromMs, toMs, wholeStepMs, signal),
  );
}

type Asked = { readonly query: string; readonly limit: number; readonly fromMs: number; readonly toMs: number };

async function answerQuery(
  ctx: Context,
  deps: PrometheusDeps,
  fields: URLSearchParams,
  asked: Asked,
  evaluate: (signal: AbortSignal) => Promise<QueryValue>,
): Promise<void> {
  requireOpen(deps);
  const value = await deps.gate.run(ctx, timeoutOf(fields), (signal) => evaluate(signal).catch(inQueryParameter));
  const [kept, warnings] = limited(value, asked.limit);
  const members = fields.get('picket') === 'coverage' ? await coverageMember(deps, asked) : undefined;
  const extras = { warnings: [...warmingWarnings(deps), ...warnings] };
  sendPieces(ctx, JSON_TYPE, queryAnswer(kept, members === undefined ? extras : { ...extras, members }));
}

/** Prometheus names the parameter before what is wrong with its text. */
function inQueryParameter(error: unknown): never {
  if (
    error instanceof QueryError &&
    (error.code === 'query_syntax' || error.code === 'query_unsupported' || error.code === 'query_regexp')
  ) {
    const position = error.position === undefined ? {} : { position: error.position };
    throw new QueryError(error.code, `invalid parameter "query": ${error.message}`, { cause: error, ...position });
  }
  throw error;
}

function limited(value: QueryValue, limit: number): readonly [value: QueryValue, warnings: readonly string[]] {
  if (value.kind === 'vector') {
    return value.samples.length <= limit ? [value, []] : [{ kind: 'vector', samples: value.samples.slice(0, limit) }, [TRUNCATED]];
  }
  return value.series.length <= limit ? [value, []] : [{ kind: 'matrix', series: value.series.slice(0, limit) }, [TRUNCATED]];
}

/** What the answer rests on: for the hosts that the query names and the span that it reads. */
async function coverageMember(deps: PrometheusDeps, asked: Asked): Promise<string> {
  const { hosts, fromMs, toMs } = deps.engine.reads(asked.query, asked.fromMs, asked.toMs);
  return `"coverage":${JSON.stringify(await deps.coverage.of(hosts, fromMs, toMs))}`;
}

async function series(ctx: Context, deps: PrometheusDeps): Promise<void> {
  const fields = await fieldsOfRequest(ctx);
  const limit = limitOf(fields);
  const range = namesRange(fields, deps);
  const selections = matchersOf(fields);
  if (selections.length === 0) throw new HttpError(400, 'parameter_invalid', 'no match[] parameter provided');
  requireOpen(deps);
  const found = await deps.gate.run(ctx, timeoutOf(fields), (signal) =>
    Promise.all(selections.map((matchers) => deps.labels.series(matchers, range, signal))),
  );
  sendList(ctx, deps, merged(found, labelsKey, compareLabels), limit, labelsJson);
}

async function labelNames(ctx: Context, deps: PrometheusDeps): Promise<void> {
  const fields = await fieldsOfRequest(ctx);
  const limit = limitOf(fields);
  const range = namesRange(fields, deps);
  const selections = atLeastOne(matchersOf(fields));
  requireOpen(deps);
  const found = await deps.gate.run(ctx, timeoutOf(fields), (signal) =>
    Promise.all(selections.map((matchers) => deps.labels.labelNames(matchers, range, signal))),
  );
  sendList(ctx, deps, merged(found, String, compareText), limit, JSON.stringify);
}

async function labelValues(ctx: Context, deps: PrometheusDeps, escaped: string): Promise<void> {
  const name = unescapeLabelName(escaped);
  if (name === '') throw new HttpError(400, 'parameter_invalid', 'invalid label name: ""');
  const fields = await fieldsOfRequest(ctx);
  const limit = limitOf(fields);
  const range = namesRange(fields, deps);
  const selections = atLeastOne(matchersOf(fields));
  requireOpen(deps);
  const found = await deps.gate.run(ctx, timeoutOf(fields), (signal) =>
    Promise.all(selections.map((matchers) => deps.labels.labelValues(name, matchers, range, signal))),
  );
  sendList(ctx, deps, merged(found, String, compareText), limit, JSON.stringify);
}

async function metadata(ctx: Context, deps: PrometheusDeps): Promise<void> {
  const fields = await fieldsOfRequest(ctx);
  const text = textOf(fields, 'limit');
  if (text !== undefined && !/^[+-]?\d{1,15}$/.test(text)) throw new HttpError(400, 'parameter_invalid', 'limit must be a number');
  const limit = text === undefined || Number(text) < 0 ? Infinity : Number(text);
  const only = textOf(fields, 'metric');
  requireOpen(deps);
  const all = await deps.labels.metadata();
  const data: Record<string, readonly unknown[]> = {};
  let count = 0;
  for (const name of only === undefined ? [...all.keys()].sort() : [only]) {
    const one = all.get(name);
    if (one === undefined) continue;
    if (count++ >= limit) break;
    data[name] = [{ type: one.type, unit: '', help: one.help }];
  }
  sendText(ctx, JSON_TYPE, successText(data, { warnings: warmingWarnings(deps) }));
}

/** Grafana asks this first to learn what it talks to; the version says which PromQL HTTP API it may expect. */
function buildInfo(ctx: Context, deps: PrometheusDeps): void {
  const data = {
    version: '3.5.0',
    revision: `picket-${deps.version}`,
    branch: 'picket',
    buildUser: 'picket',
    buildDate: '',
    goVersion: `node-${process.versions.node}`,
  };
  sendText(ctx, JSON_TYPE, successText(data, {}));
}

function sendList<T>(ctx: Context, deps: PrometheusDeps, items: readonly T[], limit: number, item: (one: T) => string): void {
  const warnings = [...warmingWarnings(deps)];
  if (items.length > limit) warnings.push(TRUNCATED);
  sendPieces(ctx, JSON_TYPE, listAnswer(items.length > limit ? items.slice(0, limit) : items, item, { warnings }));
}

/** Sorted lists as one sorted list without doubles. */
function merged<T>(lists: readonly (readonly T[])[], key: (one: T) => string, compare: (a: T, b: T) => number): readonly T[] {
  if (lists.length === 1) return lists[0] as readonly T[];
  const byKey = new Map<string, T>();
  for (const list of lists) for (const one of list) byKey.set(key(one), one);
  return [...byKey.values()].sort(compare);
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

async function fieldsOfRequest(ctx: Context): Promise<URLSearchParams> {
  const fields = fieldsOf(ctx.querystring);
  if (ctx.method !== 'POST') return fields;
  const form = await readForm(ctx.req);
  for (const [name, value] of fields) form.append(name, value);
  return form;
}

function matchersOf(fields: URLSearchParams): readonly (readonly Matcher[])[] {
  const texts = fields.getAll('match[]');
  if (texts.length > MATCH_MAX)
    throw new HttpError(400, 'parameter_invalid', `${texts.length} match[] parameters, at most ${MATCH_MAX} are taken`);
  return texts.map((text) => {
    try {
      return parseMatchers(text);
    } catch (error) {
      if (!(error instanceof QueryError)) throw error;
      throw new HttpError(400, error.code, `invalid parameter "match[]": ${error.message}`, { cause: error });
    }
  });
}

function atLeastOne(selections: readonly (readonly Matcher[])[]): readonly (readonly Matcher[])[] {
  return selections.length === 0 ? [[]] : selections;
}

function namesRange(fields: URLSearchParams, deps: PrometheusDeps): TimeRange {
  return { fromMs: optionalTime(fields, 'start', 0), toMs: optionalTime(fields, 'end', deps.nowMs() + AHEAD_MS) };
}

function timeoutOf(fields: URLSearchParams): number {
  const text = textOf(fields, 'timeout');
  return text === undefined ? QUERY_MS_MAX : Math.max(1, parseDuration('timeout', text));
}

function rangeError(name: string, detail: string): HttpError {
  return new HttpError(400, 'query_range', `invalid parameter "${name}": ${detail}`);
}

function requireOpen(deps: PrometheusDeps): void {
  if (deps.storeState() !== 'closed') return;
  throw new HttpError(503, 'store_closed', 'the store is closed: the collector is stopping or could not write; its log says why');
}

function warmingWarnings(deps: PrometheusDeps): readonly string[] {
  if (deps.storeState() !== 'warming') return [];
  return ['the store is warming up: it still reads its write-ahead log, so the newest samples may be missing from this answer'];
}
