/** The numbers of series and what they stand for. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Metric } from '../../agent/gather/gatherer.ts';
import { REFUSED, SeriesTable } from '../../agent/series.ts';

const METRIC: Metric = { name: 'm', type: 'gauge', help: 'Help.' };

test('a series is its name and labels in any order; empty labels are none', () => {
  const table = new SeriesTable();
  const ref = table.find(METRIC, { b: '2', a: '1', c: '' });
  assert.equal(table.find(METRIC, { a: '1', b: '2' }), ref);
  assert.notEqual(table.find(METRIC, { a: '1', b: '3' }), ref);
  assert.notEqual(table.find(METRIC, { a: '1\0b', 'b\0': '2' }), table.find(METRIC, { a: '1', 'b\0b\0': '2' }));
  assert.deepEqual(table.entry(ref).labels, ['a', '1', 'b', '2']);
});

test('a help text that is too long is cut, not refused, whatever its letters', () => {
  const table = new SeriesTable();
  const ref = table.find({ ...METRIC, help: '\u20ac'.repeat(2000) }, undefined);
  const bytes = Buffer.byteLength(table.entry(ref).help);
  assert.ok(bytes > 500 && bytes <= 1024, `${bytes}`);
});

test('what the wire would refuse is refused here, and counted', () => {
  const table = new SeriesTable();
  assert.equal(table.find(METRIC, { __name__: 'x' }), REFUSED);
  assert.equal(table.find({ ...METRIC, name: '' }, undefined), REFUSED);
  assert.equal(table.find({ ...METRIC, name: 'n'.repeat(257) }, undefined), REFUSED);
  assert.equal(table.refused, 3);
  assert.equal(table.size, 0);
});

test('a process has at most so many series; known ones go on', () => {
  const table = new SeriesTable();
  const first = table.find(METRIC, { i: '0' });
  for (let i = 1; i < 131_072; i++) table.find(METRIC, { i: `${i}` });
  assert.equal(table.find(METRIC, { i: 'one more' }), REFUSED);
  assert.equal(table.find(METRIC, { i: '0' }), first);
  assert.equal(table.refused, 1);
});
