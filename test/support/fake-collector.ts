/**
 * A collector that says what a test wants it to say: the built page, and the browser's API over made-up hosts whose values move.
 * Not a model of the real one: it exists to show states (loading, empty, stale, error, gone) that a real collector cannot be made to show at will.
 */
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { readFile } from 'node:fs/promises';
import { extname, join, normalize } from 'node:path';
import { fakeCharts, fakeHost, fakePoints } from './fake-host.ts';
import type { FakeGap, FakeHost } from './fake-host.ts';

export const FAKE_TOKEN = 'fake-admin-token';

/** How the fake behaves from now on; a test changes the fields while it runs. */
export type FakeBehaviour = {
  hosts: FakeHost[];
  gaps: FakeGap[];
  late: (readonly [number, number])[];
  /** Answers wait until this resolves. */
  hold: Promise<void> | undefined;
  /** Every API answer but the session's is this refusal. */
  refusal: { status: number; error: string; code: string } | undefined;
  loggedIn: boolean;
};

export type FakeCollector = {
  readonly url: string;
  readonly behaviour: FakeBehaviour;
  /** Ends the streams and refuses connections, as a collector that was stopped. */
  readonly disconnect: () => Promise<void>;
  /** Listens again on the same port. */
  readonly reconnect: () => Promise<void>;
  /** Says the hosts again now instead of at the next second. */
  readonly tell: () => void;
  readonly close: () => Promise<void>;
};

const TICK_MS = 1000;
const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
};
/** As the real collector sends it: a page that needs more than this does not run. */
const POLICY = "default-src 'self'; style-src 'self' 'unsafe-inline'";

export async function startFakeCollector(dist: string, hosts: FakeHost[] = [fakeHost('web-1', 'up')]): Promise<FakeCollector> {
  const behaviour: FakeBehaviour = { hosts, gaps: [], late: [], hold: undefined, refusal: undefined, loggedIn: true };
  const streams = new Set<() => void>();
  const handler = (request: IncomingMessage, response: ServerResponse): void => {
    answer({ request, response, behaviour, streams, dist }).catch((error: unknown) =>
      response.destroy(error instanceof Error ? error : undefined),
    );
  };
  let server = await listen(handler, 0);
  const address = server.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  const tell = (): void => {
    for (const stream of streams) stream();
  };
  const timer = setInterval(tell, TICK_MS);
  const disconnect = async (): Promise<void> => {
    streams.clear();
    await end(server);
  };
  return {
    url: `http://127.0.0.1:${port}`,
    behaviour,
    disconnect,
    reconnect: async () => {
      server = await listen(handler, port);
    },
    tell,
    close: async () => {
      clearInterval(timer);
      await disconnect();
    },
  };
}

type Exchange = {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly behaviour: FakeBehaviour;
  readonly streams: Set<() => void>;
  readonly dist: string;
};

async function answer(exchange: Exchange): Promise<void> {
  const { request, response, behaviour, dist } = exchange;
  const url = new URL(request.url ?? '/', 'http://fake');
  if (!url.pathname.startsWith('/api/')) return serveFile(response, dist, url.pathname);
  if (url.pathname === '/api/v1/session') return answerSession(exchange);
  if (!behaviour.loggedIn)
    return json(response, 401, { status: 'error', errorType: 'unauthorized', error: 'Log in first.', code: 'unauthorized' });
  await behaviour.hold;
  if (behaviour.refusal) return json(response, behaviour.refusal.status, { ...behaviour.refusal, errorType: 'internal', status: 'error' });
  if (url.pathname === '/api/v1/enroll/command')
    return json(response, 200, { command: 'npx picket agent --collector http://127.0.0.1:8080 --token pkt_1x9s7Qm2vB' });
  if (url.pathname === '/api/v1/hosts') return json(response, 200, { hosts: hostsNow(behaviour) });
  if (url.pathname === '/api/v1/hosts/stream') return streamHosts(exchange);
  return answerHost(exchange, url);
}

