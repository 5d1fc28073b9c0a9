/** Adding a host: the one command, copied with one click, and the host shown as it arrives. */
import type { JSX } from 'preact';
import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { makeEnrollCommand } from './api.ts';
import type { HostsWatch } from './hosts-watch.ts';
import { Glyph } from './icons.tsx';
import { formatRoute, RANGE_DEFAULT_MS } from './route.ts';

/** The command of this visit is kept, so that opening the panel twice or reloading the page does not make tokens without need. */
const KEY = 'picket.enroll-command';
/** A shade less than the shortest life that a collector gives a token. */
const KEEP_MS = 10 * 60_000;
const COPIED_SHOWN_MS = 2500;

type Kept = { readonly command: string; readonly madeMs: number };

export function EnrollPanel({ watch }: { readonly watch: HostsWatch }): JSX.Element {
  const command = useSignal<string | undefined>(recall());
  const refusal = useSignal<string | undefined>(undefined);
  const copied = useSignal(false);

  const make = async (): Promise<void> => {
    refusal.value = undefined;
    try {
      command.value = await makeEnrollCommand();
      remember(command.value);
    } catch (error) {
      refusal.value = error instanceof Error ? error.message : String(error);
    }
  };
  useEffect(() => {
    if (command.value === undefined) void make();
  }, []);

  const copy = async (): Promise<void> => {
    copied.value = await copyText(command.value ?? '');
    if (copied.value) setTimeout(() => (copied.value = false), COPIED_SHOWN_MS);
    else refusal.value = 'This browser does not let the page copy. Select the command and copy it by hand.';
  };

  return (
    <div class="enroll">
      <p>Run this on the machine that Picket should watch. It brings the agent, makes its key and sends the first values within seconds.</p>
      <div class="command">
        <code tabIndex={0} data-testid="enroll-command">
          {command.value ?? (refusal.value === undefined ? 'Making a one-time token …' : 'No command yet.')}
        </code>
        <button type="button" class="primary" disabled={command.value === undefined} onClick={() => void copy()}>
          <Glyph name={copied.value ? 'check' : 'copy'} />
          <span>{copied.value ? 'Copied' : 'Copy'}</span>
        </button>
      </div>
      {refusal.value !== undefined && (
        <p class="refusal" role="alert">
          {refusal.value}
        </p>
      )}
      <p class="enroll-foot">
        <Arrivals watch={watch} />
        <button type="button" class="link" onClick={() => void make()}>
          Make a new one
        </button>
      </p>
    </div>
  );
}

function Arrivals({ watch }: { readonly watch: HostsWatch }): JSX.Element {
  const arrived = watch.arrived.value;
  return (
    <span class="arrivals" role="status">
      {arrived.length === 0 ? (
        <>
          <span class="waiting-dot" aria-hidden="true" /> Waiting for a host to arrive. The command is good for one host.
        </>
      ) : (
        <>
          <Glyph name="check" />{' '}
          {arrived.map((name, i) => (
            <>
              {i > 0 && ', '}
              <a href={formatRoute({ page: 'host', name, view: { kind: 'live', rangeMs: RANGE_DEFAULT_MS } })}>{name}</a>
            </>
          ))}{' '}
          arrived.
        </>
      )}
    </span>
  );
}

async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyBySelection(text); // The clipboard API is for secure origins; a collector on plain http over a LAN is none.
  }
}

function copyBySelection(text: string): boolean {
  const area = document.createElement('textarea');
  area.value = text;
  area.className = 'off-screen';
  document.body.append(area);
  area.select();
  const done = document.execCommand('copy');
  area.remove();
  return done;
}

function recall(): string | undefined {
  try {
    const kept = JSON.parse(sessionStorage.getItem(KEY) ?? 'null') as Kept | null;
    return kept && Date.now() - kept.madeMs < KEEP_MS ? kept.command : undefined;
  } catch {
    return undefined;
  }
}

function remember(command: string): void {
  try {
    sessionStorage.setItem(KEY, JSON.stringify({ command, madeMs: Date.now() } satisfies Kept));
  } catch {
    return; // Storage can be forbidden; then each opening makes a token, and tokens expire.
  }
}
