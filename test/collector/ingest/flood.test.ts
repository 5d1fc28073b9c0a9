/** An enrolled agent without measure: floods of messages, epochs, documents. It is stopped or bounded, and nobody else waits for it. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { FrameKind, Lane, pack, type DictionaryEntry } from '../../../protocol/index.ts';
import { ingestStack, type IngestStack } from '../../support/ingest-stack.ts';
import { eventually } from '../../support/processes.ts';
import { WireAgent } from '../../support/wire-agent.ts';

const LOAD: DictionaryEntry = { name: 'node_load1', type: 'gauge', scope: 'node', labels: [], help: '' };
const ONE = [{ times: Float64Array.of(0), refs: Uint32Array.of(0), values: Float64Array.of(1) }];

let stack: IngestStack;
let host = 0;

before(async () => {
  stack = await ingestStack();
});
after(() => stack.close());

async function connected(): Promise<WireAgent> {
  const { token } = await stack.ingest.tokens.create();
  const agent = new WireAgent({ name: `flood-${host++}`, token });
  const answer = await agent.connect(stack.url);
  assert.ok('welcome' in answer, JSON.stringify(answer));
  agent.send(agent.dictionary([LOAD]));
  return agent;
}

describe('an enrolled agent without measure', () => {
  test('state messages in a loop end its session', async () => {
    const agent = await connected();
    for (let i = 0; i < 70; i++) agent.say({ kind: 'state', wallMs: Date.now(), clockSegment: i, clockBaseMs: 0, held: [] });
    assert.equal((await agent.ended()).reason, 'limit_rate');
  });

  test('epochs without end: frames of more than a session keeps apart end it, and the next hello forgets them', async () => {
    const agent = await connected();
    for (let i = 0; i < 2100; i++) agent.send(agent.samples(ONE, Date.now(), { epoch: randomBytes(16), sequence: 0, dictionaryLength: 0 }));
    assert.equal((await agent.ended()).reason, 'frame_epoch');
    const agentId = Buffer.from(agent.agentId).toString('hex');
    const again = new WireAgent({ ...agent.options, keys: agent.keys });
    assert.ok('welcome' in (await again.connect(stack.url)));
    await eventually(async () => (await stack.store.received(agentId)).length <= 2, 2000);
    again.terminate();
  });

  test('every second sequence: acks of more ranges than a message holds come as several', async () => {
    const agent = await connected();
    const timeMs = Date.now() - 10_000;
    // What the collector reads at once it acks at once.
    const frames = Array.from({ length: 1500 }, (_, i) => agent.samples(ONE, timeMs + i, { sequence: 2 * i }));
    for (const bytes of frames) agent.send(bytes);
    await agent.acked(2 * 1499);
    const ranges = agent.heard.flatMap((message) => (message.kind === 'ack' ? message.ranges : []));
    assert.equal(ranges.length, 1500);
    agent.terminate();
  });

  test('series names without end stop at what one agent may have in memory, also across connections and epochs', async () => {
    let agent = await connected();
    let announced = 0;
    for (let round = 0; round < 2; round++) {
      for (let from = 0; from < 40 && agent.closed === undefined; from++) {
        const entries = Array.from({ length: 250 }, (_, i) => {
          const name = `${round}-${from}-${i}-`;
          return { ...LOAD, labels: ['a', name.padEnd(2000, 'x'), 'b', 'y'.repeat(2000), 'c', 'z'.repeat(2000), 'd', 'w'.repeat(2000)] };
        });
        agent.send(agent.dictionary(entries));
        announced += 250 * 8000;
      }
      assert.equal((await agent.ended()).reason, 'limit_rate', `${announced} bytes were taken`);
      agent = new WireAgent({ ...agent.options, keys: agent.keys });
      assert.ok('welcome' in (await agent.connect(stack.url)));
      agent.send(agent.dictionary([LOAD]));
      agent.send(agent.samples(ONE, Date.now()));
      await agent.acked(0);
    }
    agent.terminate();
  });

  test('an inventory beyond its bound is refused before it is unpacked, and so are events', async () => {
    const agent = await connected();
    for (const kind of [FrameKind.inventory, FrameKind.events]) {
      agent.heard.length = 0;
      agent.send(agent.seal(kind, Lane.now, pack({ filler: 'x'.repeat(2 * 1024 * 1024) }), Date.now()));
      const answer = await agent.until((message) => message.kind === 'refuse');
      assert.equal(answer.kind === 'refuse' && answer.code, 'payload_bomb');
    }
    agent.terminate();
  });

  test('thousands of gaps in a frame keep nobody waiting, and the ledger keeps the newest', async () => {
    const flooder = await connected();
    const agentId = Buffer.from(flooder.agentId).toString('hex');
    const honest = await connected();
    const gap = (id: number) => ({
      type: 'gap',
      id,
      epoch: '0'.repeat(32),
      lane: 0,
      cause: 'x',
      fromSequence: id,
      toSequence: id + 1,
      fromMs: id * 1000,
      toMs: id * 1000 + 500,
      frames: 1,
      samples: 1,
      bytes: 1,
    });
    for (let part = 0; part < 4; part++) {
      const gaps = Array.from({ length: 4096 }, (_, i) => gap(part * 4096 + i));
      flooder.send(flooder.document(FrameKind.events, gaps, Date.now()));
    }
    const begun = performance.now();
    honest.send(honest.samples(ONE, Date.now()));
    await honest.acked(0);
    assert.ok(performance.now() - begun < 3000, `an honest agent waited ${performance.now() - begun} ms`);
    await flooder.acked(3, 0, 10_000);
    const kept = stack.ingest.ledger.gapsOf(agentId);
    assert.ok(kept.length <= 5000, `${kept.length} gaps`);
    assert.equal(kept.at(-1)?.fromMs, (4 * 4096 - 1) * 1000);
    assert.ok((await stack.store.records.list('gap', { prefix: `${agentId}/` })).length <= 5000);
    flooder.terminate();
    honest.terminate();
  });
});
