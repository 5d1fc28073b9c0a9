/** Hosts over HTTP: the list with its figures, one host, charts, live streams, revoking. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import type { RunningServer } from '../../../collector/http/server.ts';
import { every } from '../query/fake-source.ts';
import { openEvents, type Events } from './event-reader.ts';
import { AUTHORIZED, fakes, getJson, serve, type Fakes, type Json } from './fake-deps.ts';

const NOW_MS = 1_700_000_000_000;
let made: Fakes;
let server: RunningServer;
const open: Events[] = [];

beforeEach(async () => {
  made = fakes();
  server = await serve(made);
});
afterEach(async () => {
  for (const events of open.splice(0)) events.close();
  await server.close();
});

async function events(path: string): Promise<Events> {
  const stream = await openEvents(server.url + path, AUTHORIZED);
  open.push(stream);
  return stream;
}

/** A host with a minute of samples at 1 s up to now: 2 CPUs half idle, and so on. */
function addHost(name: string, untilMs = NOW_MS): void {
  made.roster.add(name, { lastSampleMs: untilMs });
  addSamples(name, untilMs - 60_000, 61, 0);
}

function addSamples(instance: string, fromMs: number, count: number, first: number): void {
  const add = (labels: Record<string, string>, value: (i: number) => number): void =>
    made.source.add(
      { instance, job: 'node', ...labels },
      every(1000, fromMs, count, (i) => value(first + i)),
    );
  for (const cpu of ['0', '1']) {
    add({ __name__: 'node_cpu_seconds_total', cpu, mode: 'idle' }, (i) => 100 + i * 0.5);
    add({ __name__: 'node_cpu_seconds_total', cpu, mode: 'user' }, (i) => i * 0.4);
    add({ __name__: 'node_cpu_seconds_total', cpu, mode: 'system' }, (i) => i * 0.1);
  }
  add({ __name__: 'node_memory_MemTotal_bytes' }, () => 1000);
  add({ __name__: 'node_memory_MemAvailable_bytes' }, () => 250);
  add({ __name__: 'node_load1' }, (i) => i);
  for (const [mountpoint, fstype, avail] of [
    ['/', 'ext4', 40],
    ['/data', 'xfs', 10],
    ['/run', 'tmpfs', 1],
  ] as const) {
    const labels = { device: mountpoint, mountpoint, fstype };
    add({ __name__: 'node_filesystem_size_bytes', ...labels }, () => 100);
    add({ __name__: 'node_filesystem_avail_bytes', ...labels }, () => avail);
  }
  for (const [device, rate] of [
    ['eth0', 10],
    ['lo', 99],
    ['veth1', 99],
  ] as const) {
    add({ __name__: 'node_network_receive_bytes_total', device }, (i) => i * rate);
    add({ __name__: 'node_network_transmit_bytes_total', device }, (i) => i * rate * 2);
  }
  add({ __name__: 'node_disk_read_bytes_total', device: 'sda' }, (i) => i * 5);
  add({ __name__: 'node_disk_written_bytes_total', device: 'sda' }, (i) => i * 7);
  add({ __name__: 'node_disk_read_bytes_total', device: 'dm-0' }, (i) => i * 5);
  add({ __name__: 'node_pressure_cpu_waiting_seconds_total' }, (i) => i * 0.25);
}

test('the list has every host with its figures', async () => {
  addHost('a');
  made.roster.add('quiet', {
    status: 'never',
    statusSinceMs: null,
    link: { connected: false, sinceMs: null, backlogBytes: null, backlogOldestMs: null },
  });
  const { body } = await getJson(server, '/api/v1/hosts');
  assert.deepEqual(
    body.hosts.map((host: Json) => host.name),
    ['a', 'quiet'],
  );
  assert.deepEqual(body.hosts[0].values, {
    cpuPercent: 50,
    memoryPercent: 75,
    memoryBytes: 750,
    memoryTotalBytes: 1000,
    diskPercent: 90,
    diskMount: '/data',
    load1: 60,
    networkReceiveBytesPerSecond: 10,
    networkTransmitBytesPerSecond: 20,
  });
  assert.equal(body.hosts[0].statusSince, '1970-01-01T00:00:01.000Z');
  assert.equal(body.hosts[0].link.since, '1970-01-01T00:00:01.000Z');
  assert.deepEqual(new Set(Object.values(body.hosts[1].values)), new Set([null]));
  assert.equal(body.hosts[1].statusSince, null);
});

