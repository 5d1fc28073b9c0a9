/** The server as a whole: methods, upgrades, its own metrics, hostile input, listening and ending. */
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { after, before, test } from 'node:test';
import type { ListenOptions, RunningServer } from '../../../collector/http/server.ts';
import { AUTHORIZED, fakes, getJson, serve, type Fakes, type Json } from './fake-deps.ts';

let made: Fakes;
let server: RunningServer;

before(async () => {
  made = fakes();
  made.source.add({ __name__: 'up', instance: 'a' }, [[made.nowMs, 1]]);
  server = await serve(made);
});
after(() => server.close());

/** Sends bytes on a bare socket and gives what comes until the end. */
function talk(bytes: string, port = server.port): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes));
    let text = '';
    socket.on('data', (chunk) => (text += chunk.toString('latin1')));
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(text));
  });
}

async function withServer(options: Partial<ListenOptions>, run: (other: RunningServer) => Promise<void>): Promise<void> {
  const other = await serve(fakes(), options);
  try {
    await run(other);
  } finally {
    await other.close();
  }
}

async function post(path: string, body: string, type: string): Promise<{ status: number; body: Json }> {
  const response = await fetch(server.url + path, { method: 'POST', headers: { ...AUTHORIZED, 'content-type': type }, body });
  return { status: response.status, body: await response.json() };
}

const FORM = 'application/x-www-form-urlencoded';

test('paths that do not exist are 404, methods that are not answered 405 with those that are', async () => {
  const nothing = await getJson(server, '/api/v1/nothing');
  assert.deepEqual([nothing.status, nothing.body.code], [404, 'not_found']);
  const response = await fetch(`${server.url}/api/v1/query`, { method: 'DELETE', headers: AUTHORIZED });
  assert.equal(response.status, 405);
  assert.deepEqual(response.headers.get('allow')?.split(', ').toSorted(), ['GET', 'HEAD', 'POST']);
  assert.equal(((await response.json()) as Json).status, 'error');
  const options = await fetch(`${server.url}/api/v1/query`, { method: 'OPTIONS', headers: AUTHORIZED });
  assert.equal(options.status, 200);
  assert.match(options.headers.get('allow') ?? '', /GET/);
  const head = await fetch(`${server.url}/api/v1/query?query=up`, { method: 'HEAD', headers: AUTHORIZED });
  assert.deepEqual([head.status, await head.text()], [200, '']);
});

