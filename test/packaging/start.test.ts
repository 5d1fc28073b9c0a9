/** `npm start` as a person uses it, with the real collector and the real agent: what dies comes back, what is told to stop stops, what is taken is told. */
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { setTimeout as wait } from 'node:timers/promises';
import { after, test } from 'node:test';

const START = join(import.meta.dirname, '../../packaging/start.ts');
/** Promised to who stops it. */
const STOP_MS = 2000;
const WAIT_MS_MAX = 20_000;

const folders: string[] = [];
const started: ChildProcess[] = [];
after(() => {
  for (const child of started) child.kill('SIGKILL');
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'picket-start-'));
  folders.push(folder);
  return folder;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

function start(dataDir: string, listen: string): ChildProcess {
  const { PICKET_ADMIN_TOKEN: _token, PICKET_CONFIG: _config, ...environment } = process.env;
  const child = spawn(process.execPath, [START], {
    env: { ...environment, PICKET_DATA_DIR: dataDir, PICKET_LISTEN: listen },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  started.push(child);
  return child;
}

/** The JSON line with that message. */
async function line(child: ChildProcess, message: string): Promise<Readonly<Record<string, unknown>>> {
  assert.ok(child.stdout !== null);
  for await (const text of createInterface({ input: child.stdout })) {
    const fields = JSON.parse(text) as Record<string, unknown>;
    if (fields['msg'] !== message) continue;
    child.stdout.resume();
    return fields;
  }
  assert.fail(`it ended without saying "${message}"`);
}

async function until<T>(what: string, ask: () => T | undefined | Promise<T | undefined>): Promise<T> {
  const deadline = performance.now() + WAIT_MS_MAX;
  while (performance.now() < deadline) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    await wait(20);
  }
  assert.fail(`waited ${WAIT_MS_MAX} ms for ${what}`);
}

function pidIn(path: string): number | undefined {
  return existsSync(path) ? Number(readFileSync(path, 'utf8')) || undefined : undefined;
}

function lives(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function load1(url: string, dataDir: string): Promise<unknown> {
  const headers = { authorization: `Bearer ${readFileSync(join(dataDir, 'admin-token'), 'utf8').trim()}` };
  try {
    const answer = await fetch(`${url}/api/v1/query?query=node_load1`, { headers });
    const body = (await answer.json()) as { data?: { result?: unknown[] } };
    return body.data?.result?.[0];
  } catch {
    return undefined;
  }
}

test('collector and agent of this host run, come back when killed, and end together within two seconds', async () => {
  const dataDir = join(newFolder(), 'data');
  const child = start(dataDir, `127.0.0.1:${await freePort()}`);
  const { url, loginUrl, tokenFile } = await line(child, 'picket is running');
  assert.ok(typeof url === 'string' && typeof loginUrl === 'string' && loginUrl.startsWith(url));
  assert.equal(tokenFile, join(dataDir, 'admin-token'));
  await until('the first sample of this host', () => load1(url, dataDir));

  const files = { collector: join(dataDir, 'collector.pid'), agent: join(dataDir, 'agent', 'agent.pid') };
  const first = { collector: pidIn(files.collector) ?? 0, agent: pidIn(files.agent) ?? 0 };
  assert.ok(lives(first.collector) && lives(first.agent));
  process.kill(first.collector, 'SIGKILL');
  process.kill(first.agent, 'SIGKILL');
  const fresh = (path: string, old: number) => (): number | undefined => {
    const pid = pidIn(path);
    return pid === old ? undefined : pid;
  };
  const second = {
    collector: await until('a new collector', fresh(files.collector, first.collector)),
    agent: await until('a new agent', fresh(files.agent, first.agent)),
  };
  await until('the collector to answer again', () => load1(url, dataDir));

  const stopped = once(child, 'exit');
  const sinceMs = performance.now();
  child.kill('SIGTERM');
  assert.deepEqual(await stopped, [0, null]);
  assert.ok(performance.now() - sinceMs < STOP_MS, `${performance.now() - sinceMs} ms`);
  assert.ok(!lives(second.collector) && !lives(second.agent));
  assert.deepEqual([existsSync(files.collector), existsSync(files.agent)], [false, false], 'a clean stop leaves no pid behind');
});

test('a busy port is told with who has it and what to type, and ends the start', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const child = start(join(newFolder(), 'data'), `127.0.0.1:${port}`);
  assert.ok(child.stderr !== null);
  const [error, [exit]] = await Promise.all([text(child.stderr), once(child, 'exit')]);
  await new Promise((resolve) => server.close(resolve));
  assert.equal(exit, 1);
  const expected = `port ${port} of 127\\.0\\.0\\.1 is in use by process ${process.pid} \\(.*\\); stop that, or choose another port: PICKET_LISTEN=127\\.0\\.0\\.1:${port + 1} npm start \\[port_in_use\\]`;
  assert.match(error, new RegExp(expected));
});

test('a collector that listens everywhere prints addresses that can be opened, and one for others', async () => {
  const dataDir = join(newFolder(), 'data');
  const child = start(dataDir, '0.0.0.0:0');
  const { url, elsewhereUrl, loginUrl } = await line(child, 'picket is running');
  assert.match(String(url), /^http:\/\/127\.0\.0\.1:\d+$/);
  assert.ok(String(loginUrl).startsWith(`${String(url)}/login?`));
  assert.equal(elsewhereUrl, `http://${hostname().toLowerCase()}:${new URL(String(url)).port}`);
  const authorization = `Bearer ${readFileSync(join(dataDir, 'admin-token'), 'utf8').trim()}`;
  const headers = { authorization, 'content-type': 'application/json' };
  const answer = await fetch(`${String(url)}/api/v1/enroll`, { method: 'POST', headers, body: '{}' });
  const { command } = (await answer.json()) as { command?: string };
  assert.ok(command?.startsWith(`PICKET_COLLECTOR_URL=${elsewhereUrl} PICKET_INSECURE=true `), command);
  const stopped = once(child, 'exit');
  child.kill('SIGTERM');
  assert.deepEqual(await stopped, [0, null]);
});

test('a second start on the same folder says who is there and leaves the first alone', async () => {
  const dataDir = join(newFolder(), 'data');
  const first = start(dataDir, '127.0.0.1:0');
  const { url } = await line(first, 'picket is running');
  const pid = pidIn(join(dataDir, 'collector.pid')) ?? 0;
  const second = start(dataDir, '127.0.0.1:0');
  assert.ok(second.stderr !== null);
  const [error, [exit]] = await Promise.all([text(second.stderr), once(second, 'exit')]);
  assert.equal(exit, 1);
  assert.match(
    error,
    new RegExp(
      `${dataDir} is in use: the collector there is process ${pid} .*open ${String(url)}, stop it with "kill ${first.pid}".*npm start \\[folder_in_use\\]`,
    ),
  );
  assert.ok(lives(pid));
  const stopped = once(first, 'exit');
  first.kill('SIGINT');
  assert.deepEqual(await stopped, [0, null]);
});

test('a configuration that cannot be used ends the start with 2 before anything runs', async () => {
  const folder = newFolder();
  const child = start(join(folder, 'data'), 'nowhere');
  assert.ok(child.stderr !== null);
  const [error, [exit]] = await Promise.all([text(child.stderr), once(child, 'exit')]);
  assert.deepEqual(
    [exit, error],
    [
      2,
      'picket: PICKET_LISTEN: "nowhere" is not host:port; write for example 127.0.0.1:8080, or 0.0.0.0:8080 for every address [config_invalid]\n',
    ],
  );
  assert.equal(existsSync(join(folder, 'data')), false);
});
