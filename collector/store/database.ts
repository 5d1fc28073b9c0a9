/** Opening, syncing and unlinking LevelDB folders, with their errors in our words. Not what lies in them. The one owner of the `level` package. */
import { closeSync, fsyncSync, openSync } from 'node:fs';
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { Level } from 'level';
import { causeCode, StoreError, writeError } from './errors.ts';

export type Database = Level<Buffer, Buffer>;
export type Operation =
  | { readonly type: 'put'; readonly key: Buffer; readonly value: Buffer }
  | { readonly type: 'del'; readonly key: Buffer };

/** Suffix of a folder that is being unlinked: whatever bears it is rubbish, also after a crash. */
const GONE = '.gone';
/** Suffix of a damaged database that was put aside for people to look at. */
const ASIDE = '.damaged';
/** Bytes of a table's block: measured best between 32 and 64 KB for values of 0.5 to 32 KB. */
const BLOCK_BYTES = 32 * 1024;

/** On Node, Level is ClassicLevel, whose static method its own type does not name. */
const ClassicLevel = Level as unknown as { repair(location: string): Promise<void> };
/** Level's own type does not name LevelDB's options. */
const SYNCED: object = { sync: true };

export type DatabaseOptions = {
  readonly writeBufferBytes: number;
  /** Our chunks are compressed already; only records and the like gain from snappy. */
  readonly compression: boolean;
  readonly cacheBytes: number;
  /** Size of one table file. */
  readonly tableBytes?: number;
};

/** Opens or makes a database; a new folder's entry in its parent is durable when this resolves. */
export async function openDatabase(path: string, options: DatabaseOptions): Promise<Database> {
  const isNew = !(await exists(path));
  const database: Database = new Level<Buffer, Buffer>(path, { keyEncoding: 'buffer', valueEncoding: 'buffer' });
  const open = {
    compression: options.compression,
    writeBufferSize: options.writeBufferBytes,
    cacheSize: options.cacheBytes,
    blockSize: BLOCK_BYTES,
    maxFileSize: options.tableBytes ?? 8 * 1024 * 1024,
    maxOpenFiles: 256,
  };
  try {
    await database.open(open as Parameters<Database['open']>[0]);
  } catch (cause) {
    throw openError(path, cause);
  }
  if (isNew) syncDirectory(dirname(path));
  return database;
}

/**
 * As openDatabase; a database that LevelDB finds damaged is repaired, and if that does not help put aside under another name and begun anew. The store goes
 * on without what is lost, and says so: `damaged` is told what happened.
 */
export async function openOrRepair(path: string, options: DatabaseOptions, damaged: (detail: string) => void): Promise<Database> {
  try {
    return await openDatabase(path, options);
  } catch (error) {
    if (!(error instanceof StoreError) || error.code !== 'store_corrupt') throw error;
    damaged(error.message);
  }
  try {
    await ClassicLevel.repair(path);
    return await openDatabase(path, options);
  } catch (error) {
    if (isCircumstance(error)) throw error instanceof StoreError ? error : openError(path, error);
    const aside = `${path}${ASIDE}`;
    damaged(`${(error as Error).message}; what is left of it is now in ${aside}`);
    await rm(aside, { recursive: true, force: true });
    await rename(path, aside);
    return openDatabase(path, options);
  }
}

/** True for an error by which LevelDB says that what it reads is damaged. */
export function isCorruption(error: unknown): boolean {
  const code = causeCode(error);
  return code === 'LEVEL_CORRUPTION' || (code === 'LEVEL_IO_ERROR' && !isCircumstance(error));
}

/** What passes, or is the host's to mend: the files are as good as they were, and repairing or replacing them would lose what they hold. */
const CIRCUMSTANCES = /no space left|quota exceeded|too many (open )?files|cannot allocate memory|permission denied|read-only file system/i;

function isCircumstance(error: unknown): boolean {
  for (let at = error, depth = 0; at instanceof Error && depth < 8; at = at.cause, depth++) if (CIRCUMSTANCES.test(at.message)) return true;
  return false;
}

