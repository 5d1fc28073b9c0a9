/** The one command from outside: help of each sub-command, exit codes, what is asked of a collector and how its answers are shown. */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage } from 'node:http';
import { createServer as createTcpServer, type AddressInfo } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { text } from 'node:stream/consumers';
import { isThisMachine, ownCollector, recordOwnCollector } from '../../packaging/own-collector.ts';
import { COMMANDS } from '../../packaging/picket.ts';
import { run as runCommand } from '../../packaging/program.ts';

const folder = mkdtempSync(join(tmpdir(), 'picket-command-'));
const TOKEN = 'secret-token';
type Answer = { status?: number; body: unknown };
const answers = new Map<string, Answer>();
let asked: { method: string; path: string; parameters: URLSearchParams; token: string; body: string }[] = [];

const server = createServer(
  (request, response) =>
    void respond(request).then(({ status = 200, body }) => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(typeof body === 'string' ? body : JSON.stringify(body));
    }),
);

async function respond(request: IncomingMessage): Promise<Answer> {
  const url = new URL(request.url ?? '', 'http://x');
  const token = request.headers.authorization ?? '';
  asked.push({ method: request.method ?? '', path: url.pathname, parameters: url.searchParams, token, body: await text(request) });
  if (url.pathname !== '/-/ready' && token !== `Bearer ${TOKEN}`) return { status: 401, body: {} };
  return answers.get(`${request.method} ${url.pathname}`) ?? { status: 404, body: 'no' };
}

before(async () => {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
});
after(() => {
  server.close();
  rmSync(folder, { recursive: true, force: true });
});

async function run(
  line: readonly string[],
  environment: Record<string, string> = {},
): Promise<{ exit: number; out: string; error: string }> {
  const said = { out: '', error: '' };
  const exit = await runCommand(COMMANDS, line, {
    environment: {
      PICKET_LISTEN: `127.0.0.1:${(server.address() as AddressInfo).port}`,
      PICKET_ADMIN_TOKEN: TOKEN,
      PICKET_DATA_DIR: folder,
      ...environment,
    },
    terminal: false,
    out: (text) => void (said.out += text),
    error: (text) => void (said.error += text),
  });
  return { exit, ...said };
}

test('every command explains itself with options and examples', async () => {
  for (const name of Object.keys(COMMANDS)) {
    for (const line of [
      [name, '--help'],
      [name, '-h'],
      ['help', name],
    ]) {
      const { exit, out } = await run(line);
      assert.equal(exit, 0, line.join(' '));
      assert.match(out, new RegExp(`^  picket ${name}`, 'm'));
      assert.match(out, /\nOptions\n {2}--/);
      assert.match(out, new RegExp(`\nExamples\n.*picket ${name}`));
    }
  }
});

test('the overall help names every command', async () => {
  const { exit, out } = await run(['--help']);
  assert.equal(exit, 0);
  for (const name of Object.keys(COMMANDS)) assert.match(out, new RegExp(`^  ${name} `, 'm'));
});

test('wrong use ends with 2 and says what to write', async () => {
  const check = async (line: readonly string[], expected: RegExp): Promise<void> => {
    const { exit, out, error } = await run(line);
    assert.equal(exit, 2, line.join(' '));
    assert.match(error, expected);
    assert.equal(out, '');
  };
  await check([], /Commands/);
  await check(['quer'], /did you mean: picket query \[usage\]/);
  await check(['toString'], /there is no command "toString"/);
  await check(['query'], /for example: picket query node_load1/);
  await check(['query', 'up', 'down'], /does not take "down"/);
  await check(['query', 'up', '--stat', '1'], /did you mean --start\?/);
  await check(['query', 'up', '--time'], /--time needs a value/);
  await check(['query', 'up', '--time', 'soon'], /"soon" is not a time/);
  await check(['query', 'up', '--time', '1', '--start', '1'], /--time is for one moment/);
  await check(['query', 'up', '--start', '2', '--end', '1'], /--start is after --end/);
  await check(['hosts', '--json=yes'], /--json takes no value/);
  await check(['hosts', '--url', 'nowhere'], /"nowhere" is not the address of a collector/);
  await check(['enroll', '--ttl', '5'], /write for example --ttl 1h/);
  await check(['enroll', '--uses', '0'], /whole number from 1/);
  await check(['hosts', 'revoke'], /needs the NAME/);
  await check(['hosts', 'web-1'], /picket hosts revoke NAME/);
  await check(['token'], /picket token list/);
  await check(['token', 'revoke'], /needs the ID/);
  await check(['agent', '--once', '--format', 'xml'], /--format prometheus/);
  await check(['agent', '--format', 'prometheus'], /--format goes with --once/);
  await check(['collector', '--listen', '8080'], /^picket: --listen: "8080" is not host:port; .* \[config_invalid\]/);
});

