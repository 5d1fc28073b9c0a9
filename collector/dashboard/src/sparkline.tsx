/** The last minute of a host's CPU as a small curve. Decoration beside the number. */
import type { JSX } from 'preact';
import { PULSE_POINTS } from './fleet.ts';

const WIDTH = 60;
const HEIGHT = 20;
/** Tops of the scale: few, so that rows can be compared, and a quiet host shows a quiet line. */
const TOPS_PERCENT = [25, 50, 100] as const;

export function Sparkline({ values }: { readonly values: readonly number[] }): JSX.Element {
  const largest = Math.max(...values);
  const top = TOPS_PERCENT.find((one) => largest <= one) ?? 100;
  const left = PULSE_POINTS - values.length;
  const points = values.map(
    (value, i) => `${(((left + i) * WIDTH) / (PULSE_POINTS - 1)).toFixed(1)} ${(HEIGHT - 1 - (value / top) * (HEIGHT - 2)).toFixed(1)}`,
  );
  return (
    <svg class="sparkline" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} width={WIDTH} height={HEIGHT} aria-hidden="true" focusable="false">
      {points.length > 1 && (
        <>
          <path class="area" d={`M${points[0]?.split(' ')[0]} ${HEIGHT}L${points.join('L')}L${WIDTH} ${HEIGHT}z`} />
          <path class="line" d={`M${points.join('L')}`} />
        </>
      )}
    </svg>
  );
}
