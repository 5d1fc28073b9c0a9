/** Presence: what the collector concludes about each host from its session and its data, by the collector's clock alone. */
import type { AgentId, RecordStore } from '../model/ports.ts';
import type { HostStatus } from '../model/roster.ts';
import type { Agent, Agents } from './agents.ts';
import type { Reach } from './ledger.ts';

export type LinkState = {
  readonly connected: boolean;
  readonly sinceMs: number;
  readonly backlogBytes: number;
  readonly backlogOldestMs: number;
};

export type HostPresence = {
  readonly agent: Agent;
  readonly status: HostStatus;
  readonly statusSinceMs: number;
  readonly lastSampleMs: number | undefined;
  readonly lastSeenMs: number | undefined;
  readonly clockOffsetMs: number | undefined;
  readonly agentVersion: string;
  readonly link: LinkState;
};

type Host = {
  status: HostStatus;
  statusSinceMs: number;
  lastSampleMs: number | undefined;
  lastSeenMs: number | undefined;
  /** Collector's time when samples last became readable. */
  arrivedMs: number;
  clockOffsetMs: number | undefined;
  agentVersion: string;
  connected: boolean;
  linkSinceMs: number;
  backlogBytes: number;
  backlogOldestMs: number;
  saved: string;
};

type HostRecord = {
  lastSampleMs: number | undefined;
  lastSeenMs: number | undefined;
  status: HostStatus;
  statusSinceMs: number;
  agentVersion: string;
};

/** No sample readable for this long on an open link: three default flushes. */
const STALE_MS = 15_000;
/** No link for this long: longer than an agent's first back-offs, so that a collector's restart is no outage of hosts. */
const DOWN_MS = 30_000;
const TICK_MS = 1000;
const SAVE_MS = 30_000;

export class Presence implements Reach {
  readonly #agents: Agents;
  readonly #records: RecordStore;
  readonly #nowMs: () => number;
  readonly #hosts = new Map<AgentId, Host>();
  readonly #listeners = new Set<(agentId: AgentId) => void>();
  #timer: NodeJS.Timeout | undefined;
  #savedMs = 0;
  /** Saves that the store did not take. */
  saveFailures = 0;

  private constructor(agents: Agents, records: RecordStore, nowMs: () => number) {
    this.#agents = agents;
    this.#records = records;
    this.#nowMs = nowMs;
  }

