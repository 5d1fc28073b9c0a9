/** Sequence ranges against a plain set. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { SequenceRanges } from '../../../collector/model/ranges.ts';

test('ranges hold exactly what a set would hold, sorted, disjoint and not touching', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(60), fc.nat(6))), (steps) => {
      const ranges = new SequenceRanges();
      const model = new Set<number>();
      for (const [from, length] of steps) {
        if (length === 1) assert.equal(ranges.add(from), !model.has(from));
        else ranges.addRange(from, from + length);
        for (let i = from; i < from + length; i++) model.add(i);
      }
      for (let i = 0; i < 70; i++) assert.equal(ranges.has(i), model.has(i));
      const flat = ranges.toArray();
      for (let i = 1; i < flat.length; i++) assert.ok((flat[i - 1]?.[1] ?? 0) < (flat[i]?.[0] ?? 0));
      const holes = new Set(ranges.missing(5, 50).flatMap(([from, to]) => Array.from({ length: to - from }, (_, i) => from + i)));
      for (let i = 0; i < 70; i++) assert.equal(holes.has(i), i >= 5 && i < 50 && !model.has(i));
      for (let from = 0; from < 60; from += 7) {
        for (const to of [from, from + 1, from + 9]) {
          assert.equal(
            ranges.isWhole(from, to),
            Array.from({ length: to - from }, (_, i) => from + i).every((i) => model.has(i)),
          );
        }
      }
      assert.equal(ranges.end, model.size === 0 ? 0 : Math.max(...model) + 1);
    }),
  );
});
