/** Connections in memory whose every message waits until the test lets it through; can refuse, fall silent, cut, and speak after its end. */
import type { Connection, Transport, TransportHandlers } from '../../../agent/link/transport.ts';

export class MemoryNetwork implements Transport {
  /** What a new connection meets: somebody, a refusal, or nothing at all. */
  mode: 'up' | 'down' | 'silent' = 'up';
  /** Everything is delivered late, only when this is cleared. */
  readonly connections: MemoryConnection[] = [];
  onConnect: (connection: MemoryConnection) => void = () => {};
  #queue: (() => void)[] = [];

  connect(handlers: TransportHandlers): Connection {
    const connection = new MemoryConnection(this, handlers);
    this.connections.push(connection);
    this.later(() => {
      if (this.mode === 'down') return connection.drop('connection refused');
      if (this.mode === 'silent') return undefined;
      handlers.opened();
      return this.onConnect(connection);
    });
    return connection;
  }

  get last(): MemoryConnection {
    return this.connections.at(-1) as MemoryConnection;
  }

  later(step: () => void): void {
    this.#queue.push(step);
  }

  /** Delivers until nothing is under way. */
  settle(): void {
    for (let step = this.#queue.shift(); step !== undefined; step = this.#queue.shift()) step();
  }
}

export class MemoryConnection implements Connection {
  readonly handlers: TransportHandlers;
  readonly #network: MemoryNetwork;
  /** Everything that the agent sent, whether or not somebody was there. */
  readonly sent: Uint8Array[] = [];
  receiver: (bytes: Uint8Array) => void = () => {};
  unsentBytes = 0;
  pings = 0;
  /** Nothing goes through any more, in either direction, and nobody is told. */
  silent = false;
  ended: 'no' | 'closed' | 'terminated' = 'no';

  constructor(network: MemoryNetwork, handlers: TransportHandlers) {
    this.#network = network;
    this.handlers = handlers;
  }

  send(bytes: Uint8Array): void {
    this.sent.push(bytes);
    this.#network.later(() => {
      if (!this.silent) this.receiver(bytes);
    });
  }

  ping(): void {
    this.pings++;
    this.#network.later(() => {
      if (!this.silent) this.handlers.alive();
    });
  }

  close(): void {
    if (this.ended === 'no') this.ended = 'closed';
  }

  terminate(): void {
    this.ended = 'terminated';
  }

  /** From the other side to the agent. */
  deliver(bytes: Uint8Array): void {
    this.#network.later(() => {
      if (!this.silent) this.handlers.message(bytes);
    });
  }

  /** The connection is lost and the agent's side sees it. */
  drop(reason = 'reset'): void {
    this.silent = true;
    this.#network.later(() => this.handlers.closed(reason));
  }
}
