/** The build of the page: once, when it is old, and never by two at the same time. */
import assert from 'node:assert/strict';
import { appendFile, cp, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { buildPage } from '../../packaging/page.ts';

const ROOT = join(import.meta.dirname, '../..');

/** A checkout of its own: the page's sources copied, the packages linked, so that its cache and lock are its own too. */
let root: string;

before(async () => {
  root = await mkdtemp(join(tmpdir(), 'picket-page-'));
  await cp(join(ROOT, 'collector/dashboard'), join(root, 'collector/dashboard'), {
    recursive: true,
    filter: (source) => !source.endsWith('/dist'),
  });
  await mkdir(join(root, 'packaging'));
  for (const file of ['package-lock.json', 'packaging/page.ts', 'tsconfig.json']) await cp(join(ROOT, file), join(root, file));
  await mkdir(join(root, 'node_modules'));
  for (const name of await readdir(join(ROOT, 'node_modules'))) {
    if (!name.startsWith('.')) await symlink(join(ROOT, 'node_modules', name), join(root, 'node_modules', name));
  }
});
after(() => rm(root, { recursive: true, force: true }));

/** Tells one build from the next. */
async function built(): Promise<number> {
  return (await stat(join(root, 'collector/dashboard/dist/index.html'))).ino;
}

test('a missing page is built, whole and compressed; one that is not old is left alone', async () => {
  await buildPage(root);
  const first = await built();
  const html = await readFile(join(root, 'collector/dashboard/dist/index.html'), 'utf8');
  const assets = await readdir(join(root, 'collector/dashboard/dist/assets'));
  const script = assets.find((name) => name.endsWith('.js'));
  assert.ok(script !== undefined && html.includes(`/assets/${script}`));
  assert.ok(assets.includes(`${script}.br`) && assets.includes(`${script}.gz`));
  assert.doesNotMatch(html, /<script(?![^>]*src=)|<style|https?:/, 'nothing inline, nothing from elsewhere');
  await buildPage(root);
  assert.equal(await built(), first);
});

test('a touched source is not a changed one', async () => {
  await buildPage(root);
  const first = await built();
  await utimes(join(root, 'collector/dashboard/src/main.tsx'), new Date(), new Date());
  await buildPage(root);
  assert.equal(await built(), first);
});

test('a changed source is built again, once for all who ask at the same time, and nothing is left lying about', async () => {
  await buildPage(root);
  const first = await built();
  await appendFile(join(root, 'collector/dashboard/src/page.css'), '\n.unused-but-new {\n  color: red;\n}\n');
  await Promise.all([buildPage(root), buildPage(root), buildPage(root)]);
  assert.notEqual(await built(), first);
  assert.deepEqual(await readdir(join(root, 'node_modules/.cache')), []);
});

test('a lock that a dead process left is not waited for for ever', async () => {
  const lock = join(root, 'node_modules/.cache/picket-page.lock');
  await writeFile(lock, '');
  const old = new Date(Date.now() - 3_600_000);
  await utimes(lock, old, old);
  await appendFile(join(root, 'collector/dashboard/src/page.css'), '\n');
  await buildPage(root);
  assert.deepEqual(await readdir(join(root, 'node_modules/.cache')), []);
});
