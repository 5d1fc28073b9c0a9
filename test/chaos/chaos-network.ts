/**
 * Connections between agents and the collector as a bad network gives them: late, slow, cut with what was under way, half open so that nobody is told,
 * the same message twice. Each direction of one connection keeps its order; two connections do not know of each other. Knows no protocol but the first byte.
 */
import type { Connection, TransportHandlers } from '../../agent/link/transport.ts';
import type { Peer } from '../../collector/ingest/session.ts';
import type { VirtualTime } from './virtual-time.ts';

/** What one agent's way to the collector is like at this moment. */
export type Route = {
  latencyMs: number;
  /** Infinity: no bound. */
  bytesPerSecond: number;
  /** Of messages after the handshake that come twice. */
  duplicates: number;
  /** What a new connection meets. */
  mode: 'up' | 'refused' | 'silent';
};

/** The session behind a socket. */
export type ServerEnd = { message(bytes: Uint8Array): void; gone(): void };

export interface NetworkHost {
  readonly time: VirtualTime;
  readonly random: () => number;
  /** A new socket at the collector; undefined if nobody listens. */
  accept(peer: Peer): ServerEnd | undefined;
  /** True if the collector's process ended at this point. */
  crash(point: string): boolean;
  onServerSend(connection: ChaosConnection, bytes: Uint8Array): void;
}

/** As collector/ingest/sockets.ts: a socket that was not heard for two rounds is dead. */
const SERVER_PING_MS = 15_000;
/** Messages that a real socket had parsed already when it was paused. */
const PAUSE_LEAK_MAX = 3;

export class ChaosConnection implements Connection {
  readonly #host: NetworkHost;
  readonly #route: Route;
  readonly #handlers: TransportHandlers;
  readonly agent: number;
  #server: ServerEnd | undefined;
  /** Nothing goes through and nobody is told. */
  #isSilent = false;
  #agentEnded = false;
  #serverEnded = false;
  #messages = 0;
  #lastArrivalMs = { up: 0, down: 0 };
  #busyUntilMs = 0;
  unsentBytes = 0;
  #heardMs = 0;
  #paused = false;
  #leak = 0;
  readonly #held: (() => void)[] = [];
  /** Seen by the checker, before the agent's own code is. */
  onAgentMessage: (bytes: Uint8Array) => void = () => undefined;
  onAgentSend: (bytes: Uint8Array) => void = () => undefined;

  constructor(host: NetworkHost, agent: number, route: Route, handlers: TransportHandlers) {
    this.#host = host;
    this.#route = route;
    this.#handlers = handlers;
    this.agent = agent;
    if (route.mode === 'silent') this.#isSilent = true;
    const refused = route.mode === 'refused';
    host.time.after(this.#latency(), () => {
      if (this.#isSilent || this.#agentEnded) return;
      const server = refused ? undefined : this.#open();
      if (server === undefined) this.#toAgentEnd('connection refused');
    });
  }

  get isOpen(): boolean {
    return !this.#agentEnded && !this.#serverEnded && !this.#isSilent;
  }

