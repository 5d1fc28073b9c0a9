/** One process per spool directory: a symbolic link `lock` whose target names the holder. Stale ones are taken over. */
import fs from 'node:fs';
import { join } from 'node:path';
import type { SpoolFs } from './disk.ts';
import { errnoOf, SpoolError } from './error.ts';

/** What the lock asks about processes. */
export interface Processes {
  readonly pid: number;
  /** A word that no other life of this pid has had, or undefined if no such process lives. */
  lifeOf(pid: number): string | undefined;
}

/** Attempts while others take over a stale lock at the same moment. */
const TAKE_TRIES_MAX = 5;
const HOLDER = /^(\d{1,10})-(.+)$/;

export const nodeProcesses: Processes = { pid: process.pid, lifeOf };

export class SpoolLock {
  readonly #fs: SpoolFs;
  readonly #path: string;
  readonly #word: string;

  private constructor(fs: SpoolFs, path: string, word: string) {
    this.#fs = fs;
    this.#path = path;
    this.#word = word;
  }

  /** Throws `spool_locked` if a live process has it, the disk's error if it cannot be made. */
  static take(spoolFs: SpoolFs, directory: string, processes: Processes): SpoolLock {
    const path = join(directory, 'lock');
    const word = `${processes.pid}-${processes.lifeOf(processes.pid) ?? 'unknown'}`;
    const lock = new SpoolLock(spoolFs, path, word);
    for (let i = 0; i < TAKE_TRIES_MAX; i++) {
      if (lock.#make()) return lock;
      const holder = lock.#holder();
      if (holder === undefined) continue;
      const [, pid, life] = HOLDER.exec(holder) ?? [];
      if (pid !== undefined && life !== undefined && processes.lifeOf(Number(pid)) === life) {
        const message = `cannot open spool ${directory}: process ${pid} has it; stop that agent, or give this one a directory of its own`;
        throw new SpoolError('spool_locked', message);
      }
      lock.#clear(holder);
    }
    throw new SpoolError('spool_locked', `cannot open spool ${directory}: other agents keep taking ${path}; start one only`);
  }

  release(): void {
    try {
      if (this.#holder() === this.#word) this.#fs.remove(this.#path);
    } catch (error) {
      // A lock that stays behind is stale as soon as this process ends.
      errnoOf(error);
    }
  }

  #make(): boolean {
    try {
      this.#fs.link(this.#word, this.#path);
      return true;
    } catch (error) {
      if (errnoOf(error) !== 'EEXIST') throw error;
      return false;
    }
  }

  /** Undefined if it is gone by now. */
  #holder(): string | undefined {
    try {
      return this.#fs.readLink(this.#path);
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw error;
      return undefined;
    }
  }

  /** Removes a stale lock. By renaming first, so that one that somebody made in between is noticed and put back. */
  #clear(stale: string): void {
    const aside = `${this.#path}.${this.#word}`;
    try {
      this.#fs.rename(this.#path, aside);
      if (this.#fs.readLink(aside) === stale) this.#fs.remove(aside);
      else this.#fs.rename(aside, this.#path);
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw error;
    }
  }
}

/** On Linux the start time and the boot it counts from; elsewhere only that it lives. */
function lifeOf(pid: number): string | undefined {
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    // Fields 3 (state) and 22 (start time) of proc(5). A zombie holds nothing any more.
    if (fields[0] === 'Z' || fields[0] === 'X') return undefined;
    const boot = fs.readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').slice(0, 8);
    return `${fields[19]}-${boot}`;
  } catch (error) {
    errnoOf(error);
    return process.platform === 'linux' ? undefined : lifeBySignal(pid);
  }
}

function lifeBySignal(pid: number): string | undefined {
  try {
    process.kill(pid, 0);
    return 'alive';
  } catch (error) {
    return errnoOf(error) === 'EPERM' ? 'alive' : undefined;
  }
}
