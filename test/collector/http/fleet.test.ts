/** Figures of the fleet: what is read, when, and how long it is shown. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fleet } from '../../../collector/http/fleet.ts';
import { every, FakeSource } from '../query/fake-source.ts';
import { FakeRoster } from './fake-deps.ts';

const NOW_MS = 1_700_000_000_000;

function setUp(): { fleet: Fleet; source: FakeSource; roster: FakeRoster; clock: { nowMs: number } } {
  const source = new FakeSource();
  const roster = new FakeRoster();
  const clock = { nowMs: NOW_MS };
  return { fleet: new Fleet({ source, feed: source, roster, nowMs: () => clock.nowMs }), source, roster, clock };
}

function load(source: FakeSource, instance: string, timeMs: number, value: number | 'stale'): void {
  source.add({ __name__: 'node_load1', instance, job: 'node' }, [[timeMs, value]]);
}

test('only hosts with new samples are read again, and by name', async () => {
  const { fleet, source, roster } = setUp();
  for (const name of ['a', 'b', 'c']) load(source, roster.add(name).name, NOW_MS, 1);
  for (const host of roster.hosts()) await fleet.refreshHost(host);
  source.selects.length = 0;
  await fleet.refresh();
  assert.equal(source.selects.length, 0, 'nothing has changed');
  load(source, 'b', NOW_MS + 1000, 2);
  source.appended('a9e27b', NOW_MS + 1000);
  for (const host of roster.hosts()) await fleet.refreshHost(host);
  assert.deepEqual([fleet.values('a').load1, fleet.values('b').load1], [1, 2]);
  const instances = new Set(source.selects.flatMap(({ matchers }) => matchers.find(({ name }) => name === 'instance')?.values ?? ['all']));
  assert.deepEqual([...instances], ['b']);
  fleet.close();
});

test('refreshing again at once reads nothing', async () => {
  const { fleet, source, roster } = setUp();
  load(source, roster.add('a').name, NOW_MS, 1);
  await fleet.refresh();
  const reads = source.selects.length;
  source.appended('a9e27a', NOW_MS);
  await Promise.all([fleet.refresh(), fleet.refresh()]);
  assert.equal(source.selects.length, reads);
  fleet.close();
});

test('a host that gathers rarely is found in the long span, and its figure is shown for five minutes', async () => {
  const { fleet, source, roster, clock } = setUp();
  const host = roster.add('a');
  load(source, 'a', NOW_MS - 200_000, 7);
  await fleet.refreshHost(host);
  assert.equal(fleet.values('a').load1, 7);
  clock.nowMs += 290_000;
  assert.equal(fleet.values('a').load1, 7);
  clock.nowMs += 20_000;
  assert.equal(fleet.values('a').load1, null);
  fleet.close();
});

test('a failed read is made up for by the next', async () => {
  const { fleet, source, roster } = setUp();
  const host = roster.add('a');
  load(source, 'a', NOW_MS, 7);
  source.before = () => Promise.reject(new Error('the disk is gone'));
  await assert.rejects(fleet.refreshHost(host), /the disk is gone/);
  source.before = async () => undefined;
  await fleet.refreshHost(host);
  assert.equal(fleet.values('a').load1, 7);
  fleet.close();
});

test('series of others that look like a host’s are not taken for it', async () => {
  const { fleet, source, roster } = setUp();
  const host = roster.add('a');
  source.add(
    { __name__: 'node_load1', instance: 'a', job: 'other' },
    every(1000, NOW_MS - 5000, 6, () => 99),
  );
  await fleet.refreshHost(host);
  assert.equal(fleet.values('a').load1, null);
  fleet.close();
});