test('figures of many hosts cost reads per metric, not per host', async () => {
  for (let i = 0; i < 50; i++) addHost(`h${i}`);
  const { body } = await getJson(server, '/api/v1/hosts');
  assert.equal(body.hosts.length, 50);
  assert.equal(body.hosts[49].values.cpuPercent, 50);
  assert.ok(made.source.selects.length <= 10, `${made.source.selects.length} selects`);
});

test('the list of no hosts is empty', async () => {
  assert.deepEqual((await getJson(server, '/api/v1/hosts')).body, { hosts: [] });
});

test('one host is answered by name, an unknown one is 404', async () => {
  addHost('a');
  const { body } = await getJson(server, '/api/v1/hosts/a');
  assert.equal(body.values.load1, 60);
  const unknown = await getJson(server, '/api/v1/hosts/b');
  assert.equal(unknown.status, 404);
  assert.equal(unknown.body.code, 'host_unknown');
});

test('charts have the same times for every line, and what each metric says', async () => {
  addHost('a');
  const { body } = await getJson(server, `/api/v1/hosts/a/charts?from=${NOW_MS - 10_000}&to=${NOW_MS}&step=5000`);
  assert.deepEqual([body.from, body.to, body.step], [NOW_MS - 10_000, NOW_MS, 5000]);
  assert.deepEqual(body.times, [NOW_MS - 10_000, NOW_MS - 5000, NOW_MS]);
  const lines = Object.fromEntries(
    body.charts.map((chart: Json) => [chart.id, Object.fromEntries(chart.series.map((one: Json) => [one.name, one.values]))]),
  );
  assert.deepEqual(lines, {
    cpu: { user: [40, 40, 40], system: [10, 10, 10] },
    memory: { used: [750, 750, 750], available: [250, 250, 250] },
    load: { '1 min': [50, 55, 60] },
    disk_io: { 'sda read': [5, 5, 5], 'sda written': [7, 7, 7] },
    network: { 'eth0 received': [10, 10, 10], 'eth0 sent': [20, 20, 20], 'veth1 received': [99, 99, 99], 'veth1 sent': [198, 198, 198] },
    filesystem: { '/': [60, 60, 60], '/data': [90, 90, 90] },
    pressure: { CPU: [25, 25, 25] },
  });
  assert.deepEqual(
    body.charts.map((chart: Json) => [chart.id, chart.unit, chart.stacked]),
    [
      ['cpu', 'percent', true],
      ['memory', 'bytes', true],
      ['load', 'load', false],
      ['disk_io', 'bytes_per_second', false],
      ['network', 'bytes_per_second', false],
      ['filesystem', 'percent', false],
      ['pressure', 'percent', false],
    ],
  );
});

test('charts say where nothing was measured and why', async () => {
  made.roster.add('a');
  made.source.add({ __name__: 'node_load1', instance: 'a', job: 'node' }, [
    ...every(1000, NOW_MS - 20_000, 6, () => 1),
    ...every(1000, NOW_MS - 2000, 3, () => 2),
  ]);
  made.coverage = { live: [], late: [], gaps: [{ fromMs: 5, toMs: 6, cause: 'power_loss', detail: 'one', host: 'a' }] };
  const { body } = await getJson(server, `/api/v1/hosts/a/charts?from=${NOW_MS - 16_000}&to=${NOW_MS}&step=1000`);
  const load = body.charts.find((chart: Json) => chart.id === 'load').series[0].values;
  assert.deepEqual(load, [1, 1, 1, 1, null, null, null, null, null, null, null, null, null, null, 2, 2, 2]);
  assert.deepEqual(body.coverage.gaps, [{ from: 5, to: 6, cause: 'power_loss', detail: 'one', host: 'a' }]);
  assert.deepEqual(made.asked, [{ hosts: ['a'], fromMs: NOW_MS - 16_000, toMs: NOW_MS }]);
});

test('charts choose a step by themselves and refuse too many points', async () => {
  addHost('a');
  assert.equal((await getJson(server, `/api/v1/hosts/a/charts?from=${NOW_MS - 900_000}&to=${NOW_MS}`)).body.step, 2000);
  assert.equal((await getJson(server, `/api/v1/hosts/a/charts?from=${NOW_MS - 86_400_000}&to=${NOW_MS}`)).body.step, 300_000);
  const many = await getJson(server, `/api/v1/hosts/a/charts?from=0&to=${NOW_MS}&step=1000`);
  assert.equal(many.status, 400);
  assert.equal(many.body.code, 'parameter_invalid');
  assert.equal((await getJson(server, `/api/v1/hosts/a/charts?from=5&to=1`)).status, 400);
  assert.equal((await getJson(server, `/api/v1/hosts/a/charts?from=x`)).status, 400);
});

