/** Operational failures of access: with the path and what to do. Refused credentials are no errors but answers. */

export type AccessErrorCode = 'admin_token_unreadable' | 'admin_token_unwritable' | 'admin_token_empty';

export class AccessError extends Error {
  readonly code: AccessErrorCode;
  constructor(code: AccessErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'AccessError';
    this.code = code;
  }
}
