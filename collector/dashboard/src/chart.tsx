/** One chart: uPlot with what it lacks (gaps hatched, late data tinted, keys, a legend with the values under the cursor). The only file that knows uPlot. */
import type { JSX } from 'preact';
import { useSignal, useSignalEffect } from '@preact/signals';
import type { Signal } from '@preact/signals';
import { useEffect, useMemo, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { clock } from './clock.ts';
import { causeSentence, clipGaps, clipSpans, gapAt, isLate } from './coverage.ts';
import { formatTick, formatTime, formatTimeTick, formatUtc, formatValue } from './format.ts';
import type { HostWatch } from './host-watch.ts';
import { ZOOM_MIN_MS } from './route.ts';
import { theme } from './theme.ts';
import type { Coverage } from './contract.ts';
import type { TimeWindow } from './coverage.ts';
import { axisSplits, axisTop, columnsOf, largestSeries } from './timeline.ts';
import type { TimelineChart } from './timeline.ts';

/** CSS pixels; the style sheet reserves the same, so that nothing moves when the canvas comes. */
const HEIGHT = 170;
const AXIS_WIDTH = 62;
/** All charts of the page share one cursor. */
const SYNC_KEY = 'host';
/** A drag of fewer pixels was a click. */
const DRAG_MIN_PX = 6;
const COLOURS = 12;
/** More marks than this are a texture, not marks; the list of gaps has the words. */
const SPANS_MAX = 300;
/** Hex digits after a colour: the fill of a layer, and the tint under a single line. */
const FILL_ALPHA = 'b0';
const TINT_ALPHA = '26';
/** What is not in use is drawn quietly, or a stack of memory would be loudest where nothing happens. */
const QUIET_SERIES: ReadonlySet<string> = new Set(['available', 'free', 'idle']);

type ChartProps = {
  readonly id: string;
  readonly watch: HostWatch;
  readonly cursorMs: Signal<number | undefined>;
  readonly onZoom: (fromMs: number, toMs: number) => void;
};

export function ChartCard(props: ChartProps): JSX.Element | null {
  const { id, watch, cursorMs } = props;
  void watch.revision.value;
  const chart = watch.timeline.value?.charts.find((one) => one.id === id);
  // A host without what a chart shows (no pressure in its kernel, no disk of its own) has no such chart.
  if (!chart || chart.series.length === 0) return null;
  const { shown, hidden } = largestSeries(chart.series);
  const drawn = { ...chart, series: [...shown] };
  return (
    <figure class="chart card" data-chart={id} aria-labelledby={`title-${id}`}>
      <figcaption>
        <h2 id={`title-${id}`}>{chart.title}</h2>
        <CursorWords watch={watch} cursorMs={cursorMs} />
      </figcaption>
      <Plot {...props} chart={drawn} key={`${theme.value} ${drawn.series.map((series) => series.name).join('\n')}`} />
      <Legend chart={drawn} hidden={hidden} watch={watch} cursorMs={cursorMs} />
    </figure>
  );
}

/** The time under the cursor, and why there is nothing if there is nothing. */
function CursorWords({ watch, cursorMs }: Pick<ChartProps, 'watch' | 'cursorMs'>): JSX.Element {
  const at = cursorMs.value;
  if (at === undefined) return <span class="cursor-words" />;
  const gap = gapAt(watch.coverage.value.gaps, at);
  const late = isLate(watch.coverage.value, at);
  return (
    <span class="cursor-words" title={formatUtc(at)}>
      {gap ? <em>missing: {causeSentence(gap.cause)}</em> : late ? <em>came late</em> : null} {formatTime(at, clock.nowMs())}
    </span>
  );
}

type LegendProps = {
  readonly chart: TimelineChart;
  readonly hidden: number;
  readonly watch: HostWatch;
  readonly cursorMs: Signal<number | undefined>;
};

function Legend({ chart, hidden, watch, cursorMs }: LegendProps): JSX.Element {
  const times = watch.timeline.value?.times ?? [];
  const at = cursorMs.value;
  const row = at === undefined ? lastRow(chart) : times.indexOf(at);
  return (
    <ul class="legend">
      {chart.series.map((series, i) => (
        <li key={series.name} data-series={series.name}>
          <i class={`swatch ${colourOf(series.name, i)}`} aria-hidden="true" />
          <span class="series-name" title={series.name}>
            {series.name}
          </span>
          <b>{formatValue(series.values[row], chart.unit)}</b>
        </li>
      ))}
      {hidden > 0 && <li class="more">and {hidden} smaller ones</li>}
    </ul>
  );
}

function Plot({ chart, watch, cursorMs, onZoom }: ChartProps & { readonly chart: TimelineChart }): JSX.Element {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | undefined>(undefined);
  const spoken = useSignal('');
  const options = useMemo(
    () => ({ onZoom, window: () => watch.window.peek(), onCursor: (ms: number | undefined) => (cursorMs.value = ms) }),
    [],
  );

  useEffect(() => {
    const element = place.current;
    if (!element) return undefined;
    const made = new uPlot(optionsOf(chart, element.clientWidth, options), dataOf(chart, watch), element);
    plot.current = made;
    const resize = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: HEIGHT }));
    resize.observe(element);
    return () => {
      resize.disconnect();
      made.destroy();
      plot.current = undefined;
    };
  }, []);
  useSignalEffect(() => {
    void watch.revision.value;
    void watch.window.value;
    const coverage = watch.coverage.value;
    const current = watch.timeline.value?.charts.find((one) => one.id === chart.id);
    if (!plot.current || !current) return;
    const names = new Set(chart.series.map((series) => series.name));
    plot.current.setData(dataOf({ ...current, series: current.series.filter((series) => names.has(series.name)) }, watch));
    placeSpans(plot.current, coverage, watch.window.value);
  });

  const onKeyDown = (event: KeyboardEvent): void => {
    const moved = plot.current && moveCursor(plot.current, event.key);
    if (moved === undefined) return;
    event.preventDefault();
    const row = plot.current?.cursor.idx ?? null;
    const at = row === null ? undefined : watch.timeline.value?.times[row];
    spoken.value = at === undefined || row === null ? '' : spokenRow(chart, row, at);
  };
  return (
    <>
      <div
        ref={place}
        class="plot"
        tabIndex={0}
        role="img"
        aria-label={`${chart.title}. Left and right arrow keys move the cursor.`}
        onKeyDown={onKeyDown}
      />
      <span class="off-screen" role="status">
        {spoken.value}
      </span>
    </>
  );
}

