/** What an enrolled agent or a stranger may try on purpose: the collector stays up, says why, counts it, and keeps what it holds of anybody bounded. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { WebSocket } from 'ws';
import type { DictionaryEntry, ErrorCode } from '../../../protocol/index.ts';
import { ingestStack, samplesOf, type IngestStack } from '../../support/ingest-stack.ts';
import { WireAgent, type WireAgentOptions } from '../../support/wire-agent.ts';

const LOAD: DictionaryEntry = { name: 'node_load1', type: 'gauge', scope: 'node', labels: [], help: '' };
const ONE = [{ times: Float64Array.of(0), refs: Uint32Array.of(0), values: Float64Array.of(1) }];

let stack: IngestStack;
let host = 0;

before(async () => {
  stack = await ingestStack();
});
after(() => stack.close());

async function connected(options: Partial<WireAgentOptions> = {}, on: IngestStack = stack): Promise<WireAgent> {
  const { token } = await on.ingest.tokens.create();
  const agent = new WireAgent({ name: `hostile-${host++}`, token, ...options });
  const answer = await agent.connect(on.url);
  assert.ok('welcome' in answer, JSON.stringify(answer));
  agent.send(agent.dictionary([LOAD]));
  return agent;
}

function refusedCount(code: ErrorCode): number {
  return stack.ingest.counters.refused.get(code) ?? 0;
}

describe('times that are none', () => {
  test('a frame of a time beyond every calendar is refused and the collector goes on', async () => {
    const agent = await connected();
    agent.send(agent.samples(ONE, Number.MAX_SAFE_INTEGER));
    const answer = await agent.until((message) => message.kind === 'refuse');
    assert.equal(answer.kind === 'refuse' && answer.code, 'time_range');
    agent.send(agent.samples(ONE, Date.now()));
    await agent.acked(1);
    agent.terminate();
  });

  test('a collector that takes any time refuses those before 1970 and after 9999, and its log can still be cut', async () => {
    const any = await ingestStack({ retentionMs: undefined });
    try {
      const agent = await connected({}, any);
      for (const timeMs of [-1, 8.64e15, Number.MAX_SAFE_INTEGER]) {
        agent.heard.length = 0;
        agent.send(agent.samples(ONE, timeMs));
        const answer = await agent.until((message) => message.kind === 'refuse');
        assert.equal(answer.kind === 'refuse' && answer.code, 'time_range', String(timeMs));
      }
      agent.send(agent.samples(ONE, Date.UTC(9999, 0, 1)));
      await agent.acked(3);
      await any.store.cutNow();
      assert.deepEqual((await samplesOf(any.store, 'node_load1')).get(agent.options.name)?.timesMs, [Date.UTC(9999, 0, 1)]);
      agent.terminate();
    } finally {
      await any.close();
    }
  });
});

describe('names', () => {
  test('of two agents that ask for one name at the same moment one gets it', async () => {
    const { token } = await stack.ingest.tokens.create({ uses: 2 });
    const name = `twin-${host++}`;
    const twins = [new WireAgent({ name, token }), new WireAgent({ name, token })];
    const answers = await Promise.all(twins.map((twin) => twin.connect(stack.url)));
    const codes = answers.map((answer) => ('rejected' in answer ? answer.rejected.code : 'welcome')).toSorted();
    assert.deepEqual(codes, ['host_name_taken', 'welcome']);
    for (const twin of twins) twin.terminate();
  });

  test('an agent whose name was given to another is cut off at once', async () => {
    const old = await connected();
    const { token } = await stack.ingest.tokens.create({ replace: old.options.name });
    const heir = new WireAgent({ name: old.options.name, token });
    assert.ok('welcome' in (await heir.connect(stack.url)));
    assert.equal((await old.ended()).reason, 'identity_revoked');
    heir.terminate();
  });
});

describe('what ends a connection is counted by its code', () => {
  for (const [what, bytes, code] of [
    ['text', 'hello', 'control_malformed'],
    ['a message far above the limit', Buffer.alloc(3 * 1024 * 1024), 'frame_oversized'],
    ['garbage', Buffer.from([0x9f, 1, 2, 3]), 'frame_truncated'],
  ] as const) {
    test(what, async () => {
      const agent = await connected();
      const before = refusedCount(code);
      agent.socket?.send(bytes);
      await agent.ended();
      assert.equal(refusedCount(code), before + 1);
    });
  }

  test('a frame that is no WebSocket frame', async () => {
    const before = refusedCount('control_malformed');
    const socket = connect(Number(new URL(stack.url).port), '127.0.0.1');
    socket.write(
      `GET /agent HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\n\r\n`,
    );
    socket.once('data', () => socket.write(Buffer.from([0xff, 0xff, 0xff])));
    await new Promise((resolve) => socket.resume().once('close', resolve));
    assert.equal(refusedCount('control_malformed'), before + 1);
  });
});

describe('strangers', () => {
  test('a first message longer than a hello is not waited for', async () => {
    const before = refusedCount('handshake_malformed');
    const socket = new WebSocket(stack.url);
    await new Promise((resolve) => socket.once('open', resolve));
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.on('error', () => undefined);
    // Never the last fragment: what the collector would have to keep until the handshake's time is over.
    for (let i = 0; i < 12; i++) socket.send(Buffer.alloc(64 * 1024), { fin: false });
    await closed;
    assert.equal(refusedCount('handshake_malformed'), before + 1);
  });
});
