/** The list of hosts: merged, filtered, ordered, counted. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readHost } from '../../../collector/dashboard/src/contract.ts';
import type { Host } from '../../../collector/dashboard/src/contract.ts';
import { countStatuses, filterHosts, Fleet, orderHosts, PULSE_MS, troubled } from '../../../collector/dashboard/src/fleet.ts';

function host(name: string, status: string, cpuPercent: number | null = null, more: Readonly<Record<string, unknown>> = {}): Host {
  const made = readHost({ name, status, values: { cpuPercent }, ...more });
  assert.ok(made);
  return made;
}

function names(hosts: readonly Host[]): string {
  return hosts.map((one) => one.name).join(' ');
}

test('the first event replaces the list, later ones change what they name', () => {
  const fleet = new Fleet();
  fleet.replace({ hosts: [host('a', 'up'), host('b', 'up')] });
  assert.equal(fleet.merge({ hosts: [host('b', 'up', 5)] }), false, 'a value alone does not change the order of rows');
  assert.equal(fleet.merge({ hosts: [host('b', 'down')] }), true);
  assert.equal(fleet.merge({ hosts: [host('c', 'up')] }), true);
  assert.equal(fleet.merge({ hosts: [], removed: ['a', 'nobody'] }), true);
  assert.equal(fleet.merge({ hosts: [], removed: ['nobody'] }), false);
  assert.equal(names(fleet.all()), 'b c');
  fleet.replace({ hosts: [host('d', 'up')] });
  assert.equal(names(fleet.all()), 'd');
});

test('the pulse keeps two minutes of CPU, however often samples come, and beats once per sample', () => {
  for (const everyMs of [1000, 5000]) {
    const fleet = new Fleet();
    for (let i = 0; i <= 150; i++) {
      const update = { hosts: [host('a', 'up', i, { lastSampleMs: i * everyMs })] };
      fleet.merge(update);
      fleet.merge(update);
    }
    assert.equal(fleet.pulse('a').length, PULSE_MS / everyMs + 1);
    assert.deepEqual(fleet.pulse('a').at(-1), { atMs: 150 * everyMs, percent: 150 });
    fleet.merge({ hosts: [], removed: ['a'] });
    assert.deepEqual(fleet.pulse('a'), []);
  }
});

test('every word of the filter must occur', () => {
  const hosts = [
    host('web-1', 'up', 1, { os: 'Debian 12' }),
    host('web-2', 'down', 1, { os: 'Alpine' }),
    host('db', 'up', 1, { os: 'Debian 12' }),
  ];
  assert.equal(names(filterHosts(hosts, { text: ' WEB deb ', status: 'all' })), 'web-1');
  assert.equal(names(filterHosts(hosts, { text: '', status: 'up' })), 'web-1 db');
  assert.equal(names(filterHosts(hosts, { text: 'down', status: 'all' })), 'web-2');
});

test('trouble comes first, numbers in names count as numbers, and what has no value is last either way', () => {
  const hosts = [host('n10', 'up', 3), host('n2', 'up', null), host('n1', 'stale', 9), host('n3', 'down', 5), host('n4', 'never', null)];
  assert.equal(names(orderHosts(hosts, { key: 'status', descending: false })), 'n3 n1 n4 n2 n10');
  assert.equal(names(orderHosts(hosts, { key: 'name', descending: false })), 'n1 n2 n3 n4 n10');
  assert.equal(names(orderHosts(hosts, { key: 'cpu', descending: true })), 'n1 n3 n10 n2 n4');
  assert.equal(names(orderHosts(hosts, { key: 'cpu', descending: false })), 'n10 n3 n1 n2 n4');
});

test('who needs a look is down before stale, the longest first', () => {
  const since = (minute: number): Readonly<Record<string, unknown>> => ({ statusSince: `2026-11-21T12:0${minute}:00Z` });
  const hosts = [
    host('a', 'stale', 1, since(0)),
    host('b', 'down', 1, since(5)),
    host('c', 'down', 1, since(2)),
    host('d', 'up'),
    host('e', 'revoked'),
  ];
  assert.equal(names(troubled(hosts)), 'c b a');
});

test('each status is counted', () => {
  assert.deepEqual(countStatuses([host('a', 'up'), host('b', 'up'), host('c', 'down')]), {
    all: 3,
    up: 2,
    down: 1,
    stale: 0,
    never: 0,
    revoked: 0,
  });
});
