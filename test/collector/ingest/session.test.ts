/** What an agent's connection may do and what it may not: each wrong thing gets its code, a count, and touches nobody else. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { WebSocket } from 'ws';
import {
  FrameKind,
  keyPairFromSeed,
  Lane,
  newKeyPair,
  pack,
  readFrame,
  signer,
  type DictionaryEntry,
  type ErrorCode,
} from '../../../protocol/index.ts';
import { ingestStack, samplesOf, type IngestStack } from '../../support/ingest-stack.ts';
import { eventually } from '../../support/processes.ts';
import { WireAgent, type WireAgentOptions } from '../../support/wire-agent.ts';

const LOAD: DictionaryEntry = { name: 'node_load1', type: 'gauge', scope: 'node', labels: [], help: '1m load average.' };

function value(number: number) {
  return [{ times: Float64Array.of(0), refs: Uint32Array.of(0), values: Float64Array.of(number) }];
}

let stack: IngestStack;
let host = 0;

before(async () => {
  stack = await ingestStack();
});
after(() => stack.close());

/** A connected agent whose dictionary has one series. */
async function connected(options: Partial<WireAgentOptions> = {}): Promise<WireAgent> {
  const { token } = await stack.ingest.tokens.create({ uses: 1 });
  const agent = new WireAgent({ name: `host-${host++}`, token, ...options });
  const answer = await agent.connect(stack.url);
  assert.ok('welcome' in answer, JSON.stringify(answer));
  agent.send(agent.dictionary([LOAD]));
  return agent;
}

async function rejection(agent: WireAgent): Promise<ErrorCode> {
  const answer = await agent.connect(stack.url);
  assert.ok('rejected' in answer);
  return answer.rejected.code;
}

function refusedCount(code: ErrorCode): number {
  return stack.ingest.counters.refused.get(code) ?? 0;
}

describe('the line', () => {
  test('a frame is stored under the name of its host, acked, and read back', async () => {
    const agent = await connected();
    const timeMs = Math.floor(Date.now() / 1000) * 1000;
    agent.send(agent.samples(value(1.5), timeMs));
    await agent.acked(0);
    await eventually(async () => (await samplesOf(stack.store, 'node_load1')).has(agent.options.name), 2000);
    const samples = (await samplesOf(stack.store, 'node_load1')).get(agent.options.name);
    assert.deepEqual(samples, { timesMs: [timeMs], values: [1.5] });
    agent.terminate();
  });

  test('a frame sent again is acked again and stored once', async () => {
    const agent = await connected();
    const timeMs = Date.now() - 60_000;
    const bytes = agent.samples(value(2), timeMs);
    agent.send(bytes);
    await agent.acked(0);
    agent.heard.length = 0;
    agent.send(bytes);
    await agent.acked(0);
    const again = new WireAgent({ ...agent.options, keys: agent.keys, epoch: agent.epoch });
    const answer = await again.connect(stack.url);
    assert.ok('welcome' in answer);
    assert.deepEqual(answer.welcome.received.find(({ epoch }) => Buffer.compare(epoch, agent.epoch) === 0)?.lanes[0]?.ranges, [[0, 1]]);
    again.send(bytes);
    await again.acked(0);
    await eventually(async () => (await samplesOf(stack.store, 'node_load1')).has(agent.options.name), 2000);
    assert.deepEqual((await samplesOf(stack.store, 'node_load1')).get(agent.options.name)?.values, [2]);
    again.terminate();
  });

  test('frames out of order and with holes are acked as ranges', async () => {
    const agent = await connected();
    const frames = Array.from({ length: 6 }, (_, i) => agent.samples(value(i), Date.now() - 60_000 + i * 1000));
    for (const i of [4, 0, 1, 5]) agent.send(frames[i] as Uint8Array);
    for (const i of [4, 0, 1, 5]) await agent.acked(i);
    assert.ok(!agent.heard.some((m) => m.kind === 'ack' && m.ranges.some(([from, to]) => from <= 2 && 2 < to)));
    agent.terminate();
  });

  test('a frame whose dictionary is missing is answered with need, and taken after the dictionary came', async () => {
    const { token } = await stack.ingest.tokens.create();
    const agent = new WireAgent({ name: `host-${host++}`, token });
    await agent.connect(stack.url);
    const dictionary = agent.dictionary([LOAD]);
    const frame = agent.samples(value(3), Date.now());
    agent.send(frame);
    const need = await agent.until((message) => message.kind === 'need');
    assert.equal(need.kind === 'need' && need.from, 0);
    agent.send(dictionary);
    agent.send(frame);
    await agent.acked(0);
    agent.terminate();
  });

  test('the agent is told to flush each second while somebody watches', async () => {
    const agent = await connected();
    const stop = stack.ingest.sessions.watch(Buffer.from(agent.agentId).toString('hex'));
    await agent.until((message) => message.kind === 'sealedConfig');
    agent.heard.length = 0;
    stop();
    await agent.until((message) => message.kind === 'sealedConfig');
    agent.terminate();
  });
});

