/** What can go wrong with the store, as one error class with a closed set of codes. Not the losses that readers see as gaps: those are StoreLoss. */

/** Codes are API, messages are not; README.md has a table of them. */
export const STORE_ERROR_CODES = [
  'store_locked',
  'store_unwritable',
  'store_version',
  'store_corrupt',
  'store_write_failed',
  'store_full',
  'store_closed',
] as const;

export type StoreErrorCode = (typeof STORE_ERROR_CODES)[number];

export class StoreError extends Error {
  readonly code: StoreErrorCode;
  constructor(code: StoreErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'StoreError';
    this.code = code;
  }
}

/** The code of a failed system call (`ENOSPC`, ...) or of LevelDB, wherever in the chain of causes it stands. */
export function causeCode(error: unknown): string | undefined {
  for (let at: unknown = error, depth = 0; at instanceof Error && depth < 8; at = at.cause, depth++) {
    const code: unknown = (at as Error & { code?: unknown }).code;
    if (typeof code === 'string' && !code.startsWith('LEVEL_DATABASE')) return code;
  }
  return undefined;
}

/** A failed write as a StoreError: `store_full` when the disk is full, else `store_write_failed`. */
export function writeError(path: string, cause: unknown): StoreError {
  const message = cause instanceof Error ? cause.message : String(cause);
  const full = causeCode(cause) === 'ENOSPC' || /no space left/i.test(message);
  return full
    ? new StoreError('store_full', `cannot write ${path}: the disk is full; free space or lower the retention`, { cause })
    : new StoreError('store_write_failed', `cannot write ${path}: ${message}`, { cause });
}
