/** The format document against the code: its error codes and limits are the code's. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { STORE_ERROR_CODES } from '../../../collector/store/errors.ts';
import { DEFAULT_LIMITS } from '../../../collector/store/options.ts';

const readme = readFileSync(new URL('../../../collector/store/README.md', import.meta.url), 'utf8');

test('the table of errors names every code, and no other', () => {
  const listed = [...readme.matchAll(/^\| `(store_[a-z_]+)` \|/gm)].map(([, code]) => code);
  assert.equal(new Set(listed).size, listed.length);
  assert.deepEqual(new Set<string | undefined>(listed), new Set<string | undefined>(STORE_ERROR_CODES));
});

test('the table of bounds states the limits that are set', () => {
  const mebibytes = (bytes: number): string => `${bytes / 1024 / 1024} MB`;
  for (const text of [
    `| commit | ${mebibytes(DEFAULT_LIMITS.commitBytesMax)} of frames |`,
    `| undecoded frames | ${mebibytes(DEFAULT_LIMITS.undecodedBytesMax)} |`,
    `| open days | ${DEFAULT_LIMITS.partitionsOpenMax} |`,
    `after ${DEFAULT_LIMITS.generationAgeMs / 60_000} minutes or ${mebibytes(DEFAULT_LIMITS.generationBytesMax)}`,
    `A merge, ${DEFAULT_LIMITS.mergeAfterMs / 60_000} minutes after a window has ended`,
  ]) {
    assert.ok(readme.includes(text), text);
  }
});