describe('frames that are wrong', () => {
  async function refusedWith(agent: WireAgent, bytes: Uint8Array, code: ErrorCode): Promise<void> {
    const counted = refusedCount(code);
    agent.send(bytes);
    const answer = await agent.until((message) => message.kind === 'refuse' && message.code === code);
    assert.equal(answer.kind, 'refuse');
    assert.equal(refusedCount(code), counted + 1);
    // The next good frame of the same agent is taken.
    const sequence = agent.sequences[0];
    agent.send(agent.samples(value(9), Date.now()));
    await agent.acked(sequence);
    agent.terminate();
  }

  test("somebody else's signature is refused", async () => {
    const agent = await connected();
    const bytes = agent.samples(value(1), Date.now());
    bytes[bytes.length - 1] = (bytes[bytes.length - 1] as number) ^ 1;
    await refusedWith(agent, bytes, 'signature_invalid');
  });

  test('another agent in the envelope is refused', async () => {
    const agent = await connected();
    await refusedWith(agent, agent.samples(value(1), Date.now(), { agentId: randomBytes(16) }), 'frame_agent');
  });

  test('another fleet in the envelope is refused', async () => {
    const agent = await connected();
    await refusedWith(agent, agent.samples(value(1), Date.now(), { fleetId: randomBytes(16) }), 'frame_fleet');
  });

  test('a sequence far ahead is refused', async () => {
    const agent = await connected();
    await refusedWith(agent, agent.samples(value(1), Date.now(), { sequence: 2 ** 40 }), 'sequence_far');
  });

  test('a time in the future and one before the retention are refused', async () => {
    await refusedWith(await connected(), (await connected()).samples(value(1), Date.now()), 'frame_agent');
    const agent = await connected();
    await refusedWith(agent, agent.samples(value(1), Date.now() + 3_600_000), 'time_range');
    const other = await connected();
    await refusedWith(other, other.samples(value(1), Date.now() - 30 * 24 * 3_600_000), 'time_range');
  });

  test('a kind that is not taken yet is refused', async () => {
    const agent = await connected();
    await refusedWith(agent, agent.seal(FrameKind.entries, Lane.now, pack([]), Date.now()), 'frame_kind');
  });

  test('events that do not decode are refused', async () => {
    const agent = await connected();
    await refusedWith(agent, agent.document(FrameKind.events, [{ type: 'gap' }], Date.now()), 'payload_malformed');
  });

  test('acked samples that do not decode become a gap and harm nobody', async () => {
    const agent = await connected();
    agent.send(
      agent.seal(FrameKind.samples, Lane.now, pack([[1, 1, Buffer.from([0]), Buffer.from([9, 9]), Buffer.from([255])]]), Date.now()),
    );
    await agent.acked(0);
    const agentId = Buffer.from(agent.agentId).toString('hex');
    await eventually(() => stack.ingest.ledger.gapsOf(agentId).some((gap) => gap.cause === 'undecodable'), 2000);
    agent.terminate();
  });

  for (const [what, bytes] of [
    ['garbage', randomBytes(300)],
    ['an empty message', new Uint8Array(0)],
    ['a truncated frame', Buffer.concat([Buffer.from([0x9f, 1, 2, 0, 0]), randomBytes(40)])],
    ['a control message with an extension', Buffer.from('92d87200a0', 'hex')],
    ['a control message of the other side', pack([5, { epoch: randomBytes(16), lane: 0, ranges: [0, 1] }])],
    ['a nested bomb', Buffer.concat([Buffer.from([0x92, 0x05]), Buffer.alloc(1000, 0x91)])],
  ] as const) {
    test(`${what} ends the session with a code and the agent may come back`, async () => {
      const agent = await connected();
      agent.send(bytes);
      const { code, reason } = await agent.ended();
      assert.equal(code, 1008);
      assert.match(reason, /^(frame|control)_/);
      const again = new WireAgent({ ...agent.options, keys: agent.keys });
      assert.ok('welcome' in (await again.connect(stack.url)));
      again.terminate();
    });
  }

  test('a message above the limit ends the connection', async () => {
    const agent = await connected();
    agent.send(Buffer.alloc(2 * 1024 * 1024));
    await agent.ended();
  });
});