  send(bytes: Uint8Array): void {
    if (this.#agentEnded) return;
    this.onAgentSend(bytes);
    const { time, random } = this.#host;
    this.#messages++;
    const rate = this.#route.bytesPerSecond;
    const departMs = Math.max(time.nowMs, this.#busyUntilMs) + (rate === Infinity ? 0 : (bytes.length / rate) * 1000);
    this.#busyUntilMs = departMs;
    if (departMs > time.nowMs) {
      this.unsentBytes += bytes.length;
      time.after(departMs - time.nowMs, () => {
        this.unsentBytes -= bytes.length;
        if (!this.#agentEnded) this.#handlers.drained();
      });
    }
    this.#up(departMs, () => this.#server?.message(bytes));
    // The first message is the hello.
    if (this.#messages > 1 && random() < this.#route.duplicates) this.#up(departMs, () => this.#server?.message(bytes));
  }

  ping(): void {
    if (this.#agentEnded) return;
    this.#up(this.#host.time.nowMs, () => this.#down(() => this.#handlers.alive()));
  }

  close(): void {
    this.#endOfAgent(true);
  }

  terminate(): void {
    this.#endOfAgent(this.#host.random() < 0.5);
  }

  /** The path is cut: both ends learn of it, what was under way is lost from some message on. */
  cut(): void {
    this.#isSilent = this.#host.random() < 0.5;
    this.#endOfAgent(!this.#isSilent);
    this.#host.time.after(this.#latency(), () => this.#toServerEnd());
  }

  /** Nothing goes through from here on, and only silence tells. */
  silence(): void {
    this.#isSilent = true;
  }

  /** The agent's process is dead: its kernel says so, unless the machine is. */
  agentDied(how: 'kill' | 'power'): void {
    this.#agentEnded = true;
    if (how === 'power') this.#isSilent = true;
    else this.#up(this.#host.time.nowMs, () => this.#toServerEnd());
  }

  collectorDied(how: 'kill' | 'power'): void {
    this.#server = undefined;
    this.#serverEnded = true;
    if (how === 'power') this.#isSilent = true;
    else this.#down(() => this.#toAgentEnd('reset'));
  }

  /** From somebody who speaks for the collector: the checker's way to turn the credit. */
  sendToAgent(bytes: Uint8Array): void {
    const isHandshake = this.#messages === 0;
    this.#down(() => this.#handAgent(bytes));
    if (!isHandshake && bytes[1] === ACK && this.#host.random() < this.#route.duplicates) this.#down(() => this.#handAgent(bytes));
  }

  #open(): ServerEnd | undefined {
    const server = this.#host.accept(this.#peer());
    if (server === undefined) return undefined;
    this.#server = server;
    this.#heardMs = this.#host.time.nowMs;
    this.#handlers.opened();
    this.#pingAgent();
    return server;
  }

  #pingAgent(): void {
    this.#host.time.after(SERVER_PING_MS, () => {
      if (this.#serverEnded) return;
      if (this.#host.time.nowMs - this.#heardMs > 2 * SERVER_PING_MS) return this.#toServerEnd();
      // The agent's library answers by itself.
      this.#down(() => {
        this.#handlers.alive();
        this.#up(this.#host.time.nowMs, () => undefined);
      });
      return this.#pingAgent();
    });
  }

  #peer(): Peer {
    return {
      address: '192.0.2.1',
      send: (bytes) => {
        if (this.#serverEnded || this.#host.crash('send')) return;
        this.#host.onServerSend(this, bytes);
        this.sendToAgent(bytes);
      },
      close: () => {
        if (this.#serverEnded) return;
        this.#down(() => this.#toAgentEnd('closed'));
        this.#host.time.after(0, () => this.#toServerEnd());
      },
      pause: () => {
        if (!this.#paused) this.#leak = Math.floor(this.#host.random() * (PAUSE_LEAK_MAX + 1));
        this.#paused = true;
      },
      resume: () => {
        this.#paused = false;
        this.#host.time.after(0, () => this.#pour());
      },
    };
  }

  #latency(): number {
    return this.#route.latencyMs * (0.5 + this.#host.random());
  }

  #up(departMs: number, deliver: () => void): void {
    const { time } = this.#host;
    const arrivalMs = Math.max(departMs + this.#latency(), this.#lastArrivalMs.up);
    this.#lastArrivalMs.up = arrivalMs;
    time.after(arrivalMs - time.nowMs, () => {
      if (this.#isSilent || this.#serverEnded) return;
      if (this.#held.length > 0 || (this.#paused && this.#leak-- <= 0)) {
        this.#held.push(deliver);
        return;
      }
      this.#heardMs = time.nowMs;
      deliver();
    });
  }

  #pour(): void {
    while (!this.#paused && !this.#serverEnded) {
      const deliver = this.#held.shift();
      if (deliver === undefined) return;
      this.#heardMs = this.#host.time.nowMs;
      deliver();
    }
  }

  #down(deliver: () => void): void {
    const { time } = this.#host;
    const arrivalMs = Math.max(time.nowMs + this.#latency(), this.#lastArrivalMs.down);
    this.#lastArrivalMs.down = arrivalMs;
    time.after(arrivalMs - time.nowMs, () => {
      if (!this.#isSilent && !this.#agentEnded) deliver();
    });
  }

  #handAgent(bytes: Uint8Array): void {
    this.onAgentMessage(bytes);
    this.#handlers.message(bytes);
  }

  /** `politely`: what was sent still arrives, then the end. */
  #endOfAgent(politely: boolean): void {
    if (this.#agentEnded) return;
    this.#agentEnded = true;
    const { time } = this.#host;
    time.after(0, () => this.#handlers.closed('closed here'));
    if (politely) this.#up(Math.max(time.nowMs, this.#busyUntilMs), () => this.#toServerEnd());
    else if (!this.#isSilent) time.after(this.#latency(), () => this.#toServerEnd());
  }

  #toAgentEnd(reason: string): void {
    if (this.#agentEnded) return;
    this.#agentEnded = true;
    this.#handlers.closed(reason);
  }

  #toServerEnd(): void {
    if (this.#serverEnded) return;
    this.#serverEnded = true;
    this.#server?.gone();
  }
}

/** The second byte of an ack message. */
const ACK = 5;
