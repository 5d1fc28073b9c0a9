/** Credentials: the admin token, sessions, log-in codes, and how often one may be wrong. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Access } from '../../../collector/access/access.ts';
import { CODE_MS } from '../../../collector/access/login-codes.ts';
import { SESSION_MS, SESSIONS_MAX, type SessionRecord } from '../../../collector/access/sessions.ts';
import { FakeRecords } from '../http/fake-deps.ts';

const ADDRESS = '192.0.2.1';

function setUp(): { access: Access; records: FakeRecords; clock: { nowMs: number } } {
  const records = new FakeRecords();
  const clock = { nowMs: 1_000_000 };
  return { access: new Access({ records, adminToken: 'right', nowMs: () => clock.nowMs }), records, clock };
}

function byToken(access: Access, authorization: string, address = ADDRESS): Promise<unknown> {
  return access.authenticate({ authorization, session: undefined, address });
}

function byCookie(access: Access, session: string): Promise<unknown> {
  return access.authenticate({ authorization: undefined, session, address: ADDRESS });
}

async function logIn(access: Access): Promise<string> {
  const session = await access.logIn('right', ADDRESS);
  assert.ok('cookie' in session);
  return session.cookie;
}

test('the admin token is taken as Bearer and as Token, and nothing else is', async () => {
  const { access } = setUp();
  const admin = { user: 'admin', via: 'token' };
  assert.deepEqual(await byToken(access, 'Bearer right'), admin);
  assert.deepEqual(await byToken(access, 'bearer  right'), admin);
  assert.deepEqual(await byToken(access, 'Token right'), admin);
  for (const wrong of ['Bearer wrong', 'Bearer righ', 'Bearer rightt', 'Token RIGHT'])
    assert.deepEqual(await byToken(access, wrong), { code: 'token_wrong' });
  for (const none of ['', 'right', 'Basic cmlnaHQ=', 'Bearer', 'Bearer right more'])
    assert.deepEqual(await byToken(access, none), { code: 'unauthenticated' });
});

test('a log-in begins a session that its cookie proves until it is ended', async () => {
  const { access, clock } = setUp();
  const cookie = await logIn(access);
  const session = (await byCookie(access, cookie)) as { id: string; via: string; expiresMs: number };
  assert.deepEqual([session.via, session.expiresMs], ['session', clock.nowMs + SESSION_MS]);
  assert.deepEqual(await byCookie(access, `${cookie.slice(0, -1)}${cookie.endsWith('A') ? 'B' : 'A'}`), { code: 'unauthenticated' });
  assert.deepEqual(await byCookie(access, ''), { code: 'unauthenticated' });
  await access.logOut(session.id);
  assert.deepEqual(await byCookie(access, cookie), { code: 'unauthenticated' });
  assert.deepEqual(await access.logIn('wrong', ADDRESS), { code: 'token_wrong' });
});

test('a session survives a restart, and ends when it expires', async () => {
  const { access, records, clock } = setUp();
  const cookie = await logIn(access);
  const restarted = new Access({ records, adminToken: 'right', nowMs: () => clock.nowMs });
  assert.equal(((await byCookie(restarted, cookie)) as { via: string }).via, 'session');
  clock.nowMs += SESSION_MS;
  assert.deepEqual(await byCookie(restarted, cookie), { code: 'unauthenticated' });
});

test('the store holds no cookie, only what cannot be turned back into one', async () => {
  const { access, records } = setUp();
  const cookie = await logIn(access);
  const stored = JSON.stringify(await records.list('session'));
  assert.ok(!stored.includes(cookie));
});

test('sessions are bounded: expired ones go first, then the oldest', async () => {
  const { access, records, clock } = setUp();
  const first = await logIn(access);
  clock.nowMs++;
  for (let i = 0; i < SESSIONS_MAX; i++) await logIn(access);
  assert.equal((await records.list<SessionRecord>('session')).length, SESSIONS_MAX);
  assert.deepEqual(await byCookie(access, first), { code: 'unauthenticated' });
  clock.nowMs += SESSION_MS;
  await logIn(access);
  assert.equal((await records.list('session')).length, 1);
});

test('a log-in code is good once, and for ten minutes', async () => {
  const { access, clock } = setUp();
  const code = access.newLoginCode();
  assert.ok('cookie' in (await access.logInByCode(code, ADDRESS)));
  assert.deepEqual(await access.logInByCode(code, ADDRESS), { code: 'login_code_invalid' });
  const late = access.newLoginCode();
  clock.nowMs += CODE_MS;
  assert.deepEqual(await access.logInByCode(late, ADDRESS), { code: 'login_code_invalid' });
  const oldest = access.newLoginCode();
  for (let i = 0; i < 16; i++) access.newLoginCode();
  assert.deepEqual(await access.logInByCode(oldest, ADDRESS), { code: 'login_code_invalid' }, 'the seventeenth code ends the first');
});

test('an address that guesses is slowed to one guess a second, others are not', async () => {
  const { access, clock } = setUp();
  let guesses = 0;
  while (((await byToken(access, 'Bearer guess')) as { code: string }).code === 'token_wrong') guesses++;
  assert.equal(guesses, 20);
  assert.deepEqual(
    await access.logIn('right', ADDRESS),
    { code: 'login_limited', retryAfterSeconds: 1 },
    'not even the right one is compared',
  );
  assert.deepEqual(await byToken(access, 'Bearer right', '192.0.2.2'), { user: 'admin', via: 'token' });
  clock.nowMs += 1000;
  assert.deepEqual(await byToken(access, 'Bearer guess'), { code: 'token_wrong' });
  assert.deepEqual(await byToken(access, 'Bearer right'), { code: 'login_limited', retryAfterSeconds: 1 });
  clock.nowMs += 1000;
  assert.deepEqual(await byToken(access, 'Bearer right'), { user: 'admin', via: 'token' });
  assert.deepEqual({ ...access.counts }, { loggedIn: 0, wrong: 21, limited: 3 });
});

test('a client that polls with an old token every five seconds never shuts its address out', async () => {
  const { access, clock } = setUp();
  for (let i = 0; i < 200; i++) {
    assert.deepEqual(await byToken(access, 'Bearer old'), { code: 'token_wrong' });
    clock.nowMs += 5000;
  }
  assert.deepEqual(await byToken(access, 'Bearer right'), { user: 'admin', via: 'token' });
});

test('the addresses of one IPv6 network count as one', async () => {
  const { access } = setUp();
  for (let i = 0; i < 20; i++) await byToken(access, 'Bearer guess', `2001:db8:1:2::${i}`);
  assert.equal(((await byToken(access, 'Bearer right', '2001:db8:1:2:ffff::1')) as { code: string }).code, 'login_limited');
  assert.deepEqual(await byToken(access, 'Bearer right', '2001:db8:1:3::1'), { user: 'admin', via: 'token' });
  assert.deepEqual(await byToken(access, 'Bearer right', '::ffff:192.0.2.9'), { user: 'admin', via: 'token' });
});
