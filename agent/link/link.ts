/**
 * The agent's connection to its collector, for as long as the agent lives: connect, prove, send, and begin again whatever happens. A watchdog with a
 * timer of its own decides when a connection is dead; socket events only make it quicker. What is sent when is window.ts's affair.
 *
 *   waiting --(back-off)--> connecting --(open)--> greeting --(challenge, hello, welcome)--> online
 *      ^______________________________________________|_______________________________________|   any failure
 */
import {
  decodeAnswer,
  decodeControl,
  encodeControl,
  fail,
  ID_BYTES,
  NONCE_BYTES,
  openConfig,
  verifier,
  type AgentConfigMessage,
  type HeldEpoch,
  type Rejected,
  type Result,
  type SealedConfig,
  type Verifier,
  type Welcome,
} from '../../protocol/index.ts';
import type { ClockSegment } from '../clock.ts';
import type { Timers } from '../gather/gatherer.ts';
import type { SealedFrame } from '../sealer.ts';
import type { Spool } from '../spool/spool.ts';
import { Backoff } from './backoff.ts';
import { greet, type Credentials, type Greeting } from './greeting.ts';
import { LinkJournal, type LinkLog } from './journal.ts';
import type { Connection, Transport } from './transport.ts';
import { Window, type WindowSpool, type WindowStats } from './window.ts';

/** Who the link speaks for. `enrol` is durable when it returns. */
export interface LinkIdentity extends Credentials {
  readonly agentId: Uint8Array;
  enrol(enrolment: { fleetId: Uint8Array; collectorKey: Uint8Array; name: string }): void;
}

export type LinkSpool = WindowSpool & Pick<Spool, 'held'>;

/** What follows from what the collector says. Called from the link's own turns; must not throw. */
export interface LinkListener {
  /** Welcome: what is pending is sealed and offered now, so that it goes before the backlog. */
  online(): void;
  offline(): void;
  acked(epoch: string, lane: number, ranges: readonly (readonly [number, number])[]): void;
  refused(epoch: string, lane: number, sequence: number): void;
  config(config: AgentConfigMessage): void;
}

export type LinkOptions = {
  readonly transport: Transport;
  readonly identity: LinkIdentity;
  readonly spool: LinkSpool;
  readonly listener: LinkListener;
  readonly name: string;
  readonly bootId: string;
  readonly agentVersion: string;
  /** The running epoch and the clock, as they are now. */
  readonly epoch: () => Uint8Array;
  readonly segment: () => ClockSegment;
  readonly wallMs: () => number;
  readonly monotonicMs: () => number;
  readonly timers: Timers;
  readonly random: () => number;
  readonly randomBytes: (bytes: number) => Uint8Array;
  readonly log: LinkLog;
};

export type LinkStats = WindowStats & { connects: number; failures: number; rejections: number; staleConfigs: number; malformed: number };

const WATCH_MS = 1000;
/** Until the socket is open, then until the welcome. */
const CONNECT_MS_MAX = 10_000;
const GREET_MS_MAX = 10_000;
/** A peer that answers pings is heard each ten seconds; three missed are a dead connection. */
const PING_MS = 10_000;
const SILENT_MS_MAX = 30_000;
/** A frame without any answer: the collector is stuck, or what it said was lost. */
const UNANSWERED_MS_MAX = 60_000;
const STATE_MS = 60_000;
/** A connection that lived this long resets the back-off; a shorter one may be a collector that fails at the first frame. */
const STABLE_MS = 10_000;
/** After what does not mend itself in seconds: another collector answers there, or one that cannot prove itself. */
const UNTRUSTED_RETRY_MS = 60_000;
/** Epochs of one hello or state; the wire allows 4,096, the spool holds fewer. */
const HELD_MAX = 4096;

type Phase =
  | { readonly kind: 'waiting' }
  | { readonly kind: 'connecting' }
  | { readonly kind: 'greeting'; readonly greeting: Greeting | undefined }
  | { readonly kind: 'online'; readonly verify: Verifier }
  | { readonly kind: 'stopped' };

