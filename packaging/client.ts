/** How the commands at the terminal talk to a running collector: where it is, the token, one request at a time, and what to say when it does not answer. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { collectorConfig, type CollectorConfig } from '../collector/config.ts';
import { CommandError, usageError, type Arguments, type Io, type Option } from './command.ts';
import { isThisMachine, ownCollector } from './own-collector.ts';
import { ROOT } from './root.ts';
import { openSettings } from './settings.ts';

export const CLIENT_OPTIONS: readonly Option[] = [
  { name: 'url', value: 'URL', help: 'the collector (default: PICKET_COLLECTOR_URL, PICKET_LISTEN, the one of the data folder)' },
  { name: 'token', value: 'TOKEN', help: 'API token (default: PICKET_ADMIN_TOKEN, PICKET_ADMIN_TOKEN_FILE, ./data/admin-token)' },
];

export type Client = {
  readonly url: string;
  readonly token: string | undefined;
  /** Why the token of the data folder is not sent, if it is not. */
  readonly withheld?: string;
};

/** Long enough for a query over days; an answer that takes longer should be asked in parts. */
const TIMEOUT_MS = 60_000;
/** An answer is held in memory before it is printed. */
const ANSWER_BYTES_MAX = 256 << 20;

/** Finds collector and token from the options, the environment, the configuration file and the data folder, in this order. */
export async function clientOf(command: string, args: Arguments, io: Io): Promise<Client> {
  const settings = await openSettings({ section: 'collector', environment: io.environment });
  const config = collectorConfig(settings);
  const given = args.values['url'] ?? nonEmpty(io.environment['PICKET_COLLECTOR_URL']);
  // What the running collector of the folder says is right even where this shell has not its settings (TLS, a port of the system's choice).
  const own = ownCollector(config.dataDir);
  const asSet = settings.decisions.some(({ key, origin }) => key === 'listen' && origin !== 'default');
  const listening = own === undefined || (asSet && portOf(own.url) !== config.listen.port) ? undefined : own.url;
  const url = given === undefined ? (listening ?? listenUrl(config)) : originOf(given);
  if (url === undefined) throw usageError(command, `"${given}" is not the address of a collector; write for example http://127.0.0.1:8080`);
  // A collector of this host may have a certificate that only its own settings know.
  const isOwn = isThisMachine(url) || url === own?.url || (url === config.publicUrl && url.startsWith('https:'));
  useOwnAuthority(nonEmpty(io.environment['PICKET_CA_FILE']) ?? (isOwn ? (config.tls?.certFile ?? own?.certFile) : undefined));
  const token = args.values['token'] ?? config.adminToken;
  if (token !== undefined || isOwn) return { url, token: token ?? storedToken(config.dataDir) };
  const withheld = `the one in ${config.dataDir} is not sent there: ${new URL(url).hostname} is no address of this machine`;
  return { url, token: undefined, withheld };
}

function portOf(url: string): number {
  const { port, protocol } = new URL(url);
  return port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port);
}

/** The address at which this host reaches a collector with these settings. */
export function listenUrl(config: Pick<CollectorConfig, 'listen' | 'tls'>): string {
  const { host, port } = config.listen;
  const reachable = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
  return `${config.tls === undefined ? 'http' : 'https'}://${reachable.includes(':') ? `[${reachable}]` : reachable}:${port}`;
}

/** Asks and answers JSON. Throws CommandError: collector_unreachable, token_missing, token_refused, or the code that the collector gave. */
export async function ask(
  client: Client,
  path: string,
  request: { method?: 'GET' | 'POST' | 'DELETE'; body?: unknown } = {},
): Promise<unknown> {
  const { status, text } = await send(client, path, request);
  if (status === 401 || status === 403) throw tokenError(client, status);
  const answer = parsed(text);
  if (status >= 200 && status < 300 && (answer !== undefined || text === '')) return answer;
  const problem = problemOf(answer);
  if (problem !== undefined) throw new CommandError(problem.code, problem.sentence);
  throw new CommandError(
    'answer_unexpected',
    `${client.url}${path.split('?', 1)[0]} answered ${status} and not what Picket says; is something else listening there?`,
  );
}