async function answerSession({ request, response, behaviour }: Exchange): Promise<void> {
  if (request.method === 'POST') {
    let body = '';
    for await (const chunk of request) body += String(chunk);
    const { token } = JSON.parse(body) as { token?: unknown };
    behaviour.loggedIn = token === FAKE_TOKEN;
    if (behaviour.loggedIn) return json(response, 204, undefined);
    return json(response, 401, { status: 'error', errorType: 'unauthorized', error: 'No user has this token.', code: 'token_unknown' });
  }
  if (request.method === 'DELETE') behaviour.loggedIn = false;
  return behaviour.loggedIn
    ? json(response, 200, { user: 'admin' })
    : json(response, 401, { status: 'error', errorType: 'unauthorized', error: 'Log in first.', code: 'unauthorized' });
}

function answerHost(exchange: Exchange, url: URL): void {
  const { response, behaviour } = exchange;
  const [, name = '', what = ''] = /^\/api\/v1\/hosts\/([^/]+)\/(charts|stream)$/.exec(url.pathname) ?? [];
  const host = behaviour.hosts.find((one) => one.name === decodeURIComponent(name));
  if (!host)
    return json(response, 404, {
      status: 'error',
      errorType: 'not_found',
      error: `There is no host called ${decodeURIComponent(name)}.`,
      code: 'host_unknown',
    });
  const number = (key: string): number => Number(url.searchParams.get(key));
  if (what === 'charts') {
    return json(
      response,
      200,
      fakeCharts({ fromMs: number('from'), toMs: number('to'), stepMs: number('step') }, behaviour.gaps, behaviour.late),
    );
  }
  return streamHost(exchange, host, number('from'));
}

function streamHosts({ response, behaviour, streams }: Exchange): void {
  const say = (): void => void response.write(`event: hosts\ndata: ${JSON.stringify({ hosts: hostsNow(behaviour), removed: [] })}\n\n`);
  openStream(response, streams, say);
}

function streamHost({ response, behaviour, streams }: Exchange, host: FakeHost, fromMs: number): void {
  let next = Math.ceil(fromMs / TICK_MS) * TICK_MS;
  openStream(response, streams, () => {
    const now = Date.now();
    const current = behaviour.hosts.find((one) => one.name === host.name) ?? host;
    response.write(`event: host\ndata: ${JSON.stringify(current.now(now))}\n\n`);
    if (current.now(now).status !== 'up') return;
    const points = fakePoints(next, now, behaviour.gaps);
    next = Math.floor(now / TICK_MS) * TICK_MS + TICK_MS;
    response.write(`event: points\ndata: ${JSON.stringify(points)}\n\n`);
  });
}

function openStream(response: ServerResponse, streams: Set<() => void>, say: () => void): void {
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
  streams.add(say);
  response.on('close', () => streams.delete(say));
  say();
}

async function serveFile(response: ServerResponse, dist: string, path: string): Promise<void> {
  const file = normalize(path === '/' ? '/index.html' : path);
  const bytes = await readFile(join(dist, file)).catch(() => undefined);
  if (!bytes) return json(response, 404, { status: 'error', errorType: 'not_found', error: 'There is no such file.', code: 'not_found' });
  response.writeHead(200, { 'content-type': TYPES[extname(file)] ?? 'application/octet-stream', 'content-security-policy': POLICY });
  response.end(bytes);
}

function hostsNow(behaviour: FakeBehaviour): readonly unknown[] {
  const now = Date.now();
  return behaviour.hosts.map((host) => host.now(now));
}

function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(body === undefined ? undefined : JSON.stringify(body));
}

async function listen(handler: (request: IncomingMessage, response: ServerResponse) => void, port: number): Promise<Server> {
  const server = createServer(handler);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  return server;
}

async function end(server: Server): Promise<void> {
  if (!server.listening) return;
  await new Promise<void>((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
