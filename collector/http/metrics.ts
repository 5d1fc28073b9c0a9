/** The collector's own metrics as Prometheus text, and what the HTTP side counts of itself. */
import type Router from '@koa/router';
import { sendText } from './answer.ts';
import { counter, gauge, type MetricFamily } from '../model/metrics.ts';
import type { GateCounts } from './gate.ts';
import { formatValue } from './json-numbers.ts';
import type { Access } from './session.ts';
import type { StreamCounts } from './sse.ts';

/** The collector as a process: CPU, memory, start, version. */
export function processFamilies(startedMs: number, version: string): MetricFamily[] {
  const { user, system } = process.cpuUsage();
  const memory = process.memoryUsage();
  return [
    counter('process_cpu_seconds_total', 'CPU time of the collector, user and system.', (user + system) / 1e6),
    gauge('process_resident_memory_bytes', 'Resident memory of the collector.', memory.rss),
    gauge('process_start_time_seconds', 'When the collector started, seconds since 1970.', startedMs / 1000),
    { name: 'picket_build_info', help: 'Version of the collector.', type: 'gauge', samples: [{ labels: { version }, value: 1 }] },
  ];
}

export function metricsRoutes(router: Router, families: () => readonly MetricFamily[]): void {
  router.get('/metrics', (ctx) => {
    sendText(ctx, 'text/plain; version=0.0.4; charset=utf-8', metricsText(families()));
  });
}

export function metricsText(families: readonly MetricFamily[]): string {
  let text = '';
  for (const { name, help, type, samples } of families) {
    text += `# HELP ${name} ${help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')}\n# TYPE ${name} ${type === 'unknown' ? 'untyped' : type}\n`;
    for (const sample of samples) text += `${name}${labelsText(sample.labels)} ${formatValue(sample.value)}\n`;
  }
  return text;
}

function labelsText(labels: Readonly<Record<string, string>> | undefined): string {
  const pairs = Object.entries(labels ?? {}).map(([name, value]) => `${name}="${escapeValue(value)}"`);
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}

function escapeValue(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}

/** Requests by what they were and how they ended. The kinds are few and fixed: paths of clients would be series without end. */
export class RequestCounts {
  readonly #byKind = new Map<string, Map<number, number>>();
  #seconds = 0;
  droppedConnections = 0;
  malformed = 0;
  cutAnswers = 0;

  done(path: string, status: number, tookMs: number): void {
    const kind = kindOf(path);
    let byStatus = this.#byKind.get(kind);
    if (byStatus === undefined) this.#byKind.set(kind, (byStatus = new Map()));
    byStatus.set(status, (byStatus.get(status) ?? 0) + 1);
    this.#seconds += tookMs / 1000;
  }

  families(): readonly MetricFamily[] {
    const requests = [...this.#byKind].flatMap(([kind, byStatus]) =>
      [...byStatus].map(([status, value]) => ({ labels: { kind, code: String(status) }, value })),
    );
    return [
      { name: 'picket_http_requests_total', help: 'Requests answered, by kind of path and status.', type: 'counter', samples: requests },
      counter('picket_http_request_seconds_total', 'Time spent on answering requests, event streams not counted.', this.#seconds),
      counter('picket_http_connections_dropped_total', 'Connections refused because too many were open.', this.droppedConnections),
      counter('picket_http_answers_cut_total', 'Answers that ended early, mostly because the client had gone.', this.cutAnswers),
      counter('picket_http_malformed_total', 'Requests that were no HTTP, too long in the headers, or too slow.', this.malformed),
    ];
  }
}

const KINDS = ['query', 'query_range', 'series', 'labels', 'label', 'metadata', 'status', 'hosts', 'agents', 'enroll', 'session'];

function kindOf(path: string): string {
  if (!path.startsWith('/api/v1/')) return path === '/metrics' ? 'metrics' : path.startsWith('/-/') ? 'health' : 'page';
  const word = path.split('/', 4)[3] as string;
  return KINDS.includes(word) ? word : 'other';
}

export function gateFamilies(counts: GateCounts): readonly MetricFamily[] {
  return [
    gauge('picket_queries_running', 'Queries being evaluated.', counts.running),
    gauge('picket_queries_waiting', 'Queries waiting for their turn.', counts.waiting),
    counter('picket_queries_done_total', 'Queries that had their turn.', counts.done),
    counter('picket_queries_refused_total', 'Queries refused because too many were waiting.', counts.refused),
    counter('picket_queries_timed_out_total', 'Queries ended because their time was over.', counts.timedOut),
    counter('picket_queries_canceled_total', 'Queries ended because the client had gone.', counts.canceled),
  ];
}

export function streamFamilies(counts: StreamCounts): readonly MetricFamily[] {
  return [
    gauge('picket_streams_open', 'Event streams open.', counts.open),
    counter('picket_streams_opened_total', 'Event streams opened.', counts.opened),
    counter('picket_streams_refused_total', 'Event streams refused because too many were open.', counts.refused),
    counter('picket_streams_slow_total', 'Event streams ended because the client did not read them.', counts.slow),
  ];
}

export function accessFamilies(counts: Access['counts']): readonly MetricFamily[] {
  return [
    counter('picket_logins_total', 'Sessions begun.', counts.loggedIn),
    counter('picket_credentials_wrong_total', 'Wrong tokens and log-in codes.', counts.wrong),
    counter(
      'picket_credentials_limited_total',
      'Credentials not looked at because too many wrong ones came from the address.',
      counts.limited,
    ),
  ];
}
