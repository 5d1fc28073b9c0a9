/** One process per folder: its pid stands in a file there, so that tools find it and a second start says who is there already. */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { CommandError } from './command.ts';
import { ownerOf, ownerText, type Owner } from './process-owner.ts';

/** Writes the own pid and returns what removes it again. Throws CommandError (folder_in_use, folder_unwritable). `advice` is what to type if it is taken. */
export function claimFolder(path: string, role: 'collector' | 'agent', advice: (owner: Owner) => string): () => void {
  const owner = livingOwner(path, role);
  if (owner !== undefined) {
    throw new CommandError('folder_in_use', `${dirname(path)} is in use: the ${role} there is ${ownerText(owner)}; ${advice(owner)}`);
  }
  try {
    makeFolder(dirname(path));
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    const advice = `make it for this user, or name another one with ${role === 'agent' ? 'PICKET_AGENT_DIR' : 'PICKET_DATA_DIR'}`;
    throw new CommandError('folder_unwritable', `the folder ${dirname(path)} cannot be made: ${why}; ${advice}`, { cause });
  }
  try {
    writeFileSync(path, `${process.pid}\n`);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new CommandError('folder_unwritable', `cannot write ${path}: ${why}; give this user the folder, or name another one`, { cause });
  }
  return () => {
    if (readPid(path) === process.pid) rmSync(path, { force: true });
  };
}

/** The living process that the file names. A pid that now belongs to some other program does not count. */
export function livingOwner(path: string, role: 'collector' | 'agent'): Owner | undefined {
  const pid = readPid(path);
  if (pid === undefined || pid === process.pid) return undefined;
  const owner = ownerOf(pid);
  return owner === undefined || (owner.command !== '' && !owner.command.includes(role)) ? undefined : owner;
}

/** One folder at a time: mkdir's own recursion never ends where a file system answers ENOENT for what it will not make (/proc does). */
function makeFolder(path: string): void {
  if (existsSync(path)) return;
  if (dirname(path) !== path) makeFolder(dirname(path));
  mkdirSync(path, { mode: 0o700 });
}

function readPid(path: string): number | undefined {
  try {
    const pid = Number(readFileSync(path, 'utf8').trim());
    return Number.isInteger(pid) && pid > 0 ? pid : undefined;
  } catch {
    return undefined;
  }
}
