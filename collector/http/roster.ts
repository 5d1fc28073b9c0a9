/** One host as the API gives it: the roster's facts and the live figures. */
import type { RosterHost } from '../model/roster.ts';

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
