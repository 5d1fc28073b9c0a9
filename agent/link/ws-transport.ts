/** The link's connection as a WebSocket client. The only file of the agent that knows ws; no protocol, no retry. */
import { readFileSync } from 'node:fs';
import { getCACertificates } from 'node:tls';
import { WebSocket, type ClientOptions } from 'ws';
import { FRAME_BYTES_MAX } from '../../protocol/index.ts';
import { isLoopback } from '../config.ts';
import { AgentError } from '../error.ts';
import type { Connection, Transport, TransportHandlers } from './transport.ts';

export type WsTransportOptions = {
  /** ws(s)://host:port/agent */
  readonly url: string;
  /** Whether ws:// may leave this machine. */
  readonly insecure: boolean;
  /** PEM certificates to trust besides the usual ones. */
  readonly caFile?: string | undefined;
};

/** Below the link's own deadline for connecting, so that the reason that a person reads is the socket's. */
const HANDSHAKE_MS_MAX = 9000;
/** How long a polite end may take. */
const CLOSE_MS_MAX = 250;
const CLOSE_NORMAL = 1000;

/** Throws AgentError for an address that would not be safe, or a CA file that cannot be used. */
export function wsTransport(options: WsTransportOptions): Transport {
  const { url } = options;
  if (!URL.canParse(url) || !/^wss?:$/.test(new URL(url).protocol)) {
    throw new AgentError(
      'url_invalid',
      `cannot connect to ${url}: it is not the address of a collector; write for example wss://collector.example:8080/agent`,
    );
  }
  if (url.startsWith('ws:') && !isLoopback(url) && !options.insecure) {
    throw new AgentError(
      'insecure_url',
      `cannot connect to ${url}: it is not encrypted and leaves this machine; write wss://, or set PICKET_INSECURE=true if the network is trusted`,
    );
  }
  const settings: ClientOptions = {
    // Frames are compressed already; a deflate context would cost 70 KB on both sides.
    perMessageDeflate: false,
    maxPayload: FRAME_BYTES_MAX,
    followRedirects: false,
    handshakeTimeout: HANDSHAKE_MS_MAX,
    ...(options.caFile === undefined ? {} : { ca: [...getCACertificates('default'), readCa(options.caFile)] }),
  };
  return { connect: (handlers) => new WsConnection(url, settings, handlers) };
}

class WsConnection implements Connection {
  readonly #socket: WebSocket;
  #reason = '';

  constructor(url: string, settings: ClientOptions, handlers: TransportHandlers) {
    const socket = new WebSocket(url, settings);
    this.#socket = socket;
    socket.on('open', () => handlers.opened());
    socket.on('message', (data) => handlers.message(data as Buffer));
    socket.on('pong', () => handlers.alive());
    socket.on('ping', () => handlers.alive());
    // Always followed by close, which tells.
    socket.on('error', (error) => {
      this.#reason = error.message;
    });
    socket.on('close', (code, reason) => {
      const said = reason.length > 0 ? `${code} ${reason.toString()}` : String(code);
      handlers.closed(this.#reason === '' ? `closed (${said})` : this.#reason);
    });
    this.#onDrained = () => handlers.drained();
  }

  readonly #onDrained: () => void;

  get unsentBytes(): number {
    return this.#socket.bufferedAmount;
  }

  send(bytes: Uint8Array): void {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(bytes, { binary: true, compress: false }, this.#onDrained);
  }

  ping(): void {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.ping();
  }

  close(): void {
    this.#socket.close(CLOSE_NORMAL);
    const timer = setTimeout(() => this.#socket.terminate(), CLOSE_MS_MAX);
    this.#socket.on('close', () => clearTimeout(timer));
  }

  terminate(): void {
    this.#socket.terminate();
  }
}

function readCa(file: string): string {
  try {
    const text = readFileSync(file, 'utf8');
    if (!text.includes('-----BEGIN CERTIFICATE-----')) throw new Error('it holds no PEM certificate');
    return text;
  } catch (cause) {
    throw new AgentError('ca_unreadable', `cannot use the CA file ${file}: ${(cause as Error).message}`, { cause });
  }
}
