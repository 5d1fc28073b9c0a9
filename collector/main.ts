/** The collector: opens every part with what it needs, in order, and closes them in the other. Wiring only, with local variables. */
import { mkdir, readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { Access } from './access/access.ts';
import { adminToken } from './access/admin-token.ts';
import type { CollectorConfig } from './config.ts';
import { processFamilies } from './http/metrics.ts';
import { startServer } from './http/server.ts';
import { writeSecret } from './ingest/identity.ts';
import { openIngest, type Ingest } from './ingest/index.ts';
import { ingestFamilies } from './ingest/metrics.ts';
import { selectorEngine } from './query/engine.ts';
import { storeFamilies } from './store/metrics.ts';
import { openStore, type Store } from './store/store.ts';

export type CollectorDeps = {
  readonly log: Logger;
  readonly version: string;
  /** Folder of the built page. */
  readonly pageDir: string;
  /** Aborted to stop. */
  readonly signal: AbortSignal;
  readonly onListening?: (info: ListeningInfo) => void;
};

export type ListeningInfo = {
  /** How a browser or a program on this machine reaches it. */
  readonly url: string;
  /** How others reach it; undefined if they cannot. */
  readonly elsewhereUrl?: string;
  /** Logs a browser in, once, for ten minutes. */
  readonly loginUrl: string;
  readonly dataDir: string;
  /** Where the admin token lies, if the collector made it. */
  readonly tokenFile: string | undefined;
};

/** Lets the agent of this very host enrol by itself. */
export const LOCAL_TOKEN_FILE = 'local-enroll-token';
const STATS_MS = 2000;

/** Runs until the signal. Rejects with an error that has a code and a sentence when something cannot be opened. */
export async function runCollector(config: CollectorConfig, deps: CollectorDeps): Promise<void> {
  const { log, signal } = deps;
  const nowMs = Date.now;
  const startedMs = nowMs();
  await mkdir(config.dataDir, { recursive: true, mode: 0o700 });
  const admin = await adminToken({ given: config.adminToken, dataDir: config.dataDir });
  const { ageMs, bytesMax } = config.retention;
  const store = await openStore({
    directory: config.dataDir,
    retention: { ageMs: ageMs ?? 'off', bytesMax: bytesMax ?? 'off' },
    nowMs,
    log: log.child({ part: 'store' }),
  });
  try {
    const retentionMs = config.retention.acceptAnyTime ? undefined : ageMs;
    const ingest = await openIngest({
      dataDir: config.dataDir,
      store,
      records: store.records,
      retentionMs,
      nowMs,
      log: log.child({ part: 'ingest' }),
    });
    try {
      await serve({ config, deps, store, ingest, admin, startedMs });
    } finally {
      await ingest.close();
    }
  } finally {
    await store.close();
  }
  if (!signal.aborted) throw new Error('the collector ended without being told to');
}

type Parts = {
  readonly config: CollectorConfig;
  readonly deps: CollectorDeps;
  readonly store: Store;
  readonly ingest: Ingest;
  readonly admin: { readonly token: string; readonly file: string | undefined };
  readonly startedMs: number;
};

/** From the first request to the signal. */
async function serve({ config, deps, store, ingest, admin, startedMs }: Parts): Promise<void> {
  const { hosts, sessions, sockets, tokens, counters, ledger } = ingest;
  const access = new Access({ records: store.records, adminToken: admin.token, nowMs: Date.now });
  let stats = await store.stats();
  const refresh = setInterval(() => {
    store.stats().then(
      (fresh) => (stats = fresh),
      (error: unknown) => deps.log.warn({ error }, 'cannot read the figures of the store'),
    );
  }, STATS_MS);
  const server = await startServer(
    {
      engine: selectorEngine({ source: store }),
      samples: store,
      labels: store,
      appended: store,
      storeState: () => store.state(),
      coverage: hosts,
      roster: hosts,
      watch: (agentId) => sessions.watch(agentId),
      enrolment: {
        newToken: (options) => tokens.create(options),
        tokens: () => tokens.list(),
        revokeToken: (id) => tokens.revoke(id),
        command: (token, url) => enrollCommand(config, token, url),
      },
      access,
      agentUpgrade: (request, socket, head) => sockets.upgrade(request, socket, head),
      metrics: () => [
        ...processFamilies(startedMs, deps.version),
        ...ingestFamilies(counters, { agents: sessions.count, ledgerDropped: ledger.dropped }),
        ...storeFamilies(stats),
      ],
      pageDir: deps.pageDir,
      version: deps.version,
      log: deps.log.child({ part: 'http' }),
      ...(config.publicUrl === undefined ? {} : { publicUrl: config.publicUrl }),
    },
    { ...config.listen, ...(config.tls === undefined ? {} : { tls: await tlsOf(config.tls) }) },
  );
  try {
    await offerLocalToken(config.dataDir, ingest);
    const url = hereUrl(server.url);
    const elsewhereUrl = config.publicUrl ?? (isLoopback(config.listen.host) ? undefined : elsewhere(config, url));
    const loginUrl = `${config.publicUrl ?? url}/login?code=${access.newLoginCode()}`;
    const others = elsewhereUrl === undefined ? {} : { elsewhereUrl };
    deps.onListening?.({ url, ...others, loginUrl, dataDir: config.dataDir, tokenFile: admin.file });
    await untilAborted(deps.signal);
  } finally {
    clearInterval(refresh);
    // Agents first: a server that closes waits for the sockets that it has handed over.
    sessions.close();
    await sockets.close();
    await server.close();
  }
}

/** What to type on the host that is to be added. Without TLS its agent must be told that this is meant. */
function enrollCommand(config: CollectorConfig, token: string, asked: string): string {
  const url = elsewhere(config, asked);
  const { protocol, hostname: host } = new URL(url);
  const isPrivate = protocol === 'https:' || isLoopback(host);
  return `PICKET_COLLECTOR_URL=${url} ${isPrivate ? '' : 'PICKET_INSECURE=true '}PICKET_ENROLL_TOKEN=${token} npm run agent`;
}

/** What another host can use in place of a loopback address: that would be itself. A collector that listens on loopback alone has no other. */
function elsewhere(config: CollectorConfig, asked: string): string {
  const url = new URL(asked);
  if (!isLoopback(url.hostname)) return asked;
  if (config.publicUrl !== undefined) return config.publicUrl;
  if (isLoopback(config.listen.host)) return asked;
  url.hostname = hostname();
  return url.origin;
}

/** "Every address" is none that a browser can open. */
function hereUrl(url: string): string {
  return url.replace('//0.0.0.0:', '//127.0.0.1:').replace('//[::]:', '//[::1]:');
}

function isLoopback(host: string): boolean {
  return ['localhost', '::1', '[::1]'].includes(host) || /^127(\.\d{1,3}){3}$/.test(host);
}

/** A token that only who can read the data folder gets: the agent of this host uses it once, and may take the host's name back if its key was deleted. */
async function offerLocalToken(dataDir: string, ingest: Ingest): Promise<void> {
  const { token } = await ingest.tokens.create({ uses: 1, ttlMs: 24 * 60 * 60 * 1000, replace: hostname() });
  writeSecret(join(dataDir, LOCAL_TOKEN_FILE), `${token}\n`);
}

async function tlsOf(files: { readonly certFile: string; readonly keyFile: string }): Promise<{ cert: Buffer; key: Buffer }> {
  const [cert, key] = await Promise.all([readFile(files.certFile), readFile(files.keyFile)]);
  return { cert, key };
}

function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
