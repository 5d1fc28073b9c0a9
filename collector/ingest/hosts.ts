/** Hosts as the rest of the collector asks for them: presence joined with the inventory, and coverage by host name. */
import type { Coverage } from '../model/coverage.ts';
import type { AgentId, RecordStore } from '../model/ports.ts';
import type { Roster, RosterHost } from '../model/roster.ts';
import type { Agent, Agents } from './agents.ts';
import type { Ledger } from './ledger.ts';
import type { HostPresence, Presence } from './presence.ts';
import type { Sessions } from './sessions.ts';

type Facts = Pick<RosterHost, 'os' | 'kernel' | 'arch' | 'cpuCount' | 'bootTimeMs'>;

const NO_FACTS: Facts = { os: null, kernel: null, arch: null, cpuCount: null, bootTimeMs: null };

export class Hosts implements Roster {
  readonly #agents: Agents;
  readonly #presence: Presence;
  readonly #ledger: Ledger;
  readonly #sessions: Sessions;
  readonly #facts = new Map<AgentId, Facts>();

  private constructor(deps: { agents: Agents; presence: Presence; ledger: Ledger; sessions: Sessions }) {
    this.#agents = deps.agents;
    this.#presence = deps.presence;
    this.#ledger = deps.ledger;
    this.#sessions = deps.sessions;
    deps.ledger.onInventory = (agentId, document) => void this.#facts.set(agentId, factsOf(document));
  }

  static async open(deps: {
    agents: Agents;
    presence: Presence;
    ledger: Ledger;
    sessions: Sessions;
    records: RecordStore;
  }): Promise<Hosts> {
    const hosts = new Hosts(deps);
    for (const { id, value } of await deps.records.list<{ document: unknown }>('inventory')) hosts.#facts.set(id, factsOf(value.document));
    return hosts;
  }

  /** All hosts by name, one per name: a revoked agent's only while no other has its name. */
  hosts(): RosterHost[] {
    const byName = new Map<string, HostPresence>();
    for (const presence of this.#presence.all()) {
      const { agent } = presence;
      const other = byName.get(agent.name);
      if (other === undefined || other.agent.enrolledMs < agent.enrolledMs) byName.set(agent.name, presence);
    }
    return [...byName.values()].map((presence) => this.#info(presence)).toSorted((a, b) => (a.name < b.name ? -1 : 1));
  }

  host(name: string): RosterHost | undefined {
    const agent = this.#named(name);
    const presence = agent === undefined ? undefined : this.#presence.of(agent.agentId);
    return presence === undefined ? undefined : this.#info(presence);
  }

  /** False if there is no such agent, or it is revoked already. */
  async revoke(agentId: AgentId): Promise<boolean> {
    return this.#agents.get(agentId) !== undefined && this.#sessions.revoke(agentId);
  }

  onChange(listener: (agentId: AgentId) => void): () => void {
    return this.#presence.onChange(listener);
  }

  /** Live, late and missing spans of hosts. */
  of(names: readonly string[] | 'all', fromMs: number, toMs: number): Promise<Coverage> {
    const chosen =
      names === 'all'
        ? this.#agents.all().filter((agent) => agent.revokedMs === undefined)
        : names.flatMap((name) => this.#named(name) ?? []);
    return Promise.resolve(this.#ledger.coverage(chosen, fromMs, toMs));
  }

  /** The agent of that name; a revoked one only while no other has it. What it sent stays, and so does its coverage. */
  #named(name: string): Agent | undefined {
    const holder = this.#agents.byName(name);
    if (holder !== undefined) return holder;
    const revoked = this.#agents.all().filter((known) => known.name === name);
    return revoked.toSorted((a, b) => b.enrolledMs - a.enrolledMs)[0];
  }

  #info(presence: HostPresence): RosterHost {
    const { agent, link } = presence;
    const facts = this.#facts.get(agent.agentId) ?? NO_FACTS;
    return {
      name: agent.name,
      agentId: agent.agentId,
      status: presence.status,
      statusSinceMs: presence.statusSinceMs,
      lastSampleMs: presence.lastSampleMs ?? null,
      lastSeenMs: presence.lastSeenMs ?? null,
      clockOffsetMs: presence.clockOffsetMs ?? null,
      ...facts,
      version: presence.agentVersion === '' ? null : presence.agentVersion,
      link: {
        connected: link.connected,
        sinceMs: link.sinceMs,
        backlogBytes: link.connected ? link.backlogBytes : null,
        backlogOldestMs: link.connected && link.backlogOldestMs > 0 ? link.backlogOldestMs : null,
      },
    };
  }
}

/** The few facts that lists show, from an inventory of any shape. */
function factsOf(document: unknown): Facts {
  const root = asRecord(document);
  const os = asRecord(root['os']);
  const cpu = asRecord(root['cpu']);
  const distro = asText(os['distro']) ?? asText(os['platform']);
  const release = asText(os['release']);
  return {
    os: distro === null ? null : release === null ? distro : `${distro} ${release}`,
    kernel: asText(os['kernel']),
    arch: asText(os['arch']),
    cpuCount: asNumber(cpu['cores']),
    bootTimeMs: asNumber(root['bootTimeMs']),
  };
}

function asRecord(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
}

function asText(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null;
}

function asNumber(value: unknown): number | null {
  return typeof value === 'number' && Number.isFinite(value) ? value : null;
}
