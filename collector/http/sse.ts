/** Server-sent events: one open answer, its heartbeat, and its end. Not what is sent: hosts.ts writes the events. */
import type { ServerResponse } from 'node:http';
import type { Context } from 'koa';
import { HttpError } from './errors.ts';

/** Open event streams of all clients. Each costs a timer and, for one host, a few small reads a second. */
export const STREAMS_MAX = 256;
/** A comment this often keeps proxies from closing a quiet stream, and finds clients that are gone. */
const HEARTBEAT_MS = 15_000;
/** A client that leaves this much unread is not reading: its stream ends and the browser connects again. */
const UNREAD_BYTES_MAX = 8 * 1024 * 1024;

export type StreamCounts = { open: number; opened: number; refused: number; slow: number };

/** Opens streams, counts them, and ends them all when the server closes. */
export class Streams {
  readonly counts: StreamCounts = { open: 0, opened: 0, refused: 0, slow: 0 };
  readonly #open = new Set<EventStream>();
  readonly #max: number;

  constructor(max: number = STREAMS_MAX) {
    this.#max = max;
  }

  /** Answers the request with a stream. `stillAllowed` is asked at each heartbeat: a session that has ended ends its streams. */
  open(ctx: Context, stillAllowed: () => Promise<boolean>): EventStream {
    if (this.#open.size >= this.#max) {
      this.counts.refused++;
      throw new HttpError(503, 'stream_limit', `${this.#max} live views are open, no more are served: close one or ask again later`, {
        headers: { 'retry-after': '10' },
      });
    }
    ctx.respond = false;
    const stream = new EventStream(ctx.res, ctx.response.headers, stillAllowed, () => this.counts.slow++);
    this.#open.add(stream);
    this.counts.opened++;
    this.counts.open = this.#open.size;
    stream.onClose(() => {
      this.#open.delete(stream);
      this.counts.open = this.#open.size;
    });
    return stream;
  }

  close(): void {
    for (const stream of this.#open) stream.close();
  }
}

export class EventStream {
  readonly #response: ServerResponse;
  readonly #heartbeat: NodeJS.Timeout;
  readonly #listeners: (() => void)[] = [];
  readonly #onSlow: () => void;
  #closed = false;

  constructor(response: ServerResponse, headers: Context['response']['headers'], stillAllowed: () => Promise<boolean>, onSlow: () => void) {
    this.#response = response;
    this.#onSlow = onSlow;
    response.writeHead(200, {
      ...headers,
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      // nginx buffers answers unless told otherwise, and events would come in lumps.
      'x-accel-buffering': 'no',
    });
    // The browser waits this long before it connects again.
    response.write('retry: 2000\n\n');
    this.#heartbeat = setInterval(() => {
      response.write(':\n\n');
      stillAllowed().then(
        (allowed) => allowed || this.close(),
        () => this.close(),
      );
    }, HEARTBEAT_MS);
    response.once('close', () => this.#ended());
    response.once('error', () => this.#ended());
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** True if the client has taken what was sent before; a sender that can wait and merge does so while this is false. */
  get ready(): boolean {
    return !this.#closed && !this.#response.writableNeedDrain;
  }

  /** `json` is one line of JSON text. */
  send(event: string, json: string): void {
    if (this.#closed) return;
    this.#response.write(`event: ${event}\ndata: ${json}\n\n`);
    if (this.#response.writableLength <= UNREAD_BYTES_MAX) return;
    this.#onSlow();
    this.#response.destroy();
  }

  onClose(listener: () => void): void {
    if (this.#closed) listener();
    else this.#listeners.push(listener);
  }

  close(): void {
    this.#response.end();
    this.#response.destroy();
  }

  #ended(): void {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#heartbeat);
    for (const listener of this.#listeners) listener();
  }
}
