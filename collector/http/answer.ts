/** Sends answers: small ones whole, large ones piece by piece as the socket takes them, compressed if the client accepts it. */
import { Readable } from 'node:stream';
import { createGzip, gzipSync, constants } from 'node:zlib';
import type { Context } from 'koa';

/** Below this the headers outweigh what compression saves. */
const GZIP_BYTES_MIN = 1024;
/** Level 1: four fifths of what level 6 saves on JSON for a third of its time. */
const GZIP = { level: constants.Z_BEST_SPEED, chunkSize: 64 * 1024 } as const;

export function sendText(ctx: Context, type: string, text: string): void {
  sendBytes(ctx, type, Buffer.from(text));
}

function sendBytes(ctx: Context, type: string, bytes: Buffer): void {
  ctx.type = type;
  ctx.vary('Accept-Encoding');
  if (bytes.length < GZIP_BYTES_MIN || !acceptsGzip(ctx)) {
    ctx.body = bytes;
    return;
  }
  ctx.set('Content-Encoding', 'gzip');
  ctx.body = gzipSync(bytes, GZIP);
}

export function sendJson(ctx: Context, value: unknown): void {
  sendText(ctx, 'application/json', JSON.stringify(value));
}

/** Answers up to this size are sent whole, with their length. */
const WHOLE_BYTES_MAX = 64 * 1024;

/** Sends the pieces as the client takes them. A client that goes away ends the generator. */
export function sendPieces(ctx: Context, type: string, pieces: Generator<Buffer>): void {
  const head: Buffer[] = [];
  for (let bytes = 0; bytes <= WHOLE_BYTES_MAX; bytes += head.at(-1)?.length ?? 0) {
    const next = pieces.next();
    if (next.done === true) {
      sendBytes(ctx, type, Buffer.concat(head));
      return;
    }
    head.push(next.value);
  }
  ctx.type = type;
  ctx.vary('Accept-Encoding');
  const stream = Readable.from(inTurns(head, pieces), { objectMode: false, highWaterMark: 64 * 1024 });
  if (!acceptsGzip(ctx)) {
    ctx.body = stream;
    return;
  }
  ctx.set('Content-Encoding', 'gzip');
  const gzip = createGzip(GZIP);
  gzip.once('close', () => stream.destroy());
  stream.once('error', (error) => gzip.destroy(error));
  ctx.body = stream.pipe(gzip);
}

/** Gives the event loop back between pieces: a large answer does not hold up the agents' acks. */
async function* inTurns(head: readonly Buffer[], rest: Generator<Buffer>): AsyncGenerator<Buffer> {
  yield* head;
  for (const piece of rest) {
    yield piece;
    await new Promise(setImmediate);
  }
}

function acceptsGzip(ctx: Context): boolean {
  return ctx.acceptsEncodings('gzip', 'identity') === 'gzip';
}
