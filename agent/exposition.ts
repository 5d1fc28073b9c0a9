/** Samples as Prometheus's text format, sorted as node_exporter does: the engine of `picket agent --once --format prometheus`. Serves nothing. */
import type { Clock, Gatherer, LabelPairs, Metric, SampleSink, SeriesRef, Timers } from './gather/gatherer.ts';
import { Scheduler, type GatherLog } from './scheduler.ts';

/** Go's shortest form ('g', -1) writes an exponent below the one power of ten and from the other on. */
const EXPONENT_MIN = -4;
const EXPONENT_MAX = 6;

type Series = { readonly labels: string; value: number | undefined };
type Family = { readonly metric: Metric; readonly series: Map<string, Series> };

/** Collects one tick and prints it. Two metrics of one name are one family; the first one's type and help stand. */
export class Exposition implements SampleSink {
  readonly #families = new Map<string, Family>();
  readonly #byRef: Series[] = [];
  readonly #refs = new Map<Series, SeriesRef>();

  series(metric: Metric, labels: LabelPairs = {}): SeriesRef {
    let family = this.#families.get(metric.name);
    if (family === undefined) this.#families.set(metric.name, (family = { metric, series: new Map() }));
    const text = labelsText(labels);
    let series = family.series.get(text);
    if (series === undefined) {
      series = { labels: text, value: undefined };
      family.series.set(text, series);
      this.#refs.set(series, this.#byRef.push(series) - 1);
    }
    return this.#refs.get(series) as number;
  }

  set(ref: SeriesRef, value: number): void {
    const series = this.#byRef[ref];
    if (series === undefined) throw new RangeError(`series reference ${ref} was never given out`);
    series.value = value;
  }

  /** Families by name, series by labels; what was never set is left out. */
  text(): string {
    const lines: string[] = [];
    for (const [name, { metric, series }] of [...this.#families].sort(([a], [b]) => compare(a, b))) {
      const samples = [...series.values()].filter(({ value }) => value !== undefined).sort((a, b) => compare(a.labels, b.labels));
      if (samples.length === 0) continue;
      lines.push(`# HELP ${name} ${escapeHelp(metric.help)}`, `# TYPE ${name} ${metric.type === 'unknown' ? 'untyped' : metric.type}`);
      for (const { labels, value } of samples) lines.push(`${name}${labels} ${formatValue(value as number)}`);
    }
    return lines.length === 0 ? '' : `${lines.join('\n')}\n`;
  }
}

/** One gather of everything as text. Waits for gatherers that wait for the kernel (each bounds itself); closes none. */
export async function gatherOnce(gatherers: readonly Gatherer[], clock: Clock, timers: Timers, log: GatherLog): Promise<string> {
  const sink = new Exposition();
  const entries = gatherers.map((gatherer) => ({ gatherer, intervalMs: gatherer.intervalMs }));
  const scheduler = new Scheduler({ gatherers: entries, sink, clock, timers, onTick: () => {}, log });
  await scheduler.runOnce({ timeMs: Math.floor(clock.wallMs() / 1000) * 1000, monotonicMs: clock.monotonicMs() });
  return sink.text();
}

/** As Go's strconv writes a float64 in its shortest form: 507162, 7.344136e+06, 0.0001, 1e-05, +Inf. */
export function formatValue(value: number): string {
  if (Number.isNaN(value)) return 'NaN';
  if (!Number.isFinite(value)) return value > 0 ? '+Inf' : '-Inf';
  if (value === 0) return Object.is(value, -0) ? '-0' : '0';
  const [digits = '', power = '0'] = value.toExponential().split('e');
  const exponent = Number(power);
  if (exponent >= EXPONENT_MIN && exponent < EXPONENT_MAX) return String(value);
  return `${digits}e${exponent < 0 ? '-' : '+'}${String(Math.abs(exponent)).padStart(2, '0')}`;
}

function labelsText(labels: LabelPairs): string {
  const pairs = Object.entries(labels).sort(([a], [b]) => compare(a, b));
  if (pairs.length === 0) return '';
  return `{${pairs.map(([name, value]) => `${name}="${escapeLabel(value)}"`).join(',')}}`;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function escapeLabel(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}

function escapeHelp(help: string): string {
  return help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
}
