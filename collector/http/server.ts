/** The collector's HTTP server: which families of paths there are, who may ask, and how it listens and ends. The one door to http/. */
import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import Router from '@koa/router';
import Koa, { type Context, type Middleware, type Next } from 'koa';
import type { AppendedFeed, LabelSource, SampleSource, StoreState } from '../model/ports.ts';
import type { MetricFamily } from '../model/metrics.ts';
import type { Engine } from '../query/engine.ts';
import type { CoverageSource } from './coverage.ts';
import { enrollRoutes, type Enrolment } from './enroll.ts';
import { errorEnvelope, HttpError, httpErrorOf } from './errors.ts';
import { Fleet } from './fleet.ts';
import { QUERY_MS_MAX, QueryGate } from './gate.ts';
import { healthRoutes } from './health.ts';
import { HostList } from './host-list.ts';
import { hostsRoutes } from './hosts.ts';
import { accessFamilies, gateFamilies, metricsRoutes, RequestCounts, streamFamilies } from './metrics.ts';
import { isPrometheusPath, prometheusRoutes } from './prometheus.ts';
import type { Roster } from '../model/roster.ts';
import { isSecure, requireCredential, sessionRoutes, stillAllowed, type Access } from './session.ts';
import { Streams } from './sse.ts';
import { staticFiles } from './static.ts';

export type HttpLog = {
  warn(fields: Readonly<Record<string, unknown>>, message: string): void;
  error(fields: Readonly<Record<string, unknown>>, message: string): void;
};

export type ServerDeps = {
  readonly engine: Engine;
  readonly samples: SampleSource;
  readonly labels: LabelSource;
  readonly appended: AppendedFeed;
  readonly storeState: () => StoreState;
  readonly coverage: CoverageSource;
  readonly roster: Roster;
  /** Asks an agent to flush each second until the returned function is called. */
  readonly watch: (agentId: string) => () => void;
  readonly enrolment: Enrolment;
  readonly access: Access;
  /** Takes over a WebSocket upgrade of the path /agent. */
  readonly agentUpgrade: (request: IncomingMessage, socket: Duplex, head: Buffer) => void;
  /** The collector's own metrics, without those of http/, which are added. */
  readonly metrics: () => readonly MetricFamily[];
  /** Folder of the built page. */
  readonly pageDir: string;
  readonly version: string;
  readonly log: HttpLog;
  /** Scheme, host and port under which people and agents reach the collector, if not as the request says. */
  readonly publicUrl?: string;
  /** Believe X-Forwarded-For and X-Forwarded-Proto. Only behind a proxy that sets them. */
  readonly trustProxy?: boolean;
  readonly nowMs?: () => number;
};

export type ListenOptions = {
  readonly host: string;
  /** 0 takes a free port. */
  readonly port: number;
  readonly tls?: { readonly cert: string | Buffer; readonly key: string | Buffer };
  readonly limits?: Partial<ServerLimits>;
};

export type RunningServer = {
  /** As a browser on this machine types it. */
  readonly url: string;
  readonly host: string;
  readonly port: number;
  /** Ends streams, requests and sockets at once. */
  close(): Promise<void>;
};

export type ListenErrorCode = 'listen_in_use' | 'listen_denied' | 'listen_address';

/** The collector cannot listen: an error of configuration, with the address and what to type. */
export class ListenError extends Error {
  readonly code: ListenErrorCode;
  constructor(code: ListenErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'ListenError';
    this.code = code;
  }
}

const LIMITS = {
  /** 10,000 agents, their reconnects, and people; the process has 20,000 descriptors. */
  connectionsMax: 15_000,
  /** Ours have a dozen lines; a cookie and a token are some hundred bytes. */
  headerBytesMax: 16 * 1024,
  headersMax: 100,
  /** From the connection's first byte to the last of its headers, and of its body. */
  headersMs: 10_000,
  requestMs: 30_000,
  keepAliveMs: 65_000,
  /** A connection on which nothing moves, because its client does not read: longer than a query may take. */
  idleMs: QUERY_MS_MAX + 30_000,
};

export type ServerLimits = Readonly<typeof LIMITS>;

/** Nothing is loaded from elsewhere, nothing inline, and no other page may frame this one. */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "font-src 'self'",
  "connect-src 'self'",
  "manifest-src 'self'",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'",
].join('; ');

