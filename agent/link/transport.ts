/** What the link asks of a connection; ws-transport.ts answers with a WebSocket, tests with memory. No protocol. */

/** Called by the connection, in order; nothing after `closed`, which comes once, also when the connection never opened. */
export interface TransportHandlers {
  opened(): void;
  message(bytes: Uint8Array): void;
  /** Bytes came that are no message: a pong. */
  alive(): void;
  /** Less waits unsent than before. */
  drained(): void;
  /** `reason` is for people. */
  closed(reason: string): void;
}

export interface Connection {
  send(bytes: Uint8Array): void;
  /** Asks the other side for a sign of life, which shows as `alive`. */
  ping(): void;
  /** Bytes given to `send` that have not left the process. */
  readonly unsentBytes: number;
  /** Ends it politely: what was sent arrives. */
  close(): void;
  /** Ends it now. */
  terminate(): void;
}

export interface Transport {
  /** Never throws for the network's sake: what fails is told by `closed`. */
  connect(handlers: TransportHandlers): Connection;
}
