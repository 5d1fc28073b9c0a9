/**
 * The fence: a picket for each part of the window. It stands if the data came live, is lower if it came late, and is missing where data is missing;
 * below the charts the same in words, with causes.
 */
import type { JSX } from 'preact';
import { causeSentence, clipGaps, pickets, shareOf } from './coverage.ts';
import type { Picket, Share } from './coverage.ts';
import { formatDuration, formatTime, NOTHING } from './format.ts';
import type { HostWatch } from './host-watch.ts';
import { Moment } from './status.tsx';
import { ZOOM_MIN_MS } from './route.ts';

/** As many as a phone can show apart. */
const PICKETS = 100;
/** A list longer than this is read by nobody; the newest stay. */
const GAPS_SHOWN_MAX = 20;

export function Fence({ watch }: { readonly watch: HostWatch }): JSX.Element {
  const window = watch.window.value;
  const coverage = watch.coverage.value;
  const share = shareOf(coverage, window);
  return (
    <section class="fence" aria-label="Coverage of this window">
      <div class="pickets" role="img" aria-label={shareWords(share, window.toMs - window.fromMs)}>
        {pickets(coverage, window, PICKETS).map((picket, i) => (
          <span key={i} data-kind={picket.kind} title={picketWords(picket)} />
        ))}
      </div>
      <ul class="fence-legend">
        <li>
          <i data-kind="live" /> live <b>{percentWords(share)}</b>
        </li>
        <li>
          <i data-kind="late" /> late <b>{formatDuration(share.lateMs)}</b>
        </li>
        <li>
          <i data-kind="gap" /> missing <b data-testid="missing">{formatDuration(share.gapMs)}</b>
        </li>
      </ul>
    </section>
  );
}

/** The gaps of the window in words. Always there, so that nothing jumps when the first gap comes. */
export function GapList({
  watch,
  onShow,
}: {
  readonly watch: HostWatch;
  readonly onShow: (fromMs: number, toMs: number) => void;
}): JSX.Element {
  const gaps = clipGaps(watch.coverage.value.gaps, watch.window.value).toReversed();
  return (
    <section class="gaps card" aria-labelledby="gaps-title">
      <h2 id="gaps-title">What is missing, and why</h2>
      {gaps.length === 0 ? (
        <p class="nothing">Nothing is missing in this window.</p>
      ) : (
        <ul>
          {gaps.slice(0, GAPS_SHOWN_MAX).map((gap) => (
            <li key={`${gap.from} ${gap.cause}`} data-cause={gap.cause} data-from={gap.from} data-to={gap.to}>
              <i data-kind="gap" aria-hidden="true" />
              <span class="gap-when">
                <Moment ms={gap.from} /> – <Moment ms={gap.to} />
              </span>
              <span class="gap-length">{formatDuration(gap.to - gap.from)}</span>
              <span class="gap-cause">
                {causeSentence(gap.cause)} <code>{gap.cause}</code> {gap.detail && <span class="gap-detail">{gap.detail}</span>}
              </span>
              <button type="button" class="link" onClick={() => onShow(...around(gap.from, gap.to))}>
                Show
              </button>
            </li>
          ))}
        </ul>
      )}
      {gaps.length > GAPS_SHOWN_MAX && <p class="nothing">and {gaps.length - GAPS_SHOWN_MAX} older ones in this window.</p>}
    </section>
  );
}

/** The gap with as much beside it as it is long. */
function around(fromMs: number, toMs: number): [number, number] {
  const margin = Math.max(toMs - fromMs, ZOOM_MIN_MS);
  return [fromMs - margin, toMs + margin];
}

function shareWords(share: Share, spanMs: number): string {
  return `Of these ${formatDuration(spanMs)}: ${percentWords(share)} came live, ${formatDuration(share.lateMs)} late, ${formatDuration(share.gapMs)} is missing.`;
}

/** Of the time the collector knows of: not of the time before the host was enrolled. Never rounds up to 100 %: a fence with one hole is not whole. */
function percentWords({ liveMs, lateMs, gapMs }: Share): string {
  const known = liveMs + lateMs + gapMs;
  if (known === 0) return NOTHING;
  return liveMs === known ? '100 %' : `${(Math.floor((liveMs / known) * 1000) / 10).toFixed(1)} %`;
}

function picketWords(picket: Picket): string {
  const when = `${formatTime(picket.fromMs, picket.toMs)} – ${formatTime(picket.toMs, picket.toMs)}`;
  switch (picket.kind) {
    case 'live':
      return when;
    case 'late':
      return `${when}: came late`;
    case 'gap':
      return `${when}: ${causeSentence(picket.cause)}`;
    case 'none':
      return `${when}: nothing known`;
    default:
      return picket.kind satisfies never;
  }
}
