/** Chunks as bytes and back, and bytes that are none. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  CHUNK_BYTES_TARGET,
  decodeChunk,
  decodeGroup,
  encodeChunk,
  encodeGroup,
  groupByAxis,
  inChunks,
} from '../../../collector/store/chunk.ts';
import { CHECKSUM_BYTES } from '../../../collector/store/checksum.ts';
import { mulberry32 } from '../../support/harsh-mix.ts';

const payloadOf = (value: Buffer): Buffer => value.subarray(0, value.length - CHECKSUM_BYTES);

describe('a chunk', () => {
  it('comes back with its tables, times, values and the generations that it replaces', () => {
    const shared = Uint32Array.of(7, 3, 500_000);
    const own = Uint32Array.of(4);
    const groups = [
      encodeGroup(shared, Float64Array.of(1000, 2000), Float64Array.of(1, 2, 0.5, 0.25, -0, NaN)),
      encodeGroup(own, Float64Array.of(1500), Float64Array.of(9)),
      encodeGroup(shared, Float64Array.of(3000), Float64Array.of(3, 4, 5)),
    ];
    const chunk = decodeChunk(payloadOf(encodeChunk(groups, [2, 3, 9])));
    assert.deepEqual(chunk?.replaces, [2, 3, 9]);
    assert.deepEqual(
      chunk.groups.map(({ shapes, times }) => ({ shapes, times })),
      [
        { shapes: shared, times: Float64Array.of(1000, 2000) },
        { shapes: own, times: Float64Array.of(1500) },
        { shapes: shared, times: Float64Array.of(3000) },
      ],
    );
    assert.deepEqual(
      chunk.groups.map((group) => decodeGroup(group)),
      [Float64Array.of(1, 2, 0.5, 0.25, -0, NaN), Float64Array.of(9), Float64Array.of(3, 4, 5)],
    );
  });

  it('that is cut short or garbled is refused, never thrown at the reader', () => {
    const random = mulberry32(5);
    const groups = [encodeGroup(Uint32Array.of(1, 2), Float64Array.of(1000, 2000, 3000), Float64Array.of(1, 2, 3, 0.1, 0.2, 0.3))];
    const whole = payloadOf(encodeChunk(groups, [1]));
    for (let length = 0; length < whole.length; length++)
      assert.equal(decodeChunk(whole.subarray(0, length)), undefined, `${length} bytes`);
    for (let round = 0; round < 5000; round++) {
      const garbled = Buffer.from(whole);
      for (let flips = 1 + Math.floor(random() * 4); flips > 0; flips--)
        garbled[Math.floor(random() * garbled.length)] = Math.floor(random() * 256);
      for (const group of decodeChunk(garbled)?.groups ?? []) decodeGroup(group);
    }
  });

  it('is filled up to its target and no further', () => {
    const random = mulberry32(6);
    const times = Float64Array.from({ length: 600 }, (_, i) => i * 1000);
    const values = Float64Array.from(times, () => random());
    const groups = Array.from({ length: 40 }, (_, id) => encodeGroup(Uint32Array.of(id), times, values));
    const chunks = [...inChunks(groups)];
    assert.deepEqual(chunks.flat(), groups);
    assert.ok(chunks.length > 1);
    for (const chunk of chunks.filter((own) => own.length > 1)) assert.ok(encodeChunk(chunk, []).length <= CHUNK_BYTES_TARGET + 1024);
  });

  it('of a merge has one group for the series that share an axis', () => {
    const axis = Float64Array.of(1, 2, 3);
    const other = Float64Array.of(1, 2, 4);
    const groups = groupByAxis(
      new Map([
        [5, { times: axis, values: Float64Array.of(1, 2, 3) }],
        [1, { times: other, values: Float64Array.of(4, 5, 6) }],
        [2, { times: axis.slice(), values: Float64Array.of(7, 8, 9) }],
        [9, { times: new Float64Array(), values: new Float64Array() }],
      ]),
    );
    assert.deepEqual(
      groups.map(({ shapes }) => [...shapes]),
      [[1], [2, 5]],
    );
  });
});