type PlotCallbacks = {
  readonly onZoom: (fromMs: number, toMs: number) => void;
  readonly onCursor: (ms: number | undefined) => void;
  readonly window: () => { readonly fromMs: number; readonly toMs: number };
};

function optionsOf(chart: TimelineChart, width: number, calls: PlotCallbacks): uPlot.Options {
  const style = getComputedStyle(document.documentElement);
  const colour = (name: string): string => style.getPropertyValue(name).trim();
  const axis = {
    stroke: colour('--muted'),
    font: `11px ${colour('--font')}`,
    grid: { stroke: colour('--grid'), width: 1 },
    ticks: { show: false },
  };
  return {
    width,
    height: HEIGHT,
    ms: 1,
    legend: { show: false },
    padding: [8, 8, 0, 0],
    scales: {
      x: { time: true, range: () => [calls.window().fromMs, calls.window().toMs] },
      y: { range: (_, min, max) => [Math.min(0, min ?? 0), axisTop(max ?? 0, chart.unit)] },
    },
    axes: [
      {
        ...axis,
        size: 26,
        space: 64,
        values: (_, splits, _axis, _space, spacingMs) => splits.map((at, i) => formatTimeTick(at, splits[i - 1], spacingMs)),
      },
      {
        ...axis,
        size: AXIS_WIDTH,
        splits: (plot) => axisSplits(plot.scales['y']?.max ?? 1, chart.unit),
        values: (_, splits) => splits.map((value) => formatTick(value, chart.unit)),
      },
    ],
    series: [{}, ...chart.series.map((series, i) => seriesOf(series.name, colour(`--${colourOf(series.name, i)}`), chart, i))],
    ...(chart.stacked
      ? {
          bands: chart.series.slice(1).map((series, i) => ({
            series: [i + 2, i + 1] as [number, number],
            fill: `${colour(`--${colourOf(series.name, i + 1)}`)}${FILL_ALPHA}`,
          })),
        }
      : {}),
    cursor: { sync: { key: SYNC_KEY }, y: false, drag: { x: true, y: false, setScale: false, dist: DRAG_MIN_PX }, points: { size: 7 } },
    hooks: {
      setCursor: [
        (plot) => {
          const row = plot.cursor.idx;
          calls.onCursor((plot.cursor.left ?? -1) < 0 || row === null || row === undefined ? undefined : plot.data[0][row]);
        },
      ],
      setSelect: [(plot) => zoomToSelection(plot, calls)],
    },
  };
}