test('a collector that is not running is told with what to type', async () => {
  const closed = createServer().listen(0, '127.0.0.1');
  await once(closed, 'listening');
  const url = `http://127.0.0.1:${(closed.address() as AddressInfo).port}`;
  await new Promise((resolve) => closed.close(resolve));
  const { exit, error } = await run(['status', '--url', url]);
  assert.equal(exit, 1);
  assert.match(error, new RegExp(`no collector answers at ${url}: it is not running, .*"npm start".* \\[collector_unreachable\\]`));
});

test('a token that the collector does not know is told; none is sent to another machine', async () => {
  assert.match((await run(['hosts', '--token', 'wrong'])).error, /does not know the token.*\[token_refused\]/);
  writeFileSync(join(folder, 'admin-token'), `${TOKEN}\n`);
  answers.set('GET /api/v1/hosts', { body: { hosts: [] } });
  assert.equal((await run(['hosts'], { PICKET_ADMIN_TOKEN: '' })).exit, 0, 'the one in the data folder');
  asked = [];
  const port = (server.address() as AddressInfo).port;
  const elsewhere = await run(['hosts', '--url', `http://0.0.0.0:${port}`], { PICKET_ADMIN_TOKEN: '' });
  assert.match(
    elsewhere.error,
    /wants a token \(the one in .* is not sent there: 0\.0\.0\.0 is no address of this machine\).*\[token_missing\]/,
  );
  assert.deepEqual(
    asked.map((one) => one.token),
    [''],
  );
});

test('enroll asks for a token and prints the one command', async () => {
  answers.set('POST /api/v1/enroll', {
    body: { token: 't', command: 'PICKET_ENROLL_TOKEN=t npm run agent', expiresAt: '2026-11-21T13:00:00Z' },
  });
  asked = [];
  const { exit, out } = await run(['enroll', '--ttl', '1d', '--uses', '20']);
  assert.equal(exit, 0);
  assert.match(out, /On each of up to 20 hosts.*\n\n {2}PICKET_ENROLL_TOKEN=t npm run agent\n\nGood until 2026-11-21T13:00:00Z/);
  assert.deepEqual(JSON.parse(asked[0]?.body ?? ''), { ttlSeconds: 86_400, uses: 20 });
  assert.equal(JSON.parse((await run(['enroll', '--json'])).out).token, 't');
});

test('enroll warns when the command leads to this machine only', async () => {
  const body = { token: 't', command: 'PICKET_COLLECTOR_URL=http://127.0.0.1:1 PICKET_ENROLL_TOKEN=t npm run agent', expiresAt: '' };
  answers.set('POST /api/v1/enroll', { body });
  assert.match(
    (await run(['enroll'])).error,
    /^warning: this collector listens on loopback only; start it with PICKET_LISTEN=0\.0\.0\.0:8080/,
  );
  answers.set('POST /api/v1/enroll', { body: { ...body, command: body.command.replace('127.0.0.1', 'web-1') } });
  assert.equal((await run(['enroll'])).error, '');
});

test('a collector that may speak TLS is named as such', async () => {
  const closing = createTcpServer((socket) => socket.destroy()).listen(0, '127.0.0.1');
  await once(closing, 'listening');
  const at = `127.0.0.1:${(closing.address() as AddressInfo).port}`;
  const { exit, error } = await run(['hosts', '--url', `http://${at}`]);
  await new Promise((resolve) => closing.close(resolve));
  assert.equal(exit, 1);
  assert.match(error, new RegExp(`may speak TLS: try --url https://${at}, with PICKET_CA_FILE .*\\[collector_unreachable\\]`));
  const plain = await run(['hosts', '--url', `https://127.0.0.1:${(server.address() as AddressInfo).port}`]);
  assert.match(plain.error, /it does not speak TLS; try --url http:/);
});