const SECURITY_HEADERS = {
  'content-security-policy': CONTENT_SECURITY_POLICY,
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': 'camera=(), geolocation=(), microphone=()',
} as const;

/** Starts to listen. Throws ListenError if the address cannot be had. */
export async function startServer(deps: ServerDeps, options: ListenOptions): Promise<RunningServer> {
  const limits = { ...LIMITS, ...options.limits };
  const counts = new RequestCounts();
  const app = makeApp(deps, counts);
  const server = makeServer(app.handle, options.tls, limits);
  guardSockets(server, counts, deps);
  const { port } = await listen(server, options, deps);
  const host = options.host;
  return {
    url: `${options.tls === undefined ? 'http' : 'https'}://${urlHost(host)}:${port}`,
    host,
    port,
    async close() {
      app.close();
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
    },
  };
}

/** What a client that closes in the middle of an answer looks like: counted as a cut answer, but no news. */
const CLIENT_WENT: ReadonlySet<string> = new Set(['ECONNRESET', 'EPIPE', 'ERR_STREAM_PREMATURE_CLOSE', 'ERR_STREAM_DESTROYED']);

type App = { readonly handle: RequestListener; close(): void };

function makeApp(deps: ServerDeps, counts: RequestCounts): App {
  const nowMs = deps.nowMs ?? Date.now;
  const trustProxy = deps.trustProxy ?? false;
  const gate = new QueryGate();
  const streams = new Streams();
  const warn = (error: unknown, message: string): void => deps.log.warn({ error }, message);
  const fleet = new Fleet({ source: deps.samples, feed: deps.appended, roster: deps.roster, nowMs });
  const list = new HostList({ roster: deps.roster, fleet, warn });
  const session = { access: deps.access, trustProxy };

  // Exact case: a path that the gate does not know must not be one that a route knows.
  const router = new Router({ sensitive: true, strict: true });
  healthRoutes(router, deps);
  sessionRoutes(router, session);
  prometheusRoutes(router, { ...deps, gate, nowMs });
  hostsRoutes(router, {
    ...deps,
    source: deps.samples,
    feed: deps.appended,
    fleet,
    list,
    streams,
    gate,
    stillAllowed: (ctx) => stillAllowed(ctx, session),
    warn,
    nowMs,
  });
  enrollRoutes(router, { enrolment: deps.enrolment, urlOf: (ctx) => deps.publicUrl ?? requestUrl(ctx, trustProxy) });
  metricsRoutes(router, () => [
    ...deps.metrics(),
    ...counts.families(),
    ...gateFamilies(gate.counts),
    ...streamFamilies(streams.counts),
    ...accessFamilies(deps.access.counts),
  ]);

  const app = new Koa();
  app.on('error', (error: NodeJS.ErrnoException) => {
    if (!CLIENT_WENT.has(error.code ?? '')) deps.log.warn({ error }, 'an answer could not be sent');
  });
  app.use(answerErrors(deps, counts));
  app.use(securityHeaders);
  app.use(staticFiles(deps.pageDir));
  app.use(requireCredential(session));
  app.use(router.routes());
  app.use(router.allowedMethods());
  const handle = app.callback();
  return {
    handle: (request, response) => void handle(request, response),
    close() {
      list.close();
      fleet.close();
      streams.close();
    },
  };
}

/** Turns what was thrown, and what nobody answered, into the error envelope. */
function answerErrors(deps: ServerDeps, counts: RequestCounts): Middleware {
  return async (ctx: Context, next: Next) => {
    const startMs = performance.now();
    ctx.res.once('close', () => {
      if (!ctx.res.writableFinished && ctx.respond !== false) counts.cutAnswers++;
    });
    try {
      await next();
      if (ctx.respond !== false) requireAnswer(ctx);
    } catch (thrown) {
      const error = httpErrorOf(thrown);
      if (error.code === 'internal') deps.log.error({ error: thrown, method: ctx.method, path: ctx.path }, 'a request failed');
      sendError(ctx, error);
    } finally {
      counts.done(ctx.path, ctx.status, performance.now() - startMs);
    }
  };
}

