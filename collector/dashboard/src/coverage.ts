/** Which seconds of a window are there, which came late, which are missing and why. Pure. */
import type { Coverage, Gap, Span } from './contract.ts';

export type TimeWindow = { readonly fromMs: number; readonly toMs: number };

export type Share = { readonly liveMs: number; readonly lateMs: number; readonly gapMs: number };

/** What a cause means to somebody who did not write the agent. */
const CAUSES: Readonly<Record<string, string>> = {
  agent_stopped: 'the agent was stopped',
  agent_crashed: 'the agent died and was started again',
  host_rebooted: 'the host was rebooted',
  not_received: 'not received yet; the agent may still hold it',
  lost_at_agent: 'the agent lost it and does not say why',
  several: 'several causes at once, told apart only at the agent',
  not_enrolled: 'the host was not enrolled yet',
  power_loss: 'the host lost power before its last second was on disk',
  spool_full: 'the spool was full and the oldest frames had to go',
  spool_age: 'the frames were older than the spool may hold',
  spool_corruption: 'the spool on the host was damaged',
  dropped: 'the agent had to drop frames',
  store_corruption: 'damaged in the store of the collector',
  undecodable: 'acknowledged but not readable',
  collector_restored: 'lost when the collector was restored from a backup',
  disk_full: 'the disk was full',
  no_data: 'no data came and no cause is known',
  unknown: 'no data came and no cause is known',
};

/** "agent_stopped" -> "the agent was not running"; a cause this page does not know is shown in its own words. */
export function causeSentence(cause: string): string {
  return CAUSES[cause] ?? cause.replaceAll('_', ' ');
}

/** The parts of the spans inside the window, sorted; what touches or overlaps is one. */
export function clipSpans(spans: readonly Span[], window: TimeWindow): readonly Span[] {
  const clipped: [number, number][] = [];
  for (const [from, to] of spans.toSorted((a, b) => a[0] - b[0])) {
    const start = Math.max(from, window.fromMs);
    const end = Math.min(to, window.toMs);
    if (end <= start) continue;
    const last = clipped.at(-1);
    if (last && start <= last[1]) last[1] = Math.max(last[1], end);
    else clipped.push([start, end]);
  }
  return clipped;
}

/** Gaps inside the window, sorted; gaps of one cause and detail that touch are one. */
export function clipGaps(gaps: readonly Gap[], window: TimeWindow): readonly Gap[] {
  const clipped: Gap[] = [];
  for (const gap of gaps.toSorted((a, b) => a.from - b.from)) {
    const from = Math.max(gap.from, window.fromMs);
    const to = Math.min(gap.to, window.toMs);
    if (to <= from) continue;
    const last = clipped.at(-1);
    if (last && last.cause === gap.cause && last.detail === gap.detail && from <= last.to) {
      clipped[clipped.length - 1] = { ...last, to: Math.max(last.to, to) };
    } else clipped.push({ ...gap, from, to });
  }
  return clipped;
}

/** How much of the window is what. Late counts as late, not also as live; a second is counted once, and a gap only where nothing else is. */
export function shareOf(coverage: Coverage, window: TimeWindow): Share {
  const late = clipSpans(coverage.late, window);
  const present = clipSpans([...coverage.live, ...late], window);
  const known = clipSpans([...present, ...coverage.gaps.map((gap): Span => [gap.from, gap.to])], window);
  const lateMs = lengthOf(late);
  return { liveMs: lengthOf(present) - lateMs, lateMs, gapMs: lengthOf(known) - lengthOf(present) };
}

/** The gap at a time, if any. */
export function gapAt(gaps: readonly Gap[], timeMs: number): Gap | undefined {
  return gaps.find((gap) => timeMs >= gap.from && timeMs < gap.to);
}

export function isLate(coverage: Coverage, timeMs: number): boolean {
  return coverage.late.some(([from, to]) => timeMs >= from && timeMs < to);
}

/** What the stream tells of gaps holds from `fromMs` on, or from the first gap it tells of; what is known of the time before stays. */
export function mergeGaps(known: readonly Gap[], told: readonly Gap[], fromMs: number): readonly Gap[] {
  const horizonMs = Math.min(fromMs, ...told.map((gap) => gap.from));
  return [...clipGaps(known, { fromMs: -Infinity, toMs: horizonMs }), ...told];
}

/** A gap whose data may still come. */
export function isOpen(gap: Gap): boolean {
  return gap.cause === 'not_received';
}

function lengthOf(spans: readonly Span[]): number {
  return spans.reduce((sum, [from, to]) => sum + to - from, 0);
}

export type Picket = {
  readonly kind: 'live' | 'late' | 'gap' | 'none';
  readonly fromMs: number;
  readonly toMs: number;
  readonly cause: string;
};

/** The window in equal parts, each by the worst that is in it: a gap of one second takes its picket out, however long the window. */
export function pickets(coverage: Coverage, window: TimeWindow, count: number): readonly Picket[] {
  const widthMs = (window.toMs - window.fromMs) / count;
  if (!(widthMs > 0)) return [];
  const gaps = clipGaps(coverage.gaps, window);
  const late = clipSpans(coverage.late, window);
  const live = clipSpans(coverage.live, window);
  return Array.from({ length: count }, (_, i) => {
    const fromMs = window.fromMs + i * widthMs;
    const toMs = fromMs + widthMs;
    const gap = gaps.find((one) => one.from < toMs && one.to > fromMs);
    const overlaps = ([from, to]: Span): boolean => from < toMs && to > fromMs;
    const kind = gap ? 'gap' : late.some(overlaps) ? 'late' : live.some(overlaps) ? 'live' : 'none';
    return { kind, fromMs, toMs, cause: gap?.cause ?? '' };
  });
}
