/** The agent's settings: defaults, what is allowed, what is answered to the rest. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { agentConfig, agentUrl, isLoopback, type AgentConfig } from '../../agent/config.ts';
import { ConfigError } from '../../packaging/config-error.ts';
import { openSettings } from '../../packaging/settings.ts';

const folder = mkdtempSync(join(tmpdir(), 'picket-agent-config-'));
after(() => rmSync(folder, { recursive: true, force: true }));

async function config(environment: Record<string, string>, flags: Record<string, string> = {}): Promise<AgentConfig> {
  return agentConfig(await openSettings({ section: 'agent', environment, flags }), {
    defaultDirectory: '/var/lib/picket/agent',
  });
}

function configFile(text: string): Record<string, string> {
  const path = join(folder, 'picket.yaml');
  writeFileSync(path, text);
  return { PICKET_CONFIG: path };
}

async function refused(environment: Record<string, string>, expected: RegExp): Promise<void> {
  await assert.rejects(
    () => config(environment),
    (error) => error instanceof ConfigError && expected.test(`${error.code} ${error.sentence}`),
  );
}

test('without any setting it reports to the collector of its own host', async () => {
  assert.deepEqual(await config({}), {
    collectorUrl: 'ws://127.0.0.1:8080/agent',
    directory: '/var/lib/picket/agent',
    name: hostname(),
    insecure: false,
    flushMs: 5000,
    offlineFlushMs: 60_000,
    gatherers: {},
    paths: { procfs: '/proc', sysfs: '/sys', rootfs: '/', udev: '/run/udev/data' },
    spool: {
      now: { bytesMax: 256e6, ageMsMax: 7 * 86_400_000 },
      logs: { bytesMax: 512e6, ageMsMax: 3 * 86_400_000 },
      bulk: { bytesMax: 256e6, ageMsMax: 3 * 86_400_000 },
    },
    logLevel: 'info',
  });
});

test("what people write as the address becomes that of the agents' door", async () => {
  const check = (text: string, expected: string | undefined): void => assert.equal(agentUrl(text), expected, text);
  check('https://c.example', 'wss://c.example/agent');
  check('http://127.0.0.1:8080/', 'ws://127.0.0.1:8080/agent');
  check('wss://c.example:8443/agent', 'wss://c.example:8443/agent');
  check('ws://[::1]:8080/agent/', 'ws://[::1]:8080/agent');
  check('c.example:8080', undefined);
  check('ftp://c.example', undefined);
  check('wss://user:pass@c.example', undefined);
  check('wss://c.example/other', undefined);
});

test('only loopback is loopback', async () => {
  for (const host of ['127.0.0.1', '127.9.9.9', 'localhost', '[::1]']) assert.equal(isLoopback(`ws://${host}/agent`), true, host);
  for (const host of ['127.0.0.1.example', '10.0.0.1', 'localhost.example', '[::2]'])
    assert.equal(isLoopback(`ws://${host}/agent`), false, host);
});

test('ws:// to another machine needs the word of the operator', async () => {
  await refused(
    { PICKET_COLLECTOR_URL: 'ws://10.0.0.1:8080' },
    /^insecure_url PICKET_COLLECTOR_URL: ws:\/\/10\.0\.0\.1:8080\/agent is not encrypted/,
  );
  assert.equal((await config({ PICKET_COLLECTOR_URL: 'ws://10.0.0.1:8080', PICKET_INSECURE: 'true' })).insecure, true);
  assert.equal((await config({ PICKET_COLLECTOR_URL: 'https://10.0.0.1:8080' })).collectorUrl, 'wss://10.0.0.1:8080/agent');
});

test('the file sets gatherers, lanes and paths', async () => {
  const read = await config(
    configFile(
      [
        'log_level: warn',
        'agent:',
        '  collector_url: https://c.example',
        '  name: web-1',
        '  flush: 10s',
        '  gather_interval: 5s',
        '  gatherers:',
        '    cpu: { interval: 2s }',
        '    meminfo: { enabled: false }',
        '  path: { procfs: /host/proc }',
        '  spool: { now: { bytes: 1GB, age: 30d } }',
      ].join('\n'),
    ),
  );
  assert.equal(read.name, 'web-1');
  assert.equal(read.logLevel, 'warn');
  assert.equal(read.flushMs, 10_000);
  assert.equal(read.gatherIntervalMs, 5000);
  assert.deepEqual(read.gatherers, { cpu: { enabled: true, intervalMs: 2000 }, meminfo: { enabled: false } });
  assert.equal(read.paths.procfs, '/host/proc');
  assert.deepEqual(read.spool.now, { bytesMax: 1e9, ageMsMax: 30 * 86_400_000 });
});

test("the other systems' interval is the sampling interval", async () => {
  assert.equal((await config({ MONITOR_INTERVAL: '60' })).gatherIntervalMs, 60_000);
  assert.equal((await config({ MONITOR_INTERVAL: '60', MONITORING_METRICS_COLLECTION_INTERVAL: '300' })).gatherIntervalMs, 300_000);
});

test('flags name the same keys', async () => {
  const read = await config({}, { name: 'x', collector_url: 'https://c.example', 'path.procfs': '/p' });
  assert.equal(read.name, 'x');
  assert.equal(read.paths.procfs, '/p');
});

test('what cannot be used is refused with what to write instead', async () => {
  await refused(
    { PICKET_COLLECTOR_URL: 'collector' },
    /^config_invalid PICKET_COLLECTOR_URL: "collector" .*wss:\/\/collector\.example:8080/,
  );
  await refused({ PICKET_NAME: 'a b' }, /^config_invalid PICKET_NAME: "a b" is not a host name/);
  await refused(
    { PICKET_ENROLL_TOKEN: 'a b' },
    /^config_invalid PICKET_ENROLL_TOKEN: the value is not an enrolment token; .*picket enroll/,
  );
  await refused(configFile('agent: { flush: 1h }'), /picket\.yaml:1:17: flush: "1h" is outside 1s to 5m/);
  await refused(configFile('agent: { gatherers: { cpu: { interval: 1500ms } } }'), /no multiple of 1s/);
  await refused(
    configFile('agent: { gatherers: { cpus: { enabled: true } } }'),
    /^config_unknown_key .*picket\.yaml:1:40: there is no gatherer cpus; there are cpu, .*vmstat/,
  );
  await refused(configFile('agent: { gatherers: { cpu: { intervall: 1s } } }'), /did you mean gatherers\.cpu\.interval/);
});

test('the names that a configuration may use are those of the gatherers', async () => {
  const folder = join(import.meta.dirname, '../../agent/gather');
  const sources = readdirSync(folder).map((file) => readFileSync(join(folder, file), 'utf8'));
  const names = sources.flatMap((source) => [...source.matchAll(/^ {2}readonly name = '(\w+)';$/gm)].map((match) => match[1] ?? ''));
  assert.ok(names.length > 10);
  for (const name of names) await config(configFile(`agent: { gatherers: { ${name}: { enabled: true } } }`));
  await assert.rejects(config(configFile('agent: { gatherers: { x: { enabled: true } } }')), (error: Error) => {
    const listed = /there are (.*)$/.exec(error.message)?.[1]?.split(', ');
    assert.deepEqual(listed, [...new Set(names)].toSorted());
    return true;
  });
});
