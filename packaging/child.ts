/** What a long-running command does around its work: end on a signal, and tell the supervisor, if there is one, what it came to. */
import { setTimeout as delay } from 'node:timers/promises';
import { failureOf } from './command.ts';

/** What a child of `npm start` says to it over the channel of node:child_process. */
export type ChildMessage =
  | {
      readonly kind: 'listening';
      readonly url: string;
      readonly elsewhereUrl?: string;
      readonly loginUrl: string;
      readonly dataDir: string;
      readonly tokenFile?: string;
    }
  | { readonly kind: 'failed'; readonly code: string; readonly sentence: string; readonly exitCode: 1 | 2 };

/** Longer than any clean stop takes; the supervisor itself waits for less than two seconds. */
const STOP_MS_MAX = 5000;

export function tellSupervisor(message: ChildMessage): void {
  if (process.connected) process.send?.(message);
}

export function isSupervised(): boolean {
  return process.connected;
}

/**
 * Runs `work` until it ends or a signal asks for the end (SIGINT, SIGTERM, SIGHUP, or the death of the supervisor). A second SIGINT, or a stop that
 * takes too long, ends the process as it is: everything that matters is durable before it is acknowledged.
 */
export async function untilSignal(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const stop = new AbortController();
  const onSignal = (): void => {
    if (stop.signal.aborted) return process.exit(1);
    stop.abort();
    void delay(STOP_MS_MAX, undefined, { ref: false }).then(() => process.exit(1));
  };
  // A Ctrl-C reaches the supervisor, too, which asks its children to end in their order: SIGTERM. Only its death is waited for by nobody.
  const onAnySignal = (signal?: NodeJS.Signals): void => {
    const left = isSupervised() && (signal === 'SIGINT' || signal === 'SIGHUP' || stop.signal.aborted);
    if (!left) onSignal();
  };
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const signal of signals) process.on(signal, onAnySignal);
  const onDisconnect = (): void => (stop.signal.aborted ? undefined : onSignal());
  process.once('disconnect', onDisconnect);
  try {
    await work(stop.signal);
  } catch (error) {
    tellSupervisor({ kind: 'failed', ...failureOf(error) });
    throw error;
  } finally {
    for (const signal of signals) process.off(signal, onAnySignal);
    process.off('disconnect', onDisconnect);
    // The channel would keep the process alive.
    if (process.connected) process.disconnect();
  }
}