test('an upgrade of /agent goes to the agents, any other is refused', async () => {
  const upgrade = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`;
  assert.match(await talk(upgrade('/agent')), /^HTTP\/1\.1 101 Taken/);
  assert.match(await talk(upgrade('/agent?x=1')), /^HTTP\/1\.1 101 Taken/);
  for (const path of ['/agents', '/', '/agent/x', '/api/v1/hosts', '/AGENT'])
    assert.match(await talk(upgrade(path)), /^HTTP\/1\.1 404 /, path);
});

test('the collector’s metrics are text, its own HTTP side included', async () => {
  await getJson(server, '/api/v1/query?query=up');
  const response = await fetch(`${server.url}/metrics`, { headers: AUTHORIZED });
  assert.equal(response.headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8');
  const text = await response.text();
  assert.ok(
    text.startsWith('# HELP picket_test A "test".\\n\n# TYPE picket_test gauge\npicket_test{a="x\\"\\\\\\n"} 1e-07\n'),
    text.slice(0, 120),
  );
  assert.match(text, /^picket_http_requests_total\{kind="query",code="200"\} \d+$/m);
  assert.match(text, /^picket_queries_done_total [1-9]/m);
});

test('bodies too large, of the wrong type, or packed are refused before they are read', async () => {
  assert.deepEqual((await post('/api/v1/query', `query=${'x'.repeat(3_000_000)}`, FORM)).status, 413);
  assert.equal((await post('/api/v1/query', '{"query":"up"}', 'application/json')).status, 415);
  assert.equal((await post('/api/v1/query', '<query/>', 'text/xml')).status, 415);
  const packed = await fetch(`${server.url}/api/v1/query`, {
    method: 'POST',
    headers: { ...AUTHORIZED, 'content-type': FORM, 'content-encoding': 'gzip' },
    body: 'query=up',
  });
  assert.equal(packed.status, 415);
});

test('a body larger than it said, in pieces without a length, ends at the limit', async () => {
  const piece = `${(65_536).toString(16)}\r\n${'x'.repeat(65_536)}\r\n`;
  const head = `POST /api/v1/query HTTP/1.1\r\nHost: x\r\nAuthorization: ${AUTHORIZED.authorization}\r\nContent-Type: ${FORM}\r\nTransfer-Encoding: chunked\r\n\r\n`;
  assert.match(await talk(head + piece.repeat(40)), /^HTTP\/1\.1 413 /);
});

test('a flood of parameters, a megabyte of label value and regular expression bombs are answered quickly', async () => {
  const startedMs = performance.now();
  assert.equal((await post('/api/v1/query', '&a=b'.repeat(100_000), FORM)).status, 400);
  assert.equal((await post('/api/v1/query', `query=up{a="${'x'.repeat(1_000_000)}"}`, FORM)).status, 200);
  assert.equal((await post('/api/v1/query', `query=up{a=~"${'x'.repeat(1_000_000)}"}`, FORM)).status, 400);
  assert.equal((await post('/api/v1/query', `query=up{a="${'x'.repeat(1_100_000)}"}`, FORM)).status, 422);
  for (const bomb of ['(a%2B)%2B$', '(x%2Bx%2B)%2By', '(a|aa)%2B'])
    assert.equal((await post('/api/v1/query', `query=up{instance=~"${bomb}"}`, FORM)).status, 200);
  assert.equal((await post('/api/v1/query', `query=up{a=~"${'x{1000}'.repeat(2000)}"}`, FORM)).status, 400);
  assert.equal((await post('/api/v1/query', `query=${'('.repeat(500_000)}`, FORM)).status, 400);
  assert.equal((await post('/api/v1/series', 'match[]=up&'.repeat(500), FORM)).status, 400);
  const tookMs = performance.now() - startedMs;
  assert.ok(tookMs < 3000, `took ${tookMs} ms`);
});

test('floods of headers and what is no HTTP get one line and the end', async () => {
  assert.match(await talk(`GET / HTTP/1.1\r\nHost: x\r\nX-Long: ${'x'.repeat(20_000)}\r\n\r\n`), /^HTTP\/1\.1 431 /);
  assert.match(await talk(`GET / HTTP/1.1\r\nHost: x\r\n${'X-Many: y\r\n'.repeat(5000)}\r\n`), /^HTTP\/1\.1 431 /);
  assert.match(await talk('\x16\x03\x01 this is TLS\r\n\r\n'), /^HTTP\/1\.1 400 /);
  assert.match(await talk('GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n'), /^HTTP\/1\.1 400 /);
  const text = await (await fetch(`${server.url}/metrics`, { headers: AUTHORIZED })).text();
  assert.match(text, /^picket_http_malformed_total [4-9]$/m);
});

test('a client that sends its headers or its body drop by drop is let go', async () => {
  await withServer({ limits: { headersMs: 100, requestMs: 200 } }, async (other) => {
    const startedMs = performance.now();
    assert.match(await talk('GET / HTTP/1.1\r\nHost: x\r\nX-Slow:', other.port), /^HTTP\/1\.1 408 /);
    const half = `POST /api/v1/query HTTP/1.1\r\nHost: x\r\nAuthorization: ${AUTHORIZED.authorization}\r\nContent-Type: ${FORM}\r\nContent-Length: 50\r\n\r\nquery=`;
    await talk(half, other.port);
    assert.ok(performance.now() - startedMs < 3000);
  });
});

test('more connections than the limit are dropped and counted, the others live', async () => {
  await withServer({ limits: { connectionsMax: 1 } }, async (other) => {
    const first = connect(other.port, '127.0.0.1');
    await new Promise((resolve) => first.once('connect', resolve));
    assert.equal(await talk('GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n', other.port), '');
    const answered = new Promise<string>((resolve) => first.once('data', (chunk) => resolve(chunk.toString())));
    first.write('GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n');
    assert.match(await answered, /^HTTP\/1\.1 200 /);
    first.destroy();
  });
});

test('an address that cannot be had is said with what to type', async () => {
  await assert.rejects(serve(fakes(), { port: server.port }), {
    code: 'listen_in_use',
    message: new RegExp(
      `cannot listen on 127\\.0\\.0\\.1:${server.port}: another program has it.*PICKET_LISTEN=127\\.0\\.0\\.1:${server.port + 1}`,
    ),
  });
  await assert.rejects(serve(fakes(), { host: '192.0.2.1' }), { code: 'listen_address', message: /192\.0\.2\.1:0.*PICKET_LISTEN/ });
});

test('a request that fails says nothing of why to its client, and everything to the log', async () => {
  made.source.before = () => Promise.reject(new Error('secret path /data/x'));
  try {
    const { status, body } = await getJson(server, '/api/v1/query?query=up');
    assert.equal(status, 500);
    assert.equal(body.errorType, 'internal');
    assert.ok(!JSON.stringify(body).includes('secret'));
    assert.ok(made.logged.includes('a request failed'));
  } finally {
    made.source.before = async () => undefined;
  }
});

test('answers with host data are not kept by caches', async () => {
  for (const path of ['/api/v1/query?query=up', '/api/v1/hosts', '/metrics']) {
    const response = await fetch(server.url + path, { headers: AUTHORIZED });
    assert.equal(response.headers.get('cache-control'), 'no-store', path);
    assert.equal(response.headers.get('x-content-type-options'), 'nosniff', path);
    await response.arrayBuffer();
  }
});

test('a client that goes away in the middle of a large answer is counted, not reported', async () => {
  const other = fakes();
  const samples = Array.from({ length: 11_000 }, (_, i) => [other.nowMs - i * 1000, i / 3] as const).toReversed();
  for (let i = 0; i < 200; i++) other.source.add({ __name__: 'long', i: String(i) }, samples);
  const running = await serve(other);
  try {
    const socket = connect(running.port, '127.0.0.1');
    const path = `/api/v1/query_range?query=long&start=${other.nowMs / 1000 - 10_000}&end=${other.nowMs / 1000}&step=1`;
    socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: ${AUTHORIZED.authorization}\r\n\r\n`);
    await new Promise((resolve) => socket.once('data', resolve));
    socket.destroy();
    let text = '';
    while (!/^picket_http_answers_cut_total 1$/m.test(text))
      text = await (await fetch(`${running.url}/metrics`, { headers: AUTHORIZED })).text();
    assert.deepEqual(other.logged, []);
  } finally {
    await running.close();
  }
});

test('closing ends a request that is still running', async () => {
  const other = fakes();
  const running = await serve(other);
  let reached: () => void = () => undefined;
  const started = new Promise<void>((resolve) => (reached = resolve));
  other.source.before = () => {
    reached();
    return new Promise(() => undefined);
  };
  const answer = fetch(`${running.url}/api/v1/query?query=up`, { headers: AUTHORIZED }).then(
    () => 'answered',
    () => 'ended',
  );
  await started;
  await running.close();
  assert.equal(await answer, 'ended');
});
