/** One agent's connection: challenge, hello, welcome, then frames and state until it ends. The socket is behind Peer; frames go to the receiver. */
import { randomBytes } from 'node:crypto';
import {
  agentIdOf,
  decodeControl,
  decodeHello,
  encodeChallenge,
  encodeControl,
  encodeRejected,
  encodeWelcome,
  HANDSHAKE_MS_MAX,
  isControl,
  NONCE_BYTES,
  PROTOCOL_VERSION,
  sealConfig,
  type Challenge,
  type ErrorCode,
  type FrameHeader,
  type HeldEpoch,
  type Hello,
  type Said,
  type State,
} from '../../protocol/index.ts';
import { labelsOf, type Labels } from '../model/labels.ts';
import type { Appender } from '../model/ports.ts';
import type { SequenceRanges } from '../model/ranges.ts';
import type { Agent, Agents } from './agents.ts';
import { offsetOf, type ClockSegments } from './clock-segments.ts';
import { countRefused, type IngestCounters } from './counters.ts';
import type { CollectorIdentity } from './identity.ts';
import { epochOf, newAgentState, type AgentState, type EpochState } from './lanes.ts';
import type { Ledger } from './ledger.ts';
import type { Presence } from './presence.ts';
import { EPOCHS_MAX, type FrameSource, type Receiver } from './receiver.ts';
import { settleEnded, settleFloors, type SettlementDeps } from './settlement.ts';
import type { EnrollTokens } from './tokens.ts';

/** The socket as a session sees it. */
export interface Peer {
  readonly address: string;
  send(bytes: Uint8Array): void;
  /** WebSocket close code and a reason of at most 123 bytes. */
  close(closeCode: number, reason: string): void;
  pause(): void;
  resume(): void;
}

/** Sessions by agent; told of each that opens and ends. */
export interface SessionTable {
  get(agentId: string): Session | undefined;
  opened(session: Session): void;
  ended(session: Session): void;
}

export type SessionDeps = {
  readonly identity: CollectorIdentity;
  readonly agents: Agents;
  readonly tokens: EnrollTokens;
  readonly appender: Appender;
  readonly receiver: Receiver;
  readonly ledger: Ledger;
  readonly presence: Presence;
  readonly clocks: ClockSegments;
  readonly counters: IngestCounters;
  readonly table: SessionTable;
  readonly nowMs: () => number;
  readonly log: { info(fields: object, message: string): void; warn(fields: object, message: string): void };
};

/** Bytes of unacked frames that an agent may have under way, per lane now, logs, bulk. */
const CREDIT_BYTES: readonly [number, number, number] = [4 * 1024 * 1024, 4 * 1024 * 1024, 2 * 1024 * 1024];
/** State messages that an agent may say at once, and how often one more: it says one each minute and one for each step of its clock. */
const STATES_MAX = 60;
const STATE_REFILL_MS = 1000;
const CLOSE_NORMAL = 1000;
const CLOSE_REFUSED = 1008;
const CLOSE_FAILED = 1011;
const RETRY_MS = 5000;
/** What will not mend itself within seconds is tried again slowly. */
const RETRY_SLOW_MS = 60_000;
const RETRY_SLOW = new Set<ErrorCode>([
  'identity_unknown',
  'identity_revoked',
  'host_name_taken',
  'token_invalid',
  'token_expired',
  'token_used_up',
  'handshake_version',
]);

type ClockTold = { readonly clockSegment: number; readonly clockBaseMs: number };

export class Session implements FrameSource {
  readonly #deps: SessionDeps;
  readonly #peer: Peer;
  readonly #challenge: Said<Challenge>;
  readonly #deadline: NodeJS.Timeout;
  #phase: 'challenged' | 'opening' | 'open' | 'ended' = 'challenged';
  #agent: Agent | undefined;
  #state: AgentState | undefined;
  #source: Labels = [];
  #hello: Hello | undefined;
  /** What the agent said last that it holds, until all of it has come. */
  #held: readonly HeldEpoch[] = [];
  #clockOffsetMs = 0;
  #helloOffsetMs = 0;
  /** The clock segment that the agent told of last. */
  #clock: ClockTold | undefined;
  /** What came while a clock segment's base was made durable. */
  #parked: Uint8Array[] | undefined;
  #revision = 0;
  #statesLeft = STATES_MAX;
  #stateMs = 0;