describe('labels that claim what is not theirs (law 7)', () => {
  for (const [what, entry] of [
    ['the label instance on a host series', { ...LOAD, labels: ['instance', 'other'] }],
    ['the label job on a host series', { ...LOAD, labels: ['job', 'node'] }],
    ['the label agent', { ...LOAD, scope: 'relayed', labels: ['agent', 'x'] }],
    ['the series up', { ...LOAD, name: 'up' }],
    ["Picket's own names", { ...LOAD, name: 'picket_store_samples_total' }],
  ] as [string, DictionaryEntry][]) {
    test(`${what} is refused`, async () => {
      const agent = await connected();
      agent.send(agent.dictionary([entry]));
      assert.equal((await agent.ended()).reason, 'label_reserved');
    });
  }

  test("another host's identity in relayed series is refused, an exporter's own is taken", async () => {
    const victim = await connected();
    const agent = await connected();
    agent.send(agent.dictionary([{ ...LOAD, name: 'mysql_up', scope: 'relayed', labels: ['instance', 'db:9104', 'job', 'mysql'] }]));
    agent.send(agent.samples(value(1), Date.now()));
    await agent.acked(0);
    agent.send(agent.dictionary([{ ...LOAD, scope: 'relayed', labels: ['instance', victim.options.name, 'job', 'node'] }]));
    assert.equal((await agent.ended()).reason, 'label_reserved');
    victim.terminate();
  });
});

describe('identity', () => {
  test('without a token, with a wrong, an expired, a used up and a revoked one there is no entry', async () => {
    assert.equal(await rejection(new WireAgent({ name: 'nobody' })), 'identity_unknown');
    const made = await stack.ingest.tokens.create();
    const first = new WireAgent({ name: `host-${host++}`, token: made.token });
    assert.ok('welcome' in (await first.connect(stack.url)));
    assert.equal(await rejection(new WireAgent({ name: `host-${host++}`, token: made.token })), 'token_used_up');
    const short = await stack.ingest.tokens.create({ ttlMs: 1 });
    await eventually(() => Date.now() > short.expiresAtMs, 1000, 2);
    assert.equal(await rejection(new WireAgent({ name: `host-${host++}`, token: short.token })), 'token_expired');
    const revoked = await stack.ingest.tokens.create();
    assert.ok(await stack.ingest.tokens.revoke(revoked.id));
    assert.equal(await rejection(new WireAgent({ name: `host-${host++}`, token: revoked.token })), 'token_invalid');
    first.terminate();
  });

  test('a taken host name is refused and the token keeps its use', async () => {
    const agent = await connected();
    const { token, id } = await stack.ingest.tokens.create();
    assert.equal(await rejection(new WireAgent({ name: agent.options.name, token })), 'host_name_taken');
    assert.equal((await stack.ingest.tokens.list()).find((info) => info.id === id)?.usesLeft, 1);
    agent.terminate();
  });

  test('a revoked agent is cut off and stays out; its name is free for a new key', async () => {
    const agent = await connected();
    assert.ok(await stack.ingest.hosts.revoke(Buffer.from(agent.agentId).toString('hex')));
    assert.equal((await agent.ended()).reason, 'identity_revoked');
    assert.equal(await rejection(new WireAgent({ ...agent.options, keys: agent.keys })), 'identity_revoked');
    const { token } = await stack.ingest.tokens.create();
    assert.ok('welcome' in (await new WireAgent({ name: agent.options.name, token }).connect(stack.url)));
  });

  test('the same machine that connects again takes over; another machine with the key is refused', async () => {
    const agent = await connected();
    const again = new WireAgent({ ...agent.options, keys: agent.keys });
    assert.ok('welcome' in (await again.connect(stack.url)));
    assert.equal((await agent.ended()).code, 1000);
    const clone = new WireAgent({ ...agent.options, keys: agent.keys, machine: Buffer.alloc(32, 1) });
    assert.equal(await rejection(clone), 'identity_in_use');
    again.terminate();
  });

  test('a host name that is none is refused', async () => {
    const { token } = await stack.ingest.tokens.create();
    assert.equal(await rejection(new WireAgent({ name: 'a b"c', token })), 'limit_label');
  });

  test('a stranger who signs with another key than he names is refused', async () => {
    const mine = newKeyPair();
    const { token } = await stack.ingest.tokens.create();
    const agent = new WireAgent({
      name: `host-${host++}`,
      token,
      keys: { publicKey: mine.publicKey, secretKey: keyPairFromSeed(randomBytes(32)).secretKey },
    });
    assert.equal(await rejection(agent), 'handshake_signature');
  });

  test('whoever speaks before the handshake is over, or says text, is cut off', async () => {
    const socket = new WebSocket(stack.url);
    await new Promise((resolve) => socket.once('open', resolve));
    socket.send('hello');
    const reason = await new Promise<string>((resolve) => socket.once('close', (_code, text) => resolve(text.toString())));
    assert.equal(reason, 'control_malformed');
  });
});

