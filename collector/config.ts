/** The collector's settings: which there are, what is allowed, and every default. Where values come from is the business of the reader that is given. */
import { resolve } from 'node:path';

export type CollectorConfig = {
  readonly listen: { readonly host: string; readonly port: number };
  /** Absolute. */
  readonly dataDir: string;
  /** Without it the first start makes one and writes dataDir/admin-token. */
  readonly adminToken?: string;
  /** How browsers and agents reach the collector, if not by `listen`: scheme, host and port. */
  readonly publicUrl?: string;
  readonly tls?: { readonly certFile: string; readonly keyFile: string };
  readonly retention: {
    /** undefined: kept for ever. */
    readonly ageMs: number | undefined;
    /** undefined: without bound. */
    readonly bytesMax: number | undefined;
    /** Any time stamp from 1970 on is taken (PICKET_RETENTION=off). */
    readonly acceptAnyTime: boolean;
  };
  readonly logLevel: string;
};

type Setting = {
  readonly key: string;
  readonly variable?: string;
  readonly secret?: boolean;
  readonly aliases?: readonly { readonly variable: string; readonly unit?: string }[];
};

/** What this file needs of the reader of settings. */
interface SettingReader {
  text(setting: Setting, fallback: string | undefined, check?: (text: string) => string | undefined): string | undefined;
  durationMs(setting: Setting, fallback: string, bounds: { min: string; max: string; off?: boolean }): number | undefined;
  bytes(setting: Setting, fallback: string, bounds: { min: string; max: string; off?: boolean }): number | undefined;
  integer(setting: Setting, fallback: number, bounds: { min: number; max: number }): number;
  fail(setting: Setting, code: 'config_missing', sentence: string): never;
  notUsedYet(variables: readonly { readonly variable: string; readonly about: string }[]): void;
  finish(): void;
}

const DEFAULT_LISTEN = '127.0.0.1:8080';
const DEFAULT_DATA_DIR = './data';
/** About 1.2 GB for a host of 700 series at 1 s. */
const DEFAULT_AGE = '90d';
/** Some 40 such hosts for as long; the oldest day goes first above it. */
const DEFAULT_BYTES = '50GB';
const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'];

const LATER = {
  alerts: 'alerts and notifications come with a later version',
  checks: 'service checks come with a later version',
  logs: 'logs come with a later version',
  scrape: 'reading from Prometheus comes with a later version',
} as const;

/** The variables of the systems that Picket replaces whose feature is not there yet. */
const NOT_USED_YET = [
  { variable: 'ALERT_EMAIL', about: LATER.alerts },
  { variable: 'SLACK_WEBHOOK', about: LATER.alerts },
  { variable: 'ALERT_COOLDOWN', about: LATER.alerts },
  { variable: 'ALERTING_EMAIL_FROM', about: LATER.alerts },
  { variable: 'ALERTING_SLACK_WEBHOOK_URL', about: LATER.alerts },
  { variable: 'ALERTING_WEBHOOK_URL', about: LATER.alerts },
  { variable: 'MONITORING_ALERT_EVALUATION_INTERVAL', about: LATER.alerts },
  { variable: 'MONITORING_HEALTH_CHECK_INTERVAL', about: LATER.checks },
  { variable: 'PERFORMANCE_API_RESPONSE_THRESHOLD', about: LATER.alerts },
  { variable: 'PERFORMANCE_CPU_THRESHOLD', about: LATER.alerts },
  { variable: 'PERFORMANCE_MEMORY_THRESHOLD', about: LATER.alerts },
  { variable: 'LOG_RETENTION_DAYS', about: LATER.logs },
  { variable: 'PROMETHEUS_URL', about: LATER.scrape },
] as const;

