/** The closed set of error codes on the wire, and how expected failures are returned. Codes are API, messages are not. */

/** What each code means and what to do stands as a table in README.md; a test holds the two against each other. */
export const ERROR_CODES = [
  'frame_truncated',
  'frame_oversized',
  'frame_malformed',
  'frame_version',
  'frame_kind',
  'frame_fleet',
  'frame_agent',
  'frame_epoch',
  'signature_invalid',
  'payload_malformed',
  'payload_bomb',
  'dictionary_missing',
  'dictionary_mismatch',
  'dictionary_full',
  'sequence_replayed',
  'sequence_far',
  'time_range',
  'label_reserved',
  'label_set_taken',
  'limit_rate',
  'limit_series',
  'limit_label',
  'identity_unknown',
  'identity_revoked',
  'identity_pending',
  'identity_in_use',
  'host_name_taken',
  'token_invalid',
  'token_expired',
  'token_used_up',
  'handshake_malformed',
  'handshake_version',
  'handshake_signature',
  'handshake_fleet',
  'handshake_timeout',
  'control_malformed',
  'control_unknown',
  'insecure_url',
  'collector_untrusted',
] as const;

export type ErrorCode = (typeof ERROR_CODES)[number];

/** Expected, frequent failures of input from the wire: returned, never thrown. */
export type Result<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly code: ErrorCode; readonly detail: string };

export function ok<T>(value: T): Result<T> {
  return { ok: true, value };
}

export function fail<T>(code: ErrorCode, detail: string): Result<T> {
  return { ok: false, code, detail };
}
