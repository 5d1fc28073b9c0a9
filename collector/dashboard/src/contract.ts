/** The collector's answers as this page reads them: types and the guards at the edge. Not the server's own types: the page may be older than its collector. */

export const STATUSES = ['down', 'stale', 'never', 'revoked', 'up'] as const;
export type Status = (typeof STATUSES)[number];

export type HostValues = {
  readonly cpuPercent: number | null;
  readonly memoryPercent: number | null;
  readonly memoryBytes: number | null;
  readonly memoryTotalBytes: number | null;
  /** The fullest filesystem's share, and where it is mounted. */
  readonly diskPercent: number | null;
  readonly diskMount: string | null;
  readonly load1: number | null;
  readonly networkReceiveBytesPerSecond: number | null;
  readonly networkTransmitBytesPerSecond: number | null;
};

export type HostLink = {
  readonly connected: boolean;
  readonly since: string | null;
  readonly backlogBytes: number | null;
  readonly backlogOldestMs: number | null;
};

export type Host = {
  readonly name: string;
  readonly agentId: string;
  readonly status: Status;
  /** RFC 3339. */
  readonly statusSince: string | null;
  readonly lastSampleMs: number | null;
  readonly lastSeenMs: number | null;
  readonly clockOffsetMs: number | null;
  readonly os: string | null;
  readonly kernel: string | null;
  readonly arch: string | null;
  readonly cpuCount: number | null;
  readonly bootTimeMs: number | null;
  readonly version: string | null;
  readonly link: HostLink | null;
  readonly values: HostValues | null;
};

export type HostsUpdate = { readonly hosts: readonly Host[]; readonly removed?: readonly string[] };

export type Unit = 'percent' | 'bytes' | 'bytes_per_second' | 'load' | 'count' | 'seconds';

export type ChartSeries = { readonly name: string; readonly values: readonly (number | null)[] };

export type Chart = {
  readonly id: string;
  readonly title: string;
  readonly unit: Unit;
  readonly stacked: boolean;
  readonly series: readonly ChartSeries[];
};

export type Span = readonly [fromMs: number, toMs: number];

export type Gap = { readonly from: number; readonly to: number; readonly cause: string; readonly detail?: string };

export type Coverage = { readonly live: readonly Span[]; readonly late: readonly Span[]; readonly gaps: readonly Gap[] };

export type ChartsAnswer = {
  readonly from: number;
  readonly to: number;
  readonly step: number;
  readonly times: readonly number[];
  readonly charts: readonly Chart[];
  readonly coverage: Coverage;
};

export type Points = {
  readonly times: readonly number[];
  readonly charts: Readonly<Record<string, { readonly series: Readonly<Record<string, readonly (number | null)[]>> }>>;
  readonly gaps?: readonly Gap[];
  readonly newestMs: number | null;
};

/** The status word, or the nearest honest one if a newer collector says something unknown. */
export function readStatus(word: unknown): Status {
  return STATUSES.find((status) => status === word) ?? 'stale';
}

/** Undefined if the answer is not a list of hosts. Fields that are missing become null, so that the views have one case less. */
export function readHosts(answer: unknown): HostsUpdate | undefined {
  if (!isRecord(answer) || !Array.isArray(answer['hosts'])) return undefined;
  const hosts = answer['hosts'].map(readHost).filter((host) => host !== undefined);
  const removed = Array.isArray(answer['removed']) ? answer['removed'].filter((name) => typeof name === 'string') : [];
  return { hosts, removed };
}

export function readHost(answer: unknown): Host | undefined {
  if (!isRecord(answer) || typeof answer['name'] !== 'string') return undefined;
  const link = answer['link'];
  const values = answer['values'];
  return {
    name: answer['name'],
    agentId: text(answer['agentId']) ?? '',
    status: readStatus(answer['status']),
    statusSince: text(answer['statusSince']),
    lastSampleMs: number(answer['lastSampleMs']),
    lastSeenMs: number(answer['lastSeenMs']),
    clockOffsetMs: number(answer['clockOffsetMs']),
    os: text(answer['os']),
    kernel: text(answer['kernel']),
    arch: text(answer['arch']),
    cpuCount: number(answer['cpuCount']),
    bootTimeMs: number(answer['bootTimeMs']),
    version: text(answer['version']),
    link: isRecord(link) ? readLink(link) : null,
    values: isRecord(values) ? readValues(values) : null,
  };
}

