/** Keeps child processes running: starts again what dies, tells why, ends all of them together. Knows nothing of what they do. */
import { spawn, type ChildProcess } from 'node:child_process';
import type { ChildMessage } from './child.ts';

export type ChildPlan = {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  /** Asked at every start, so that what was learned meanwhile is passed on. */
  environment(): Readonly<Record<string, string | undefined>>;
};

/** What the supervisor did, for a log. */
export type SupervisorEvent =
  | { readonly kind: 'ended'; readonly name: string; readonly how: string; readonly againMs: number; readonly quickEnds: number }
  | { readonly kind: 'killed'; readonly name: string; readonly afterMs: number };

export type SupervisorOptions = {
  readonly onMessage?: (name: string, message: ChildMessage) => void;
  readonly onEvent?: (event: SupervisorEvent) => void;
  /** Overrides for tests. */
  readonly restartMs?: number;
  readonly stopMs?: number;
};

/** Time before a child that died is started again. */
const RESTART_MS = 1000;
/** A child that lived less was not really running. */
const QUICK_MS = 10_000;
/** After so many quick ends in a row the pauses double. */
const QUICK_ENDS_MAX = 5;
const PAUSE_MS_MAX = 60_000;
/** Two seconds are promised for the end of everything; the rest is for the processes to be reaped. */
const STOP_MS = 1700;

type Running = {
  readonly plan: ChildPlan;
  process: ChildProcess | undefined;
  timer: NodeJS.Timeout | undefined;
  quickEnds: number;
  settled: boolean;
};

export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #children: Running[] = [];
  readonly #ended = Promise.withResolvers<number>();
  #stopping = false;
  #exitCode = 0;
  #killTimer: NodeJS.Timeout | undefined;
  #turnTimer: NodeJS.Timeout | undefined;

  constructor(options: SupervisorOptions = {}) {
    this.#options = options;
  }

  /** Resolves when every child has ended for good: 0 after `stop`, else the exit code of the child whose failure was final. */
  get ended(): Promise<number> {
    return this.#ended.promise;
  }

  start(plan: ChildPlan): void {
    if (this.#stopping) return;
    const child: Running = { plan, process: undefined, timer: undefined, quickEnds: 0, settled: false };
    this.#children.push(child);
    this.#spawn(child);
  }

  pidOf(name: string): number | undefined {
    return this.#children.find((child) => child.plan.name === name)?.process?.pid;
  }

  /** Asks all children to end, and ends those that do not. Safe to call twice. */
  stop(exitCode = 0): void {
    if (this.#stopping) return;
    this.#stopping = true;
    this.#exitCode = exitCode;
    for (const child of this.#children) clearTimeout(child.timer);
    const stopMs = this.#options.stopMs ?? STOP_MS;
    this.#killTimer = setTimeout(() => this.#kill(stopMs), stopMs);
    // Whoever is slow must leave the others time for a clean end of their own.
    this.#turnTimer = setTimeout(() => this.#askAllToEnd(), stopMs / 2);
    this.#askNextToEnd();
  }

  /** The youngest first: an agent that ends while its collector still listens is rid of its last frames. */
  #askNextToEnd(): void {
    const youngest = this.#children.findLast((child) => child.process !== undefined);
    youngest?.process?.kill('SIGTERM');
    this.#finishIfAllEnded();
  }

  #askAllToEnd(): void {
    for (const child of this.#children) child.process?.kill('SIGTERM');
  }

  #kill(afterMs: number): void {
    for (const { plan, process: running } of this.#children) {
      if (running === undefined) continue;
      this.#options.onEvent?.({ kind: 'killed', name: plan.name, afterMs });
      running.kill('SIGKILL');
    }
  }

  #spawn(child: Running): void {
    const startedMs = performance.now();
    let failed: (ChildMessage & { kind: 'failed' }) | undefined;
    const { command, args } = child.plan;
    const running = spawn(command, [...args], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], env: { ...child.plan.environment() } });
    child.process = running;
    running.on('message', (message: ChildMessage) => {
      if (message.kind === 'failed') failed = message;
      if (message.kind === 'listening') child.settled = true;
      this.#options.onMessage?.(child.plan.name, message);
    });
    let how = '';
    const end = (code: number | null): void => {
      if (child.process !== running) return;
      child.process = undefined;
      this.#onEnd(child, { how, final: finalExit(code, failed, child.settled), livedMs: performance.now() - startedMs });
    };
    running.once('error', (error) => {
      how = error.message;
      // A process that could not be started does not exit either.
      if (running.pid === undefined) end(null);
    });
    running.once('exit', (code, signal) => {
      how = signal === null ? `exit code ${code}` : signal;
      end(code);
    });
  }

  #onEnd(child: Running, end: { how: string; final: number | undefined; livedMs: number }): void {
    if (this.#stopping) return this.#askNextToEnd();
    if (end.final !== undefined) return this.stop(end.final);
    const quick = end.livedMs < QUICK_MS;
    child.quickEnds = quick ? child.quickEnds + 1 : 0;
    child.settled ||= !quick;
    const againMs = pauseMs(child.quickEnds, this.#options.restartMs ?? RESTART_MS);
    this.#options.onEvent?.({ kind: 'ended', name: child.plan.name, how: end.how, againMs, quickEnds: child.quickEnds });
    child.timer = setTimeout(() => this.#spawn(child), againMs);
  }

  #finishIfAllEnded(): void {
    if (this.#children.some((child) => child.process !== undefined)) return;
    clearTimeout(this.#killTimer);
    clearTimeout(this.#turnTimer);
    this.#ended.resolve(this.#exitCode);
  }
}

/** The pause before the next start, after so many ends in a row that came too soon. */
export function pauseMs(quickEnds: number, restartMs: number): number {
  return quickEnds < QUICK_ENDS_MAX ? restartMs : Math.min(PAUSE_MS_MAX, restartMs * 2 ** (quickEnds - QUICK_ENDS_MAX + 1));
}

/** A wrong configuration stays wrong, and what a child explains before it ever ran is for people to mend. Everything else is tried again. */
function finalExit(code: number | null, failed: (ChildMessage & { kind: 'failed' }) | undefined, settled: boolean): number | undefined {
  if (code === 2 || failed?.exitCode === 2) return 2;
  return failed !== undefined && !settled ? failed.exitCode : undefined;
}