  constructor(deps: SessionDeps, peer: Peer) {
    this.#deps = deps;
    this.#peer = peer;
    const { identity } = deps;
    this.#challenge = encodeChallenge({
      versions: [PROTOCOL_VERSION],
      fleetId: identity.fleetId,
      key: identity.keys.publicKey,
      nonce: randomBytes(NONCE_BYTES),
      timeMs: deps.nowMs(),
    });
    this.#deadline = setTimeout(() => this.end('handshake_timeout', 'no hello in time'), HANDSHAKE_MS_MAX);
    peer.send(this.#challenge.bytes);
  }

  get agent(): Agent {
    if (this.#agent === undefined) throw new Error('a session has its agent only once it is open');
    return this.#agent;
  }

  get state(): AgentState {
    if (this.#state === undefined) throw new Error('a session has its state only once it is open');
    return this.#state;
  }

  get source(): Labels {
    return this.#source;
  }

  /** A message of the peer, whole. */
  message(bytes: Uint8Array): void {
    if (this.#phase === 'open') {
      if (this.#parked !== undefined) this.#parked.push(bytes);
      else if (isControl(bytes)) this.#control(bytes);
      else this.#deps.receiver.receive(this, bytes);
      return;
    }
    if (this.#phase === 'challenged') {
      this.#phase = 'opening';
      this.#open(bytes, this.#deps.nowMs()).catch((error: unknown) => this.end('store_failed', (error as Error).message));
      return;
    }
    if (this.#phase === 'opening') this.end('handshake_malformed', 'the agent spoke before it was welcome');
  }

  send(bytes: Uint8Array): void {
    if (this.#phase !== 'ended') this.#peer.send(bytes);
  }

  pause(): void {
    this.#peer.pause();
  }

  resume(): void {
    this.#peer.resume();
  }

  /** Asks the agent to flush each second for `liveMs`; 0 ends it. */
  setLive(liveMs: number): void {
    if (this.#phase !== 'open') return;
    const { identity, nowMs } = this.#deps;
    this.#revision = Math.max(this.#revision + 1, nowMs());
    this.send(
      encodeControl(sealConfig(identity.fleetId, this.agent.agentIdBytes, { revision: this.#revision, liveMs, hints: [] }, identity.sign)),
    );
  }

  /** Counted by its code here, and nowhere else. */
  end(code: ErrorCode | 'store_failed', detail: string): void {
    if (this.#phase === 'ended') return;
    if (code !== 'store_failed') countRefused(this.#deps.counters, code);
    this.#deps.log.warn({ agent: this.#agent?.name, address: this.#peer.address, code, detail }, 'session ended by the collector');
    this.#peer.close(code === 'store_failed' ? CLOSE_FAILED : CLOSE_REFUSED, code);
    this.closed();
  }

  /** Another connection of the same agent takes over, or the collector stops. */
  leave(): void {
    if (this.#phase === 'ended') return;
    this.#peer.close(CLOSE_NORMAL, '');
    this.closed();
  }

  /** The socket is gone. */
  closed(): void {
    if (this.#phase === 'ended') return;
    clearTimeout(this.#deadline);
    const wasOpen = this.#phase === 'open';
    this.#phase = 'ended';
    if (!wasOpen) return;
    this.#deps.counters.sessionsClosed++;
    this.#deps.table.ended(this);
  }

  async #open(bytes: Uint8Array, arrivedMs: number): Promise<void> {
    const { counters } = this.#deps;
    const decoded = decodeHello(this.#challenge, bytes);
    if (!decoded.ok) {
      counters.handshakeFailures++;
      this.#reject(decoded.code, decoded.detail);
      return;
    }
    const hello = decoded.value.value;
    const agent = await this.#recognise(hello);
    if (agent === undefined || this.#isEnded()) return;
    const other = this.#deps.table.get(agent.agentId);
    if (other !== undefined && !other.#isSameProcessHost(hello)) {
      this.#reject(
        'identity_in_use',
        `the key of ${agent.name} is in use by another machine at this moment; if this one was cloned, enrol it anew`,
      );
      return;
    }
    // The same agent again: its old socket is half open or its process is new.
    other?.leave();
    this.#helloOffsetMs = offsetOf(hello.wallMs, this.#challenge.value.timeMs, arrivedMs);
    this.#clockOffsetMs = this.#helloOffsetMs;
    this.#clock = hello;
    this.#hello = hello;
    this.#agent = agent;
    this.#source = labelsOf({ job: 'node', instance: agent.name });
    this.#state = await this.#loadState(agent, hello);
    await this.#settleHeld(agent, hello);
    if (this.#isEnded()) return;
    if (this.#deps.agents.get(agent.agentId)?.revokedMs !== undefined)
      return this.#reject('identity_revoked', `${agent.name} was revoked while it connected`);
    if (this.#deps.table.get(agent.agentId) !== undefined)
      return this.end('identity_in_use', 'another connection of this agent was faster');
    clearTimeout(this.#deadline);
    this.#phase = 'open';
    counters.sessionsOpened++;
    this.#deps.table.opened(this);
    this.#deps.presence.connected(agent.agentId, hello.agentVersion, this.#clockOffsetMs);
    this.#held = hello.held;
    this.#reportHeld();
    this.send(encodeWelcome(this.#challenge, decoded.value, this.#welcome(hello), this.#deps.identity.sign));
    this.#deps.log.info({ agent: agent.name, address: this.#peer.address, version: hello.agentVersion }, 'agent connected');
  }

  #isEnded(): boolean {
    return this.#phase === 'ended';
  }

  #isSameProcessHost(hello: Hello): boolean {
    const own = this.#hello;
    return own !== undefined && Buffer.compare(own.machine, hello.machine) === 0 && own.bootId === hello.bootId;
  }

  async #recognise(hello: Hello): Promise<Agent | undefined> {
    const { agents, tokens, counters, log } = this.#deps;
    const known = agents.get(Buffer.from(agentIdOf(hello.key)).toString('hex'));
    if (known !== undefined) {
      if (known.revokedMs === undefined) return known;
      this.#reject('identity_revoked', `${known.name} was revoked here; enrol it anew if that was a mistake`);
      return undefined;
    }
    const token = await tokens.take(this.#challenge, hello);
    if (!token.ok) {
      this.#reject(token.code, token.detail);
      return undefined;
    }
    const enrolled = await agents.enroll(hello, token.value);
    if (!enrolled.ok) {
      await tokens.release(token.value.id);
      this.#reject(enrolled.code, enrolled.detail);
      return undefined;
    }
    counters.enrolled++;
    log.info({ agent: enrolled.value.name, address: this.#peer.address, token: token.value.id }, 'agent enrolled');
    return enrolled.value;
  }

  #reject(code: ErrorCode, message: string): void {
    this.send(encodeRejected({ code, message, retryMs: RETRY_SLOW.has(code) ? RETRY_SLOW_MS : RETRY_MS }));
    this.end(code, message);
  }

  async #loadState(agent: Agent, hello: Hello): Promise<AgentState> {
    const { appender, clocks } = this.#deps;
    const [received, corrections] = await Promise.all([appender.received(agent.agentId), clocks.load(agent.agentId)]);
    const state = newAgentState(agent.agentId, received);
    for (const [epoch, segments] of corrections) for (const [segment, ms] of segments) epochOf(state, epoch).corrections.set(segment, ms);
    const current = epochOf(state, Buffer.from(hello.epoch).toString('hex'));
    current.corrections.set(hello.clockSegment, await clocks.fix(agent.agentId, current.epoch, hello.clockSegment, this.#clockOffsetMs));
    return state;
  }

  /** Below an agent's floor nothing comes any more: what is missing there is a gap, and epochs that it no longer holds are over. */
  async #settleHeld(agent: Agent, hello: Hello): Promise<void> {
    const settlement = this.#settlement(agent);
    settleFloors(settlement, hello.held);
    const held = new Map(hello.held.map((of) => [Buffer.from(of.epoch).toString('hex'), of]));
    const running = Buffer.from(hello.epoch).toString('hex');
    this.#deps.ledger.began(agent.agentId, running);
    for (const [epoch, state] of this.state.epochs) {
      if (epoch === running || !settleEnded(settlement, state, held.get(epoch))) continue;
      settlement.whenStored(() => this.#deps.appender.forget(agent.agentId, epoch));
      this.#deps.ledger.over(agent.agentId, epoch);
      await this.#deps.clocks.forget(agent.agentId, epoch);
      this.state.epochs.delete(epoch);
    }
  }

  #settlement(agent: Agent): SettlementDeps {
    const { appender, receiver, ledger, presence, nowMs } = this.#deps;
    const whenStored = (call: () => void): void => receiver.whenStored(call);
    return {
      appender,
      whenStored,
      ledger,
      agent,
      state: this.state,
      newestMs: presence.newestMs(agent.agentId) ?? agent.enrolledMs,
      nowMs: nowMs(),
    };
  }

  #welcome(hello: Hello) {
    const received = [...this.state.epochs.values()].map((epoch) => ({
      epoch: epoch.bytes,
      dictionaryLength: epoch.dictionaryLength,
      lanes: epoch.lanes.map((lane, index) => ({ lane: index, ranges: lastRanges(lane.ranges) })),
    }));
    return { version: hello.version, name: this.agent.name, timeMs: this.#deps.nowMs(), received, credit: CREDIT_BYTES };
  }

  #control(bytes: Uint8Array): void {
    const decoded = decodeControl(bytes);
    if (!decoded.ok) {
      this.end(decoded.code, decoded.detail);
      return;
    }
    const message = decoded.value;
    if (message.kind !== 'state') {
      this.end('control_unknown', `an agent may not say ${message.kind}`);
      return;
    }
    if (!this.#mayState()) return this.end('limit_rate', `more than ${STATES_MAX} state messages at once and one each second`);
    this.#heard(message).catch((error: unknown) => this.end('store_failed', (error as Error).message));
  }

  /** Each may raise floors in the store and add a clock segment: a loop of them would cost everybody. */
  #mayState(): boolean {
    const nowMs = performance.now();
    this.#statesLeft = Math.min(STATES_MAX, this.#statesLeft + (nowMs - this.#stateMs) / STATE_REFILL_MS);
    this.#stateMs = nowMs;
    if (this.#statesLeft < 1) return false;
    this.#statesLeft--;
    return true;
  }

  async #heard(message: State): Promise<void> {
    this.#deps.presence.seen(this.agent.agentId);
    settleFloors(this.#settlement(this.agent), message.held);
    if (this.state.epochs.size > EPOCHS_MAX) return this.end('frame_epoch', `this session has named ${EPOCHS_MAX} epochs`);
    this.#clockOffsetMs = message.wallMs - this.#deps.nowMs();
    this.#held = message.held;
    this.#reportHeld();
    this.#clock = message;
    const epoch = epochOf(this.state, Buffer.from((this.#hello as Hello).epoch).toString('hex'));
    if (!epoch.corrections.has(message.clockSegment)) await this.#fixBase(epoch, []);
  }

  /**
   * True if the frame waits for the base of its clock segment and comes again by itself. An epoch that began since the hello (its dictionary was worn
   * out) runs on the clock that the agent told of last; one that the agent held before has the base it had then, or never was on line.
   */
  awaitsBase(epoch: EpochState, header: FrameHeader, bytes: Uint8Array): boolean {
    if (epoch.corrections.has(header.clockSegment)) return false;
    if (header.clockSegment !== this.#clock?.clockSegment || header.clockBaseMs !== this.#clock.clockBaseMs) return false;
    if (this.#hello?.held.some((of) => Buffer.compare(of.epoch, epoch.bytes) === 0) === true) return false;
    this.#fixBase(epoch, [bytes]).catch((error: unknown) => this.end('store_failed', (error as Error).message));
    return true;
  }

  /** Fixes the base of the clock segment that the agent is in. What comes meanwhile waits: in the socket, and what had been read from it already, here. */
  async #fixBase(epoch: EpochState, parked: Uint8Array[]): Promise<void> {
    const { clockSegment, clockBaseMs } = this.#clock as ClockTold;
    this.#parked = parked;
    this.pause();
    // By how far the clock was stepped the agent knows exactly; how long its message was on its way nobody does.
    const offsetMs = this.#helloOffsetMs + clockBaseMs - (this.#hello as Hello).clockBaseMs;
    epoch.corrections.set(clockSegment, await this.#deps.clocks.fix(this.agent.agentId, epoch.epoch, clockSegment, offsetMs));
    this.#parked = undefined;
    for (const bytes of parked) this.message(bytes);
    this.resume();
  }

  /** Acks went out: what was outstanding may have come by now. */
  acked(): void {
    if (this.#held.length > 0) this.#reportHeld();
  }

  #reportHeld(): void {
    let bytes = 0;
    let oldestMs = 0;
    for (const { epoch, lanes } of this.#held) {
      const known = this.state.epochs.get(Buffer.from(epoch).toString('hex'));
      for (const { lane, floor, next, bytes: held, oldestMs: oldest } of lanes) {
        const ranges = known?.lanes[lane as 0 | 1 | 2].ranges;
        if (next === floor || ranges?.isWhole(floor, next) === true) continue;
        bytes += held;
        if (oldest > 0 && lane === 0) oldestMs = oldestMs === 0 ? oldest : Math.min(oldestMs, oldest);
      }
    }
    if (bytes === 0) this.#held = [];
    this.#deps.presence.holds(this.agent.agentId, { bytes, oldestMs }, this.#clockOffsetMs);
  }
}

/** The newest ranges that fit a message; what is left out is sent again and acked again, harmlessly. */
function lastRanges(ranges: SequenceRanges): [number, number][] {
  return ranges
    .toArray()
    .slice(-1000)
    .map(([from, to]) => [from, to]);
}
