/** The golden bytes of columns, times and references decode to the very bit patterns they stand for, each alone and in any order. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { decodeRefs, decodeTimes } from '../../protocol/axis.ts';
import { ByteWriter } from '../../protocol/bytes.ts';
import { decodeColumns, encodeColumns } from '../../protocol/columns.ts';

type ColumnsVector = { name: string; seriesCount: number; ticks: number; values: string[]; bytes: string };
type AxisVector = { name: string; times?: number[]; refs?: number[]; bytes: string };

function vectors<T>(file: string): T {
  return JSON.parse(readFileSync(new URL(`../vectors/${file}`, import.meta.url), 'utf8')) as T;
}

const columns = vectors<{ vectors: ColumnsVector[] }>('columns.json').vectors;
const axis = vectors<{ times: AxisVector[]; refs: AxisVector[] }>('axis.json');

function patternsOf(vector: ColumnsVector): BigUint64Array {
  return BigUint64Array.from(vector.values.flatMap((column) => column.split(' ').map((digits) => BigInt(`0x${digits}`))));
}

test('there are golden columns of 1, 5 and 600 ticks', () => {
  for (const ticks of [1, 5, 600]) assert.ok(columns.some((vector) => vector.ticks === ticks));
});

for (const vector of columns.toReversed()) {
  test(`golden columns: ${vector.name}`, () => {
    const patterns = patternsOf(vector);
    const bytes = Buffer.from(vector.bytes, 'hex');
    const into = new Float64Array(patterns.length);
    const result = decodeColumns(bytes, 0, bytes.length, vector.seriesCount, vector.ticks, into);
    assert.deepEqual(result, { ok: true, value: bytes.length });
    assert.deepEqual(new BigUint64Array(into.buffer), patterns);
    const out = new ByteWriter();
    encodeColumns(new Float64Array(patterns.buffer), vector.seriesCount, vector.ticks, out);
    assert.ok(out.length <= bytes.length, `this encoder takes ${out.length} bytes where ${bytes.length} were enough`);
  });
}

for (const vector of axis.times) {
  test(`golden times: ${vector.name}`, () => {
    const times = vector.times ?? [];
    const bytes = Buffer.from(vector.bytes, 'hex');
    const into = new Float64Array(times.length);
    assert.deepEqual(decodeTimes(bytes, 0, bytes.length, times.length, into), { ok: true, value: bytes.length });
    assert.deepEqual([...into], times);
  });
}

for (const vector of axis.refs) {
  test(`golden references: ${vector.name}`, () => {
    const refs = vector.refs ?? [];
    const bytes = Buffer.from(vector.bytes, 'hex');
    const into = new Uint32Array(refs.length);
    assert.deepEqual(decodeRefs(bytes, 0, bytes.length, into), { ok: true, value: bytes.length });
    assert.deepEqual([...into], refs);
  });
}
