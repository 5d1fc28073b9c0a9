/** The last two minutes of a host's CPU as a small curve. Decoration beside the number. */
import type { JSX } from 'preact';
import { PULSE_MS } from './fleet.ts';
import type { Beat } from './fleet.ts';

const WIDTH = 60;
const HEIGHT = 20;
/** Tops of the scale: few, so that rows can be compared, and a quiet host shows a quiet line. */
const TOPS_PERCENT = [25, 50, 100] as const;

export function Sparkline({ pulse }: { readonly pulse: readonly Beat[] }): JSX.Element {
  const newest = pulse.at(-1);
  const largest = Math.max(0, ...pulse.map((beat) => beat.percent));
  const top = TOPS_PERCENT.find((one) => largest <= one) ?? 100;
  const x = (atMs: number): string => (WIDTH - (((newest?.atMs ?? 0) - atMs) / PULSE_MS) * WIDTH).toFixed(1);
  const y = (percent: number): string => (HEIGHT - 1 - (Math.min(percent, top) / top) * (HEIGHT - 2)).toFixed(1);
  const line = pulse.map((beat) => `${x(beat.atMs)} ${y(beat.percent)}`).join('L');
  return (
    <svg class="sparkline" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} width={WIDTH} height={HEIGHT} aria-hidden="true" focusable="false">
      {pulse.length > 1 && (
        <>
          <path class="area" d={`M${x(pulse[0]?.atMs ?? 0)} ${HEIGHT}L${line}L${WIDTH} ${HEIGHT}z`} />
          <path class="line" d={`M${line}`} />
        </>
      )}
    </svg>
  );
}
