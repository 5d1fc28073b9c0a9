/** A bounded run of the fuzzer over everything that reads bytes from the wire, with a new seed each time. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fuzzOpen } from './open.fuzz.ts';

test('mutated and random messages never throw', (t) => {
  const seed = Number(process.env['PICKET_FUZZ_SEED'] ?? Date.now() % 1e9);
  t.diagnostic(`seed ${seed}`);
  assert.ok(fuzzOpen(seed, 1500) > 1000);
});
