/** Who is enrolled: agents by key, host names, revocation. Not who is connected (presence.ts). */
import { agentIdOf, fail, ok, verifier, type Hello, type Result, type Verifier } from '../../protocol/index.ts';
import type { AgentId, RecordStore } from '../model/ports.ts';
import { IngestError } from './error.ts';

export type AgentRecord = {
  readonly key: string;
  readonly name: string;
  readonly machine: string;
  readonly enrolledMs: number;
  readonly revokedMs?: number;
  readonly tokenId: string;
};

/** An enrolled agent with its imported key. */
export type Agent = AgentRecord & { readonly agentId: AgentId; readonly agentIdBytes: Uint8Array; readonly verify: Verifier };

/** RFC 1123 host names, and underscores, which many hosts have. */
const HOST_NAME = /^[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?$/;

export class Agents {
  readonly #records: RecordStore;
  readonly #nowMs: () => number;
  readonly #byId = new Map<AgentId, { agent: Agent; version: number }>();
  /** Names of agents that are not revoked, and of those whose enrolment is being written. */
  readonly #byName = new Map<string, AgentId>();
  /** Told of each agent that is revoked, however that came; set by who holds their sessions. */
  onRevoked: ((agentId: AgentId) => void) | undefined;

  private constructor(records: RecordStore, nowMs: () => number) {
    this.#records = records;
    this.#nowMs = nowMs;
  }

  static async open(records: RecordStore, nowMs: () => number): Promise<Agents> {
    const agents = new Agents(records, nowMs);
    for (const { id, version, value } of await records.list<AgentRecord>('agent')) agents.#remember(id, version, value);
    return agents;
  }

  #remember(agentId: AgentId, version: number, record: AgentRecord): Agent {
    const agent: Agent = {
      ...record,
      agentId,
      agentIdBytes: Buffer.from(agentId, 'hex'),
      verify: verifier(Buffer.from(record.key, 'base64')),
    };
    this.#byId.set(agentId, { agent, version });
    if (record.revokedMs === undefined) this.#byName.set(record.name, agentId);
    else if (this.#byName.get(record.name) === agentId) this.#byName.delete(record.name);
    return agent;
  }

  get(agentId: AgentId): Agent | undefined {
    return this.#byId.get(agentId)?.agent;
  }

  byName(name: string): Agent | undefined {
    const agentId = this.#byName.get(name);
    return agentId === undefined ? undefined : this.get(agentId);
  }

  all(): Agent[] {
    return [...this.#byId.values()].map(({ agent }) => agent);
  }

  /** Makes an agent known under the name it asks for. A taken name is refused unless the token may replace it: then the holder is revoked. */
  async enroll(hello: Hello, token: { id: string; replace: string }): Promise<Result<Agent>> {
    const { name } = hello;
    if (!HOST_NAME.test(name)) return fail('limit_label', `"${name.slice(0, 80)}" is no host name; set PICKET_NAME on the agent`);
    const holder = this.byName(name);
    if (holder !== undefined && token.replace === name) await this.revoke(holder.agentId);
    if (this.#byName.has(name)) {
      return fail(
        'host_name_taken',
        `a host called ${name} is enrolled already; revoke it, or set PICKET_NAME on this agent to another name`,
      );
    }
    const agentId = Buffer.from(agentIdOf(hello.key)).toString('hex');
    const record: AgentRecord = {
      key: Buffer.from(hello.key).toString('base64'),
      name,
      machine: Buffer.from(hello.machine).toString('hex'),
      enrolledMs: this.#nowMs(),
      tokenId: token.id,
    };
    // Claims the name in memory before the write, so that two enrolments of one name cannot both pass the check above.
    this.#byName.set(name, agentId);
    try {
      if (await this.#records.putIfAbsent('agent', agentId, record)) return ok(this.#remember(agentId, 1, record));
      return fail('identity_revoked', 'this key was enrolled before and revoked');
    } finally {
      if (this.get(agentId)?.name !== name) this.#byName.delete(name);
    }
  }

  /** From now on the key is refused; what it sent before stays. False if it was revoked already. */
  async revoke(agentId: AgentId): Promise<boolean> {
    const stored = await this.#records.get<AgentRecord>('agent', agentId);
    if (stored === undefined) throw new IngestError('agent_unknown', `there is no agent ${agentId}; GET /api/v1/agents lists them`);
    if (stored.value.revokedMs !== undefined) return false;
    const record = { ...stored.value, revokedMs: this.#nowMs() };
    const version = await this.#records.compareAndSet('agent', agentId, stored.version, record);
    if (version === undefined) return this.revoke(agentId);
    this.#remember(agentId, version, record);
    this.onRevoked?.(agentId);
    return true;
  }
}