test('the address comes from the running collector of the data folder, unless another port is asked for', async (t) => {
  const dataDir = mkdtempSync(join(folder, 'own-'));
  const living = spawn(process.execPath, ['--eval', 'setInterval(() => {}, 1000)', 'collector'], { stdio: 'ignore' });
  t.after(() => living.kill('SIGKILL'));
  await once(living, 'spawn');
  writeFileSync(join(dataDir, 'collector.pid'), `${living.pid}\n`);
  answers.set('GET /api/v1/hosts', { body: { hosts: [] } });
  const port = (server.address() as AddressInfo).port;
  const forget = recordOwnCollector(dataDir, { url: `http://127.0.0.1:${port}` });
  const environment = { PICKET_DATA_DIR: dataDir, PICKET_LISTEN: '' };
  assert.equal((await run(['hosts'], environment)).exit, 0);
  assert.match(
    (await run(['hosts'], { ...environment, PICKET_LISTEN: '127.0.0.1:2' })).error,
    /no collector answers at http:\/\/127\.0\.0\.1:2:/,
  );
  const ended = once(living, 'exit');
  living.kill('SIGKILL');
  await ended;
  assert.equal(ownCollector(dataDir), undefined, 'what a dead one said does not count');
  forget();
  assert.equal(existsSync(join(dataDir, 'collector.url')), false);
});

test('an address of this machine is told from others', () => {
  const addresses = Object.values(networkInterfaces()).flatMap((found) => found?.filter(({ family }) => family === 'IPv4') ?? []);
  for (const { address } of addresses) assert.equal(isThisMachine(`http://${address}:1`), true, address);
  for (const host of ['192.0.2.1', 'collector.example', '0.0.0.0', '[2001:db8::1]'])
    assert.equal(isThisMachine(`http://${host}:1`), false, host);
});

test('a host is revoked by its name, the one that has the name now', async () => {
  const agents = [
    { agentId: 'a1', host: 'web-1', status: 'revoked' },
    { agentId: 'a2', host: 'web-1', status: 'up' },
  ];
  answers.set('GET /api/v1/agents', { body: { agents } });
  answers.set('DELETE /api/v1/agents/a2', { body: { agentId: 'a2', host: 'web-1', revoked: true, already: false } });
  assert.deepEqual(await run(['hosts', 'revoke', 'web-1']), { exit: 0, out: 'Revoked web-1.\n', error: '' });
  assert.equal(JSON.parse((await run(['hosts', 'revoke', 'web-1', '--json'])).out).agentId, 'a2');
  const unknown = await run(['hosts', 'revoke', 'web-2']);
  assert.equal(unknown.exit, 1);
  assert.match(unknown.error, /no host is called "web-2".*\[host_unknown\]/);
});

test('tokens are listed and revoked', async () => {
  answers.set('GET /api/v1/enroll/tokens', { body: { tokens: [{ id: 'abc', usesLeft: 2, expiresAtMs: 0 }] } });
  answers.set('DELETE /api/v1/enroll/tokens/a%2Fb', { body: '' });
  assert.match((await run(['token', 'list'])).out, /^ID   USES LEFT  EXPIRES\nabc  2          \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\n$/);
  assert.equal((await run(['token', 'revoke', 'a/b'])).out, 'Revoked a/b.\n');
});

test('hosts and status show what reports, and nothing that a host name could do to the terminal', async () => {
  const host = {
    name: 'web\u001b[2J',
    status: 'up',
    lastSampleMs: Date.now(),
    values: { cpuPercent: 12.34, memoryPercent: 50, diskPercent: null, load1: 0.5 },
    link: { connected: true, backlogBytes: 2_500_000 },
  };
  answers.set('GET /api/v1/hosts', { body: { hosts: [host] } });
  answers.set('GET /api/v1/status/buildinfo', { body: { status: 'success', data: { version: '3.5.0', revision: 'picket-1.2.3' } } });
  answers.set('GET /-/ready', { body: 'ok' });
  const listed = await run(['hosts']);
  assert.equal(
    listed.out.replace(/\d+ s ago {5,}/, 'now  '),
    'HOST     STATUS  LAST SAMPLE  CPU     MEMORY  DISK  LOAD  BACKLOG\nweb\u{fffd}[2J  up      now  12.3 %  50.0 %  -     0.50  2.5 MB\n',
  );
  const status = await run(['status']);
  assert.equal(status.exit, 0);
  assert.match(status.out, /^collector {2}http:\S+ {2}ready {2}version 1\.2\.3\nhosts {6}1, of which 1 up\n/);
  assert.equal(JSON.parse((await run(['status', '--json'])).out).ready, true);
  answers.set('GET /-/ready', { status: 503, body: 'warming' });
  assert.equal((await run(['status'])).exit, 1);
});

