/** WebSockets of agents: upgrade, messages to sessions, pings. The only importer of ws in the collector; knows nothing of frames. */
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { WebSocketServer, type WebSocket } from 'ws';
import { CONTROL_BYTES_MAX, FRAME_BYTES_MAX } from '../../protocol/index.ts';
import type { Peer } from './session.ts';
import type { Sessions } from './sessions.ts';

/** Both sides ping; a socket that answers nothing for two rounds is dead. */
const PING_MS = 15_000;
/** An agent that does not read its acks is cut off here; it reconnects and is told again. */
const UNSENT_BYTES_MAX = 4 * 1024 * 1024;
/** Bytes of a connection before its first message is whole: a hello and the request that opened the WebSocket. */
const STRANGER_BYTES_MAX = CONTROL_BYTES_MAX + 64 * 1024;
const CLOSE_TRY_LATER = 1013;

export class AgentSockets {
  readonly #sessions: Sessions;
  readonly #server: WebSocketServer;
  readonly #alive = new WeakSet<WebSocket>();
  readonly #timer: NodeJS.Timeout;

  constructor(sessions: Sessions) {
    this.#sessions = sessions;
    this.#server = new WebSocketServer({ noServer: true, perMessageDeflate: false, maxPayload: FRAME_BYTES_MAX, clientTracking: true });
    this.#timer = setInterval(() => this.#ping(), PING_MS);
    this.#timer.unref();
  }

  /** Takes over an HTTP upgrade for the agents' path. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    this.#server.handleUpgrade(request, socket, head, (websocket) => this.#connected(websocket, request.socket));
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    for (const websocket of this.#server.clients) websocket.terminate();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #connected(websocket: WebSocket, socket: Socket): void {
    websocket.binaryType = 'nodebuffer';
    const session = this.#sessions.accept(peerOf(websocket, socket.remoteAddress ?? ''));
    if (session === undefined) {
      websocket.on('error', () => websocket.terminate());
      websocket.close(CLOSE_TRY_LATER, 'too many new connections');
      return;
    }
    this.#alive.add(websocket);
    // ws has sent its own close code (1009 for a message above the limit) and reads no further.
    websocket.on('error', (error: Error & { code?: string }) => {
      session.end(error.code === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH' ? 'frame_oversized' : 'control_malformed', error.message);
      websocket.terminate();
    });
    websocket.on('pong', () => this.#alive.add(websocket));
    // A stranger's first message is a hello: what grows beyond one is not waited for.
    const guard = (): void => {
      if (socket.bytesRead <= STRANGER_BYTES_MAX) return;
      session.end('handshake_malformed', 'the first message is too long for a hello');
      websocket.terminate();
    };
    socket.on('data', guard);
    websocket.on('message', (data: Buffer, isBinary) => {
      socket.off('data', guard);
      this.#alive.add(websocket);
      if (isBinary) session.message(data);
      else session.end('control_malformed', 'messages are binary');
    });
    websocket.on('close', () => this.#sessions.gone(session));
  }

  #ping(): void {
    for (const websocket of this.#server.clients) {
      if (!this.#alive.delete(websocket)) websocket.terminate();
      else websocket.ping();
    }
  }
}

function peerOf(websocket: WebSocket, address: string): Peer {
  return {
    address,
    send(bytes) {
      if (websocket.bufferedAmount > UNSENT_BYTES_MAX) websocket.terminate();
      else websocket.send(bytes, { binary: true });
    },
    close: (code, reason) => websocket.close(code, reason),
    pause: () => websocket.pause(),
    resume: () => websocket.resume(),
  };
}
