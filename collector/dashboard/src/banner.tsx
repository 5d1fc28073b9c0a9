/** Says that the stream is broken and when it is tried again. Shown over what was last known, never instead of it. */
import type { JSX } from 'preact';
import type { Connection } from './connection.ts';
import { clock } from './clock.ts';
import { Glyph } from './icons.tsx';

export function ConnectionBanner({ connection }: { readonly connection: Connection }): JSX.Element {
  const state = connection.state.value;
  void clock.tick.value;
  const broken = state.kind === 'waiting' || (state.kind === 'connecting' && state.attempt > 1);
  const seconds = state.kind === 'waiting' ? Math.max(0, Math.ceil((state.retryAtMs - Date.now()) / 1000)) : 0;
  return (
    <div class="banner-place" aria-live="polite">
      {broken && (
        <div class="banner" data-kind="disconnected">
          <Glyph name="plug" />
          <p>
            <strong>Not connected.</strong> What you see is the last that arrived{state.kind === 'waiting' && `; ${state.reason}`}.{' '}
            <span aria-hidden="true" class="countdown">
              {state.kind === 'waiting' ? `Trying again in ${seconds} s.` : 'Trying now …'}
            </span>
          </p>
          <button type="button" onClick={() => connection.resume()}>
            Try now
          </button>
        </div>
      )}
    </div>
  );
}

/** The quiet sign in the head of a view that says whether what is shown is live. */
export function LiveSign({ connection, paused }: { readonly connection: Connection; readonly paused?: boolean }): JSX.Element {
  const kind = paused ? 'paused' : connection.state.value.kind;
  const words = { live: 'Live', connecting: 'Connecting', waiting: 'Not connected', idle: 'Resting', paused: 'Paused' } as const;
  return (
    <span class="live-sign" data-kind={kind}>
      {words[kind]}
    </span>
  );
}
