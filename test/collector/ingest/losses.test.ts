/** What the store has lost, as hosts' coverage shows it: each loss by itself, and as a gap of those whose it may have been. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { StoreLoss } from '../../../collector/model/ports.ts';
import { ingestStack, type IngestStack } from '../../support/ingest-stack.ts';
import { WireAgent } from '../../support/wire-agent.ts';

let stack: IngestStack;
before(async () => {
  stack = await ingestStack();
});
after(() => stack.close());

const HOUR_MS = 3_600_000;

function damage(fromMs: number | undefined, toMs: number | undefined, detail: string): StoreLoss {
  return { cause: 'store_corruption', agentId: undefined, epoch: undefined, lane: undefined, ranges: [], fromMs, toMs, bytes: 10, detail };
}

test('losses without a host are gaps of every host, each one kept, and the same one filed once', async () => {
  for (const name of ['one', 'two']) {
    const { token } = await stack.ingest.tokens.create();
    const agent = new WireAgent({ name, token });
    assert.ok('welcome' in (await agent.connect(stack.url)));
    agent.terminate();
  }
  const { ledger, hosts } = stack.ingest;
  for (let twice = 0; twice < 2; twice++) {
    await ledger.loss(damage(0, HOUR_MS, 'a window'));
    await ledger.loss(damage(HOUR_MS, 2 * HOUR_MS, 'another window'));
    await ledger.loss(damage(HOUR_MS, 2 * HOUR_MS, 'another value of that window'));
    await ledger.loss(damage(undefined, 4 * HOUR_MS, 'the beginning of the log'));
  }
  for (const name of ['one', 'two']) {
    const { gaps } = await hosts.of([name], 0, 3 * HOUR_MS);
    assert.deepEqual(
      gaps.map(({ fromMs, toMs, detail }) => [fromMs / HOUR_MS, toMs / HOUR_MS, detail]),
      [
        [0, 1, 'a window'],
        [1, 2, 'another window'],
        [1, 2, 'another value of that window'],
      ],
    );
  }
});
