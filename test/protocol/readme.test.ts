/** The table of error codes in protocol/README.md and the codes in the source are the same, both ways. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { ERROR_CODES } from '../../protocol/index.ts';

test('every error code is in the table, and the table names no other', () => {
  const readme = readFileSync(new URL('../../protocol/README.md', import.meta.url), 'utf8');
  const table = readme.slice(readme.indexOf('## 9. Error codes'));
  const named = [...table.matchAll(/^\| `([a-z_]+)` \|/gm)].map((match) => match[1] as string);
  assert.deepEqual(named.toSorted(), [...ERROR_CODES].toSorted());
});
