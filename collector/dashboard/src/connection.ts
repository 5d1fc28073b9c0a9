/**
 * One stream of server-sent events that is kept alive: back-off with jitter, a watchdog that does not trust the socket, rest while nobody looks.
 * Reads with fetch, not EventSource, because that one hides the status code (a log-in that ended looks like a network that ended).
 */
import { signal } from '@preact/signals';
import type { ReadonlySignal } from '@preact/signals';
import { EventStreamParser } from './event-stream.ts';
import type { ServerEvent } from './event-stream.ts';

/** Waits between attempts double from one second; half a minute is as long as a person should look at a count-down. */
const BACKOFF_FIRST_MS = 1000;
const BACKOFF_MAX_MS = 30_000;
/** The collector sends a comment each 15 s if nothing else; when two are missing the socket is dead and nobody told us. */
export const SILENCE_MAX_MS = 40_000;
/** Headers must come within this time. */
const OPEN_MAX_MS = 10_000;

export type ConnectionState =
  | { readonly kind: 'idle' }
  | { readonly kind: 'connecting'; readonly attempt: number }
  | { readonly kind: 'live' }
  | { readonly kind: 'waiting'; readonly attempt: number; readonly retryAtMs: number; readonly reason: string };

export type ConnectionOptions = {
  /** Asked at each attempt, so that a stream can continue where it was. */
  readonly url: () => string;
  readonly onEvent: (event: ServerEvent) => void;
  /** The session ended: nothing is tried again until start() is called. */
  readonly onUnauthorized: () => void;
  readonly fetch: typeof fetch;
  /** In [0, 1). */
  readonly random: () => number;
};

export class Connection {
  readonly #options: ConnectionOptions;
  readonly #state = signal<ConnectionState>({ kind: 'idle' });
  #abort: AbortController | undefined;
  #retryTimer: ReturnType<typeof setTimeout> | undefined;
  #watchdog: ReturnType<typeof setTimeout> | undefined;

  constructor(options: ConnectionOptions) {
    this.#options = options;
  }

  get state(): ReadonlySignal<ConnectionState> {
    return this.#state;
  }

  /** Begins, or begins anew at once. */
  start(): void {
    this.stop();
    void this.#attempt(1);
  }

  /** Begins if nothing is under way; does not wait any longer if it waits (a person asked, the network came back). */
  resume(): void {
    const state = this.#state.value;
    if (state.kind === 'idle') this.start();
    if (state.kind !== 'waiting') return;
    clearTimeout(this.#retryTimer);
    void this.#attempt(state.attempt + 1);
  }

  stop(): void {
    clearTimeout(this.#retryTimer);
    clearTimeout(this.#watchdog);
    this.#abort?.abort();
    this.#abort = undefined;
    this.#state.value = { kind: 'idle' };
  }

  async #attempt(attempt: number): Promise<void> {
    const abort = new AbortController();
    this.#abort = abort;
    this.#state.value = { kind: 'connecting', attempt };
    this.#watch(abort, OPEN_MAX_MS, 'the collector did not answer in time');
    let received = false;
    try {
      const response = await this.#options.fetch(this.#options.url(), { signal: abort.signal, headers: { accept: 'text/event-stream' } });
      if (response.status === 401) {
        this.stop();
        this.#options.onUnauthorized();
        return;
      }
      if (!response.ok || !response.body) throw new Error(`the collector answered ${response.status}`);
      this.#state.value = { kind: 'live' };
      await this.#read(response.body, abort, () => (received = true));
      throw abort.signal.aborted ? abort.signal.reason : new Error('the collector ended the stream');
    } catch (error) {
      if (this.#abort !== abort) return; // stop() or a newer start() was called: this attempt is nobody's any more.
      abort.abort(error);
      this.#failed(received ? 1 : attempt, reasonOf(error));
    }
  }

  async #read(body: ReadableStream<Uint8Array>, abort: AbortController, onFirst: () => void): Promise<void> {
    const parser = new EventStreamParser();
    const decoder = new TextDecoder();
    const reader = body.getReader();
    // A dead socket need not notice that its request was aborted; the reader does.
    abort.signal.addEventListener('abort', () => void reader.cancel().catch(() => undefined), { once: true });
    let first = true;
    for (;;) {
      this.#watch(abort, SILENCE_MAX_MS, 'nothing came from the collector for 40 s');
      const { done, value } = await reader.read();
      if (done || abort.signal.aborted) return;
      for (const event of parser.push(decoder.decode(value, { stream: true }))) {
        if (first) onFirst();
        first = false;
        this.#options.onEvent(event);
        if (abort.signal.aborted) return;
      }
    }
  }

  #watch(abort: AbortController, limitMs: number, reason: string): void {
    clearTimeout(this.#watchdog);
    this.#watchdog = setTimeout(() => abort.abort(new Error(reason)), limitMs);
  }

  #failed(attempt: number, reason: string): void {
    clearTimeout(this.#watchdog);
    const waitMs = Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** (attempt - 1)) * (0.75 + this.#options.random() / 2);
    this.#state.value = { kind: 'waiting', attempt, retryAtMs: Date.now() + waitMs, reason };
    this.#retryTimer = setTimeout(() => void this.#attempt(attempt + 1), waitMs);
  }
}

/** Browsers say "Failed to fetch" or "network error" when nobody listens; people want to read that the collector cannot be reached. */
function reasonOf(error: unknown): string {
  if (error instanceof TypeError) return 'the collector cannot be reached';
  return error instanceof Error ? error.message : 'the connection broke';
}