test('the live list begins with all hosts and then tells what changes', async () => {
  addHost('a');
  made.roster.add('b');
  const stream = await events('/api/v1/hosts/stream');
  const first = await stream.next('hosts');
  assert.deepEqual(
    first.hosts.map((host: Json) => host.name),
    ['a', 'b'],
  );
  const figures = await stream.next('hosts');
  assert.deepEqual(
    figures.hosts.map((host: Json) => [host.name, host.values.load1]),
    [['a', 60]],
  );
  made.roster.add('b', { status: 'down' });
  made.roster.add('c');
  const changed = await stream.next('hosts');
  assert.deepEqual(
    changed.hosts.map((host: Json) => [host.name, host.status]),
    [
      ['b', 'down'],
      ['c', 'up'],
    ],
  );
  made.roster.list.splice(1, 1);
  assert.deepEqual(await stream.next('hosts'), { hosts: [], removed: ['b'] });
});

test('one host live: its points second by second, its gaps and its state; the agent is watched for as long', async () => {
  addHost('a');
  made.coverage = { live: [], late: [], gaps: [{ fromMs: 5, toMs: 6, cause: 'power_loss', detail: '', host: 'a' }] };
  const stream = await events(`/api/v1/hosts/a/stream?from=${NOW_MS - 2000}`);
  assert.equal((await stream.next('host')).values.load1, 60);
  const first = await stream.next('points');
  assert.deepEqual(first.times, [NOW_MS - 1000, NOW_MS]);
  assert.deepEqual(first.charts.load, { series: { '1 min': [59, 60] } });
  assert.deepEqual(first.charts.cpu.series.user, [40, 40]);
  assert.equal(first.newestMs, NOW_MS);
  assert.deepEqual(first.gaps, [{ from: 5, to: 6, cause: 'power_loss', detail: '', host: 'a' }]);
  assert.deepEqual(made.watched, ['a9e27a']);

  addSamples('a', NOW_MS + 1000, 1, 61);
  made.source.appended('a9e27a', NOW_MS + 1000);
  const second = await stream.next('points');
  assert.deepEqual(second.times, [NOW_MS + 1000]);
  assert.deepEqual(second.charts.load.series['1 min'], [61]);
  assert.deepEqual(made.unwatched, []);
  stream.close();
  await made.untilUnwatched();
  assert.deepEqual(made.unwatched, ['a9e27a']);
  assert.equal(made.source.listeners, 1, 'only the fleet still listens');
});

test('a live host that is not there is 404, and does not open a stream', async () => {
  const { status, body } = await getJson(server, '/api/v1/hosts/nobody/stream');
  assert.equal(status, 404);
  assert.equal(body.code, 'host_unknown');
});

test('a HEAD of a stream ends at once and opens none', async () => {
  addHost('a');
  for (const path of ['/api/v1/hosts/stream', '/api/v1/hosts/a/stream']) {
    const response = await fetch(server.url + path, { method: 'HEAD', headers: AUTHORIZED });
    assert.deepEqual(
      [response.status, response.headers.get('content-type'), await response.text()],
      [200, 'text/event-stream; charset=utf-8', ''],
    );
  }
  assert.deepEqual(made.watched, []);
});

test('agents are listed and revoked', async () => {
  made.roster.add('a');
  const { body } = await getJson(server, '/api/v1/agents');
  assert.deepEqual(body.agents, [{ agentId: 'a9e27a', host: 'a', status: 'up', lastSeenMs: null, version: '0.1.0', connected: true }]);
  const revoke = async (method: string, path: string): Promise<Json> =>
    (await fetch(server.url + path, { method, headers: AUTHORIZED })).json();
  assert.deepEqual(await revoke('DELETE', '/api/v1/agents/a9e27a'), { agentId: 'a9e27a', host: 'a', revoked: true, already: false });
  assert.deepEqual(await revoke('POST', '/api/v1/agents/a9e27a/revoke'), { agentId: 'a9e27a', host: 'a', revoked: true, already: true });
  assert.equal((await revoke('DELETE', '/api/v1/agents/none')).code, 'agent_unknown');
});

test('closing the server ends live streams at once', async () => {
  addHost('a');
  const stream = await events('/api/v1/hosts/stream');
  await stream.next('hosts');
  const startedMs = performance.now();
  await server.close();
  await stream.ended;
  assert.ok(performance.now() - startedMs < 500);
  server = await serve(made);
});
