/** All open sessions: who is connected, who is watched live, the keep-alive of revocation. One object; the socket server feeds it. */
import type { AgentId } from '../model/ports.ts';
import type { Presence } from './presence.ts';
import { Session, type Peer, type SessionDeps, type SessionTable } from './session.ts';

/** A watch is renewed before the agent lets it end. */
const LIVE_MS = 60_000;
const RENEW_MS = 25_000;
/** Sockets that have not finished their handshake; more are turned away, so that strangers cannot use up memory. */
const UNKNOWN_MAX = 2000;

export class Sessions implements SessionTable {
  readonly #deps: Omit<SessionDeps, 'table'>;
  readonly #presence: Presence;
  readonly #open = new Map<AgentId, Session>();
  readonly #pending = new Set<Session>();
  readonly #watchers = new Map<AgentId, number>();
  readonly #timer: NodeJS.Timeout;

  constructor(deps: Omit<SessionDeps, 'table'>) {
    this.#deps = deps;
    this.#presence = deps.presence;
    this.#timer = setInterval(() => this.#renew(), RENEW_MS);
    this.#timer.unref();
    // Revoked by an administrator, or replaced by another key that took its name: its session must not outlive it.
    deps.agents.onRevoked = (agentId) => {
      this.#open.get(agentId)?.end('identity_revoked', 'revoked by an administrator, or replaced by another agent of this name');
      this.#presence.revoked(agentId);
    };
  }

  get count(): number {
    return this.#open.size;
  }

  /** A new socket; undefined if there are too many that have not said who they are. */
  accept(peer: Peer): Session | undefined {
    if (this.#pending.size >= UNKNOWN_MAX) return undefined;
    const session = new Session({ ...this.#deps, table: this }, peer);
    this.#pending.add(session);
    return session;
  }

  /** A socket ended, whatever its session had reached. */
  gone(session: Session): void {
    this.#pending.delete(session);
    session.closed();
  }

  get(agentId: AgentId): Session | undefined {
    return this.#open.get(agentId);
  }

  opened(session: Session): void {
    this.#pending.delete(session);
    this.#open.set(session.agent.agentId, session);
    if (this.#watchers.has(session.agent.agentId)) setImmediate(() => session.setLive(LIVE_MS));
  }

  ended(session: Session): void {
    const { agentId } = session.agent;
    if (this.#open.get(agentId) !== session) return;
    this.#open.delete(agentId);
    this.#presence.disconnected(agentId);
  }

  /** Somebody looks at this host: its frames come each second until the returned function is called. */
  watch(agentId: AgentId): () => void {
    const watchers = (this.#watchers.get(agentId) ?? 0) + 1;
    this.#watchers.set(agentId, watchers);
    if (watchers === 1) this.#open.get(agentId)?.setLive(LIVE_MS);
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      const left = (this.#watchers.get(agentId) ?? 1) - 1;
      if (left > 0) {
        this.#watchers.set(agentId, left);
        return;
      }
      this.#watchers.delete(agentId);
      this.#open.get(agentId)?.setLive(0);
    };
  }

  /** Revokes: the key is refused from now on and its session ends. */
  revoke(agentId: AgentId): Promise<boolean> {
    return this.#deps.agents.revoke(agentId);
  }

  close(): void {
    clearInterval(this.#timer);
    for (const session of [...this.#open.values(), ...this.#pending]) session.leave();
    this.#pending.clear();
  }

  #renew(): void {
    for (const agentId of this.#watchers.keys()) this.#open.get(agentId)?.setLive(LIVE_MS);
  }
}
