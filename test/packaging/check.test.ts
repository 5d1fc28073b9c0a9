/** `npm run check` passes: types, lint, format and import directions are kept by the tests, too. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ROOT, start } from '../support/processes.ts';

test('types, lint, format and import directions are clean', async () => {
  const running = start(process.execPath, [`${ROOT}/packaging/check.ts`], {});
  assert.equal(await running.ended, 0, running.output());
});
