/** The enrolment token: what one line of text must carry so that an agent trusts nobody on first use. Not how it is stored or counted. */
import { fail, ok, type Result } from './errors.ts';
import { TOKEN_ID_BYTES } from './handshake.ts';
import { DIGEST_BYTES, ID_BYTES, sha256 } from './sign.ts';

const PREFIX = 'picket1_';
const SECRET_BYTES = 24;
const CHECK_BYTES = 4;
const BODY_BYTES = TOKEN_ID_BYTES + ID_BYTES + DIGEST_BYTES + SECRET_BYTES;

export type EnrollToken = {
  readonly tokenId: Uint8Array;
  readonly fleetId: Uint8Array;
  /** SHA-256 of the collector's public key. */
  readonly fingerprint: Uint8Array;
  readonly secret: Uint8Array;
};

export function newTokenSecret(random: (bytes: number) => Uint8Array): Uint8Array {
  return random(SECRET_BYTES);
}

/** `picket1_` and base64url of id, fleet id, fingerprint, secret and a checksum that finds slips of copying. */
export function encodeToken(token: EnrollToken): string {
  const body = Buffer.concat([token.tokenId, token.fleetId, token.fingerprint, token.secret]);
  return PREFIX + Buffer.concat([body, sha256(body).subarray(0, CHECK_BYTES)]).toString('base64url');
}

export function decodeToken(text: string): Result<EnrollToken> {
  const trimmed = text.trim();
  const bytes = trimmed.startsWith(PREFIX) ? Buffer.from(trimmed.slice(PREFIX.length), 'base64url') : Buffer.alloc(0);
  const body = bytes.subarray(0, BODY_BYTES);
  const isWhole = bytes.length === BODY_BYTES + CHECK_BYTES && PREFIX + bytes.toString('base64url') === trimmed;
  if (!isWhole || !sha256(body).subarray(0, CHECK_BYTES).equals(bytes.subarray(BODY_BYTES))) {
    return fail(
      'token_invalid',
      `an enrolment token begins with ${PREFIX} and is copied whole; make one with "picket enroll" on the collector`,
    );
  }
  const fleetAt = TOKEN_ID_BYTES;
  const fingerprintAt = fleetAt + ID_BYTES;
  const secretAt = fingerprintAt + DIGEST_BYTES;
  return ok({
    tokenId: body.subarray(0, fleetAt),
    fleetId: body.subarray(fleetAt, fingerprintAt),
    fingerprint: body.subarray(fingerprintAt, secretAt),
    secret: body.subarray(secretAt),
  });
}

/** What both sides key the proof with; the collector stores this and not the secret. */
export function tokenKey(secret: Uint8Array): Uint8Array {
  return sha256(Buffer.from('picket/1 token\0', 'latin1'), secret);
}
