/** Who may ask what: what answers without a credential, the log-in, the cookie, other origins. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { RunningServer } from '../../../collector/http/server.ts';
import { AUTHORIZED, fakes, serve, TOKEN, type Fakes } from './fake-deps.ts';

let made: Fakes;
let server: RunningServer;

before(async () => {
  made = fakes();
  made.roster.add('secret-host');
  made.source.add({ __name__: 'up', instance: 'secret-host' }, [[made.nowMs, 1]]);
  server = await serve(made);
});
after(() => server.close());

function ask(path: string, init: RequestInit = {}): Promise<Response> {
  return fetch(server.url + path, { redirect: 'manual', ...init });
}

function logIn(token: string, headers: Record<string, string> = {}): Promise<Response> {
  return ask('/api/v1/session', {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ token }),
  });
}

async function cookie(): Promise<string> {
  const response = await logIn(TOKEN);
  assert.equal(response.status, 204);
  return response.headers.get('set-cookie')?.split(';')[0] ?? '';
}

test('without a credential nothing with host data answers, whatever the spelling of its path', async () => {
  const paths = [
    '/api/v1/query?query=up',
    '/api/v1/query_range?query=up&start=1&end=2&step=1',
    '/api/v1/series?match[]=up',
    '/api/v1/labels',
    '/api/v1/label/instance/values',
    '/api/v1/metadata',
    '/api/v1/status/buildinfo',
    '/api/v1/hosts',
    '/api/v1/hosts/secret-host',
    '/api/v1/hosts/secret-host/charts',
    '/api/v1/hosts/stream',
    '/api/v1/hosts/secret-host/stream',
    '/api/v1/agents',
    '/api/v1/enroll/tokens',
    '/api/v1/enroll/command',
    '/api/v1/session',
    '/metrics',
    '/API/v1/hosts',
    '/api/V1/HOSTS',
    '/api/v1/hosts/',
    '//api/v1/hosts',
    '/./api/v1/hosts',
    '/%61pi/v1/hosts',
    '/METRICS',
    '/-/../metrics',
    '/login/../api/v1/hosts',
    '/nothing',
  ];
  for (const path of paths) {
    const response = await ask(path);
    assert.equal(response.status, 401, path);
    assert.match(response.headers.get('www-authenticate') ?? '', /^Bearer /);
    const text = await response.text();
    assert.ok(!text.includes('secret-host'), path);
  }
  for (const method of ['POST', 'DELETE', 'PUT', 'OPTIONS', 'PATCH'])
    assert.equal((await ask('/api/v1/hosts', { method })).status, 401, method);
});

test('health answers without a credential', async () => {
  assert.equal((await ask('/-/healthy')).status, 200);
  assert.equal((await ask('/-/ready')).status, 200);
  made.state = 'warming';
  const warming = await ask('/-/ready');
  assert.equal(warming.status, 503);
  assert.match(await warming.text(), /warming up/);
  made.state = 'ready';
});

test('a wrong token is told apart from none, and neither says more', async () => {
  const code = async (headers: Record<string, string>): Promise<string> =>
    ((await (await ask('/api/v1/hosts', { headers })).json()) as { code: string }).code;
  assert.equal(await code({}), 'unauthenticated');
  assert.equal(await code({ authorization: 'Bearer wrong' }), 'token_wrong');
  assert.equal(await code({ cookie: 'picket_session=wrong' }), 'unauthenticated');
  assert.equal((await ask('/api/v1/hosts', { headers: { authorization: `Token ${TOKEN}` } })).status, 200);
});

test('a log-in sets a cookie that scripts cannot read and other sites do not send', async () => {
  const response = await logIn(TOKEN);
  assert.equal(response.status, 204);
  const header = response.headers.get('set-cookie') ?? '';
  assert.match(header, /^picket_session=[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict; Expires=/);
  assert.doesNotMatch(header, /Secure/, 'over plain HTTP a Secure cookie would never come back');
  const session = header.split(';')[0] ?? '';
  const who = (await (await ask('/api/v1/session', { headers: { cookie: `other=1; ${session}; more=2` } })).json()) as Record<
    string,
    unknown
  >;
  assert.deepEqual([who['user'], who['via']], ['admin', 'session']);
});

test('logging out ends the session', async () => {
  const session = await cookie();
  const out = await ask('/api/v1/session', { method: 'DELETE', headers: { cookie: session, origin: server.url } });
  assert.equal(out.status, 204);
  assert.match(out.headers.get('set-cookie') ?? '', /^picket_session=;.*1970/);
  assert.equal((await ask('/api/v1/session', { headers: { cookie: session } })).status, 401);
});

test('with a cookie a page of another origin may change nothing', async () => {
  const session = await cookie();
  const revoke = (headers: Record<string, string>): Promise<Response> =>
    ask('/api/v1/agents/a9e27secret-host', { method: 'DELETE', headers });
  for (const origin of ['https://evil.example', 'null', 'http://127.0.0.1:1', `${server.url}.evil.example`]) {
    const response = await revoke({ cookie: session, origin });
    assert.equal(response.status, 403, origin);
    assert.equal(((await response.json()) as { code: string }).code, 'origin_mismatch');
  }
  assert.equal((await revoke({ cookie: session })).status, 403, 'no origin is no proof');
  assert.equal(made.roster.revoked.size, 0);
  assert.equal((await revoke({ cookie: session, origin: server.url })).status, 200);
  assert.equal(
    (await revoke({ ...AUTHORIZED, origin: 'https://evil.example' })).status,
    200,
    'a token is not sent by a browser on its own',
  );
});

test('another origin cannot log a browser in', async () => {
  assert.equal((await logIn(TOKEN, { origin: 'https://evil.example' })).status, 403);
  assert.equal((await logIn(TOKEN, { origin: server.url })).status, 204);
});

test('a log-in that is no JSON with a token is refused', async () => {
  const post = async (body: string, type = 'application/json'): Promise<[number, string]> => {
    const response = await ask('/api/v1/session', { method: 'POST', headers: { 'content-type': type }, body });
    return [response.status, ((await response.json()) as { code: string }).code];
  };
  assert.deepEqual(await post('{'), [400, 'body_invalid']);
  assert.deepEqual(await post('[]'), [400, 'body_invalid']);
  assert.deepEqual(await post('{"token":5}'), [400, 'body_invalid']);
  assert.deepEqual(await post('{"token":""}'), [400, 'body_invalid']);
  assert.deepEqual(await post('token=x', 'application/x-www-form-urlencoded'), [415, 'media_type']);
  assert.deepEqual(await post(`{"token":${'['.repeat(1000)}${']'.repeat(1000)}}`), [400, 'body_invalid']);
  assert.deepEqual(await post(`{"token":"${'x'.repeat(100_000)}"}`), [413, 'body_too_large']);
});

test('a log-in link opens the page once', async () => {
  const code = made.access.newLoginCode();
  const first = await ask(`/login?code=${code}`);
  assert.deepEqual([first.status, first.headers.get('location')], [303, '/']);
  const session = first.headers.get('set-cookie')?.split(';')[0] ?? '';
  assert.equal((await ask('/api/v1/hosts', { headers: { cookie: session } })).status, 200);
  const second = await ask(`/login?code=${code}`);
  assert.equal(second.status, 403);
  assert.equal(second.headers.get('set-cookie'), null);
  assert.match(await second.text(), /has been used, or is older than ten minutes/);
  assert.equal((await ask('/login')).status, 302);
});

test('too many wrong tokens are told when to come again', async () => {
  const other = fakes();
  const small = await serve(other);
  try {
    const statuses = new Set<number>();
    let last: Response | undefined;
    for (let i = 0; i < 25; i++) {
      last = await fetch(`${small.url}/api/v1/session`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: '{"token":"guess"}',
      });
      statuses.add(last.status);
    }
    assert.deepEqual([...statuses], [401, 429]);
    assert.equal(last?.headers.get('retry-after'), '1');
  } finally {
    await small.close();
  }
});

test('behind a trusted proxy the client’s address and scheme are the proxy’s word, otherwise not', async () => {
  const trusting = fakes({ trustProxy: true });
  const proxied = await serve(trusting);
  try {
    const post = (url: string): Promise<Response> =>
      fetch(`${url}/api/v1/session`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'x-forwarded-proto': 'https', 'x-forwarded-for': '203.0.113.9' },
        body: JSON.stringify({ token: TOKEN }),
      });
    assert.match((await post(proxied.url)).headers.get('set-cookie') ?? '', /; Secure$/);
    assert.doesNotMatch((await post(server.url)).headers.get('set-cookie') ?? '', /; Secure$/);
    const [session] = await trusting.records.list<{ address: string }>('session');
    assert.equal(session?.value.address, '203.0.113.9');
  } finally {
    await proxied.close();
  }
});
