/** Queries in line: so many run, so many wait, the rest are told to come again. */
import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { test } from 'node:test';
import type { Context } from 'koa';
import { QueryGate } from '../../../collector/http/gate.ts';

function request(): Context & { res: EventEmitter } {
  return { res: new EventEmitter() } as unknown as Context & { res: EventEmitter };
}

/** A query that runs until it is told to end. */
function held(): { query: () => Promise<string>; end: () => void } {
  let end = (): void => undefined;
  const done = new Promise<string>((resolve) => (end = () => resolve('done')));
  return { query: () => done, end };
}

test('queries beyond the limit wait for their turn, in order', async () => {
  const gate = new QueryGate({ runningMax: 1, queueMax: 2 });
  const order: string[] = [];
  const first = held();
  const running = gate.run(request(), 1000, first.query);
  const second = gate.run(request(), 1000, async () => order.push('second'));
  const third = gate.run(request(), 1000, async () => order.push('third'));
  assert.deepEqual([gate.counts.running, gate.counts.waiting], [1, 2]);
  await assert.rejects(
    gate.run(request(), 1000, async () => 'x'),
    { code: 'query_queue_full', status: 503 },
  );
  assert.deepEqual(order, []);
  first.end();
  await Promise.all([running, second, third]);
  assert.deepEqual(order, ['second', 'third']);
  assert.deepEqual({ ...gate.counts }, { running: 0, waiting: 0, done: 3, refused: 1, timedOut: 0, canceled: 0 });
});

test('who waits is let go when its time is over or its client has gone, and the line moves on', async () => {
  const gate = new QueryGate({ runningMax: 1, queueMax: 5 });
  const first = held();
  const running = gate.run(request(), 1000, first.query);
  await assert.rejects(
    gate.run(request(), 5, async () => 'never'),
    { code: 'query_timeout' },
  );
  const client = request();
  const gone = gate.run(client, 1000, async () => 'never');
  client.res.emit('close');
  await assert.rejects(gone, { code: 'query_canceled' });
  const last = gate.run(request(), 1000, async () => 'last');
  first.end();
  assert.equal(await last, 'last');
  await running;
  assert.deepEqual([gate.counts.running, gate.counts.waiting, gate.counts.timedOut, gate.counts.canceled], [0, 0, 1, 1]);
});

test('a query that fails gives its place back', async () => {
  const gate = new QueryGate({ runningMax: 1 });
  await assert.rejects(
    gate.run(request(), 1000, () => Promise.reject(new Error('broken'))),
    /broken/,
  );
  assert.equal(await gate.run(request(), 1000, async () => 'next'), 'next');
});

test('who asked is answered when the time is over, though the query goes on; its place is free when it ends', async () => {
  const gate = new QueryGate({ runningMax: 1 });
  const stuck = held();
  await assert.rejects(gate.run(request(), 5, stuck.query), { code: 'query_timeout' });
  assert.equal(gate.counts.running, 1);
  stuck.end();
  await stuck.query();
  assert.equal(await gate.run(request(), 1000, async () => 'next'), 'next');
  assert.equal(gate.counts.running, 0);
});
