/** What is wrong with a configuration, and values that remember where they stood. */

export type ConfigErrorCode =
  | 'config_unreadable'
  | 'config_syntax'
  | 'config_unknown_key'
  | 'config_invalid'
  | 'config_missing'
  | 'config_conflict'
  | 'insecure_url';

/** A configuration that cannot be used. Its message is a whole sentence: where, what, and what to write instead. */
export class ConfigError extends Error {
  readonly code: ConfigErrorCode;
  constructor(code: ConfigErrorCode, sentence: string, options?: ErrorOptions) {
    super(sentence, options);
    this.name = 'ConfigError';
    this.code = code;
  }
  get sentence(): string {
    return this.message;
  }
}

/** A value with its place, for errors. */
export type Found = { readonly text: string; readonly origin: string };

/** The values of a configuration file by key. */
export type FileValues = ReadonlyMap<string, Found>;

/** Why a file could not be read, in words. */
export function reason(cause: unknown): string {
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
  if (code === 'ENOENT') return 'there is no such file';
  if (code === 'EACCES') return 'no permission to read it';
  if (code === 'EISDIR') return 'it is a folder';
  return cause instanceof Error ? cause.message : String(cause);
}
