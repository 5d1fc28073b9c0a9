/** The agent's half of the handshake: is this our collector, and the hello that answers it. Pure; the messages themselves are the protocol's. */
import {
  decodeChallenge,
  encodeHello,
  enrollProof,
  equalBytes,
  fail,
  ok,
  PROTOCOL_VERSION,
  sha256,
  tokenKey,
  type Challenge,
  type EnrollToken,
  type Hello,
  type Result,
  type Said,
  type Signer,
} from '../../protocol/index.ts';

/** What the handshake needs to know of this agent. */
export interface Credentials {
  readonly publicKey: Uint8Array;
  readonly sign: Signer;
  readonly fleetId: Uint8Array;
  readonly machine: Uint8Array;
  readonly token: EnrollToken | undefined;
  readonly enrolment: { readonly collectorKey: Uint8Array } | undefined;
}

/** The rest of a hello: how the agent stands at this moment. */
export type Standing = Omit<Hello, 'version' | 'versions' | 'key' | 'machine' | 'enroll'>;

export type Greeting = { readonly challenge: Said<Challenge>; readonly hello: Said<Hello> };

/**
 * Answers a challenge, if it is the pinned collector's (or, before enrolment, the one that made the token); nothing is said to another.
 * `forgotten`: the collector said that it does not know this agent, so that the token is shown again.
 */
export function greet(bytes: Uint8Array, who: Credentials, standing: Standing, forgotten: boolean): Result<Greeting> {
  const decoded = decodeChallenge(bytes);
  if (!decoded.ok) return decoded;
  const challenge = decoded.value;
  const { fleetId, key } = challenge.value;
  if (!equalBytes(fleetId, who.fleetId))
    return fail('collector_untrusted', 'the collector there belongs to another fleet than the one this agent was enrolled with');
  const { enrolment, token } = who;
  if (enrolment !== undefined && !equalBytes(key, enrolment.collectorKey)) {
    return fail('collector_untrusted', 'the collector there shows another key than the one this agent was enrolled with');
  }
  if (enrolment === undefined && (token === undefined || !equalBytes(sha256(key), token.fingerprint))) {
    return fail('collector_untrusted', 'the collector there is not the one that made the enrolment token');
  }
  const mustProve = token !== undefined && (enrolment === undefined || forgotten);
  const hello: Hello = {
    ...standing,
    version: PROTOCOL_VERSION,
    versions: [PROTOCOL_VERSION],
    key: who.publicKey,
    machine: who.machine,
    ...(mustProve
      ? { enroll: { tokenId: token.tokenId, proof: enrollProof(tokenKey(token.secret), challenge, who.publicKey, standing.nonce) } }
      : {}),
  };
  return ok({ challenge, hello: encodeHello(challenge, hello, who.sign) });
}