/** Name of the custom property and of the class. */
function colourOf(name: string, index: number): string {
  return QUIET_SERIES.has(name) ? 'series-quiet' : `series-${(index % COLOURS) + 1}`;
}

/** A stacked chart is filled down to the layer below; a chart of one line is tinted under it; several lines stay lines. */
function seriesOf(label: string, stroke: string, chart: TimelineChart, index: number): uPlot.Series {
  const filled = chart.stacked ? index === 0 : chart.series.length === 1;
  return {
    label,
    stroke,
    width: chart.stacked ? 1 : 1.5,
    points: { show: false },
    ...(filled ? { fill: `${stroke}${chart.stacked ? FILL_ALPHA : TINT_ALPHA}` } : {}),
  };
}

function zoomToSelection(plot: uPlot, calls: PlotCallbacks): void {
  const { left, width } = plot.select;
  if (width < DRAG_MIN_PX) return;
  const fromMs = plot.posToVal(left, 'x');
  const toMs = plot.posToVal(left + width, 'x');
  plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
  const margin = Math.max(0, (ZOOM_MIN_MS - (toMs - fromMs)) / 2);
  calls.onZoom(fromMs - margin, toMs + margin);
}

type Marked = { readonly kind: 'gap' | 'late'; readonly fromMs: number; readonly toMs: number; readonly cause: string };

/** Gaps and late spans as elements below the canvas: the style sheet hatches them, and tests and assistive tools can read them. */
function placeSpans(plot: uPlot, coverage: Coverage, window: TimeWindow): void {
  const marked: readonly Marked[] = [
    ...clipSpans(coverage.late, window).map(([fromMs, toMs]): Marked => ({ kind: 'late', fromMs, toMs, cause: '' })),
    ...clipGaps(coverage.gaps, window).map((gap): Marked => ({ kind: 'gap', fromMs: gap.from, toMs: gap.to, cause: gap.cause })),
  ].slice(0, SPANS_MAX);
  const elements = [...plot.under.querySelectorAll<HTMLElement>('.span')];
  for (const element of elements.slice(marked.length)) element.remove();
  for (const [i, span] of marked.entries()) {
    const element = elements[i] ?? plot.under.appendChild(document.createElement('div'));
    const width = window.toMs - window.fromMs;
    element.className = `span ${span.kind}`;
    element.style.left = `${((span.fromMs - window.fromMs) / width) * 100}%`;
    element.style.width = `${((span.toMs - span.fromMs) / width) * 100}%`;
    Object.assign(element.dataset, { kind: span.kind, from: String(span.fromMs), to: String(span.toMs), cause: span.cause });
  }
}

function dataOf(chart: TimelineChart, watch: HostWatch): uPlot.AlignedData {
  return [watch.timeline.peek()?.times ?? [], ...columnsOf(chart)];
}

/** The last row that has a value: the newest second may still be on its way. */
function lastRow(chart: TimelineChart): number {
  const length = chart.series[0]?.values.length ?? 0;
  for (let row = length - 1; row >= 0 && row > length - 5; row--)
    if (chart.series.some((series) => (series.values[row] ?? null) !== null)) return row;
  return length - 1;
}

/** Moves the cursor by a hundredth of the width, or to an end; undefined if the key is none of ours. */
function moveCursor(plot: uPlot, key: string): number | undefined {
  const width = plot.over.clientWidth;
  const left = (plot.cursor.left ?? -1) < 0 ? width : (plot.cursor.left ?? width);
  const targets: Readonly<Record<string, number>> = {
    ArrowLeft: left - width / 100,
    ArrowRight: left + width / 100,
    Home: 0,
    End: width,
    Escape: -10,
  };
  const target = targets[key];
  if (target === undefined) return undefined;
  const bounded = key === 'Escape' ? target : Math.min(width, Math.max(0, target));
  plot.setCursor({ left: bounded, top: plot.over.clientHeight / 2 });
  return bounded;
}

function spokenRow(chart: TimelineChart, row: number, atMs: number): string {
  return `${formatTime(atMs, clock.nowMs())}: ${chart.series.map((series) => `${series.name} ${formatValue(series.values[row], chart.unit)}`).join(', ')}`;
}
