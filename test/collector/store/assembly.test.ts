/** Joining and merging pieces of a series. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Joiner, lowerBound, mergePieces, ordered, type Piece, upperBound } from '../../../collector/store/assembly.ts';
import { mulberry32 } from '../../support/harsh-mix.ts';

const piece = (...samples: [time: number, value: number][]): Piece => ({
  times: Float64Array.from(samples, ([time]) => time),
  values: Float64Array.from(samples, ([, value]) => value),
});
const pairs = ({ times, values }: Piece): [number, number][] => [...times].map((time, i) => [time, values[i] as number]);

describe('merging', () => {
  it('keeps of equal times the sample of the first piece, and counts the others by whether they are equal', () => {
    const merged = mergePieces([piece([3, 30], [5, 50]), piece([1, 10], [3, 30], [5, 51], [7, 70]), piece([5, 50])]);
    assert.deepEqual(pairs(merged.piece), [
      [1, 10],
      [3, 30],
      [5, 50],
      [7, 70],
    ]);
    assert.deepEqual([merged.duplicates, merged.overlaps], [2, 1]);
  });

  it('takes equal NaN for duplicates and 0 and -0 for different', () => {
    assert.deepEqual(
      [mergePieces([piece([1, NaN]), piece([1, NaN])]), mergePieces([piece([1, 0]), piece([1, -0])])].map((merge) => [
        merge.duplicates,
        merge.overlaps,
      ]),
      [
        [1, 0],
        [0, 1],
      ],
    );
  });

  it('equals a map in which the first of a time stays, for any pieces', () => {
    const random = mulberry32(7);
    for (let round = 0; round < 300; round++) {
      const pieces = Array.from({ length: Math.floor(random() * 6) }, () => {
        const times = new Set(Array.from({ length: Math.floor(random() * 8) }, () => Math.floor(random() * 20)));
        return piece(...[...times].sort((a, b) => a - b).map((time): [number, number] => [time, Math.floor(random() * 3)]));
      });
      const expected = new Map<number, number>();
      for (const { times, values } of pieces)
        for (const [i, time] of times.entries()) if (!expected.has(time)) expected.set(time, values[i] as number);
      const merged = mergePieces(pieces);
      assert.deepEqual(
        pairs(merged.piece),
        [...expected].sort(([a], [b]) => a - b),
        `round ${round}`,
      );
      const total = pieces.reduce((sum, { times }) => sum + times.length, 0);
      assert.equal(merged.duplicates + merged.overlaps, total - expected.size);
    }
  });
});

describe('joining', () => {
  it('clips to the range at both ends and gives series of the same axes the same times', () => {
    const joiner = new Joiner(2, 5);
    const a = piece([1, 1], [2, 2], [3, 3]);
    const b = piece([4, 4], [5, 5], [6, 6]);
    const first = joiner.join([a, b]);
    assert.deepEqual(pairs(first), [
      [2, 2],
      [3, 3],
      [4, 4],
      [5, 5],
    ]);
    const second = joiner.join([
      { times: a.times, values: Float64Array.of(9, 8, 7) },
      { times: b.times, values: Float64Array.of(6, 5, 4) },
    ]);
    assert.equal(second.times, first.times);
    assert.deepEqual([...second.values], [8, 7, 6, 5]);
  });

  it('needs an order: pieces are sorted if that gives one, and refused if they overlap', () => {
    const early = piece([1, 1], [2, 2]);
    const late = piece([3, 3]);
    assert.deepEqual(ordered([late, early]), [early, late]);
    assert.equal(ordered([early, piece([2, 9])]), undefined);
  });

  it('finds positions as a linear search would', () => {
    const times = Float64Array.of(2, 4, 4.5, 8);
    for (const at of [1, 2, 3, 4, 4.2, 8, 9]) {
      assert.equal(lowerBound(times, at), times.filter((time) => time < at).length);
      assert.equal(upperBound(times, at), times.filter((time) => time <= at).length);
    }
    assert.equal(lowerBound(new Float64Array(), 1), 0);
  });
});