describe('clocks', () => {
  test('an agent whose clock is wrong is corrected by whole seconds, and the offset is known', async () => {
    const agent = await connected({ wallOffsetMs: 600_000 });
    const wrongMs = Math.floor(Date.now() / 1000) * 1000 + 600_000;
    agent.send(agent.samples(value(4), wrongMs));
    await agent.acked(0);
    await eventually(async () => (await samplesOf(stack.store, 'node_load1')).has(agent.options.name), 2000);
    assert.deepEqual((await samplesOf(stack.store, 'node_load1')).get(agent.options.name)?.timesMs, [wrongMs - 600_000]);
    const offset = stack.ingest.hosts.host(agent.options.name)?.clockOffsetMs ?? 0;
    assert.ok(Math.abs(offset - 600_000) < 1000);
    agent.terminate();
  });

  test("an agent's clock within two seconds is taken as it is", async () => {
    const agent = await connected({ wallOffsetMs: 1500 });
    const timeMs = Math.floor(Date.now() / 1000) * 1000 + 1000;
    agent.send(agent.samples(value(4), timeMs));
    await agent.acked(0);
    await eventually(async () => (await samplesOf(stack.store, 'node_load1')).get(agent.options.name)?.timesMs[0] === timeMs, 2000);
    agent.terminate();
  });
});

describe('the envelope of refused frames', () => {
  test('a frame replayed by another enrolled agent is refused', async () => {
    const honest = await connected();
    const thief = await connected();
    const bytes = honest.samples(value(1), Date.now());
    assert.ok(readFrame(bytes).ok);
    thief.send(bytes);
    await thief.until((message) => message.kind === 'refuse' && message.code === 'frame_agent');
    honest.send(bytes);
    await honest.acked(0);
    honest.terminate();
    thief.terminate();
  });

  test('a good frame signed for another purpose is refused', async () => {
    const agent = await connected();
    const other = new WireAgent({ ...agent.options, keys: agent.keys, epoch: agent.epoch });
    other.fleetId = agent.fleetId;
    other.dictionaryLength = 1;
    const bent = other.samples(value(1), Date.now());
    bent.set(signer(agent.keys.secretKey)('picket/1 hello', randomBytes(32)), bent.length - 64);
    agent.send(bent);
    await agent.until((message) => message.kind === 'refuse' && message.code === 'signature_invalid');
    agent.terminate();
  });
});