export class Link {
  readonly #options: LinkOptions;
  readonly #backoff: Backoff;
  readonly #window: Window;
  readonly #journal: LinkJournal;
  readonly #counts = { connects: 0, failures: 0, rejections: 0, staleConfigs: 0, malformed: 0 };
  #phase: Phase = { kind: 'waiting' };
  /** The connection of this phase; events of any other are ignored. */
  #connection: Connection | undefined;
  /** Rises with each connection. */
  #attempt = 0;
  #sinceMs = 0;
  #heardMs = 0;
  #pingedMs = 0;
  #statedMs = 0;
  #retryAtMs = 0;
  #retryTimer: unknown;
  #watchTimer: unknown;
  #forgotten = false;
  /** Highest revision of a configuration that was taken; also across connections, so that an old one cannot be replayed. */
  #revision = 0;
  #settled: (() => void) | undefined;

  constructor(options: LinkOptions) {
    this.#options = options;
    this.#backoff = new Backoff(options.random);
    this.#journal = new LinkJournal(options.log, options.monotonicMs);
    const { spool, monotonicMs, listener } = options;
    this.#window = new Window({
      spool,
      monotonicMs,
      onAcked: (epoch, lane, ranges) => {
        listener.acked(epoch, lane, ranges);
        this.#checkSettled();
      },
    });
  }

  get isOnline(): boolean {
    return this.#phase.kind === 'online';
  }

  get stats(): LinkStats {
    return { ...this.#window.stats, ...this.#counts };
  }

  start(): void {
    this.#watch();
    this.#connect();
  }

  /** A frame that was just sealed. It is in the spool when this returns. */
  offer(frame: SealedFrame): void {
    this.#window.offer(frame);
  }

  /** The dictionary of the running epoch has grown to this length, and the spool has it. */
  announced(epoch: string, length: number): void {
    this.#window.announced(epoch, length);
  }

  /** Tells the collector the clock and what is held: each minute, and before frames of a new clock segment. */
  sendState(): void {
    if (this.#phase.kind !== 'online') return;
    this.#statedMs = this.#options.monotonicMs();
    const { segment, wallMs } = this.#options;
    const { number, baseMs } = segment();
    this.#connection?.send(
      encodeControl({ kind: 'state', wallMs: Math.floor(wallMs()), clockSegment: number, clockBaseMs: baseMs, held: this.#held() }),
    );
  }

  /** A new epoch is introduced as the first one was, by a hello: the collector fixes the base of its clock there. */
  reintroduce(): void {
    if (this.#phase.kind === 'waiting' || this.#phase.kind === 'stopped') return;
    const connection = this.#connection;
    this.#abandon();
    // What was sent still arrives.
    connection?.close();
    this.#connect();
  }

  /** Ends the connection when everything that was sent is answered, at the latest after `waitMs`; then nothing is sent any more. */
  async stop(waitMs: number): Promise<void> {
    const { timers } = this.#options;
    if (this.#phase.kind === 'online' && !this.#window.idle) {
      let deadline: unknown;
      await new Promise<void>((resolve) => {
        this.#settled = resolve;
        deadline = timers.setTimer(resolve, waitMs);
      });
      timers.clearTimer(deadline);
    }
    this.#settled = undefined;
    timers.clearTimer(this.#retryTimer);
    timers.clearTimer(this.#watchTimer);
    const connection = this.#connection;
    this.#abandon();
    this.#phase = { kind: 'stopped' };
    connection?.close();
  }

  #connect(): void {
    if (this.#phase.kind !== 'waiting') return;
    this.#options.timers.clearTimer(this.#retryTimer);
    const attempt = ++this.#attempt;
    const isCurrent = (): boolean => attempt === this.#attempt;
    this.#counts.connects++;
    this.#enter({ kind: 'connecting' });
    const connection = this.#options.transport.connect({
      opened: () => isCurrent() && this.#enter({ kind: 'greeting', greeting: undefined }),
      message: (bytes) => isCurrent() && this.#message(bytes),
      alive: () => isCurrent() && this.#heard(),
      drained: () => isCurrent() && this.#window.pump(),
      closed: (reason) => isCurrent() && this.#fail('connection_lost', reason),
    });
    // A transport may fail before it has given its connection back.
    if (isCurrent()) this.#connection = connection;
    else connection.terminate();
  }

  #enter(phase: Phase): void {
    this.#phase = phase;
    this.#sinceMs = this.#options.monotonicMs();
    this.#heard();
  }

  #heard(): void {
    this.#heardMs = this.#options.monotonicMs();
  }

  #message(bytes: Uint8Array): void {
    this.#heard();
    const phase = this.#phase;
    if (phase.kind === 'greeting') this.#greet(phase.greeting, bytes);
    else if (phase.kind === 'online') this.#control(phase.verify, bytes);
  }

  /** The challenge first, then the answer to the hello. */
  #greet(greeting: Greeting | undefined, bytes: Uint8Array): void {
    if (greeting === undefined) {
      const greeted = greet(bytes, this.#options.identity, this.#standing(), this.#forgotten);
      if (!greeted.ok) return this.#fail(greeted.code, greeted.detail, UNTRUSTED_RETRY_MS);
      this.#phase = { kind: 'greeting', greeting: greeted.value };
      this.#connection?.send(greeted.value.hello.bytes);
      return;
    }
    const answer = decodeAnswer(greeting.challenge, greeting.hello, bytes);
    if (!answer.ok) return this.#fail(answer.code, answer.detail, UNTRUSTED_RETRY_MS);
    if ('rejected' in answer.value) return this.#rejected(answer.value.rejected);
    this.#welcome(greeting, answer.value.welcome);
  }

  #rejected({ code, message, retryMs }: Rejected): void {
    this.#counts.rejections++;
    // Whoever forges this learns only that the token is known, which the first hello showed as well.
    if (code === 'identity_unknown') this.#forgotten = true;
    this.#fail(code, `the collector refused this agent: ${message}`, retryMs);
  }

  #welcome({ challenge, hello }: Greeting, welcome: Welcome): void {
    const { identity, listener } = this.#options;
    const { fleetId, key } = challenge.value;
    try {
      // Durable before anything else: a token may be good for one use only.
      identity.enrol({ fleetId, collectorKey: key, name: welcome.name });
    } catch (error) {
      return this.#fail('identity_unwritable', (error as Error).message, UNTRUSTED_RETRY_MS);
    }
    this.#forgotten = false;
    this.#enter({ kind: 'online', verify: verifier(key) });
    this.#statedMs = this.#sinceMs;
    this.#journal.connected(welcome.name);
    // A clock that was stepped since the hello: the collector hears of the segment before it sees a frame of it.
    if (hello.value.clockSegment !== this.#options.segment().number) this.sendState();
    this.#window.open(this.#connection as Connection, welcome.credit, welcome.received);
    listener.online();
    this.#window.pump();
  }

  #control(verify: Verifier, bytes: Uint8Array): void {
    const decoded = decodeControl(bytes);
    if (!decoded.ok) {
      // Of a newer collector perhaps: what is not understood is counted and left.
      this.#counts.malformed++;
      return this.#journal.note({ code: decoded.code, detail: decoded.detail }, 'message of the collector not understood');
    }
    const message = decoded.value;
    switch (message.kind) {
      case 'ack':
        return this.#window.acked(message);
      case 'need':
        return this.#window.needed(message);
      case 'refuse':
        this.#window.refused(message);
        this.#journal.note({ code: message.code, lane: message.lane, sequence: message.sequence }, 'frame refused by the collector');
        this.#options.listener.refused(Buffer.from(message.epoch).toString('hex'), message.lane, message.sequence);
        return this.#checkSettled();
      case 'credit':
        return this.#window.setCredit(message.lanes);
      case 'sealedConfig':
        return this.#configure(message, verify);
      case 'state':
        this.#counts.malformed++;
        return undefined;
      default:
        return message satisfies never;
    }
  }

  #configure(sealed: SealedConfig, verify: Verifier): void {
    const { identity, listener } = this.#options;
    const opened = this.#isNewer(openConfig(identity.fleetId, identity.agentId, sealed, verify));
    if (!opened.ok) {
      this.#counts.staleConfigs++;
      return this.#journal.note({ code: opened.code, detail: opened.detail }, 'configuration from the collector not taken');
    }
    this.#revision = opened.value.revision;
    listener.config(opened.value);
  }

  #isNewer(opened: Result<AgentConfigMessage>): Result<AgentConfigMessage> {
    if (!opened.ok || opened.value.revision > this.#revision) return opened;
    return fail('control_malformed', `revision ${opened.value.revision} is not above ${this.#revision}`);
  }

  /** The end of this connection, for a reason. The next one comes by itself. */
  #fail(code: string, detail: string, retryMs?: number): void {
    if (this.#phase.kind === 'stopped' || this.#phase.kind === 'waiting') return;
    const { monotonicMs, timers } = this.#options;
    const wasStable = this.#phase.kind === 'online' && monotonicMs() - this.#sinceMs >= STABLE_MS;
    if (wasStable) this.#backoff.reset();
    this.#counts.failures++;
    const connection = this.#connection;
    this.#abandon();
    connection?.terminate();
    const delayMs = retryMs === undefined ? this.#backoff.next() : this.#backoff.nextAfter(retryMs);
    this.#retryAtMs = monotonicMs() + delayMs;
    this.#retryTimer = timers.setTimer(() => this.#connect(), delayMs);
    this.#journal.failed(code, detail, delayMs);
  }

  /** Whatever the connection still says is not heard any more. */
  #abandon(): void {
    const wasOnline = this.#phase.kind === 'online';
    this.#attempt++;
    this.#connection = undefined;
    this.#phase = { kind: 'waiting' };
    this.#window.close();
    if (wasOnline) this.#options.listener.offline();
    this.#settled?.();
  }

  #watch(): void {
    this.#watchTimer = this.#options.timers.setTimer(() => {
      this.#watch();
      this.#check(this.#options.monotonicMs());
    }, WATCH_MS);
  }

  /** Once a second, whatever the socket does or does not tell. */
  #check(nowMs: number): void {
    switch (this.#phase.kind) {
      case 'waiting':
        if (nowMs >= this.#retryAtMs) this.#connect();
        return;
      case 'connecting':
        if (nowMs - this.#sinceMs > CONNECT_MS_MAX) this.#fail('connect_timeout', `no connection within ${CONNECT_MS_MAX / 1000} s`);
        return;
      case 'greeting':
        if (nowMs - this.#sinceMs > GREET_MS_MAX) this.#fail('handshake_timeout', `no welcome within ${GREET_MS_MAX / 1000} s`);
        return;
      case 'online':
        return this.#checkOnline(nowMs);
      case 'stopped':
        return;
      default:
        this.#phase satisfies never;
    }
  }

  #checkOnline(nowMs: number): void {
    if (nowMs - this.#heardMs > SILENT_MS_MAX) return this.#fail('connection_silent', `nothing heard for ${SILENT_MS_MAX / 1000} s`);
    const oldestMs = this.#window.oldestSentMs;
    if (oldestMs !== undefined && nowMs - oldestMs > UNANSWERED_MS_MAX) {
      return this.#fail('frames_unanswered', `a frame was not answered for ${UNANSWERED_MS_MAX / 1000} s`);
    }
    if (nowMs - this.#pingedMs >= PING_MS) {
      this.#pingedMs = nowMs;
      this.#connection?.ping();
    }
    if (nowMs - this.#statedMs >= STATE_MS) this.sendState();
    this.#window.pump();
  }

  #checkSettled(): void {
    if (this.#settled !== undefined && this.#window.idle) this.#settled();
  }

  #standing() {
    const { epoch, segment, bootId, name, agentVersion, wallMs, randomBytes } = this.#options;
    const { number, baseMs } = segment();
    return {
      nonce: randomBytes(NONCE_BYTES),
      epoch: epoch(),
      bootId,
      name,
      agentVersion,
      wallMs: Math.floor(wallMs()),
      clockSegment: number,
      clockBaseMs: baseMs,
      held: this.#held(),
    };
  }

  #held(): HeldEpoch[] {
    return this.#options.spool
      .held()
      .slice(-HELD_MAX)
      .map(({ epoch, lanes }) => ({
        epoch: Uint8Array.from(Buffer.from(epoch, 'hex').subarray(0, ID_BYTES)),
        lanes: lanes.map(({ lane, floor, next, bytes, oldestMs }) => ({ lane, floor, next, bytes, oldestMs: Math.floor(oldestMs) })),
      }));
  }
}