function requireAnswer(ctx: Context): void {
  if (ctx.body !== undefined && ctx.body !== null) return;
  if (ctx.status === 404) throw new HttpError(404, 'not_found', `there is nothing at ${JSON.stringify(ctx.path)}`);
  if (ctx.status === 405 || ctx.status === 501) {
    const allow = ctx.response.get('allow');
    const headers = allow === '' ? {} : { allow };
    throw new HttpError(405, 'method_not_allowed', `${ctx.method} is not answered here${allow === '' ? '' : `; ${allow} are`}`, {
      headers,
    });
  }
}

function sendError(ctx: Context, error: HttpError): void {
  ctx.remove('content-encoding');
  ctx.set({ ...error.headers, 'picket-error': error.code });
  ctx.status = error.status;
  ctx.type = 'application/json';
  ctx.body = JSON.stringify(errorEnvelope(error, isPrometheusPath(ctx.path)));
}

function securityHeaders(ctx: Context, next: Next): Promise<void> {
  ctx.set(SECURITY_HEADERS);
  if (/^\/(?:api|metrics)(?:\/|$)/.test(ctx.path)) ctx.set('cache-control', 'no-store');
  return next();
}

/** How the one who asks reaches us. Only what a host can be: the text ends up in a command that people copy. */
function requestUrl(ctx: Context, trustProxy: boolean): string {
  const given = ctx.get('host');
  const host = /^(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?$/.test(given) ? given : '127.0.0.1';
  return `${isSecure(ctx, { trustProxy }) ? 'https' : 'http'}://${host}`;
}

function makeServer(handle: RequestListener, tls: ListenOptions['tls'], limits: ServerLimits): Server {
  const options = {
    maxHeaderSize: limits.headerBytesMax,
    headersTimeout: limits.headersMs,
    requestTimeout: limits.requestMs,
    keepAliveTimeout: limits.keepAliveMs,
    connectionsCheckingInterval: Math.min(1000, limits.headersMs / 2),
    noDelay: true,
  };
  const server = tls === undefined ? createServer(options, handle) : createTlsServer({ ...options, ...tls }, handle);
  server.maxConnections = limits.connectionsMax;
  server.timeout = limits.idleMs;
  server.maxHeadersCount = limits.headersMax;
  return server;
}

/** Upgrades go to the agents' path or nowhere; what is no HTTP gets one line and the end. */
function guardSockets(server: Server, counts: RequestCounts, deps: ServerDeps): void {
  server.on('upgrade', (request, socket, head) => {
    if (request.url?.split('?', 1)[0] === '/agent') return deps.agentUpgrade(request, socket, head);
    socket.on('error', () => socket.destroy());
    socket.end('HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
  });
  server.on('drop', () => counts.droppedConnections++);
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    counts.malformed++;
    if (!socket.writable || error.code === 'ECONNRESET') {
      socket.destroy();
      return;
    }
    socket.end(`HTTP/1.1 ${CLIENT_ERRORS[error.code ?? ''] ?? '400 Bad Request'}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
  });
}

const CLIENT_ERRORS: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
};

function listen(server: Server, options: ListenOptions, deps: ServerDeps): Promise<AddressInfo> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(listenError(error, options)));
    server.listen({ host: options.host, port: options.port, backlog: 1024 }, () => {
      server.removeAllListeners('error');
      server.on('error', (error) => deps.log.error({ error }, 'the listening socket failed'));
      resolve(server.address() as AddressInfo);
    });
  });
}

function listenError(error: NodeJS.ErrnoException, options: ListenOptions): ListenError {
  const address = `${urlHost(options.host)}:${options.port}`;
  switch (error.code) {
    case 'EADDRINUSE':
      return new ListenError(
        'listen_in_use',
        `cannot listen on ${address}: another program has it. See which with "ss -ltnp 'sport = :${options.port}'", or take another address: PICKET_LISTEN=${urlHost(options.host)}:${nextPort(options.port)}`,
        { cause: error },
      );
    case 'EACCES':
      return new ListenError(
        'listen_denied',
        `cannot listen on ${address}: this user may not use ports below 1024. Take a higher one: PICKET_LISTEN=${urlHost(options.host)}:8080`,
        { cause: error },
      );
    default:
      return new ListenError(
        'listen_address',
        `cannot listen on ${address}: ${error.message}. Name an address of this machine: PICKET_LISTEN=127.0.0.1:${options.port}`,
        { cause: error },
      );
  }
}

function nextPort(port: number): number {
  return port < 65_535 ? port + 1 : port - 1;
}

function urlHost(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}
