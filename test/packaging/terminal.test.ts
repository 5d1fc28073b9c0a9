/** What people see: the first lines, log lines, tables, sizes and ages. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { greeting, tunnelLine } from '../../packaging/greeting.ts';
import { humanLine } from '../../packaging/log.ts';
import { ago, percentText, printable, sizeText, table, timeText } from '../../packaging/terminal.ts';

const LISTENING = { url: 'http://127.0.0.1:8080', loginUrl: 'http://127.0.0.1:8080/login?key=k', dataDir: '/x/data' };

test('the first lines say where it is, how to get in, where things lie and how to stop it', () => {
  const text = greeting({ ...LISTENING, tokenFile: '/x/data/admin-token' }, '1.2.3', {});
  for (const part of [
    'Picket 1.2.3',
    LISTENING.url,
    `${LISTENING.loginUrl}  (good once, for ten minutes)`,
    '/x/data/admin-token',
    'Ctrl-C',
    '  npx picket query node_load1 ',
  ]) {
    assert.ok(text.includes(part), part);
  }
  assert.doesNotMatch(text, /ssh|Others/);
  assert.match(greeting({ ...LISTENING, elsewhereUrl: 'http://box:8080' }, '1', {}), /Others by {2}http:\/\/box:8080\n/);
  assert.match(greeting(LISTENING, '1', { PICKET_DATA_DIR: '/x' }), /PICKET_DATA_DIR=\/x npx picket query/);
  assert.match(greeting(LISTENING, '1.2.3', {}), /PICKET_ADMIN_TOKEN/);
});

test('who came by ssh is told how to reach the page from their own computer', () => {
  const check = (url: string, connection: string, expected: RegExp | undefined): void => {
    const line = tunnelLine(url, { SSH_CONNECTION: connection, USER: 'ann' });
    if (expected === undefined) assert.equal(line, undefined);
    else assert.match(line ?? '', expected);
  };
  check('http://127.0.0.1:8080', '10.0.0.9 50000 10.0.0.1 22', /^ssh -L 8080:127\.0\.0\.1:8080 ann@10\.0\.0\.1 {3}/);
  check('http://127.0.0.1:8080', '10.0.0.9 50000 10.0.0.1 2222', /^ssh -L 8080:127\.0\.0\.1:8080 -p 2222 ann@10\.0\.0\.1 /);
  check('http://10.0.0.1:8080', '10.0.0.9 50000 10.0.0.1 22', undefined);
  check('http://127.0.0.1:8080', '', undefined);
});

test('a log line for people has time, program, level, message and fields, and cannot steer the terminal', () => {
  const line = JSON.stringify({
    level: 40,
    time: 0,
    pid: 1,
    hostname: 'h',
    name: 'agent',
    code: 'x',
    text: 'a b',
    err: { message: 'no' },
    msg: 'odd\u001b[2J',
  });
  assert.match(humanLine(line), /^\d\d:\d\d:\d\d agent warn {2}odd\ufffd\[2J {2}code=x text="a b" err="no"\n$/);
  assert.equal(humanLine('no json\n'), 'no json\n');
});

test('tables align, and what others wrote is made harmless', () => {
  assert.equal(
    table(
      ['A', 'LONGER'],
      [
        ['long cell', 'x'],
        ['s', '\u0007\u202e'],
      ],
    ),
    'A          LONGER\nlong cell  x\ns          \u{fffd}\u{fffd}\n',
  );
  assert.equal(printable('Grüße 日本 🙂'), 'Grüße 日本 🙂');
});

test('ages, sizes, shares and times are short', () => {
  assert.deepEqual(
    [undefined, 1000, -200_000, -10_000_000, -400_000_000].map((time) => ago(time, 2000)),
    ['never', '1 s ago', '3 min ago', '3 h ago', '5 days ago'],
  );
  assert.deepEqual([undefined, 0, 2500, 2.5e6, 2.5e9].map(sizeText), ['-', '0 B', '2.5 KB', '2.5 MB', '2.5 GB']);
  assert.deepEqual([undefined, 12.34].map(percentText), ['-', '12.3 %']);
  assert.match(timeText(0), /^19(70|69)-\d\d-\d\d \d\d:\d\d:00$/);
  assert.equal(timeText(NaN), '-');
});
