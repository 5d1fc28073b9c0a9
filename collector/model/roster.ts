/** Who is watched and how they are: one host without its samples, and who knows them all. Ingest knows, http asks. Types only. */
import type { AgentId } from './ports.ts';

export type HostStatus = 'up' | 'stale' | 'down' | 'never' | 'revoked';

/** Times are the collector's clock, ms since 1970; null where unknown. */
export type RosterHost = {
  readonly name: string;
  readonly agentId: AgentId;
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
