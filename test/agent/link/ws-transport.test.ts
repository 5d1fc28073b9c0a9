/** The WebSocket behind the link, against a real server on loopback. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { WebSocketServer, type WebSocket } from 'ws';
import { AgentError } from '../../../agent/error.ts';
import type { Connection, TransportHandlers } from '../../../agent/link/transport.ts';
import { wsTransport } from '../../../agent/link/ws-transport.ts';
import { LOCALHOST_CERTIFICATE, LOCALHOST_KEY } from './localhost-certificate.ts';

type Seen = {
  readonly handlers: TransportHandlers;
  readonly messages: Buffer[];
  readonly opened: Promise<void>;
  readonly closed: Promise<string>;
  alive: number;
};

function watch(): Seen {
  const opened = Promise.withResolvers<void>();
  const closed = Promise.withResolvers<string>();
  const seen: Seen = {
    messages: [],
    opened: opened.promise,
    closed: closed.promise,
    alive: 0,
    handlers: {
      opened: () => opened.resolve(),
      message: (bytes) => void seen.messages.push(Buffer.from(bytes)),
      alive: () => void seen.alive++,
      drained: () => {},
      closed: (reason) => closed.resolve(reason),
    },
  };
  return seen;
}

async function listen(
  t: TestContext,
  server: http.Server | https.Server,
  onSocket: (socket: WebSocket, request: http.IncomingMessage) => void,
) {
  const sockets = new WebSocketServer({ server, path: '/agent' });
  sockets.on('connection', onSocket);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    for (const socket of sockets.clients) socket.terminate();
    sockets.close();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

/** Ends the connection with the test. */
function connect(t: TestContext, options: Parameters<typeof wsTransport>[0], seen: Seen): Connection {
  const connection = wsTransport(options).connect(seen.handlers);
  t.after(() => connection.terminate());
  return connection;
}

test('bytes go both ways, uncompressed, and a ping is answered', async (t) => {
  const echoed = Promise.withResolvers<void>();
  let extensions: string | undefined;
  const port = await listen(t, http.createServer(), (socket, request) => {
    extensions = request.headers['sec-websocket-extensions'];
    socket.on('message', (data) => socket.send(data, { binary: true }, () => echoed.resolve()));
  });
  const seen = watch();
  const connection = connect(t, { url: `ws://127.0.0.1:${port}/agent`, insecure: false }, seen);
  await seen.opened;
  connection.send(Uint8Array.of(1, 2, 3));
  connection.ping();
  await echoed.promise;
  while (seen.messages.length === 0 || seen.alive === 0) await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(seen.messages, [Buffer.of(1, 2, 3)]);
  assert.equal(extensions, undefined);
  assert.equal(connection.unsentBytes, 0);
  connection.close();
  assert.match(await seen.closed, /1000/);
});

test('how the other side ended it is told, once', async (t) => {
  const port = await listen(t, http.createServer(), (socket) => socket.close(1008, 'identity_revoked'));
  const seen = watch();
  connect(t, { url: `ws://127.0.0.1:${port}/agent`, insecure: false }, seen);
  assert.equal(await seen.closed, 'closed (1008 identity_revoked)');
});

test('nobody there, a redirect and a page instead of a socket are reasons, not exceptions', async (t) => {
  const server = http.createServer();
  server.on('upgrade', (request, socket) => {
    if (request.url?.startsWith('/moved') === true) socket.end('HTTP/1.1 302 Found\r\nLocation: ws://127.0.0.1:1/agent\r\n\r\n');
    else socket.end('HTTP/1.1 503 Service Unavailable\r\n\r\n');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const check = async (url: string, words: RegExp): Promise<void> => {
    const seen = watch();
    connect(t, { url, insecure: false }, seen);
    assert.match(await seen.closed, words);
  };
  await check(`ws://127.0.0.1:${port}/agent`, /503/);
  await check(`ws://127.0.0.1:${port}/moved`, /302/);
  await new Promise((resolve) => server.close(resolve));
  await check(`ws://127.0.0.1:${port}/agent`, /ECONNREFUSED/);
});

test('a message above the bound of a frame ends the connection', async (t) => {
  const port = await listen(t, http.createServer(), (socket) => socket.send(new Uint8Array(1024 * 1024 + 1)));
  const seen = watch();
  connect(t, { url: `ws://127.0.0.1:${port}/agent`, insecure: false }, seen);
  assert.match(await seen.closed, /payload size exceeded/i);
  assert.equal(seen.messages.length, 0);
});

test('TLS is verified: a certificate that nobody vouches for is refused, one of the CA file is not', async (t) => {
  const port = await listen(t, https.createServer({ key: LOCALHOST_KEY, cert: LOCALHOST_CERTIFICATE }), (socket) =>
    socket.close(1000, 'hello'),
  );
  const url = `wss://localhost:${port}/agent`;
  const stranger = watch();
  connect(t, { url, insecure: true }, stranger);
  assert.match(await stranger.closed, /self-signed/);
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'picket-ca-'));
  t.after(() => fs.rmSync(directory, { recursive: true, force: true }));
  const caFile = path.join(directory, 'ca.pem');
  fs.writeFileSync(caFile, LOCALHOST_CERTIFICATE);
  const known = watch();
  connect(t, { url, insecure: false, caFile }, known);
  assert.equal(await known.closed, 'closed (1000 hello)');
});

test('what would not be safe or cannot work is refused with a sentence before anything is sent', () => {
  const check = (url: string, insecure: boolean, code: string | undefined, caFile?: string): void => {
    const make = (): unknown => wsTransport({ url, insecure, caFile });
    if (code === undefined) assert.doesNotThrow(make);
    else assert.throws(make, (error) => error instanceof AgentError && error.code === code && /^cannot .+: .+/.test(error.message));
  };
  check('ws://collector.example:8080/agent', false, 'insecure_url');
  check('ws://collector.example:8080/agent', true, undefined);
  check('ws://10.0.0.1:8080/agent', false, 'insecure_url');
  check('ws://127.0.0.1.example:8080/agent', false, 'insecure_url');
  for (const host of ['127.0.0.1', '127.8.9.1', 'localhost', '[::1]']) check(`ws://${host}:8080/agent`, false, undefined);
  check('wss://collector.example/agent', false, undefined);
  check('http://127.0.0.1/agent', true, 'url_invalid');
  check('not an address', true, 'url_invalid');
  check('wss://collector.example/agent', false, 'ca_unreadable', '/nowhere/ca.pem');
  check('wss://collector.example/agent', false, 'ca_unreadable', import.meta.filename);
});
