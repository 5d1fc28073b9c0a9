/** Opening databases when the circumstances are bad: what is whole is never repaired, put aside or begun anew. */
import assert from 'node:assert/strict';
import { existsSync, lstatSync, readdirSync, symlinkSync, unlinkSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { isCorruption, openDatabase, openOrRepair, writeSynced } from '../../../collector/store/database.ts';
import { StoreError } from '../../../collector/store/errors.ts';

const root = await mkdtemp(join(tmpdir(), 'picket-database-'));
after(() => rm(root, { recursive: true }));
const OPTIONS = { writeBufferBytes: 1024 * 1024, compression: false, cacheBytes: 1024 * 1024 };

const manifests = (): string[] => Array.from({ length: 20 }, (_, i) => `MANIFEST-${String(i + 1).padStart(6, '0')}`);

test('a database that cannot be opened for want of space is left as it is, and whole when there is space again', async () => {
  const path = join(root, 'full');
  const first = await openDatabase(path, OPTIONS);
  await writeSynced(first, [{ type: 'put', key: Buffer.from('k'), value: Buffer.from('v') }]);
  await first.close();
  const told: string[] = [];
  for (let attempt = 0; attempt < 2; attempt++) {
    // What LevelDB writes when it opens lies on a device that is always full; an attempt that fails removes its own.
    for (const name of manifests()) if (!existsSync(join(path, name))) symlinkSync('/dev/full', join(path, name));
    await assert.rejects(
      openOrRepair(path, OPTIONS, (detail) => told.push(detail)),
      (error) => error instanceof StoreError && error.code === 'store_full' && error.message.includes(path),
    );
  }
  for (const name of readdirSync(path)) if (lstatSync(join(path, name)).isSymbolicLink()) unlinkSync(join(path, name));
  assert.equal(told.length, 0);
  assert.deepEqual(readdirSync(root), ['full']);
  const again = await openOrRepair(path, OPTIONS, (detail) => told.push(detail));
  assert.equal(again.getSync(Buffer.from('k'))?.toString(), 'v');
  await again.close();
  assert.equal(told.length, 0);
});

test('an error of LevelDB is damage only if it is about the bytes', () => {
  const level = (code: string, message: string): Error => new Error('', { cause: Object.assign(new Error(message), { code }) });
  assert.ok(isCorruption(level('LEVEL_CORRUPTION', 'Corruption: block checksum mismatch')));
  assert.ok(isCorruption(level('LEVEL_IO_ERROR', 'IO error: x/000005.ldb: Input/output error')));
  for (const message of ['Too many open files', 'No space left on device', 'Cannot allocate memory', 'Permission denied'])
    assert.ok(!isCorruption(level('LEVEL_IO_ERROR', `IO error: x/000005.ldb: ${message}`)), message);
});
