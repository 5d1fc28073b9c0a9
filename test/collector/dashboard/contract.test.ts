/** The guards at the edge: answers of an older, newer or broken collector. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readCharts, readHost, readHosts, readPoints } from '../../../collector/dashboard/src/contract.ts';

test('a host with nothing but a name is a host with nothing known', () => {
  const host = readHost({ name: 'a' });
  assert.equal(host?.name, 'a');
  assert.equal(host?.values, null);
  assert.equal(host?.lastSampleMs, null);
});

test('a status word this page does not know is not shown as up', () => {
  assert.equal(readHost({ name: 'a', status: 'levitating' })?.status, 'stale');
});

test('numbers that are none become null instead of text on the page', () => {
  const host = readHost({ name: 'a', status: 'up', clockOffsetMs: 'x', values: { cpuPercent: 'NaN', load1: 1 } });
  assert.equal(host?.clockOffsetMs, null);
  assert.equal(host?.values?.cpuPercent, null);
  assert.equal(host?.values?.load1, 1);
});

test('what is no list of hosts is refused, and a broken host does not take the others with it', () => {
  for (const answer of [undefined, null, 'x', [], {}, { hosts: {} }]) assert.equal(readHosts(answer), undefined);
  assert.equal(readHosts({ hosts: [null, 5, {}, { name: 'a' }] })?.hosts.length, 1);
});

test('charts and points without their arrays are refused; odd parts are left out', () => {
  assert.equal(readCharts({ times: [], charts: [] }), undefined);
  const charts = readCharts({
    times: [1, 'x', 2],
    charts: [{ id: 'cpu', series: [{ name: 'user', values: [1, 'x', null] }, { name: 5 }] }, { id: 7 }],
    coverage: { live: [[1, 2], [3], 'x'], late: null, gaps: [{ from: 1, to: 2, cause: 'a' }, { from: 'x' }] },
  });
  assert.deepEqual(charts?.times, [1, 2]);
  assert.deepEqual(charts?.charts, [
    { id: 'cpu', title: 'cpu', unit: 'count', stacked: false, series: [{ name: 'user', values: [1, null, null] }] },
  ]);
  assert.deepEqual(charts?.coverage, { live: [[1, 2]], late: [], gaps: [{ from: 1, to: 2, cause: 'a', detail: '' }] });
  assert.equal(readPoints({ times: 5, charts: {} }), undefined);
  assert.deepEqual(readPoints({ times: [1], charts: { cpu: { series: { user: [3] } }, odd: 1 }, newestMs: 1 }), {
    times: [1],
    charts: { cpu: { series: { user: [3] } } },
    newestMs: 1,
  });
});