async function send(client: Client, path: string, request: { method?: string; body?: unknown }): Promise<{ status: number; text: string }> {
  const headers: Record<string, string> = { accept: 'application/json' };
  if (client.token !== undefined) headers['authorization'] = `Bearer ${client.token}`;
  if (request.body !== undefined) headers['content-type'] = 'application/json';
  const body = request.body === undefined ? {} : { body: JSON.stringify(request.body) };
  try {
    const response = await fetch(`${client.url}${path}`, {
      method: request.method ?? 'GET',
      headers,
      ...body,
      redirect: 'error',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    return { status: response.status, text: await bounded(response) };
  } catch (cause) {
    if (cause instanceof CommandError) throw cause;
    throw unreachable(client, cause);
  }
}

async function bounded(response: Response): Promise<string> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of response.body ?? []) {
    size += part.length;
    if (size > ANSWER_BYTES_MAX)
      throw new CommandError('answer_too_large', `the answer has more than ${ANSWER_BYTES_MAX} bytes; ask for less`);
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}

function unreachable(client: Client, cause: unknown): CommandError {
  const inner = cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause;
  const code = inner instanceof Error && 'code' in inner ? String(inner.code) : '';
  if (code === 'ECONNREFUSED') {
    const what = `no collector answers at ${client.url}: it is not running, or listens elsewhere`;
    return new CommandError('collector_unreachable', `${what}; start it with "npm start", or name it with --url`, { cause });
  }
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    const what = `the certificate of the collector is not for ${new URL(client.url).host}`;
    const advice = 'ask by a name that stands in it, with --url https://NAME:PORT and --token, or set PICKET_PUBLIC_URL for both';
    return new CommandError('certificate_untrusted', `${what}; ${advice}`, { cause });
  }
  if (/SELF_SIGNED|UNABLE_TO_(VERIFY|GET)|CERT_/.test(code)) {
    const what = `the certificate of ${client.url} is not trusted: ${inner instanceof Error ? inner.message.split(';', 1)[0] : code}`;
    return new CommandError('certificate_untrusted', `${what}; name the authority's PEM file with PICKET_CA_FILE`, { cause });
  }
  const mistaken = schemeProblem(client.url, code);
  if (mistaken !== undefined) return new CommandError('collector_unreachable', `cannot ask ${client.url}: ${mistaken}`, { cause });
  const why =
    cause instanceof Error && cause.name === 'TimeoutError'
      ? `no answer within ${TIMEOUT_MS / 1000} s`
      : inner instanceof Error
        ? inner.message
        : String(inner);
  return new CommandError('collector_unreachable', `cannot ask ${client.url}: ${why}; is the address right? Name another one with --url`, {
    cause,
  });
}

/** What is likely if the other side ends the connection at the first words: one speaks TLS and the other does not. */
function schemeProblem(url: string, code: string): string | undefined {
  if (url.startsWith('http:') && ['UND_ERR_SOCKET', 'ECONNRESET', 'HPE_INVALID_CONSTANT'].includes(code)) {
    const other = url.replace('http:', 'https:');
    return `it closed the connection; the collector may speak TLS: try --url ${other}, with PICKET_CA_FILE if its authority is your own`;
  }
  if (url.startsWith('https:') && /WRONG_VERSION_NUMBER|EPROTO|PACKET_LENGTH/.test(code))
    return `it does not speak TLS; try --url ${url.replace('https:', 'http:')}`;
  return undefined;
}

function tokenError(client: Client, status: number): CommandError {
  if (client.token === undefined) {
    return new CommandError(
      'token_missing',
      `${client.url} wants a token${client.withheld === undefined ? '' : ` (${client.withheld})`}; give it with --token, PICKET_ADMIN_TOKEN or PICKET_ADMIN_TOKEN_FILE (the collector keeps it in DATA/admin-token)`,
    );
  }
  const what = status === 403 ? 'does not allow this with the token' : 'does not know the token';
  return new CommandError(
    'token_refused',
    `${client.url} ${what}; take the one in the collector's DATA/admin-token, or give another with --token`,
  );
}

/** What the collector says went wrong, in its own words or in Prometheus's. */
function problemOf(answer: unknown): { code: string; sentence: string } | undefined {
  if (!isRecord(answer)) return undefined;
  const error = answer['error'];
  if (isRecord(error) && typeof error['message'] === 'string')
    return { code: textOf(error['code']) ?? 'refused', sentence: error['message'] };
  const code = answer['code'] ?? answer['errorType'];
  const sentence = answer['message'] ?? error;
  return typeof sentence === 'string' ? { code: typeof code === 'string' ? code : 'refused', sentence } : undefined;
}

/** Text or number as text; nothing for anything else. */
export function textOf(value: unknown): string | undefined {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : undefined;
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Only for a collector on this host: a local secret is not sent to another machine. */
function storedToken(dataDir: string): string | undefined {
  for (const folder of [dataDir, join(ROOT, 'data')]) {
    const path = join(folder, 'admin-token');
    if (!existsSync(path)) continue;
    try {
      return nonEmpty(readFileSync(path, 'utf8').trim());
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new CommandError('token_unreadable', `cannot read ${path}: ${why}; run this as the user of the collector, or give --token`, {
        cause,
      });
    }
  }
  return undefined;
}

/** http(s)://host:port of what agents or browsers use. */
function originOf(text: string): string | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const scheme = url === undefined ? undefined : { 'ws:': 'http', 'http:': 'http', 'wss:': 'https', 'https:': 'https' }[url.protocol];
  return url === undefined || scheme === undefined || url.host === '' ? undefined : `${scheme}://${url.host}`;
}

function useOwnAuthority(path: string | undefined): void {
  if (path === undefined) return;
  try {
    setDefaultCACertificates([...getCACertificates('default'), readFileSync(path, 'utf8')]);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new CommandError('ca_unreadable', `cannot use the certificates in ${path}: ${why}; name a PEM file with PICKET_CA_FILE`, {
      cause,
      exitCode: 2,
    });
  }
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === '' ? undefined : text;
}
