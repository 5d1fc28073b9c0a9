/** The list of hosts: merged from the stream, filtered, ordered, counted. Pure but for the merged map; draws nothing. */
import { STATUSES } from './contract.ts';
import type { Host, HostsUpdate, Status } from './contract.ts';

/** The small curve in a host's row shows this much of its CPU. An unwatched agent flushes each 5 s, so that is 24 points. */
export const PULSE_MS = 120_000;
/** One point per second at most. */
const PULSE_POINTS_MAX = 121;

export type Beat = { readonly atMs: number; readonly percent: number };

export type SortKey = 'status' | 'name' | 'cpu' | 'memory' | 'disk' | 'load' | 'network' | 'age';
export type Order = { readonly key: SortKey; readonly descending: boolean };
export type Filter = { readonly text: string; readonly status: Status | 'all' };
export type Counts = Readonly<Record<Status | 'all', number>>;

export class Fleet {
  readonly #hosts = new Map<string, Host>();
  readonly #pulses = new Map<string, Beat[]>();

  get size(): number {
    return this.#hosts.size;
  }

  get(name: string): Host | undefined {
    return this.#hosts.get(name);
  }

  all(): readonly Host[] {
    return [...this.#hosts.values()];
  }

  /** Everything anew: the first event of a stream. Hosts that are not in it are gone. */
  replace(update: HostsUpdate): void {
    const names = new Set(update.hosts.map((host) => host.name));
    for (const name of this.#hosts.keys()) if (!names.has(name)) this.#drop(name);
    this.merge(update);
  }

  /** True if hosts came, went or changed their status, so that the order of the rows has to be made again. */
  merge(update: HostsUpdate): boolean {
    let changed = false;
    for (const host of update.hosts) {
      const before = this.#hosts.get(host.name);
      changed ||= before?.status !== host.status;
      this.#hosts.set(host.name, host);
      if (before?.lastSampleMs !== host.lastSampleMs) this.#beat(host);
    }
    for (const name of update.removed ?? []) changed = this.#drop(name) || changed;
    return changed;
  }

  /** What is known of the last two minutes of CPU, oldest first. */
  pulse(name: string): readonly Beat[] {
    return this.#pulses.get(name) ?? [];
  }

  #beat(host: Host): void {
    const percent = host.values?.cpuPercent;
    if (percent === null || percent === undefined || host.lastSampleMs === null) return;
    const pulse = this.#pulses.get(host.name) ?? [];
    pulse.push({ atMs: host.lastSampleMs, percent });
    while (pulse.length > PULSE_POINTS_MAX || (pulse[0]?.atMs ?? Infinity) < host.lastSampleMs - PULSE_MS) pulse.shift();
    this.#pulses.set(host.name, pulse);
  }

  #drop(name: string): boolean {
    this.#pulses.delete(name);
    return this.#hosts.delete(name);
  }
}

export function countStatuses(hosts: readonly Host[]): Counts {
  const counts: Record<Status | 'all', number> = { all: hosts.length, down: 0, stale: 0, never: 0, revoked: 0, up: 0 };
  for (const host of hosts) counts[host.status]++;
  return counts;
}

/** Every word of the text must occur in the host's name, system, version or status. */
export function filterHosts(hosts: readonly Host[], filter: Filter): readonly Host[] {
  const words = filter.text.toLowerCase().split(/\s+/).filter(Boolean);
  return hosts.filter((host) => {
    if (filter.status !== 'all' && host.status !== filter.status) return false;
    if (words.length === 0) return true;
    const text = `${host.name} ${host.os ?? ''} ${host.version ?? ''} ${host.status} ${host.arch ?? ''}`.toLowerCase();
    return words.every((word) => text.includes(word));
  });
}

/** What has no value goes last in either direction; equal values are ordered by name, so that rows do not dance. */
export function orderHosts(hosts: readonly Host[], order: Order): readonly Host[] {
  const direction = order.descending ? -1 : 1;
  const valueOf = SORT_VALUES[order.key];
  return hosts.toSorted((a, b) => {
    const x = valueOf(a);
    const y = valueOf(b);
    if (x === null || y === null) return x === y ? byName(a, b) : x === null ? 1 : -1;
    const difference = typeof x === 'string' || typeof y === 'string' ? COLLATOR.compare(String(x), String(y)) : x - y;
    return difference === 0 ? byName(a, b) : direction * difference;
  });
}

/** Hosts that somebody should look at, the longest trouble first within its kind. */
export function troubled(hosts: readonly Host[]): readonly Host[] {
  return hosts
    .filter((host) => host.status === 'down' || host.status === 'stale')
    .toSorted((a, b) => rank(a) - rank(b) || (a.statusSince ?? '').localeCompare(b.statusSince ?? '') || byName(a, b));
}

const COLLATOR = new Intl.Collator(undefined, { numeric: true });

const SORT_VALUES: Readonly<Record<SortKey, (host: Host) => number | string | null>> = {
  status: rank,
  name: (host) => host.name,
  cpu: (host) => host.values?.cpuPercent ?? null,
  memory: (host) => host.values?.memoryPercent ?? null,
  disk: (host) => host.values?.diskPercent ?? null,
  load: (host) => host.values?.load1 ?? null,
  network: (host) =>
    host.values === null || host.values.networkReceiveBytesPerSecond === null
      ? null
      : host.values.networkReceiveBytesPerSecond + (host.values.networkTransmitBytesPerSecond ?? 0),
  age: (host) => host.lastSampleMs,
};

function rank(host: Host): number {
  return STATUSES.indexOf(host.status);
}

function byName(a: Host, b: Host): number {
  return COLLATOR.compare(a.name, b.name);
}
