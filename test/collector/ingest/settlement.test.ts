/** What floors and ends of epochs hand to the ledger, and when ranges are closed and epochs forgotten. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { epochOf, newAgentState } from '../../../collector/ingest/lanes.ts';
import { settleEnded, settleFloors, type SettlementDeps } from '../../../collector/ingest/settlement.ts';
import type { EpochReceived, SequenceRange } from '../../../collector/model/ports.ts';

const AGENT = { agentId: 'a'.repeat(32), name: 'host', enrolledMs: 0 };
const EPOCH = 'e'.repeat(32);

function scene(ranges: readonly SequenceRange[]) {
  const received: EpochReceived = { epoch: EPOCH, dictionaryLength: 0, lanes: [{ lane: 0, ranges, lastDigest: new Uint8Array(32) }] };
  const state = newAgentState(AGENT.agentId, [received]);
  const missing: SequenceRange[] = [];
  const collapsed: number[] = [];
  const waiting: (() => void)[] = [];
  const scene = { state, missing, collapsed, waiting, explained: false, epoch: epochOf(state, EPOCH) };
  const deps = {
    appender: { collapse: (_agent: string, _epoch: string, _lane: number, floor: number) => collapsed.push(floor) },
    ledger: {
      isExplained: () => scene.explained,
      missing: (_agent: unknown, _epoch: string, _lane: number, of: readonly SequenceRange[]) => missing.push(...of),
    },
    whenStored: (call: () => void) => waiting.push(call),
    agent: AGENT,
    state,
    newestMs: 1000,
    nowMs: 2000,
  } as unknown as SettlementDeps;
  return Object.assign(scene, { deps });
}

function held(floor: number, next: number) {
  return { epoch: Buffer.from(EPOCH, 'hex'), lanes: [{ lane: 0, floor, next, bytes: 0, oldestMs: 0 }] };
}

test('a hole below the floor is named, and its range stays open until a gap explains it', () => {
  const at = scene([[0, 3]]);
  settleFloors(at.deps, [held(5, 9)]);
  assert.deepEqual(at.missing, [[3, 5]]);
  assert.equal(at.waiting.length, 0);
  at.explained = true;
  settleFloors(at.deps, [held(5, 9)]);
  assert.deepEqual(at.collapsed, [], 'not before what is on its way is stored');
  for (const call of at.waiting) call();
  assert.deepEqual(at.collapsed, [5]);
});

test('what later frames overtook and the agent no longer holds is named when its epoch is over', () => {
  const at = scene([
    [0, 6],
    [10, 11],
  ]);
  assert.equal(settleEnded(at.deps, at.epoch, held(6, 6)), false);
  assert.deepEqual(at.missing, [[6, 10]]);
});

test('what the agent of an epoch that is over still holds is not missing', () => {
  const at = scene([[10, 11]]);
  settleEnded(at.deps, at.epoch, held(0, 10));
  assert.deepEqual(at.missing, []);
});

test('an epoch that is no longer held is forgotten once its holes are explained, not before', () => {
  const at = scene([
    [0, 6],
    [10, 11],
  ]);
  assert.equal(settleEnded(at.deps, at.epoch, undefined), false);
  at.explained = true;
  assert.equal(settleEnded(at.deps, at.epoch, undefined), true);
});