/** Reads every setting of the collector. Throws what the reader throws. */
export function collectorConfig(read: SettingReader): CollectorConfig {
  const listen = read.text({ key: 'listen', variable: 'PICKET_LISTEN' }, DEFAULT_LISTEN, (word) =>
    listenAddress(word) === undefined
      ? `is not host:port; write for example ${DEFAULT_LISTEN}, or 0.0.0.0:8080 for every address`
      : undefined,
  );
  const dataDir = read.text({ key: 'data_dir', variable: 'PICKET_DATA_DIR' }, DEFAULT_DATA_DIR) ?? DEFAULT_DATA_DIR;
  const adminToken = read.text({ key: 'admin_token', variable: 'PICKET_ADMIN_TOKEN', secret: true }, undefined, adminTokenProblem);
  const publicUrl = read.text({ key: 'public_url', variable: 'PICKET_PUBLIC_URL' }, undefined, (word) =>
    originOf(word) === undefined ? 'is not the address of a page; write for example https://picket.example' : undefined,
  );
  const tls = readTls(read);
  const config: CollectorConfig = {
    listen: listenAddress(listen ?? DEFAULT_LISTEN) ?? { host: '127.0.0.1', port: 8080 },
    dataDir: resolve(dataDir),
    ...(adminToken === undefined ? {} : { adminToken }),
    ...(publicUrl === undefined ? {} : { publicUrl: originOf(publicUrl) ?? publicUrl }),
    ...(tls === undefined ? {} : { tls }),
    retention: readRetention(read),
    logLevel: read.text({ key: 'log_level', variable: 'PICKET_LOG_LEVEL' }, 'info', logLevelProblem) ?? 'info',
  };
  read.notUsedYet(NOT_USED_YET);
  read.finish();
  return config;
}

/** Host and port of `host:port` or `[v6]:port`; undefined if it is none. */
export function listenAddress(text: string): { readonly host: string; readonly port: number } | undefined {
  const parts = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]+)):(\d{1,5})$/.exec(text);
  const host = parts?.[1] ?? parts?.[2];
  const port = Number(parts?.[3] ?? NaN);
  return host !== undefined && port <= 65_535 ? { host, port } : undefined;
}

/** `off` keeps everything and takes any time stamp from 1970 on; then only an explicit bound of bytes holds. */
function readRetention(read: SettingReader): CollectorConfig['retention'] {
  const ageMs = read.durationMs({ key: 'retention.age', variable: 'PICKET_RETENTION' }, DEFAULT_AGE, { min: '1h', max: '100y', off: true });
  const forever = ageMs === undefined;
  const bytesMax = read.bytes({ key: 'retention.bytes', variable: 'PICKET_RETENTION_BYTES' }, forever ? 'off' : DEFAULT_BYTES, {
    min: '256MB',
    max: '1000TB',
    off: true,
  });
  return { ageMs, bytesMax, acceptAnyTime: forever };
}

function readTls(read: SettingReader): CollectorConfig['tls'] {
  const cert: Setting = { key: 'tls.cert_file', variable: 'PICKET_TLS_CERT_FILE' };
  const key: Setting = { key: 'tls.key_file', variable: 'PICKET_TLS_KEY_FILE' };
  const certFile = read.text(cert, undefined);
  const keyFile = read.text(key, undefined);
  if (certFile === undefined && keyFile === undefined) return undefined;
  if (certFile === undefined) return read.fail(key, 'config_missing', 'tls.key_file needs tls.cert_file (PICKET_TLS_CERT_FILE) beside it');
  if (keyFile === undefined) return read.fail(cert, 'config_missing', 'tls.cert_file needs tls.key_file (PICKET_TLS_KEY_FILE) beside it');
  return { certFile: resolve(certFile), keyFile: resolve(keyFile) };
}

function originOf(text: string): string | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const known = url !== undefined && (url.protocol === 'http:' || url.protocol === 'https:');
  return known && url.pathname === '/' && url.search === '' && url.username === '' ? url.origin : undefined;
}

/** It travels in an HTTP header, so it has to be one word of ASCII. */
function adminTokenProblem(text: string): string | undefined {
  return /^[\x21-\x7e]{1,512}$/.test(text)
    ? undefined
    : 'is not one word of 1 to 512 ASCII characters; write for example the output of: openssl rand -hex 24';
}

function logLevelProblem(text: string): string | undefined {
  return LOG_LEVELS.includes(text) ? undefined : `is not a log level; write one of ${LOG_LEVELS.join(', ')}`;
}