function openError(path: string, cause: unknown): StoreError {
  const inner = cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause;
  const message = inner instanceof Error ? inner.message : String(inner);
  if (/no space left|quota exceeded/i.test(message)) {
    return new StoreError('store_full', `cannot open ${path}: the disk is full; free space or lower the retention`, { cause });
  }
  switch (causeCode(cause)) {
    case 'LEVEL_LOCKED':
      return new StoreError('store_locked', `cannot open ${path}: another process holds it`, { cause });
    case 'LEVEL_CORRUPTION':
      return new StoreError('store_corrupt', `cannot open ${path}: ${message}`, { cause });
    default:
      return isCircumstance(inner) || /not a directory|file (already )?exists/i.test(message)
        ? new StoreError('store_unwritable', `cannot open ${path}: ${message}`, { cause })
        : new StoreError('store_corrupt', `cannot open ${path}: ${message}`, { cause });
  }
}

/** One synced commit: durable when it resolves. */
export async function writeSynced(database: Database, operations: readonly Operation[]): Promise<void> {
  if (operations.length === 0) return;
  try {
    await database.batch(operations as Operation[], SYNCED);
  } catch (cause) {
    throw writeError(database.location, cause);
  }
}

/** Rewrites a key range so that deleted and overwritten values give their space back. */
export async function compact(database: Database, from: Buffer, to: Buffer): Promise<void> {
  // Level's type is the intersection of its Node and browser forms; on Node it is ClassicLevel, which has this method.
  await (database as unknown as { compactRange(from: Buffer, to: Buffer): Promise<void> }).compactRange(from, to);
}

/** Makes the folder and its parents; their entries are durable when this resolves. */
export async function makeDirectory(path: string): Promise<void> {
  try {
    await makeEach(resolve(path));
  } catch (cause) {
    throw new StoreError(
      'store_unwritable',
      `cannot make the folder ${path}: ${(cause as Error).message}; give this user write access to it`,
      {
        cause,
      },
    );
  }
}

/** One by one: Node's recursive mkdir never returns where a file system refuses new folders with ENOENT, as /proc does. */
async function makeEach(path: string): Promise<void> {
  const info = await stat(path).catch(() => undefined);
  if (info?.isDirectory() === true) return;
  const parent = dirname(path);
  if (parent !== path) await makeEach(parent);
  await mkdir(path, { mode: 0o700 });
  syncDirectory(parent);
}

export function syncDirectory(path: string): void {
  const descriptor = openSync(path, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/** Unlinks a closed database. After the rename it is gone for good; what a crash leaves of it goes at the next start. */
export async function unlinkDatabase(path: string): Promise<void> {
  const gone = path + GONE;
  await rm(gone, { recursive: true, force: true });
  await rename(path, gone);
  syncDirectory(dirname(path));
  await rm(gone, { recursive: true, force: true });
}

/** Names of the databases in a folder, sorted; leftovers of unlinking are removed. */
export async function listDatabases(parent: string): Promise<string[]> {
  const names: string[] = [];
  for (const entry of await readdir(parent, { withFileTypes: true })) {
    if (!entry.isDirectory()) continue;
    if (entry.name.endsWith(GONE)) await rm(join(parent, entry.name), { recursive: true, force: true });
    else if (!entry.name.endsWith(ASIDE)) names.push(entry.name);
  }
  return names.sort();
}

/** Bytes of the files in a folder and below; files that vanish meanwhile count 0. */
export async function directoryBytes(path: string): Promise<number> {
  let bytes = 0;
  let entries;
  try {
    entries = await readdir(path, { withFileTypes: true, recursive: true });
  } catch {
    return 0;
  }
  for (const entry of entries) {
    if (!entry.isFile()) continue;
    const info = await stat(join(entry.parentPath, entry.name)).catch(() => undefined);
    bytes += info?.size ?? 0;
  }
  return bytes;
}

async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}