  static async open(deps: { agents: Agents; records: RecordStore; nowMs: () => number }): Promise<Presence> {
    const presence = new Presence(deps.agents, deps.records, deps.nowMs);
    for (const { id, value } of await deps.records.list<HostRecord>('host')) Object.assign(presence.#host(id), value);
    presence.#timer = setInterval(() => presence.#tick(), TICK_MS);
    presence.#timer.unref();
    return presence;
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#save();
  }

  onChange(listener: (agentId: AgentId) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  connected(agentId: AgentId, agentVersion: string, clockOffsetMs: number): void {
    const host = this.#host(agentId);
    const nowMs = this.#nowMs();
    Object.assign(host, {
      connected: true,
      linkSinceMs: nowMs,
      lastSeenMs: nowMs,
      agentVersion,
      clockOffsetMs,
      arrivedMs: Math.max(host.arrivedMs, nowMs),
    });
    this.#judge(agentId, host);
    this.#tell(agentId);
  }

  disconnected(agentId: AgentId): void {
    const host = this.#host(agentId);
    host.connected = false;
    host.linkSinceMs = this.#nowMs();
    this.#judge(agentId, host);
    this.#tell(agentId);
  }

  seen(agentId: AgentId): void {
    this.#host(agentId).lastSeenMs = this.#nowMs();
  }

  /** Samples became readable. */
  arrived(agentId: AgentId, newestMs: number): void {
    const host = this.#host(agentId);
    host.arrivedMs = this.#nowMs();
    host.lastSampleMs = Math.max(host.lastSampleMs ?? 0, newestMs);
    this.#judge(agentId, host);
    this.#tell(agentId);
  }

  /** What the agent holds and has not come, and what its clock shows. */
  holds(agentId: AgentId, held: { bytes: number; oldestMs: number }, clockOffsetMs: number): void {
    const host = this.#host(agentId);
    host.backlogBytes = held.bytes;
    host.backlogOldestMs = held.oldestMs;
    host.clockOffsetMs = clockOffsetMs;
    this.#tell(agentId);
  }

  revoked(agentId: AgentId): void {
    this.#judge(agentId, this.#host(agentId));
    this.#tell(agentId);
  }

  of(agentId: AgentId): HostPresence | undefined {
    const agent = this.#agents.get(agentId);
    return agent === undefined ? undefined : this.#view(agent);
  }

  all(): HostPresence[] {
    return this.#agents.all().map((agent) => this.#view(agent));
  }

  newestMs(agentId: AgentId): number | undefined {
    return this.#hosts.get(agentId)?.lastSampleMs;
  }

  waitingFrom(agentId: AgentId, nowMs: number): { fromMs: number; detail: string } | undefined {
    const host = this.#hosts.get(agentId);
    if (host === undefined || host.lastSampleMs === undefined) return undefined;
    if (!host.connected) return { fromMs: host.lastSampleMs, detail: 'no link to the agent' };
    if (host.backlogBytes > 0 && host.backlogOldestMs > 0 && nowMs - host.backlogOldestMs > STALE_MS) {
      return { fromMs: host.backlogOldestMs, detail: 'held by the agent, on its way' };
    }
    return nowMs - host.arrivedMs > STALE_MS
      ? { fromMs: host.lastSampleMs, detail: 'the agent is connected and sends nothing' }
      : undefined;
  }

  #view(agent: Agent): HostPresence {
    const host = this.#host(agent.agentId);
    return {
      agent,
      status: host.status,
      statusSinceMs: host.statusSinceMs,
      lastSampleMs: host.lastSampleMs,
      lastSeenMs: host.lastSeenMs,
      clockOffsetMs: host.clockOffsetMs,
      agentVersion: host.agentVersion,
      link: {
        connected: host.connected,
        sinceMs: host.linkSinceMs,
        backlogBytes: host.backlogBytes,
        backlogOldestMs: host.backlogOldestMs,
      },
    };
  }

  #host(agentId: AgentId): Host {
    let host = this.#hosts.get(agentId);
    if (host === undefined) {
      const nowMs = this.#nowMs();
      host = {
        status: 'never',
        statusSinceMs: nowMs,
        lastSampleMs: undefined,
        lastSeenMs: undefined,
        arrivedMs: 0,
        clockOffsetMs: undefined,
        agentVersion: '',
        connected: false,
        linkSinceMs: nowMs,
        backlogBytes: 0,
        backlogOldestMs: 0,
        saved: '',
      };
      this.#hosts.set(agentId, host);
    }
    return host;
  }

  #judge(agentId: AgentId, host: Host): void {
    const status = this.#statusOf(agentId, host);
    if (status === host.status) return;
    host.status = status;
    host.statusSinceMs = this.#nowMs();
    this.#tell(agentId);
  }

  #statusOf(agentId: AgentId, host: Host): HostStatus {
    const nowMs = this.#nowMs();
    if (this.#agents.get(agentId)?.revokedMs !== undefined) return 'revoked';
    if (host.lastSampleMs === undefined) return 'never';
    if (host.connected) return nowMs - host.arrivedMs <= STALE_MS ? 'up' : 'stale';
    return nowMs - host.linkSinceMs <= DOWN_MS ? 'stale' : 'down';
  }

  #tell(agentId: AgentId): void {
    for (const listener of this.#listeners) listener(agentId);
  }

  #tick(): void {
    for (const [agentId, host] of this.#hosts) this.#judge(agentId, host);
    // A store that does not take it now gets it with the next save: no reason for the process to end.
    if (this.#nowMs() - this.#savedMs > SAVE_MS) this.#save().catch(() => this.saveFailures++);
  }

  async #save(): Promise<void> {
    this.#savedMs = this.#nowMs();
    for (const [agentId, host] of this.#hosts) {
      const { lastSampleMs, lastSeenMs, status, statusSinceMs, agentVersion } = host;
      const value: HostRecord = { lastSampleMs, lastSeenMs, status, statusSinceMs, agentVersion };
      const text = JSON.stringify(value);
      if (text === host.saved) continue;
      const stored = await this.#records.get('host', agentId);
      if (stored === undefined) await this.#records.putIfAbsent('host', agentId, value);
      else await this.#records.compareAndSet('host', agentId, stored.version, value);
      host.saved = text;
    }
  }
}
