/** The agent's settings: which there are, what is allowed, and every default. Where values come from is the business of the reader that is given. */
import { hostname } from 'node:os';
import { join, resolve } from 'node:path';
import type { HostPaths } from './gather/gatherer.ts';

export type LaneBounds = { readonly bytesMax: number; readonly ageMsMax: number };

export type GathererConfig = { readonly enabled: boolean; readonly intervalMs?: number };

export type AgentConfig = {
  /** ws(s)://host:port/agent */
  readonly collectorUrl: string;
  /** Absolute. Identity, spool and cursors. */
  readonly directory: string;
  readonly name: string;
  readonly enrollToken?: string;
  /** Whether ws:// may go to others than loopback. */
  readonly insecure: boolean;
  readonly caFile?: string;
  readonly flushMs: number;
  readonly offlineFlushMs: number;
  /** For every gatherer that has no interval of its own; without it each takes its default. */
  readonly gatherIntervalMs?: number;
  /** By the name of the gatherer; those that are not named run with their defaults. */
  readonly gatherers: Readonly<Record<string, GathererConfig>>;
  readonly paths: HostPaths;
  readonly spool: { readonly now: LaneBounds; readonly logs: LaneBounds; readonly bulk: LaneBounds };
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
  flag(setting: Setting, fallback: boolean): boolean;
  durationMs(
    setting: Setting,
    fallback: string,
    bounds: { min: string; max: string; multipleOf?: string; optional?: boolean },
  ): number | undefined;
  bytes(setting: Setting, fallback: string, bounds: { min: string; max: string }): number | undefined;
  names(prefix: string): readonly string[];
  fail(setting: Setting, code: 'insecure_url' | 'config_unknown_key', sentence: string): never;
  notUsedYet(variables: readonly { readonly variable: string; readonly about: string }[]): void;
  finish(): void;
}

const COLLECTOR_URL: Setting = { key: 'collector_url', variable: 'PICKET_COLLECTOR_URL' };
const DEFAULT_COLLECTOR_URL = 'ws://127.0.0.1:8080/agent';

/** What each lane may keep while the link is down. A host of 700 series at 1 s seals about 25 MB a day off line. */
const SPOOL_DEFAULTS = {
  now: { bytes: '256MB', age: '7d' },
  logs: { bytes: '512MB', age: '3d' },
  bulk: { bytes: '256MB', age: '3d' },
} as const;

/** One segment must fit several times, or dropping the oldest would drop everything. */
const SPOOL_MIN = '16MB';
const SPOOL_MAX = '1TB';

/** Every gatherer of every platform; a test holds this against the files of gather/. */
const GATHERER_NAMES: readonly string[] = [
  'cpu',
  'diskstats',
  'filefd',
  'filesystem',
  'host',
  'loadavg',
  'meminfo',
  'netdev',
  'netstat',
  'os',
  'pressure',
  'self',
  'sockstat',
  'stat',
  'time',
  'uname',
  'vmstat',
];

const NOT_USED_YET = [
  { variable: 'MONITORING_ENABLED', about: 'stop the agent instead' },
  { variable: 'MONITORING_HEALTH_CHECK_INTERVAL', about: 'service checks come with a later version' },
] as const;

/** Reads every setting of the agent. Throws what the reader throws. */
export function agentConfig(read: SettingReader, options: { readonly defaultDirectory: string }): AgentConfig {
  const insecure = read.flag({ key: 'insecure', variable: 'PICKET_INSECURE' }, false);
  const collectorUrl = readCollectorUrl(read, insecure);
  const enrollToken = read.text({ key: 'enroll_token', variable: 'PICKET_ENROLL_TOKEN', secret: true }, undefined, tokenProblem);
  const caFile = read.text({ key: 'ca_file', variable: 'PICKET_CA_FILE' }, undefined);
  const gatherInterval: Setting = {
    key: 'gather_interval',
    variable: 'PICKET_GATHER_INTERVAL',
    aliases: [
      { variable: 'MONITORING_METRICS_COLLECTION_INTERVAL', unit: 's' },
      { variable: 'MONITOR_INTERVAL', unit: 's' },
    ],
  };
  const gatherIntervalMs = readInterval(read, gatherInterval);
  const config: AgentConfig = {
    collectorUrl,
    directory: resolve(read.text({ key: 'dir', variable: 'PICKET_AGENT_DIR' }, options.defaultDirectory) ?? options.defaultDirectory),
    name: readName(read),
    ...(enrollToken === undefined ? {} : { enrollToken }),
    insecure,
    ...(caFile === undefined ? {} : { caFile: resolve(caFile) }),
    flushMs: read.durationMs({ key: 'flush' }, '5s', { min: '1s', max: '5m' }) ?? 5000,
    offlineFlushMs: read.durationMs({ key: 'offline_flush' }, '60s', { min: '1s', max: '10m' }) ?? 60_000,
    ...(gatherIntervalMs === undefined ? {} : { gatherIntervalMs }),
    gatherers: readGatherers(read),
    paths: readPaths(read),
    spool: { now: readLane(read, 'now'), logs: readLane(read, 'logs'), bulk: readLane(read, 'bulk') },
    logLevel: read.text({ key: 'log_level', variable: 'PICKET_LOG_LEVEL' }, 'info', logLevelProblem) ?? 'info',
  };
  read.notUsedYet(NOT_USED_YET);
  read.finish();
  return config;
}

