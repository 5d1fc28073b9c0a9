/** How many queries run at once: the others wait in line, and beyond the line are told to come again. */
import type { Context } from 'koa';
import { QueryError } from '../query/errors.ts';
import { HttpError } from './errors.ts';

/** Queries evaluated at the same time. They share one thread: more only makes each slower and the memory larger. */
export const QUERIES_MAX = 8;
/** Queries that wait. A dashboard with 100 panels asks them all at once. */
export const QUEUE_MAX = 256;
/** Prometheus's default for --query.timeout, and the most a request may ask for. */
export const QUERY_MS_MAX = 120_000;

export type GateCounts = { running: number; waiting: number; done: number; refused: number; timedOut: number; canceled: number };

export class QueryGate {
  readonly counts: GateCounts = { running: 0, waiting: 0, done: 0, refused: 0, timedOut: 0, canceled: 0 };
  readonly #waiting: (() => void)[] = [];
  readonly #runningMax: number;
  readonly #queueMax: number;

  constructor(limits?: { readonly runningMax?: number; readonly queueMax?: number }) {
    this.#runningMax = limits?.runningMax ?? QUERIES_MAX;
    this.#queueMax = limits?.queueMax ?? QUEUE_MAX;
  }

  /** Runs `query` when its turn comes. The signal is aborted when the time is over or the client has gone. */
  async run<T>(ctx: Context, timeoutMs: number, query: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const abort = new AbortController();
    const limitMs = Math.min(timeoutMs, QUERY_MS_MAX);
    const timer = setTimeout(() => abort.abort(new QueryError('query_timeout', `query timed out after ${limitMs} ms`)), limitMs);
    const onClose = (): void => abort.abort(new QueryError('query_canceled', 'the client closed the request'));
    ctx.res.once('close', onClose);
    try {
      await this.#enter(abort.signal);
      const running = (async () => query(abort.signal))().finally(() => this.#leave());
      // Who asked is answered at once when the time is over; the place is free when the query has really ended.
      return await untilAborted(running, abort.signal);
    } catch (error) {
      throw this.#counted(abort.signal.aborted ? (abort.signal.reason as unknown) : error);
    } finally {
      clearTimeout(timer);
      ctx.res.off('close', onClose);
    }
  }

  #counted(error: unknown): unknown {
    if (error instanceof QueryError && error.code === 'query_timeout') this.counts.timedOut++;
    if (error instanceof QueryError && error.code === 'query_canceled') this.counts.canceled++;
    return error;
  }

  async #enter(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.counts.running < this.#runningMax) {
      this.counts.running++;
      return;
    }
    if (this.#waiting.length >= this.#queueMax) {
      this.counts.refused++;
      throw new HttpError(503, 'query_queue_full', `${this.#runningMax} queries run and ${this.#queueMax} wait: ask again later`, {
        headers: { 'retry-after': '1' },
      });
    }
    await this.#wait(signal);
  }

  /** Resolves when a running query hands over its place, so that `running` stays as it is. */
  #wait(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const turn = (): void => {
        signal.removeEventListener('abort', onAbort);
        resolve();
      };
      const onAbort = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(turn), 1);
        this.counts.waiting = this.#waiting.length;
        reject(signal.reason as Error);
      };
      signal.addEventListener('abort', onAbort, { once: true });
      this.#waiting.push(turn);
      this.counts.waiting = this.#waiting.length;
    });
  }

  #leave(): void {
    this.counts.done++;
    const next = this.#waiting.shift();
    this.counts.waiting = this.#waiting.length;
    if (next === undefined) this.counts.running--;
    else next();
  }
}

function untilAborted<T>(running: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
    running.then(resolve, reject);
  });
}
