/** Hosts as people see them: presence, `up`, inventory, downtime and late data, over a real store. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { FrameKind, type AgentEvent, type DictionaryEntry } from '../../../protocol/index.ts';
import { ingestStack, samplesOf, type IngestStack } from '../../support/ingest-stack.ts';
import { eventually } from '../../support/processes.ts';
import { WireAgent } from '../../support/wire-agent.ts';

const LOAD: DictionaryEntry = { name: 'node_load1', type: 'gauge', scope: 'node', labels: [], help: '' };

let stack: IngestStack;
before(async () => {
  stack = await ingestStack();
});
after(() => stack.close());

async function connected(name: string, options: { keys?: WireAgent['keys'] } = {}): Promise<WireAgent> {
  const { token } = await stack.ingest.tokens.create();
  const agent = new WireAgent({ name, token, ...options });
  assert.ok('welcome' in (await agent.connect(stack.url)));
  agent.send(agent.dictionary([LOAD]));
  return agent;
}

async function send(agent: WireAgent, timeMs: number): Promise<void> {
  const sequence = agent.sequences[0];
  agent.send(agent.samples([{ times: Float64Array.of(0), refs: Uint32Array.of(0), values: Float64Array.of(1) }], timeMs));
  await agent.acked(sequence);
}

const status = (name: string): string | undefined => stack.ingest.hosts.host(name)?.status;

test('a host is never, then up with its first sample, stale and down by the clock of the collector, and up says so', async () => {
  const agent = await connected('presence');
  assert.equal(status('presence'), 'never');
  await send(agent, Date.now());
  await eventually(() => status('presence') === 'up', 2000, 5);
  await eventually(async () => (await samplesOf(stack.store, 'up')).get('presence')?.values.at(-1) === 1, 2000);
  agent.terminate();
  await eventually(() => status('presence') === 'stale', 3000, 5);
  stack.clock.offsetMs += 31_000;
  await eventually(() => status('presence') === 'down', 3000, 20);
  await eventually(async () => (await samplesOf(stack.store, 'up')).get('presence')?.values.at(-1) === 0, 3000);
  stack.clock.offsetMs = 0;
});

test('an inventory is filed and its facts are shown', async () => {
  const agent = await connected('facts');
  const sequence = agent.sequences[0];
  agent.send(
    agent.document(
      FrameKind.inventory,
      { os: { distro: 'Debian', release: '12', kernel: '6.1', arch: 'x64' }, cpu: { cores: 4 } },
      Date.now(),
    ),
  );
  await agent.acked(sequence);
  const host = stack.ingest.hosts.host('facts');
  assert.deepEqual([host?.os, host?.kernel, host?.arch, host?.cpuCount], ['Debian 12', '6.1', 'x64', 4]);
  agent.terminate();
});

test('the time between two runs of an agent is a gap with its cause, filed once', async () => {
  const first = await connected('restarted');
  const lastMs = Math.floor(Date.now() / 1000) * 1000 - 20_000;
  await send(first, lastMs);
  await eventually(() => stack.ingest.hosts.host('restarted')?.lastSampleMs === lastMs, 2000, 5);
  first.terminate();
  const second = new WireAgent({ name: 'restarted', keys: first.keys });
  await second.connect(stack.url);
  const start: AgentEvent = {
    type: 'start',
    atMs: lastMs + 15_000,
    version: '1',
    bootId: 'b',
    previous: { epoch: Buffer.from(first.epoch).toString('hex'), end: 'crashed', lastMs: lastMs - 5000 },
  };
  for (let i = 0; i < 2; i++) {
    const sequence = second.sequences[0];
    second.send(second.document(FrameKind.events, [start], Date.now()));
    await second.acked(sequence);
  }
  const gaps = (await stack.ingest.hosts.of(['restarted'], lastMs - 60_000, Date.now())).gaps.filter(
    ({ cause }) => cause === 'agent_crashed',
  );
  assert.deepEqual(
    gaps.map(({ fromMs, toMs }) => [fromMs, toMs]),
    [[lastMs, lastMs + 15_000]],
  );
  second.terminate();
});

test('what comes late is told apart from what came live, and a gap that the agent names has its cause', async () => {
  const agent = await connected('late');
  const nowMs = Math.floor(Date.now() / 1000) * 1000;
  await send(agent, nowMs);
  await send(agent, nowMs - 600_000);
  const epoch = Buffer.from(agent.epoch).toString('hex');
  const gap: AgentEvent = {
    type: 'gap',
    id: 1,
    epoch,
    lane: 0,
    cause: 'spool_full',
    fromSequence: 5,
    toSequence: 9,
    fromMs: nowMs - 300_000,
    toMs: nowMs - 240_000,
    frames: 4,
    samples: 40,
    bytes: 400,
  };
  const sequence = agent.sequences[0];
  agent.send(agent.document(FrameKind.events, [gap], Date.now()));
  await agent.acked(sequence);
  const coverage = await stack.ingest.hosts.of(['late'], nowMs - 900_000, nowMs + 1000);
  assert.ok(coverage.late.some(([from, to]) => from <= nowMs - 600_000 && to > nowMs - 600_000));
  assert.deepEqual(
    coverage.gaps.filter(({ cause }) => cause === 'spool_full').map(({ fromMs, toMs, host }) => [fromMs, toMs, host]),
    [[nowMs - 300_000, nowMs - 240_000, 'late']],
  );
  agent.terminate();
});

test('sequences below the floor that never came become an unexplained gap, those that the agent explains do not', async () => {
  const agent = await connected('holes');
  const nowMs = Date.now();
  await send(agent, nowMs - 60_000);
  const held = [{ epoch: agent.epoch, lanes: [{ lane: 0, floor: 10, next: 10, bytes: 0, oldestMs: 0 }] }];
  agent.say({ kind: 'state', wallMs: Date.now(), clockSegment: 0, clockBaseMs: 0, held });
  agent.sequences[0] = 10;
  await send(agent, nowMs);
  stack.clock.offsetMs += 140_000;
  const agentId = Buffer.from(agent.agentId).toString('hex');
  await eventually(() => stack.ingest.ledger.gapsOf(agentId).some((gap) => gap.cause === 'lost_at_agent'), 8000, 50);
  const gap = stack.ingest.ledger.gapsOf(agentId).find(({ cause }) => cause === 'lost_at_agent');
  assert.deepEqual([gap?.fromSequence, gap?.toSequence, gap?.frames], [1, 10, 9]);
  stack.clock.offsetMs = 0;
  agent.terminate();
});

test('what an agent holds counts as outstanding until all of it has come', async () => {
  const agent = await connected('backlog');
  const { keys } = agent;
  const nowMs = Math.floor(Date.now() / 1000) * 1000;
  const held = [{ epoch: agent.epoch, lanes: [{ lane: 0, floor: 0, next: 2, bytes: 500, oldestMs: nowMs - 120_000 }] }];
  const again = new WireAgent({ name: 'backlog', keys, epoch: agent.epoch, held });
  await again.connect(stack.url);
  again.send(again.dictionary([LOAD]));
  again.sequences[0] = 2;
  await send(again, nowMs);
  await eventually(() => stack.ingest.hosts.host('backlog')?.lastSampleMs === nowMs, 2000, 5);
  const waiting = async (): Promise<unknown[]> =>
    (await stack.ingest.hosts.of(['backlog'], nowMs - 300_000, nowMs)).gaps.filter(({ cause }) => cause === 'not_received');
  assert.equal(stack.ingest.hosts.host('backlog')?.link.backlogBytes, 500);
  assert.equal((await waiting()).length, 1);
  again.sequences[0] = 0;
  await send(again, nowMs - 120_000);
  await send(again, nowMs - 119_000);
  assert.equal(stack.ingest.hosts.host('backlog')?.link.backlogBytes, 0);
  // The frame that was on its way when the agent spoke is no gap afterwards, however long the agent says nothing new.
  stack.clock.offsetMs += 20_000;
  await send(again, Date.now() + 19_000);
  assert.deepEqual(await waiting(), []);
  stack.clock.offsetMs = 0;
  again.terminate();
});

test('a revoked host keeps the coverage of what it sent', async () => {
  const agent = await connected('leaver');
  const nowMs = Date.now();
  await send(agent, nowMs);
  await send(agent, nowMs + 1000);
  const span = [nowMs - 60_000, nowMs + 60_000] as const;
  const before = await stack.ingest.hosts.of(['leaver'], ...span);
  assert.equal(before.live.length, 1);
  assert.equal(await stack.ingest.hosts.revoke(stack.ingest.hosts.host('leaver')?.agentId ?? ''), true);
  assert.deepEqual((await stack.ingest.hosts.of(['leaver'], ...span)).live, before.live);
  agent.terminate();
});
