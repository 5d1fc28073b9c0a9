/** Reads server-sent events in a test: one after the other, by name. */
import { request, type IncomingMessage } from 'node:http';
import type { Json } from './fake-deps.ts';

export type Events = {
  readonly response: IncomingMessage;
  /** The data of the next event of that name; others before it are passed over. */
  next(event: string): Promise<Json>;
  /** Resolves when the stream has ended. */
  readonly ended: Promise<void>;
  close(): void;
};

export function openEvents(url: string, headers: Record<string, string>): Promise<Events> {
  return new Promise((resolve, reject) => {
    const client = request(url, { headers }, (response) => resolve(readEvents(response, () => client.destroy())));
    client.on('error', reject).end();
  });
}

function readEvents(response: IncomingMessage, close: () => void): Events {
  const seen: { event: string; data: Json }[] = [];
  let waiting: (() => void) | undefined;
  let text = '';
  response.setEncoding('utf8');
  response.on('data', (chunk: string) => {
    const blocks = (text + chunk).split('\n\n');
    text = blocks.pop() ?? '';
    for (const block of blocks) {
      const event = /^event: (.*)$/m.exec(block)?.[1];
      const data = /^data: (.*)$/m.exec(block)?.[1];
      if (event !== undefined && data !== undefined) seen.push({ event, data: JSON.parse(data) });
    }
    waiting?.();
  });
  const ended = new Promise<void>((resolve) => {
    for (const end of ['end', 'close', 'error']) {
      response.on(end, () => {
        resolve();
        waiting?.();
      });
    }
  });
  return {
    response,
    ended,
    close,
    async next(event) {
      for (;;) {
        while (seen.length > 0) {
          const one = seen.shift();
          if (one?.event === event) return one.data;
        }
        if (response.closed || response.complete) throw new Error(`the stream ended before an event "${event}"`);
        await new Promise<void>((resolve) => (waiting = resolve));
      }
    },
  };
}
