/** Golden frames: the bytes of every kind of message, sealed once and for ever. What is written here must be read by every later version. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import {
  agentIdOf,
  decodeControl,
  decodeDictionary,
  decodeEvents,
  decodeSamples,
  digestOf,
  encodeControl,
  encodeDictionary,
  encodeEvents,
  encodeSamples,
  encodeToken,
  FrameKind,
  keyPairFromSeed,
  Lane,
  payloadOf,
  readFrame,
  seal,
  sealConfig,
  sha256,
  signer,
  unpack,
  verifier,
  verifyFrame,
  type SealOptions,
} from '../../protocol/index.ts';

const FILE = new URL('../vectors/frames.json', import.meta.url);

type Vector = { name: string; bytes: string; digest?: string };

const agent = keyPairFromSeed(Buffer.alloc(32, 1));
const collector = keyPairFromSeed(Buffer.alloc(32, 2));
const sign = signer(agent.secretKey);
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

const base: SealOptions = {
  kind: FrameKind.samples,
  lane: Lane.now,
  agentId: agentIdOf(agent.publicKey),
  fleetId: Buffer.alloc(16, 0xf1),
  epoch: Buffer.alloc(16, 0xe0),
  sequence: 0,
  previous: Buffer.alloc(32),
  dictionaryLength: 3,
  clockSegment: 0,
  timeMs: 1_790_000_000_000,
  clockBaseMs: 1_789_000_000_000,
};

const entries = [
  { name: 'node_load1', type: 'gauge', scope: 'node', labels: [], help: '1m load average.' },
  { name: 'node_cpu_seconds_total', type: 'counter', scope: 'node', labels: ['cpu', '0', 'mode', 'idle'], help: '' },
  { name: 'mysql_up', type: 'gauge', scope: 'relayed', labels: ['instance', 'db:9104', 'job', 'mysql'], help: '' },
] as const;

const groups = [
  {
    times: Float64Array.of(0, 1000, 2000),
    refs: Uint32Array.of(0, 1),
    values: Float64Array.of(0.5, 0.52, 0.47, 1234.56, 1235.55, 1236.56),
  },
  { times: Float64Array.of(2000), refs: Uint32Array.of(2), values: Float64Array.of(1) },
];

/** Every vector as this version would write it. zstd bytes may differ between library versions, so that frame is only read. */
function written(): Vector[] {
  const dictionary = seal(
    { ...base, kind: FrameKind.dictionary, lane: Lane.dictionary, dictionaryLength: 0, compress: false },
    encodeDictionary({ from: 0, entries }),
    sign,
  );
  const samples = seal({ ...base, compress: false }, encodeSamples(groups), sign);
  const events = seal(
    { ...base, kind: FrameKind.events, sequence: 1, previous: samples.digest, compress: false },
    encodeEvents([
      {
        type: 'start',
        atMs: 1_790_000_000_000,
        version: '0.1.0',
        bootId: 'b',
        previous: { epoch: 'e1'.repeat(16), end: 'crashed', lastMs: 1_789_999_990_000 },
      },
      {
        type: 'gap',
        id: 1,
        epoch: 'e1'.repeat(16),
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
    ]),
    sign,
  );
  const epoch = base.epoch;
  return [
    { name: 'dictionary', bytes: hex(dictionary.bytes), digest: hex(dictionary.digest) },
    { name: 'samples', bytes: hex(samples.bytes), digest: hex(samples.digest) },
    { name: 'events', bytes: hex(events.bytes), digest: hex(events.digest) },
    {
      name: 'ack',
      bytes: hex(
        encodeControl({
          kind: 'ack',
          epoch,
          lane: 0,
          ranges: [
            [0, 2],
            [5, 9],
          ],
        }),
      ),
    },
    { name: 'need', bytes: hex(encodeControl({ kind: 'need', epoch, from: 3 })) },
    { name: 'refuse', bytes: hex(encodeControl({ kind: 'refuse', epoch, lane: 0, sequence: 7, code: 'time_range' })) },
    { name: 'credit', bytes: hex(encodeControl({ kind: 'credit', lanes: [4_194_304, 0, 65_536] })) },
    {
      name: 'config',
      bytes: hex(
        encodeControl(
          sealConfig(
            base.fleetId,
            base.agentId,
            { revision: 1, liveMs: 60_000, hints: [{ metric: 'node_load1', labels: [], operator: '>', threshold: 4 }] },
            signer(collector.secretKey),
          ),
        ),
      ),
    },
    {
      name: 'state',
      bytes: hex(
        encodeControl({
          kind: 'state',
          wallMs: 1_790_000_000_000,
          clockSegment: 0,
          clockBaseMs: 1_789_000_000_000,
          held: [{ epoch, lanes: [{ lane: 0, floor: 1, next: 3, bytes: 500, oldestMs: 1_790_000_000_000 }] }],
        }),
      ),
    },
    {
      name: 'token',
      bytes: encodeToken({
        tokenId: Buffer.alloc(8, 7),
        fleetId: base.fleetId,
        fingerprint: sha256(collector.publicKey),
        secret: Buffer.alloc(24, 5),
      }),
    },
    { name: 'samples, zstd', bytes: hex(seal(base, encodeSamples([longGroup()]), sign).bytes) },
  ];
}

/** 200 series of 3 ticks whose payload shrinks. */
function longGroup() {
  const refs = Uint32Array.from({ length: 3 }, (_, i) => i);
  const times = Float64Array.from({ length: 600 }, (_, i) => i * 1000);
  return { times, refs, values: Float64Array.from({ length: 1800 }, (_, i) => Math.floor((i * 7919) % 13) * 1.5) };
}

const golden = (): Vector[] => JSON.parse(readFileSync(FILE, 'utf8')) as Vector[];

if (process.env['PICKET_WRITE_VECTORS'] === 'true') writeFileSync(FILE, `${JSON.stringify(written(), undefined, 1)}\n`);

function bytesOf(name: string): Uint8Array {
  const vector = golden().find((known) => known.name === name);
  assert.ok(vector !== undefined, name);
  return Buffer.from(vector.bytes, 'hex');
}

test('what this version writes is what the golden file holds', () => {
  const known = golden();
  for (const vector of written().filter(({ name }) => name !== 'samples, zstd'))
    assert.deepEqual(
      vector,
      known.find(({ name }) => name === vector.name),
    );
});

test('every golden frame verifies and decodes alone, in any order', () => {
  const verify = verifier(agent.publicKey);
  const open = (name: string): Uint8Array => {
    const read = readFrame(bytesOf(name));
    assert.ok(read.ok);
    assert.ok(verifyFrame(read.value, digestOf(read.value.bytes), verify));
    const payload = payloadOf(read.value);
    assert.ok(payload.ok);
    return payload.value;
  };
  const long = decodeSamples(open('samples, zstd'), 3);
  assert.deepEqual(long.ok && long.value, [longGroup()]);
  assert.ok(decodeEvents(open('events')).ok);
  const samples = decodeSamples(open('samples'), 3);
  assert.deepEqual(samples.ok && samples.value, groups);
  const dictionary = decodeDictionary(open('dictionary'));
  assert.deepEqual(dictionary.ok && dictionary.value, { from: 0, entries: [...entries] });
});

test('every golden control message decodes', () => {
  for (const name of ['ack', 'need', 'refuse', 'credit', 'config', 'state']) assert.ok(decodeControl(bytesOf(name)).ok, name);
});

test('the envelope is what any msgpack decoder reads', () => {
  const decoded = unpack(bytesOf('samples'), 'frame_malformed');
  assert.ok(decoded.ok && Array.isArray(decoded.value));
  assert.equal(decoded.value.length, 15);
  assert.equal(decoded.value[11], 1_790_000_000_000);
});
