/** Comparisons that the collector asked for. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HintWatch } from '../../agent/hints.ts';
import type { DictionaryEntry, Hint } from '../../protocol/index.ts';

function entry(name: string, labels: string[] = []): DictionaryEntry {
  return { name, type: 'gauge', scope: 'node', labels, help: '' };
}

function seriesOf(...entries: DictionaryEntry[]) {
  return { size: entries.length, entry: (ref: number) => entries[ref] as DictionaryEntry };
}

test('each operator is the comparison that it is written as', () => {
  const check = (operator: Hint['operator'], truths: boolean[]): void => {
    const watch = new HintWatch();
    watch.set([{ metric: 'm', labels: [], operator, threshold: 5 }], seriesOf(entry('m')));
    const seen = [4, 5, 6].map((value) => {
      // From a known false: NaN compares as false to everything but !=.
      watch.set([{ metric: 'm', labels: [], operator, threshold: 5 }], seriesOf(entry('m')));
      watch.update(0, value);
      return watch.takeCrossed();
    });
    assert.deepEqual(seen, truths, operator);
  };
  check('>', [false, false, true]);
  check('>=', [false, true, true]);
  check('<', [true, false, false]);
  check('<=', [true, true, false]);
  check('==', [false, true, false]);
  check('!=', [true, false, true]);
});

test('only series with all of the labels are watched, those that come later too', () => {
  const watch = new HintWatch();
  const hint: Hint = { metric: 'm', labels: ['device', 'sda', 'mode', ''], operator: '>', threshold: 0 };
  watch.set([hint], seriesOf(entry('m', ['device', 'sdb']), entry('other', ['device', 'sda']), entry('m', ['device', 'sda', 'mode', 'x'])));
  for (const ref of [0, 1, 2]) watch.update(ref, 1);
  assert.equal(watch.takeCrossed(), false);
  assert.ok(watch.idle);
  watch.add(3, entry('m', ['device', 'sda']));
  watch.update(3, 1);
  assert.equal(watch.takeCrossed(), true);
});

test('a series that ends makes its comparison false', () => {
  const watch = new HintWatch();
  watch.set([{ metric: 'm', labels: [], operator: '>', threshold: 0 }], seriesOf(entry('m')));
  watch.update(0, 1);
  watch.takeCrossed();
  watch.update(0, NaN);
  assert.equal(watch.takeCrossed(), true);
});

test('new hints replace the old ones', () => {
  const watch = new HintWatch();
  const series = seriesOf(entry('m'));
  watch.set([{ metric: 'm', labels: [], operator: '>', threshold: 0 }], series);
  watch.set([], series);
  watch.update(0, 1);
  assert.equal(watch.takeCrossed(), false);
  assert.ok(watch.idle);
});

test('what is watched is bounded', () => {
  const watch = new HintWatch();
  const entries = Array.from({ length: 5000 }, (_, i) => entry('m', ['i', `${i}`]));
  watch.set([{ metric: 'm', labels: [], operator: '>', threshold: 0 }], seriesOf(...entries));
  watch.update(4095, 1);
  assert.equal(watch.takeCrossed(), true);
  watch.update(4096, 1);
  assert.equal(watch.takeCrossed(), false);
});
