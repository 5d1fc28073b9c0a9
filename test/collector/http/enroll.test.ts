/** Enrolment over HTTP: a token is shown once, a GET makes none, and the command holds nothing a shell could take for its own. */
import assert from 'node:assert/strict';
import { request } from 'node:http';
import { after, before, test } from 'node:test';
import type { RunningServer } from '../../../collector/http/server.ts';
import { AUTHORIZED, fakes, getJson, serve, type Fakes, type Json } from './fake-deps.ts';

let made: Fakes;
let server: RunningServer;

before(async () => {
  made = fakes();
  server = await serve(made);
});
after(() => server.close());

async function post(path: string, body: unknown): Promise<{ status: number; body: Json }> {
  const response = await fetch(server.url + path, {
    method: 'POST',
    headers: { ...AUTHORIZED, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  return { status: response.status, body: await response.json() };
}

test('a token is made with its command, listed without its secret, and taken back', async () => {
  const { status, body } = await post('/api/v1/enroll', { ttlSeconds: 60, uses: 3 });
  assert.equal(status, 201);
  assert.equal(body.token, `secret-${body.id}`);
  assert.equal(body.command, `npx picket agent --url ${server.url} --token secret-${body.id}`);
  assert.equal(body.expiresAtMs, made.nowMs + 60_000);
  assert.equal(body.expiresAt, new Date(made.nowMs + 60_000).toISOString());
  const listed = (await getJson(server, '/api/v1/enroll/tokens')).body;
  assert.deepEqual(
    listed.tokens.map((token: Json) => [token.id, token.uses, token.usesLeft]),
    [[body.id, 3, 3]],
  );
  assert.ok(!JSON.stringify(listed).includes('secret-'));
  const revoke = (): Promise<Response> => fetch(`${server.url}/api/v1/enroll/tokens/${body.id}`, { method: 'DELETE', headers: AUTHORIZED });
  assert.equal((await revoke()).status, 204);
  assert.equal((await revoke()).status, 404);
});

test('the page’s way gives a command with a fresh token; a GET makes none', async () => {
  const { body } = await post('/api/v1/enroll/command', {});
  assert.match(body.command, /--token secret-/);
  const before = (await getJson(server, '/api/v1/enroll/tokens')).body.tokens.length;
  const { body: plain } = await getJson(server, '/api/v1/enroll/command');
  assert.equal(plain.command, `npx picket agent --url ${server.url} --token TOKEN`);
  assert.equal((await getJson(server, '/api/v1/enroll/tokens')).body.tokens.length, before);
});

test('options out of bounds and unknown ones are refused by name', async () => {
  for (const body of [
    { ttlSeconds: 0 },
    { ttlSeconds: 1.5 },
    { ttlSeconds: 1e12 },
    { uses: 0 },
    { uses: '3' },
    { replace: 5 },
    { other: 1 },
  ]) {
    const answer = await post('/api/v1/enroll', body);
    assert.deepEqual([answer.status, answer.body.code], [400, 'parameter_invalid'], JSON.stringify(body));
    assert.ok(answer.body.error.includes(`"${Object.keys(body)[0]}"`), answer.body.error);
  }
});

test('a hostile Host header does not get into the command', async () => {
  const command = (host: string): Promise<string> =>
    new Promise((resolve, reject) => {
      request(`${server.url}/api/v1/enroll/command`, { headers: { ...AUTHORIZED, host } }, (response) => {
        let text = '';
        response.on('data', (chunk: Buffer) => (text += chunk.toString())).on('end', () => resolve(JSON.parse(text).command));
      })
        .on('error', reject)
        .end();
    });
  assert.equal(await command('picket.example:8080'), 'npx picket agent --url http://picket.example:8080 --token TOKEN');
  assert.equal(await command('[::1]:8080'), 'npx picket agent --url http://[::1]:8080 --token TOKEN');
  for (const hostile of ['x;rm -rf /', '$(id)', 'a b', "x'y", 'user@host'])
    assert.equal(await command(hostile), 'npx picket agent --url http://127.0.0.1 --token TOKEN');
});

test('a public address in the settings wins over the Host header', async () => {
  const fixed = fakes({ publicUrl: 'https://picket.example' });
  const other = await serve(fixed);
  try {
    assert.match((await getJson(other, '/api/v1/enroll/command')).body.command, /--url https:\/\/picket\.example /);
  } finally {
    await other.close();
  }
});
