/** Chooses the window of the charts: a moving range, pause, earlier and later, closer and wider. */
import type { JSX } from 'preact';
import { clock } from './clock.ts';
import { formatDuration } from './format.ts';
import type { HostWatch } from './host-watch.ts';
import { Glyph } from './icons.tsx';
import { go } from './location.ts';
import { moveWindow, RANGE_DEFAULT_MS, RANGES } from './route.ts';
import type { View } from './route.ts';
import { Moment } from './status.tsx';

export function Toolbar({ watch, view }: { readonly watch: HostWatch; readonly view: View }): JSX.Element {
  const show = (next: View): void => go({ page: 'host', name: watch.name, view: next });
  const move = (shift: number, factor: number) => () => show(moveWindow(watch.window.value, { shift, factor }, clock.nowMs()));
  const paused = watch.pausedAtMs.value !== undefined;
  return (
    <div class="toolbar chart-toolbar">
      <div class="segments" role="group" aria-label="Time range">
        {RANGES.map((range) => (
          <button
            key={range.ms}
            type="button"
            aria-pressed={view.kind === 'live' && view.rangeMs === range.ms}
            aria-label={`${range.label}: last ${range.name}`}
            onClick={() => show({ kind: 'live', rangeMs: range.ms })}
          >
            {range.label}
          </button>
        ))}
      </div>
      <div class="segments" role="group" aria-label="Move and zoom">
        <IconButton label="Earlier" glyph="left" onClick={move(-0.5, 1)} />
        <IconButton label="Later" glyph="right" onClick={move(0.5, 1)} />
        <IconButton label="Zoom in" glyph="plus" onClick={move(0, 0.5)} />
        <IconButton label="Zoom out" glyph="minus" onClick={move(0, 2)} />
      </div>
      {view.kind === 'fixed' ? (
        <button type="button" class="primary" onClick={() => show({ kind: 'live', rangeMs: RANGE_DEFAULT_MS })}>
          <Glyph name="play" /> Back to live
        </button>
      ) : (
        <button type="button" class="pause" aria-pressed={paused} onClick={() => (paused ? void watch.proceed() : watch.pause())}>
          <Glyph name={paused ? 'play' : 'pause'} /> {paused ? 'Resume' : 'Pause'}
        </button>
      )}
      <WindowWords watch={watch} />
    </div>
  );
}

type IconButtonProps = { readonly label: string; readonly glyph: 'left' | 'right' | 'plus' | 'minus'; readonly onClick: () => void };

function IconButton({ label, glyph, onClick }: IconButtonProps): JSX.Element {
  return (
    <button type="button" aria-label={label} title={label} onClick={onClick}>
      <Glyph name={glyph} />
    </button>
  );
}

function WindowWords({ watch }: { readonly watch: HostWatch }): JSX.Element {
  const { fromMs, toMs } = watch.window.value;
  const stepMs = watch.timeline.value?.stepMs ?? 1000;
  if (toMs === 0) return <p class="window-words" />;
  return (
    <p class="window-words">
      <Moment ms={fromMs} /> – <Moment ms={toMs} /> <span class="step">every {formatDuration(stepMs)}</span>
    </p>
  );
}
