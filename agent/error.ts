/** The agent's operational errors: what a person must be told in a sentence. Not frames refused or connections lost: those are counted and retried. */

/**
 * `identity_unwritable`: the directory or a file in it cannot be made or read. `identity_permissions`: others can read the key.
 * `identity_damaged`: a file is there and cannot be understood. `identity_not_enrolled`: neither enrolled nor given a token.
 * `identity_other_fleet`: enrolled with another collector than the token's. `token_invalid`: the token is not whole.
 * `insecure_url`: the connection would not be protected. `url_invalid`: not the address of a collector. `ca_unreadable`: the CA file cannot be used.
 */
export type AgentErrorCode =
  | 'identity_unwritable'
  | 'identity_permissions'
  | 'identity_damaged'
  | 'identity_not_enrolled'
  | 'identity_other_fleet'
  | 'token_invalid'
  | 'insecure_url'
  | 'url_invalid'
  | 'ca_unreadable';

/** Its message is a whole sentence: what cannot be done, why, and what to do. */
export class AgentError extends Error {
  readonly code: AgentErrorCode;
  constructor(code: AgentErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'AgentError';
    this.code = code;
  }
}
