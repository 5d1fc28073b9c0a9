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
/** Streams speak each second; a silence of this long is a dead socket that nobody told us about. */
export const SILENCE_MAX_MS = 15_000;
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

  /** Begins, or begins anew at once (a person asked, the network came back, the page is looked at again). */
  start(): void {
    this.stop();
    void this.#attempt(1);
  }

  /** Begins only if nothing is under way. */
  resume(): void {
    const { kind } = this.#state.value;
    if (kind === 'idle' || kind === 'waiting') this.start();
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
      await this.#read(response.body, abort, () => {
        received = true;
        this.#state.value = { kind: 'live' };
      });
      throw new Error('the collector ended the stream');
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
    let first = true;
    for (;;) {
      this.#watch(abort, SILENCE_MAX_MS, 'nothing came from the collector for 15 s');
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
