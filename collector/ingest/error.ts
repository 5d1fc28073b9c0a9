/** Operational errors of ingest. What comes from the wire and is refused has a code of protocol/errors.ts instead. */

export type IngestErrorCode = 'identity_damaged' | 'identity_exposed' | 'agent_unknown' | 'host_name_invalid';

export class IngestError extends Error {
  readonly code: IngestErrorCode;
  constructor(code: IngestErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'IngestError';
    this.code = code;
  }
}
