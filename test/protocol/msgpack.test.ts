/** The walk before the decoder: what it lets through decodes, what is hostile never reaches the decoder. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { pack, scan, unpack } from '../../protocol/index.ts';
import { suites } from '../support/outside.ts';

const bytes = (text: string): Uint8Array => Buffer.from(text.replaceAll(/[-\s]/g, ''), 'hex');

test('what we pack passes the walk and comes back', () => {
  const value = fc.letrec((tie) => ({
    leaf: fc.oneof(fc.string(), fc.maxSafeInteger(), fc.double({ noNaN: true }), fc.boolean(), fc.constant(null), fc.uint8Array()),
    node: fc.oneof(
      { maxDepth: 5 },
      tie('leaf'),
      fc.array(tie('node'), { maxLength: 5 }),
      fc.dictionary(fc.stringMatching(/^[a-z]{1,8}$/), tie('node'), { maxKeys: 5 }),
    ),
  })).node;
  fc.assert(
    fc.property(value, (original) => {
      const packed = pack(original);
      assert.equal(scan(packed), undefined);
      const back = unpack(packed, 'payload_malformed');
      assert.ok(back.ok);
      assert.deepEqual(normal(back.value), normal(original));
    }),
  );
});

function normal(value: unknown): unknown {
  if (value instanceof Uint8Array) return { bin: Buffer.from(value).toString('hex') };
  if (Array.isArray(value)) return value.map(normal);
  if (typeof value === 'object' && value !== null)
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, normal(item)]));
  return Object.is(value, -0) ? 0 : value;
}

test('hostile bytes are refused by the walk with a reason', () => {
  const check = (hexText: string, reason: RegExp): void => assert.match(scan(bytes(hexText)) ?? 'accepted', reason);
  check('', /ends at byte 0/);
  check('c1', /not allowed/);
  // Extensions of every width, and the record definition that makes msgpackr compile code.
  for (const type of ['c70100 00', 'c8000100 00', 'c90000000100 00', 'd40000', 'd5000000', 'd600 00000000', 'd7 00 0000000000000000'])
    check(type, /extensions are refused/);
  check('d87200a0', /extensions are refused/);
  check('dd ffffffff', /announces more/);
  check('df ffffffff', /announces more/);
  check('de 0002 a161 01', /announces more|ends at/);
  check('db ffffffff 61', /longer than the bytes left/);
  check('c6 ffffffff 00', /longer than the bytes left/);
  check('a5 6162', /longer than the bytes left/);
  check('cd 01', /inside a number/);
  check('91'.repeat(17) + 'c0', /nested deeper/);
  check('c0c0', /1 bytes after the value/);
  check('81 01 02', /map key/);
  check('81 c0 02', /map key/);
});

test('a nest of the allowed depth is let through', () => {
  assert.equal(scan(bytes('91'.repeat(16) + 'c0')), undefined);
});

test('more values than the reader can use are refused before they are walked', () => {
  assert.equal(scan(bytes('92 92 01 02 81 a161 03'), 6), undefined);
  assert.match(scan(bytes('92 92 01 02 81 a161 03'), 5) ?? '', /more than 5 values/);
  const millions = Buffer.alloc(8_000_000, 0xc0);
  millions.set([0xdd], 0);
  millions.writeUInt32BE(millions.length - 5, 1);
  assert.match(scan(millions, 10) ?? '', /more than 10 values/);
});

type Suite = Record<string, { msgpack: string[]; ext?: unknown; timestamp?: unknown }[]>;

test('every encoding of the msgpack suite is walked to its end, extensions excepted, and ours is one of them', (t) => {
  const folder = suites();
  if (folder === undefined) {
    assert.notEqual(process.env['CI'], 'true', 'the suites are absent in CI');
    return t.skip('the msgpack suite is not on this machine');
  }
  const suite = JSON.parse(readFileSync(join(folder, 'msgpack/msgpack-test-suite.json'), 'utf8')) as Suite;
  let walked = 0;
  for (const rows of Object.values(suite)) {
    for (const row of rows) {
      const isExtension = 'ext' in row || 'timestamp' in row;
      for (const encoding of row.msgpack) {
        if (isExtension) assert.match(scan(bytes(encoding)) ?? 'accepted', /extensions/);
        else assert.ok(unpack(bytes(encoding), 'payload_malformed').ok, encoding);
        walked++;
      }
      if (isExtension) continue;
      const first = unpack(bytes(row.msgpack[0] as string), 'payload_malformed');
      assert.ok(first.ok);
      // Integers beyond 2^53 become the nearest double, which every reader of ours refuses where an integer is asked for.
      if (Number.isInteger(first.value) && !Number.isSafeInteger(first.value)) continue;
      const ours = Buffer.from(pack(first.value)).toString('hex');
      const theirs = row.msgpack.map((encoding) => encoding.replaceAll('-', ''));
      assert.ok(theirs.includes(ours), `${ours} is none of ${theirs.join(' ')}`);
    }
  }
  assert.ok(walked > 200);
});
