/** Dictionary, samples and event payloads: round trips and what is refused. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  decodeDictionary,
  decodeEvents,
  decodeSamples,
  encodeDictionary,
  encodeEvents,
  encodeSamples,
  pack,
  SampleRoom,
  type AgentEvent,
  type DictionaryEntry,
  type Result,
  type SampleGroup,
} from '../../protocol/index.ts';

function code(result: Result<unknown>): string {
  return result.ok ? 'accepted' : result.code;
}

const entry: DictionaryEntry = {
  name: 'node_cpu_seconds_total',
  type: 'counter',
  scope: 'node',
  labels: ['cpu', '0', 'mode', 'idle'],
  help: 'Seconds.',
};

test('dictionary entries come back as they went', () => {
  const part = { from: 12, entries: [entry, { ...entry, labels: ['cpu', '1', 'mode', 'ünïcode'], help: '' }] };
  const decoded = decodeDictionary(encodeDictionary(part));
  assert.deepEqual(decoded.ok && decoded.value, part);
});

test('dictionary entries that break a limit are refused on both sides', () => {
  const bad: DictionaryEntry[] = [
    { ...entry, name: '' },
    { ...entry, name: 'x'.repeat(257) },
    { ...entry, labels: ['b', '1', 'a', '2'] },
    { ...entry, labels: ['a', '1', 'a', '2'] },
    { ...entry, labels: ['a', ''] },
    { ...entry, labels: ['__name__', 'x'] },
    { ...entry, labels: ['a', 'ü'.repeat(1025)] },
    { ...entry, labels: ['a'] },
    { ...entry, labels: Array.from({ length: 130 }, (_, i) => `l${String(i).padStart(4, '0')}`) },
    { ...entry, help: 'h'.repeat(1025) },
  ];
  for (const wrong of bad) {
    assert.throws(() => encodeDictionary({ from: 0, entries: [wrong] }), RangeError);
    assert.equal(code(decodeDictionary(pack([0, [[wrong.name, 1, 0, wrong.labels, wrong.help]]]))), 'limit_label');
  }
  assert.equal(code(decodeDictionary(pack([65_536, [['a', 0, 0, []]]]))), 'dictionary_full');
  for (const shape of [
    7,
    [0],
    [0, []],
    [0, [['a']]],
    [-1, [['a', 0, 0, []]]],
    [0, [['a', 9, 0, []]]],
    [0, [['a', 0, 0, [1, 2]]]],
    [0, [{}]],
  ]) {
    assert.equal(code(decodeDictionary(pack(shape))), 'payload_malformed', JSON.stringify(shape));
  }
});

const group = fc
  .record({ ticks: fc.integer({ min: 1, max: 12 }), refs: fc.uniqueArray(fc.nat(5000), { minLength: 1, maxLength: 20 }) })
  .chain(({ ticks, refs }) =>
    fc.record({
      times: fc
        .uniqueArray(fc.nat(600_000), { minLength: ticks, maxLength: ticks })
        .map((times) => Float64Array.from(times.toSorted((a, b) => a - b))),
      refs: fc.constant(Uint32Array.from(refs).sort()),
      values: fc
        .array(fc.double(), { minLength: ticks * refs.length, maxLength: ticks * refs.length })
        .map((values) => Float64Array.from(values)),
    }),
  );

test('groups of samples come back with the very bits', () => {
  fc.assert(
    fc.property(fc.array(group, { maxLength: 4 }), (groups) => {
      const decoded = decodeSamples(encodeSamples(groups), 5001);
      assert.ok(decoded.ok, decoded.ok ? '' : decoded.detail);
      assert.deepEqual(decoded.value.map(plain), groups.map(plain));
    }),
  );
});

function plain(value: SampleGroup): unknown {
  return {
    times: [...value.times],
    refs: [...value.refs],
    bits: [...new BigUint64Array(value.values.buffer, value.values.byteOffset, value.values.length)].map(String),
  };
}

test('samples beyond the dictionary, the counts or the span are refused', () => {
  const one: SampleGroup = { times: Float64Array.of(0), refs: Uint32Array.of(7), values: Float64Array.of(1) };
  assert.equal(code(decodeSamples(encodeSamples([one]), 7)), 'payload_malformed');
  assert.equal(code(decodeSamples(encodeSamples([one]), 8)), 'accepted');
  assert.equal(code(decodeSamples(encodeSamples([{ ...one, times: Float64Array.of(600_001) }]), 8)), 'time_range');
  for (const shape of [
    7,
    [7],
    [[1, 1]],
    [[601, 1, Buffer.alloc(1), Buffer.alloc(1), Buffer.alloc(1)]],
    [[1, 1e9, Buffer.alloc(1), Buffer.alloc(1), Buffer.alloc(1)]],
    [[1, 1, 'a', 'b', 'c']],
    [[1, 1, Buffer.alloc(0), Buffer.alloc(0), Buffer.alloc(0)]],
  ]) {
    assert.equal(code(decodeSamples(pack(shape), 10)), 'payload_malformed', JSON.stringify(shape));
  }
  assert.equal(code(decodeSamples(pack(Array.from({ length: 1025 }, () => [])), 10)), 'payload_malformed');
});

test('events come back, unknown ones are kept, wrong ones refuse the frame', () => {
  const epoch = 'ab'.repeat(16);
  const events: AgentEvent[] = [
    {
      type: 'gap',
      id: 1,
      epoch,
      lane: 0,
      cause: 'spool_full',
      fromSequence: 3,
      toSequence: 9,
      fromMs: 1,
      toMs: 2,
      frames: 6,
      samples: 60,
      bytes: 600,
    },
    { type: 'start', atMs: 5, version: '1', bootId: 'x', previous: { epoch, end: 'crashed', lastMs: 4 } },
    { type: 'start', atMs: 5, version: '1', bootId: 'x' },
    { type: 'stop', atMs: 6 },
    { type: 'clock', atMs: 7, segment: 1, stepMs: -30_000 },
  ];
  const decoded = decodeEvents(encodeEvents(events));
  assert.deepEqual(decoded.ok && decoded.value, events);
  const later = decodeEvents(pack([{ type: 'of_a_later_version', x: 1 }]));
  assert.deepEqual(later.ok && later.value, [{ type: 'other', value: { type: 'of_a_later_version', x: 1 } }]);
  for (const wrong of [
    7,
    [7],
    [{}],
    [{ ...events[0], epoch: 'no' }],
    [{ type: 'stop' }],
    [{ ...events[1], previous: { epoch, end: 'exploded', lastMs: 1 } }],
  ]) {
    assert.equal(code(decodeEvents(pack(wrong))), 'payload_malformed', JSON.stringify(wrong));
  }
});

test('frames larger than the memory that is used again decode as without it, and so do smaller ones after them', () => {
  const groupOf = (series: number, ticks: number): SampleGroup => ({
    times: Float64Array.from({ length: ticks }, (_, i) => i * 1000),
    refs: Uint32Array.from({ length: series }, (_, i) => i),
    values: Float64Array.from({ length: series * ticks }, (_, i) => i / 3),
  });
  const room = new SampleRoom();
  for (const [series, ticks] of [
    [10, 5],
    [400, 60],
    [1600, 600],
    [10, 5],
  ] as const) {
    const payload = encodeSamples([groupOf(3, 2), groupOf(series, ticks)]);
    assert.deepEqual(decodeSamples(payload, 2000, room), decodeSamples(payload, 2000));
  }
});
