/** A file of /proc or /sys that stays open and is read from its start at each tick. Not a parser, and not for files on real disks. */
import { closeSync, openSync, readFileSync, readSync, readdirSync } from 'node:fs';
import { GatherError, type Scanner } from './scanner.ts';

/** Far above any file read here (/proc/stat of 1,000 CPUs and 10,000 interrupt lines has 200 KB). */
const SOURCE_BYTES_MAX = 8 * 1024 * 1024;
/** Room for a page at every read, so that a record is not cut. */
const READ_ROOM_BYTES = 4096;
/** A file that was not there is looked for again at every 30th read: failing to open costs ten times what a read costs. */
const MISSING_READS = 30;

/**
 * How a file hands out its text. Files that the kernel writes in one piece come whole in the first read that has room; the others end a read
 * at a page (`records`) and are read until nothing comes.
 */
export type Delivery = 'piece' | 'records';

export class SourceFile {
  readonly path: string;
  readonly #isPiece: boolean;
  #fd = -1;
  #missing = 0;

  constructor(path: string, delivery: Delivery) {
    this.path = path;
    this.#isPiece = delivery === 'piece';
  }

  /** Reads the whole file into the scanner and stands at its start. Throws if it is not there. */
  read(scanner: Scanner): void {
    if (!this.tryRead(scanner)) {
      throw new GatherError(
        'source_missing',
        `cannot read ${this.path}: this kernel has no such file (looked for again every ${MISSING_READS} ticks)`,
      );
    }
  }

  /** The same; false if the file is not there. */
  tryRead(scanner: Scanner): boolean {
    if (this.#missing > 0) {
      this.#missing--;
      return false;
    }
    scanner.path = this.path;
    scanner.pos = 0;
    scanner.end = 0;
    const isFirst = this.#fd < 0;
    try {
      if (isFirst) this.#fd = openSync(this.path, 'r');
      this.#fill(scanner);
      return true;
    } catch (error) {
      if (error instanceof GatherError) throw error;
      this.close();
      if (isFirst || !isGone(error)) return this.#explain(error);
    }
    // The device or the process behind the old descriptor is gone; the path may have a new one.
    try {
      this.#fd = openSync(this.path, 'r');
      this.#fill(scanner);
      return true;
    } catch (error) {
      if (error instanceof GatherError) throw error;
      this.close();
      return this.#explain(error);
    }
  }

  close(): void {
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
  }

  #fill(scanner: Scanner): void {
    let end = 0;
    for (;;) {
      if (scanner.bytes.length - end < READ_ROOM_BYTES) this.#grow(scanner);
      const room = scanner.bytes.length - end;
      const count = readSync(this.#fd, scanner.bytes, end, room, end);
      end += count;
      if (count === 0 || (this.#isPiece && count < room)) break;
    }
    scanner.end = end;
  }

  #grow(scanner: Scanner): void {
    const size = scanner.bytes.length * 2;
    if (size > SOURCE_BYTES_MAX)
      throw new GatherError('source_oversized', `cannot read ${this.path}: it is larger than ${SOURCE_BYTES_MAX / 2} bytes`);
    const bytes = Buffer.allocUnsafe(size);
    scanner.bytes.copy(bytes);
    scanner.bytes = bytes;
  }

  #explain(error: unknown): false {
    const code = errnoOf(error);
    // EOPNOTSUPP: the kernel has the file but not the feature (pressure with psi=0).
    if (code === 'ENOENT' || code === 'ENODEV' || code === 'EOPNOTSUPP' || code === 'ENOTDIR') {
      this.#missing = MISSING_READS - 1;
      return false;
    }
    throw new GatherError('source_unreadable', `cannot read ${this.path}: ${code}`, { cause: error });
  }
}

/** Text of a small file that is read rarely, trimmed; undefined if it cannot be read (files of /sys come and go with their devices). */
export function readSmall(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return undefined;
  }
}

/** Names in a folder of /sys, or none if it is not there. */
export function listFolder(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

/** The name of a system error, or its message. */
export function errnoOf(error: unknown): string {
  if (error instanceof Error) return 'code' in error && typeof error.code === 'string' ? error.code : error.message;
  return String(error);
}

function isGone(error: unknown): boolean {
  const code = errnoOf(error);
  return code === 'ENODEV' || code === 'ESTALE' || code === 'ENOENT' || code === 'ESRCH' || code === 'ENXIO';
}
