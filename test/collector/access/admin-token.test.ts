/** The admin token: given, kept or made; and who may read its file. */
import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { adminToken, sameSecret } from '../../../collector/access/admin-token.ts';

let dataDir: string;
let file: string;

beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'picket-token-'));
  file = join(dataDir, 'admin-token');
});
afterEach(() => rmSync(dataDir, { recursive: true }));

test('a given token is used and nothing is written', async () => {
  assert.deepEqual(await adminToken({ given: 'mine', dataDir }), { token: 'mine', file: undefined, made: false });
  assert.throws(() => statSync(file), { code: 'ENOENT' });
});

test('the first start makes a token that only its owner can read, the next finds it', async () => {
  const first = await adminToken({ given: undefined, dataDir });
  assert.deepEqual([first.made, first.file], [true, file]);
  assert.match(first.token, /^[\w-]{32}$/);
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.equal(readFileSync(file, 'utf8'), `${first.token}\n`);
  assert.deepEqual(await adminToken({ given: undefined, dataDir }), { token: first.token, file, made: false });
});

test('a file that others could read is closed to them', async () => {
  writeFileSync(file, 'shared\n', { mode: 0o644 });
  chmodSync(file, 0o644);
  assert.equal((await adminToken({ given: undefined, dataDir })).token, 'shared');
  assert.equal(statSync(file).mode & 0o777, 0o600);
});

test('an empty file and a missing folder are said with their path and what to do', async () => {
  writeFileSync(file, '\n');
  await assert.rejects(adminToken({ given: undefined, dataDir }), { code: 'admin_token_empty', message: new RegExp(`${file}.*Delete it`) });
  const missing = join(dataDir, 'missing');
  await assert.rejects(adminToken({ given: undefined, dataDir: missing }), {
    code: 'admin_token_unwritable',
    message: new RegExp(`${missing}/admin-token.*PICKET_ADMIN_TOKEN`),
  });
});

test('secrets are equal or not whatever their lengths', () => {
  assert.equal(sameSecret('abc', 'abc'), true);
  for (const other of ['', 'ab', 'abcd', 'abd', 'ABC']) assert.equal(sameSecret(other, 'abc'), false);
});
