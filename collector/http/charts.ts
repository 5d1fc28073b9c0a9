/** A host's charts: which there are, of which metrics, and their points for a span. The arithmetic is query/rates.ts's. */
import { labelValue, type Labels, type Matcher } from '../model/labels.ts';
import type { SampleSource, SeriesColumns } from '../model/ports.ts';
import { addGauge, addRates, type Steps } from '../query/rates.ts';
import { eachSeries, equalTo, isLoopback, isRealDisk, isRealFilesystem } from './host-metrics.ts';

export type Unit = 'percent' | 'bytes' | 'bytes_per_second' | 'load';
/** `values` has one entry per step; null where nothing was measured. */
export type ChartSeries = { readonly name: string; readonly values: readonly (number | null)[] };
export type Chart = {
  readonly id: string;
  readonly title: string;
  readonly unit: Unit;
  readonly stacked: boolean;
  readonly series: readonly ChartSeries[];
};

/** Lines of one chart; the busiest are kept. A host with 200 container interfaces has the rest in the query API. */
export const LINES_MAX = 16;
/** Read before the first step, so that rates and rarely gathered gauges have their earlier sample: twice the slowest usual interval. */
const BEFORE_MS = 120_000;

/** One metric's part of a chart. `line` names the line a series belongs to; series with the same line are added up. */
type Part = {
  readonly matchers: readonly Matcher[];
  readonly kind: 'rate' | 'gauge';
  readonly line: (labels: Labels) => string | undefined;
};

/** From the summed parts to the lines shown. Without it the parts are shown as they are. */
type Derive = (sums: ReadonlyMap<string, Float64Array>) => ReadonlyMap<string, Float64Array>;

/** `byName`: lines come in the order of their names, not of the parts. */
type ChartPlan = Omit<Chart, 'series'> & { readonly parts: readonly Part[]; readonly derive?: Derive; readonly byName?: true };

const CPU_MODES = ['user', 'system', 'iowait', 'irq', 'softirq', 'steal', 'nice'] as const;

const PLANS: readonly ChartPlan[] = [
  {
    id: 'cpu',
    title: 'CPU',
    unit: 'percent',
    stacked: true,
    parts: [rate('node_cpu_seconds_total', (labels) => labelValue(labels, 'mode'))],
    derive: cpuShares,
  },
  {
    id: 'memory',
    title: 'Memory',
    unit: 'bytes',
    stacked: true,
    parts: [gauge('node_memory_MemTotal_bytes', () => 'total'), gauge('node_memory_MemAvailable_bytes', () => 'available')],
    derive: memoryParts,
  },
  {
    id: 'load',
    title: 'Load',
    unit: 'load',
    stacked: false,
    parts: [gauge('node_load1', () => '1 min'), gauge('node_load5', () => '5 min'), gauge('node_load15', () => '15 min')],
  },
  {
    id: 'disk_io',
    title: 'Disk I/O',
    unit: 'bytes_per_second',
    stacked: false,
    byName: true,
    parts: [
      rate('node_disk_read_bytes_total', (labels) => (isRealDisk(labels) ? `${labelValue(labels, 'device')} read` : undefined)),
      rate('node_disk_written_bytes_total', (labels) => (isRealDisk(labels) ? `${labelValue(labels, 'device')} written` : undefined)),
    ],
  },
  {
    id: 'network',
    title: 'Network',
    unit: 'bytes_per_second',
    stacked: false,
    byName: true,
    parts: [
      rate('node_network_receive_bytes_total', (labels) => (isLoopback(labels) ? undefined : `${labelValue(labels, 'device')} received`)),
      rate('node_network_transmit_bytes_total', (labels) => (isLoopback(labels) ? undefined : `${labelValue(labels, 'device')} sent`)),
    ],
  },
  {
    id: 'filesystem',
    title: 'Filesystems',
    unit: 'percent',
    stacked: false,
    byName: true,
    parts: [
      gauge('node_filesystem_size_bytes', (labels) => (isRealFilesystem(labels) ? `size ${labelValue(labels, 'mountpoint')}` : undefined)),
      gauge('node_filesystem_avail_bytes', (labels) =>
        isRealFilesystem(labels) ? `avail ${labelValue(labels, 'mountpoint')}` : undefined,
      ),
    ],
    derive: usedShares,
  },
  {
    id: 'pressure',
    title: 'Pressure',
    unit: 'percent',
    stacked: false,
    parts: [
      rate('node_pressure_cpu_waiting_seconds_total', () => 'CPU'),
      rate('node_pressure_memory_waiting_seconds_total', () => 'memory'),
      rate('node_pressure_io_waiting_seconds_total', () => 'I/O'),
    ],
    derive: (sums) => mapped(sums, (value) => Math.min(100, 100 * value)),
  },
];