/** ws(s)://host:port/agent of what people write, or undefined if it is no address. */
export function agentUrl(text: string): string | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const scheme = url === undefined ? undefined : { 'ws:': 'ws', 'http:': 'ws', 'wss:': 'wss', 'https:': 'wss' }[url.protocol];
  if (url === undefined || scheme === undefined || url.host === '' || url.username !== '' || url.password !== '') return undefined;
  if (!['', '/', '/agent', '/agent/'].includes(url.pathname) || url.search !== '' || url.hash !== '') return undefined;
  return `${scheme}://${url.host}/agent`;
}

/** Whether an address never leaves this machine. */
export function isLoopback(url: string): boolean {
  const host = new URL(url).hostname;
  return host === 'localhost' || host === '[::1]' || /^127(\.\d{1,3}){3}$/.test(host);
}

function readCollectorUrl(read: SettingReader, insecure: boolean): string {
  const text = read.text(COLLECTOR_URL, DEFAULT_COLLECTOR_URL, (word) =>
    agentUrl(word) === undefined ? 'is not the address of a collector; write for example wss://collector.example:8080' : undefined,
  );
  const url = agentUrl(text ?? DEFAULT_COLLECTOR_URL) ?? DEFAULT_COLLECTOR_URL;
  if (url.startsWith('ws://') && !isLoopback(url) && !insecure) {
    read.fail(
      COLLECTOR_URL,
      'insecure_url',
      `${url} is not encrypted and leaves this machine; write wss://, or set PICKET_INSECURE=true if the network is trusted (frames are signed, but not secret)`,
    );
  }
  return url;
}

function readName(read: SettingReader): string {
  const name = read.text({ key: 'name', variable: 'PICKET_NAME' }, hostname(), (word) =>
    /^[A-Za-z0-9][A-Za-z0-9._-]{0,252}$/.test(word)
      ? undefined
      : 'is not a host name; write letters, digits, dots, dashes and underscores, 253 at most',
  );
  return name ?? hostname();
}

/** Whole seconds, because ticks fall on whole seconds. */
function readInterval(read: SettingReader, setting: Setting): number | undefined {
  return read.durationMs(setting, '1s', { min: '1s', max: '1h', multipleOf: '1s', optional: true });
}

function readGatherers(read: SettingReader): Readonly<Record<string, GathererConfig>> {
  const gatherers: Record<string, GathererConfig> = {};
  for (const name of read.names('gatherers')) {
    const enabled = read.flag({ key: `gatherers.${name}.enabled` }, true);
    const intervalMs = readInterval(read, { key: `gatherers.${name}.interval` });
    if (!GATHERER_NAMES.includes(name)) {
      read.fail(
        { key: `gatherers.${name}.enabled` },
        'config_unknown_key',
        `there is no gatherer ${name}; there are ${GATHERER_NAMES.join(', ')}`,
      );
    }
    gatherers[name] = { enabled, ...(intervalMs === undefined ? {} : { intervalMs }) };
  }
  return gatherers;
}

function readPaths(read: SettingReader): HostPaths {
  const path = (key: string, fallback: string): string => resolve(read.text({ key: `path.${key}` }, fallback) ?? fallback);
  return {
    procfs: path('procfs', '/proc'),
    sysfs: path('sysfs', '/sys'),
    rootfs: path('rootfs', '/'),
    udev: path('udev', join('/run', 'udev', 'data')),
  };
}

function readLane(read: SettingReader, lane: keyof typeof SPOOL_DEFAULTS): LaneBounds {
  const { bytes, age } = SPOOL_DEFAULTS[lane];
  const bytesMax = read.bytes({ key: `spool.${lane}.bytes` }, bytes, { min: SPOOL_MIN, max: SPOOL_MAX });
  const ageMsMax = read.durationMs({ key: `spool.${lane}.age` }, age, { min: '1m', max: '1y' });
  return { bytesMax: bytesMax ?? 0, ageMsMax: ageMsMax ?? 0 };
}

function tokenProblem(text: string): string | undefined {
  return /^[\x21-\x7e]{8,2048}$/.test(text) ? undefined : 'is not an enrolment token; make one on the collector with: picket enroll';
}

function logLevelProblem(text: string): string | undefined {
  const levels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'];
  return levels.includes(text) ? undefined : `is not a log level; write one of ${levels.join(', ')}`;
}