test('an instant query is a table, or the answer as it came', async () => {
  const vector = {
    status: 'success',
    data: { resultType: 'vector', result: [{ metric: { __name__: 'node_load1', instance: 'a' }, value: [0, '0.5'] }] },
  };
  answers.set('GET /api/v1/query', { body: vector });
  asked = [];
  const { out } = await run(['query', 'node_load1', '--time', '1970-01-01T00:01:00Z']);
  assert.match(out, /^SERIES {20,}VALUE {2}TIME\nnode_load1\{instance="a"\} {2}0\.5 {4}\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\n$/);
  assert.equal(asked[0]?.parameters.get('query'), 'node_load1');
  assert.equal(asked[0]?.parameters.get('time'), '60');
  assert.deepEqual(JSON.parse((await run(['query', 'node_load1', '--json'])).out), vector);
});

test('a range query names its points', async () => {
  answers.set('GET /api/v1/query_range', {
    body: {
      status: 'success',
      data: {
        resultType: 'matrix',
        result: [
          {
            metric: {},
            values: [
              [0, '1'],
              [60, '2'],
            ],
          },
        ],
      },
    },
  });
  asked = [];
  const { out } = await run(['query', 'up', '--start', '0', '--end', '1970-01-01T00:10:00Z', '--step', '1m']);
  assert.match(out, /^\{\}\n {2}TIME {17}VALUE\n {2}\S+ \S+ {2}1\n {2}\S+ \S+ {2}2\n$/);
  assert.deepEqual(
    [...(asked[0]?.parameters ?? [])],
    [
      ['query', 'up'],
      ['start', '0'],
      ['end', '600'],
      ['step', '60'],
    ],
  );
});

test('what the collector refuses is told in its words, with 1', async () => {
  answers.set('GET /api/v1/query', { status: 400, body: { status: 'error', errorType: 'bad_data', error: 'parse error at 3' } });
  assert.deepEqual(await run(['query', 'up{']), { exit: 1, out: '', error: 'picket: parse error at 3 [bad_data]\n' });
  answers.set('GET /api/v1/query', { status: 422, body: { error: { code: 'limit', message: 'too much' } } });
  assert.deepEqual(await run(['query', 'up']), { exit: 1, out: '', error: 'picket: too much [limit]\n' });
  answers.set('GET /api/v1/query', { body: '<html>' });
  assert.match((await run(['query', 'up'])).error, /not what Picket says; is something else listening there\? \[answer_unexpected\]/);
});

test('the stack is for those who ask for it', async () => {
  assert.doesNotMatch((await run(['quer'])).error, /\n\s+at /);
  assert.match((await run(['quer'], { PICKET_LOG_LEVEL: 'debug' })).error, /\n\s+at /);
});

test('settings of both programs are printed with secrets masked', async () => {
  const collector = await run(['collector', '--print-config', '--data-dir', '/x']);
  assert.equal(collector.exit, 0);
  assert.match(collector.out, /data_dir: \/x # from --data-dir\n/);
  assert.doesNotMatch(collector.out, new RegExp(TOKEN));
  const agent = await run(['agent', '--print-config', '--json', '--path.procfs', '/p'], { PICKET_LISTEN: '' });
  assert.deepEqual(
    JSON.parse(agent.out).find((one: { key: string }) => one.key === 'path.procfs'),
    { key: 'path.procfs', text: '/p', origin: '--path.procfs' },
  );
});

test('the shell command runs on the pinned runtime and passes the exit code on', async () => {
  const command = join(import.meta.dirname, '../../packaging/picket');
  const result = await new Promise<{ code: unknown; out: string; error: string }>((resolve) => {
    execFile(command, ['nope'], (failure, out, error) => resolve({ code: failure?.code, out, error }));
  });
  assert.deepEqual(result, { code: 2, out: '', error: 'picket: there is no command "nope"; see: picket --help [usage]\n' });
});
