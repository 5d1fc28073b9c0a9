/** The one error class of the spool, and how a disk's errors are told from our own mistakes. Not for lost frames: those are gaps. */

/**
 * `spool_locked`: another live process has the directory. `spool_unwritable`: the directory cannot be made or written.
 * `spool_version`: a file was written by a newer Picket. `spool_sync`: a held frame may not be durable.
 */
export type SpoolErrorCode = 'spool_locked' | 'spool_unwritable' | 'spool_version' | 'spool_sync';

export class SpoolError extends Error {
  readonly code: SpoolErrorCode;
  constructor(code: SpoolErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'SpoolError';
    this.code = code;
  }
}

/** The errno name of a failed system call (`ENOSPC`); anything else is a mistake of ours and goes on up. */
export function errnoOf(error: unknown): string {
  if (error instanceof Error && 'errno' in error && 'code' in error && typeof error.code === 'string') return error.code;
  throw error;
}

/** The disk, or this user's share of it, is full: room can be made by dropping. */
export function isFull(errno: string): boolean {
  return errno === 'ENOSPC' || errno === 'EDQUOT';
}

/** What to do about a disk error, for people. */
export function adviceFor(errno: string): string {
  switch (errno) {
    case 'ENOSPC':
    case 'EDQUOT':
      return `the disk is full (${errno}); free some space`;
    case 'EACCES':
    case 'EPERM':
      return `not allowed (${errno}); give it to the user that the agent runs as`;
    case 'EROFS':
      return `the disk is read-only (${errno}); mount it for writing, or choose another directory`;
    case 'ENOTDIR':
    case 'EEXIST':
      return `something in its path is not a directory (${errno}); choose another directory`;
    default:
      return `the disk answers ${errno}; look at it, or choose another directory`;
  }
}
