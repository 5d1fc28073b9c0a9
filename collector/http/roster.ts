/** Who is watched and how they are: what ingest knows about hosts, as http/ asks it. Types, and the JSON of one host. */

export type HostStatus = 'up' | 'stale' | 'down' | 'never' | 'revoked';

/** Times are the collector's clock, ms since 1970; null where unknown. */
export type RosterHost = {
  readonly name: string;
  readonly agentId: string;
  readonly status: HostStatus;
  readonly statusSinceMs: number | null;
  /** Time of the newest sample of the host's own series. */
  readonly lastSampleMs: number | null;
  /** When the agent was last heard of. */
  readonly lastSeenMs: number | null;
  /** Agent's clock minus ours. */
  readonly clockOffsetMs: number | null;
  readonly os: string | null;
  readonly kernel: string | null;
  readonly arch: string | null;
  readonly cpuCount: number | null;
  readonly bootTimeMs: number | null;
  readonly version: string | null;
  readonly link: RosterLink;
};

export type RosterLink = {
  readonly connected: boolean;
  /** Since when it is connected or not. */
  readonly sinceMs: number | null;
  /** What the agent holds that we have not acked. */
  readonly backlogBytes: number | null;
  readonly backlogOldestMs: number | null;
};

export interface Roster {
  /** All hosts sorted by name, one per name: a revoked agent's only while no other has its name. */
  hosts(): readonly RosterHost[];
  host(name: string): RosterHost | undefined;
  /** Durable when resolved; the agent's session ends. False if there is no such agent or it is revoked already. */
  revoke(agentId: string): Promise<boolean>;
  /** Calls with the agent whose host changed, came or went. May be called often: listeners only take a note. */
  onChange(listener: (agentId: string) => void): () => void;
}

/** The live figures of a host; null where not measured. */
export type HostValues = {
  readonly cpuPercent: number | null;
  readonly memoryPercent: number | null;
  readonly memoryBytes: number | null;
  readonly memoryTotalBytes: number | null;
  /** Of the fullest real filesystem. */
  readonly diskPercent: number | null;
  readonly diskMount: string | null;
  readonly load1: number | null;
  readonly networkReceiveBytesPerSecond: number | null;
  readonly networkTransmitBytesPerSecond: number | null;
};

export const NO_VALUES: HostValues = {
  cpuPercent: null,
  memoryPercent: null,
  memoryBytes: null,
  memoryTotalBytes: null,
  diskPercent: null,
  diskMount: null,
  load1: null,
  networkReceiveBytesPerSecond: null,
  networkTransmitBytesPerSecond: null,
};

/** A host as the API gives it. `statusSince` and `link.since` are RFC 3339 for people, the rest milliseconds for arithmetic. */
export function hostJson(host: RosterHost, values: HostValues): unknown {
  const { statusSinceMs, link, ...rest } = host;
  const { sinceMs, ...linkRest } = link;
  return { ...rest, statusSince: rfc3339(statusSinceMs), link: { ...linkRest, since: rfc3339(sinceMs) }, values };
}

export function rfc3339(timeMs: number | null): string | null {
  return timeMs === null || !(Math.abs(timeMs) <= 8.64e15) ? null : new Date(timeMs).toISOString();
}