/** Undefined if the answer cannot be drawn. */
export function readCharts(answer: unknown): ChartsAnswer | undefined {
  if (!isRecord(answer) || !Array.isArray(answer['times']) || !Array.isArray(answer['charts'])) return undefined;
  const coverage = answer['coverage'];
  if (!isRecord(coverage)) return undefined;
  return {
    from: number(answer['from']) ?? 0,
    to: number(answer['to']) ?? 0,
    step: number(answer['step']) ?? 1000,
    times: answer['times'].filter((time) => typeof time === 'number'),
    charts: answer['charts'].map(readChart).filter((chart) => chart !== undefined),
    coverage: { live: readSpans(coverage['live']), late: readSpans(coverage['late']), gaps: readGaps(coverage['gaps']) },
  };
}

export function readPoints(answer: unknown): Points | undefined {
  if (!isRecord(answer) || !Array.isArray(answer['times']) || !isRecord(answer['charts'])) return undefined;
  const charts: Record<string, { series: Record<string, (number | null)[]> }> = {};
  for (const [id, chart] of Object.entries(answer['charts'])) {
    if (!isRecord(chart) || !isRecord(chart['series'])) continue;
    const series: Record<string, (number | null)[]> = {};
    for (const [name, values] of Object.entries(chart['series'])) if (Array.isArray(values)) series[name] = values.map(number);
    charts[id] = { series };
  }
  const points = { times: answer['times'].filter((time) => typeof time === 'number'), charts, newestMs: number(answer['newestMs']) };
  return Array.isArray(answer['gaps']) ? { ...points, gaps: readGaps(answer['gaps']) } : points;
}

function readLink(link: Readonly<Record<string, unknown>>): HostLink {
  return {
    connected: link['connected'] === true,
    since: text(link['since']),
    backlogBytes: number(link['backlogBytes']),
    backlogOldestMs: number(link['backlogOldestMs']),
  };
}

function readValues(values: Readonly<Record<string, unknown>>): HostValues {
  return {
    cpuPercent: number(values['cpuPercent']),
    memoryPercent: number(values['memoryPercent']),
    memoryBytes: number(values['memoryBytes']),
    memoryTotalBytes: number(values['memoryTotalBytes']),
    diskPercent: number(values['diskPercent']),
    diskMount: text(values['diskMount']),
    load1: number(values['load1']),
    networkReceiveBytesPerSecond: number(values['networkReceiveBytesPerSecond']),
    networkTransmitBytesPerSecond: number(values['networkTransmitBytesPerSecond']),
  };
}

function readChart(chart: unknown): Chart | undefined {
  if (!isRecord(chart) || typeof chart['id'] !== 'string' || !Array.isArray(chart['series'])) return undefined;
  const series = chart['series'].flatMap((one: unknown) =>
    isRecord(one) && typeof one['name'] === 'string' && Array.isArray(one['values'])
      ? [{ name: one['name'], values: one['values'].map(number) }]
      : [],
  );
  return {
    id: chart['id'],
    title: text(chart['title']) ?? chart['id'],
    unit: readUnit(chart['unit']),
    stacked: chart['stacked'] === true,
    series,
  };
}

function readUnit(unit: unknown): Unit {
  return unit === 'percent' || unit === 'bytes' || unit === 'bytes_per_second' || unit === 'load' || unit === 'seconds' ? unit : 'count';
}

function readSpans(spans: unknown): readonly Span[] {
  if (!Array.isArray(spans)) return [];
  return spans.flatMap((span: unknown) =>
    Array.isArray(span) && typeof span[0] === 'number' && typeof span[1] === 'number' ? [[span[0], span[1]] as const] : [],
  );
}

function readGaps(gaps: unknown): readonly Gap[] {
  if (!Array.isArray(gaps)) return [];
  return gaps.flatMap((gap: unknown) =>
    isRecord(gap) && typeof gap['from'] === 'number' && typeof gap['to'] === 'number'
      ? [{ from: gap['from'], to: gap['to'], cause: text(gap['cause']) ?? 'unknown', detail: text(gap['detail']) ?? '' }]
      : [],
  );
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function text(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}

function number(value: unknown): number | null {
  return typeof value === 'number' && Number.isFinite(value) ? value : null;
}
