/** Adding a host: the one command, copied with one click, and the host shown as it arrives. */
import type { JSX } from 'preact';
import { useSignal } from '@preact/signals';
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

  const making = useSignal(false);

  // Only on a click: a command carries a live token, and who only looks at the page wants none.
  const make = async (): Promise<void> => {
    if (making.value) return;
    making.value = true;
    refusal.value = undefined;
    try {
      command.value = await makeEnrollCommand();
      remember(command.value);
    } catch (error) {
      refusal.value = error instanceof Error ? error.message : String(error);
    } finally {
      making.value = false;
    }
  };

  const copy = async (): Promise<void> => {
    copied.value = await copyText(command.value ?? '');
    if (copied.value) setTimeout(() => (copied.value = false), COPIED_SHOWN_MS);
    else refusal.value = 'This browser does not let the page copy. Select the command and copy it by hand.';
  };

  return (
    <div class="enroll">
      <p>
        On the machine to watch: get a checkout of Picket, run <code>npm ci</code> in it, and type the command there. It starts the agent,
        which makes its own key and is on this page within seconds.
      </p>
      {command.value === undefined ? (
        <button type="button" class="primary make" disabled={making.value} onClick={() => void make()}>
          Make a command
        </button>
      ) : (
        <div class="command">
          <code tabIndex={0} data-testid="enroll-command">
            {command.value}
          </code>
          <button type="button" class="primary" onClick={() => void copy()}>
            <Glyph name={copied.value ? 'check' : 'copy'} />
            <span>{copied.value ? 'Copied' : 'Copy'}</span>
          </button>
        </div>
      )}
      {command.value !== undefined && namesLoopback(command.value) && (
        <p class="loopback" role="note">
          This collector is reached on this machine only; start it with <code>PICKET_LISTEN=0.0.0.0:8080</code> so that other hosts reach
          it.
        </p>
      )}
      {refusal.value !== undefined && (
        <p class="refusal" role="alert">
          {refusal.value}
        </p>
      )}
      {(command.value !== undefined || watch.arrived.value.length > 0) && (
        <p class="enroll-foot">
          <Arrivals watch={watch} />
          {command.value !== undefined && (
            <button type="button" class="link" disabled={making.value} onClick={() => void make()}>
              Make a new one
            </button>
          )}
        </p>
      )}
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

/** True for a command that reaches this collector only from the machine it runs on. */
function namesLoopback(command: string): boolean {
  return /:\/\/(127(\.\d+){3}|localhost|\[::1\])(?=[:/\s'"]|$)/i.test(command);
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
