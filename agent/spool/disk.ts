/** What the spool asks of a file system, and node:fs as its answer. Paths and descriptors only; no format, no policy. */
import fs from 'node:fs';

/** `create`: new, for reading and writing, EEXIST if there. `edit`: there already, for both. `read`: also on a disk that became read-only. */
export type OpenMode = 'create' | 'edit' | 'read';

/** All calls throw errors with an errno `code`, as node:fs does. The simulation stands in for it (test/agent/spool/memory-disk.ts). */
export interface SpoolFs {
  /** With parents; no error if there. */
  makeDirectory(path: string): void;
  list(path: string): string[];
  open(path: string, mode: OpenMode): number;
  close(fd: number): void;
  size(fd: number): number;
  /** One call; may read or write fewer bytes than asked. */
  read(fd: number, into: Uint8Array, position: number): number;
  write(fd: number, bytes: Uint8Array, position: number): number;
  truncate(fd: number, sizeBytes: number): void;
  /** Contents and size are durable when it resolves (fdatasync). */
  sync(fd: number): Promise<void>;
  syncNow(fd: number): void;
  /** Names in the directory are durable when it resolves. */
  syncDirectory(path: string): Promise<void>;
  remove(path: string): void;
  rename(from: string, to: string): void;
  /** A symbolic link whose target is a word of ours, not a path: made at once and whole, or EEXIST. */
  link(word: string, path: string): void;
  readLink(path: string): string;
}

/** Frames hold what a host runs and logs: for the agent's user only. */
const FILE_MODE = 0o600;
const DIRECTORY_MODE = 0o700;

const OPEN_FLAGS: Readonly<Record<OpenMode, number>> = {
  create: fs.constants.O_RDWR | fs.constants.O_CREAT | fs.constants.O_EXCL,
  edit: fs.constants.O_RDWR,
  read: fs.constants.O_RDONLY,
};

export const nodeFs: SpoolFs = {
  makeDirectory: (path) => void fs.mkdirSync(path, { recursive: true, mode: DIRECTORY_MODE }),
  list: (path) => fs.readdirSync(path),
  open: (path, mode) => fs.openSync(path, OPEN_FLAGS[mode], FILE_MODE),
  close: (fd) => fs.closeSync(fd),
  size: (fd) => fs.fstatSync(fd).size,
  read: (fd, into, position) => fs.readSync(fd, into, 0, into.length, position),
  write: (fd, bytes, position) => fs.writeSync(fd, bytes, 0, bytes.length, position),
  truncate: (fd, sizeBytes) => fs.ftruncateSync(fd, sizeBytes),
  sync: (fd) =>
    new Promise((resolve, reject) => {
      fs.fdatasync(fd, (error) => (error === null ? resolve() : reject(error)));
    }),
  syncNow: (fd) => fs.fdatasyncSync(fd),
  async syncDirectory(path) {
    const handle = await fs.promises.open(path, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  },
  remove: (path) => fs.unlinkSync(path),
  rename: (from, to) => fs.renameSync(from, to),
  link: (word, path) => fs.symlinkSync(word, path),
  readLink: (path) => fs.readlinkSync(path),
};