/** The charts of one host. A chart of which the host has nothing is there with no series. */
export async function chartsOf(source: SampleSource, host: string, steps: Steps, signal: AbortSignal): Promise<readonly Chart[]> {
  const lastMs = steps.firstMs + (steps.count - 1) * steps.stepMs;
  const span = { fromMs: steps.firstMs - steps.stepMs - BEFORE_MS, toMs: lastMs };
  const charts: Chart[] = [];
  for (const plan of PLANS) {
    const sums = new Map<string, Float64Array>();
    for (const part of plan.parts) await addPart(source, host, part, { steps, span, signal }, sums);
    const { id, title, unit, stacked, derive } = plan;
    const lines = [...(derive === undefined ? sums : derive(sums))];
    if (plan.byName) lines.sort(([a], [b]) => (a < b ? -1 : 1));
    charts.push({
      id,
      title,
      unit,
      stacked,
      series: busiest(lines).map(([name, values]) => ({ name, values: Array.from(values, rounded) })),
    });
  }
  return charts;
}

/** The end of each step. */
export function stepTimes(steps: Steps): number[] {
  return Array.from({ length: steps.count }, (_, k) => steps.firstMs + k * steps.stepMs);
}

function rate(name: string, line: (labels: Labels) => string | undefined): Part {
  return { matchers: [equalTo('__name__', name)], kind: 'rate', line };
}

function gauge(name: string, line: (labels: Labels) => string | undefined): Part {
  return { matchers: [equalTo('__name__', name)], kind: 'gauge', line };
}

type Reading = { readonly steps: Steps; readonly span: { readonly fromMs: number; readonly toMs: number }; readonly signal: AbortSignal };

/** Sums the part's series by line; NaN where no series of the line has a value. */
async function addPart(source: SampleSource, host: string, part: Part, reading: Reading, into: Map<string, Float64Array>): Promise<void> {
  const counts = new Map<string, Uint32Array>();
  const { steps, span, signal } = reading;
  await eachSeries(source, [...part.matchers, equalTo('instance', host)], span, signal, (series: SeriesColumns) => {
    const line = part.line(series.labels);
    if (line === undefined) return;
    let sums = into.get(line);
    let count = counts.get(line);
    if (sums === undefined || count === undefined) {
      into.set(line, (sums = new Float64Array(steps.count)));
      counts.set(line, (count = new Uint32Array(steps.count)));
    }
    if (part.kind === 'rate') addRates(series, steps, sums, count);
    else addGauge(series, steps, sums, count);
  });
  for (const [line, count] of counts) {
    const sums = into.get(line);
    for (let k = 0; k < count.length; k++) if (count[k] === 0 && sums !== undefined) sums[k] = Number.NaN;
  }
}

/** Shares of all CPU time that was counted, whatever the number of CPUs. */
function cpuShares(sums: ReadonlyMap<string, Float64Array>): ReadonlyMap<string, Float64Array> {
  const shares = new Map<string, Float64Array>();
  for (const mode of CPU_MODES) {
    const busy = sums.get(mode);
    if (busy === undefined) continue;
    shares.set(
      mode,
      busy.map((value, k) => {
        let total = 0;
        for (const one of sums.values()) total += one[k] as number;
        return total > 0 ? (100 * value) / total : Number.NaN;
      }),
    );
  }
  return shares;
}

function memoryParts(sums: ReadonlyMap<string, Float64Array>): ReadonlyMap<string, Float64Array> {
  const total = sums.get('total');
  const available = sums.get('available');
  if (total === undefined || available === undefined) return new Map();
  return new Map([
    ['used', total.map((value, k) => value - (available[k] as number))],
    ['available', available],
  ]);
}

function usedShares(sums: ReadonlyMap<string, Float64Array>): ReadonlyMap<string, Float64Array> {
  const shares = new Map<string, Float64Array>();
  for (const [line, sizes] of sums) {
    if (!line.startsWith('size ')) continue;
    const mount = line.slice('size '.length);
    const avail = sums.get(`avail ${mount}`);
    if (avail === undefined || !sizes.some((size) => size > 0)) continue;
    shares.set(
      mount,
      sizes.map((size, k) => (size > 0 ? 100 * (1 - (avail[k] as number) / size) : Number.NaN)),
    );
  }
  return shares;
}

function mapped(sums: ReadonlyMap<string, Float64Array>, change: (value: number) => number): ReadonlyMap<string, Float64Array> {
  return new Map([...sums].map(([line, values]) => [line, values.map(change)]));
}

type Line = readonly [name: string, values: Float64Array];

/** At most LINES_MAX lines, chosen by their sum, in the order they came. */
function busiest(lines: readonly Line[]): readonly Line[] {
  if (lines.length <= LINES_MAX) return lines;
  const sums = lines.map(([name, values]) => [name, values.reduce((sum, value) => (Number.isNaN(value) ? sum : sum + value), 0)] as const);
  const kept = new Set(
    sums
      .toSorted((a, b) => b[1] - a[1])
      .slice(0, LINES_MAX)
      .map(([name]) => name),
  );
  return lines.filter(([name]) => kept.has(name));
}

/** Six digits are more than a chart shows, and half the text. */
function rounded(value: number): number | null {
  return Number.isFinite(value) ? Number(value.toPrecision(6)) : null;
}
