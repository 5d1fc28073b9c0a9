/** Which lane's turn it is. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LaneShare } from '../../../agent/link/share.ts';

function turns(share: LaneShare, count: number, maySend: (lane: number) => boolean = () => true): number[] {
  const sent = [0, 0, 0];
  for (let i = 0; i < count; i++) {
    const lane = share.next(maySend);
    if (lane === undefined) break;
    share.sent(lane, 1000);
    sent[lane] = (sent[lane] as number) + 1;
  }
  return sent;
}

test('lanes that all wait share sixteen to four to one, the first one first', () => {
  const share = new LaneShare();
  for (const lane of [2, 1, 0]) share.wake(lane);
  assert.equal(
    share.next(() => true),
    0,
  );
  assert.deepEqual(turns(share, 2100), [1600, 400, 100]);
});

test('a lane without credit is passed over, and nobody waits for nobody', () => {
  const share = new LaneShare();
  assert.equal(
    share.next(() => true),
    undefined,
  );
  for (const lane of [0, 1]) share.wake(lane);
  assert.deepEqual(
    turns(share, 10, (lane) => lane !== 0),
    [0, 10, 0],
  );
});

test('a lane that was idle has no claim on what it did not use', () => {
  const share = new LaneShare();
  share.wake(0);
  turns(share, 1000);
  share.wake(2);
  assert.deepEqual(turns(share, 17), [16, 0, 1]);
  share.rest(0);
  assert.deepEqual(turns(share, 5), [0, 0, 5]);
});
