/** Made-up hosts for the fake collector: values that move smoothly and depend on the time alone, so that every answer agrees with every other. */

export type FakeStatus = 'up' | 'stale' | 'down' | 'never' | 'revoked';
export type FakeGap = { readonly from: number; readonly to: number; readonly cause: string; readonly detail: string };
export type FakeHost = {
  readonly name: string;
  readonly now: (nowMs: number) => Readonly<Record<string, unknown>> & { readonly status: FakeStatus };
};

type Grid = { readonly fromMs: number; readonly toMs: number; readonly stepMs: number };

const GIB = 1024 ** 3;
const MINUTE_MS = 60_000;

/** Charts: id, title, unit, stacked, series with their middle and swing. */
const CHARTS: readonly (readonly [string, string, string, boolean, Readonly<Record<string, readonly [number, number]>>])[] = [
  ['cpu', 'CPU', 'percent', true, { user: [14, 9], system: [5, 3], iowait: [1.2, 1.1], irq: [0.4, 0.3], steal: [0.1, 0.1] }],
  [
    'memory',
    'Memory',
    'bytes',
    true,
    { used: [6.2 * GIB, 0.4 * GIB], buffers: [0.5 * GIB, 0.02 * GIB], cached: [5.1 * GIB, 0.3 * GIB], free: [4.1 * GIB, 0.3 * GIB] },
  ],
  ['load', 'Load', 'load', false, { '1 m': [1.4, 0.8], '5 m': [1.2, 0.3], '15 m': [1.1, 0.1] }],
  ['disk_io', 'Disk I/O', 'bytes_per_second', false, { 'nvme0n1 read': [2.1e6, 1.9e6], 'nvme0n1 written': [6.5e6, 5.2e6] }],
  ['network', 'Network', 'bytes_per_second', false, { 'eth0 received': [1.8e6, 1.1e6], 'eth0 sent': [6.2e5, 4.5e5] }],
  ['filesystem', 'Filesystems used', 'percent', false, { '/': [61.3, 0.2], '/var': [78.2, 0.4], '/boot': [22, 0] }],
  ['pressure', 'Pressure', 'percent', false, { cpu: [1.4, 1.2], memory: [0.1, 0.1], io: [2.3, 2.1] }],
];

export function fakeHost(name: string, status: FakeStatus, sinceMs: number = Date.now() - 3 * MINUTE_MS): FakeHost {
  const seed = name.split('').reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) % 997, 7);
  return { name, now: (nowMs) => hostAt(name, status, sinceMs, seed, nowMs) };
}

export function fakeCharts(grid: Grid, gaps: readonly FakeGap[], late: readonly (readonly [number, number])[]): unknown {
  const times = timesOf(grid);
  const charts = CHARTS.map(([id, title, unit, stacked, series]) => ({
    id,
    title,
    unit,
    stacked,
    series: Object.entries(series).map(([name, [middle, swing]]) => ({
      name,
      values: times.map((at) => (inGap(gaps, at) ? null : wave(at, name, middle, swing))),
    })),
  }));
  const inside = gaps.filter((gap) => gap.to > grid.fromMs && gap.from < grid.toMs);
  return {
    from: grid.fromMs,
    to: grid.toMs,
    step: grid.stepMs,
    charts,
    times,
    coverage: { live: liveOf(grid, inside), late, gaps: inside },
  };
}

export function fakePoints(fromMs: number, toMs: number, gaps: readonly FakeGap[]): unknown {
  const times = timesOf({ fromMs, toMs, stepMs: 1000 });
  const charts = Object.fromEntries(
    CHARTS.map(([id, , , , series]) => [
      id,
      {
        series: Object.fromEntries(
          Object.entries(series).map(([name, [middle, swing]]) => [name, times.map((at) => wave(at, name, middle, swing))]),
        ),
      },
    ]),
  );
  const told = gaps
    .filter((gap) => gap.to > fromMs - 1000 && gap.from < toMs)
    .map((gap) => ({ ...gap, from: Math.max(gap.from, fromMs - 1000) }));
  return { times, charts, gaps: told, newestMs: times.at(-1) ?? null };
}

function hostAt(
  name: string,
  status: FakeStatus,
  sinceMs: number,
  seed: number,
  nowMs: number,
): Readonly<Record<string, unknown>> & { readonly status: FakeStatus } {
  const live = status === 'up';
  const lastMs = status === 'never' ? null : live ? Math.floor(nowMs / 1000) * 1000 : sinceMs;
  const at = (lastMs ?? nowMs) + seed * 1000;
  const memory = 16 * GIB * (0.25 + (seed % 60) / 100);
  return {
    name,
    agentId: seed.toString(16).padStart(32, '0'),
    status,
    statusSince: new Date(sinceMs).toISOString(),
    lastSampleMs: lastMs,
    lastSeenMs: lastMs,
    clockOffsetMs: seed % 9,
    os: 'Debian GNU/Linux 12',
    kernel: '6.1.0-28-amd64',
    arch: 'x86_64',
    cpuCount: 8,
    bootTimeMs: nowMs - (12 * 24 * 60 + seed) * MINUTE_MS,
    version: '0.1.0',
    link: {
      connected: live,
      since: new Date(sinceMs).toISOString(),
      backlogBytes: live ? 0 : 1_400_000,
      backlogOldestMs: live ? null : sinceMs,
    },
    values: lastMs === null ? null : valuesAt(at, seed, memory),
  };
}

function valuesAt(at: number, seed: number, memory: number): Readonly<Record<string, unknown>> {
  return {
    cpuPercent: wave(at, 'cpu', 6 + (seed % 50), 5),
    memoryPercent: (memory / (16 * GIB)) * 100,
    memoryBytes: memory,
    memoryTotalBytes: 16 * GIB,
    diskPercent: 20 + (seed % 78),
    diskMount: seed % 2 ? '/' : '/var/lib/postgresql',
    load1: wave(at, 'load', 1 + (seed % 4), 0.8),
    networkReceiveBytesPerSecond: wave(at, 'in', 1.8e6, 1.1e6),
    networkTransmitBytesPerSecond: wave(at, 'out', 6.2e5, 4.5e5),
  };
}

/** Slow and quick swings with a little roughness; never below zero. */
function wave(atMs: number, name: string, middle: number, swing: number): number {
  const s = atMs / 1000;
  const phase = name.length * 1.7 + name.charCodeAt(0);
  const rough = Math.sin(s * 12.9898 + phase * 78.233) * 43_758.5453;
  const noise = (rough - Math.floor(rough) - 0.5) * 0.5;
  return Math.max(0, middle + swing * (0.55 * Math.sin(s / 23 + phase) + 0.35 * Math.sin(s / 7.1 + phase * 2) + noise));
}

function timesOf({ fromMs, toMs, stepMs }: Grid): readonly number[] {
  const times: number[] = [];
  for (let at = Math.ceil(fromMs / stepMs) * stepMs; at <= toMs; at += stepMs) times.push(at);
  return times;
}

function liveOf(grid: Grid, gaps: readonly FakeGap[]): readonly (readonly [number, number])[] {
  const live: (readonly [number, number])[] = [];
  let from = grid.fromMs;
  for (const gap of gaps.toSorted((a, b) => a.from - b.from)) {
    if (gap.from > from) live.push([from, gap.from]);
    from = Math.max(from, gap.to);
  }
  if (from < grid.toMs) live.push([from, grid.toMs]);
  return live;
}

function inGap(gaps: readonly FakeGap[], atMs: number): boolean {
  return gaps.some((gap) => atMs >= gap.from && atMs < gap.to);
}
