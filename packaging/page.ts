/** Builds the page when it is missing or older than its sources. Called by npm start, the tests and the bundle; not a dev server. */
import { mkdir, open, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { brotliCompressSync, gzipSync } from 'node:zlib';

const PAGE = 'collector/dashboard';
/** Same file system as the page, ignored by git. */
const CACHE = 'node_modules/.cache';
/** What the built page depends on; a change in any of it makes the page old. */
const SOURCES = ['src', 'public', 'index.html', 'vite.config.ts', '../../packaging/page.ts'];
const LOCK_POLL_MS = 100;
/** A build takes about a second; a lock older than this was left by a process that died. */
const LOCK_STALE_MS = 60_000;

/** `root` is the checkout. Resolves when collector/dashboard/dist is that of the sources; a few milliseconds if it already was. Safe to call from several processes at once. */
export async function buildPage(root: string): Promise<void> {
  const page = join(root, PAGE);
  const wanted = await fingerprint(root, page);
  if ((await builtFrom(page)) === wanted) return;
  const release = await lock(join(root, CACHE, 'picket-page.lock'));
  try {
    if ((await builtFrom(page)) !== wanted) await buildInto(root, page, wanted);
  } finally {
    await release();
  }
}

/** Built beside and moved into place, so that a collector that serves the folder never sees half a page. */
async function buildInto(root: string, page: string, wanted: string): Promise<void> {
  // Vite takes longer to load than everything else that a start needs, so it is loaded only for a build.
  const { build } = await import('vite');
  const fresh = join(root, CACHE, `picket-page.${process.pid}`);
  const old = `${fresh}.old`;
  try {
    await build({ root: page, configFile: join(page, 'vite.config.ts'), logLevel: 'error', build: { outDir: fresh, emptyOutDir: true } });
    await compress(fresh);
    await writeFile(join(fresh, 'sources.sha256'), `${wanted}\n`);
    await rename(join(page, 'dist'), old).catch(ignoreMissing);
    await rename(fresh, join(page, 'dist'));
  } finally {
    await rm(fresh, { recursive: true, force: true });
    await rm(old, { recursive: true, force: true });
  }
}

/** Once here instead of at each request: a page of 130 KB travels as 45. */
async function compress(folder: string): Promise<void> {
  const files = (await readdir(folder, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
  for (const file of files) {
    const path = join(file.parentPath, file.name);
    const bytes = await readFile(path);
    await writeFile(`${path}.br`, brotliCompressSync(bytes));
    await writeFile(`${path}.gz`, gzipSync(bytes, { level: 9 }));
  }
}

/** Sizes, times and names are not enough (a checkout sets times anew), and the sources are small: their content is hashed. */
async function fingerprint(root: string, page: string): Promise<string> {
  const hash = createHash('sha256');
  for (const path of [join(root, 'package-lock.json'), ...(await sourceFiles(page))])
    hash.update(`${path.slice(root.length)}\0`).update(await readFile(path));
  return hash.digest('hex');
}

async function sourceFiles(page: string): Promise<readonly string[]> {
  const files: string[] = [];
  for (const source of SOURCES) {
    const path = join(page, source);
    if (!(await stat(path)).isDirectory()) files.push(path);
    else
      for (const entry of await readdir(path, { recursive: true, withFileTypes: true }))
        if (entry.isFile()) files.push(join(entry.parentPath, entry.name));
  }
  return files.sort();
}

async function builtFrom(page: string): Promise<string | undefined> {
  const text = await readFile(join(page, 'dist', 'sources.sha256'), 'utf8').catch(ignoreMissing);
  return text?.trim();
}

/** Only one process builds; the others wait for it and then find nothing to do. */
async function lock(path: string): Promise<() => Promise<void>> {
  await mkdir(join(path, '..'), { recursive: true });
  for (;;) {
    try {
      await (await open(path, 'wx')).close();
      return () => rm(path, { force: true });
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
    }
    const age = await stat(path).then((found) => Date.now() - found.mtimeMs, ignoreMissing);
    if (age !== undefined && age > LOCK_STALE_MS) await rm(path, { force: true });
    else await wait(LOCK_POLL_MS);
  }
}

function ignoreMissing(error: unknown): undefined {
  if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
  throw error;
}
