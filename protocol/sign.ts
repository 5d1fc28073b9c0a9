/**
 * Ed25519 with purpose tags. Keys have tweetnacl's format (secret = seed(32) followed by public(32)); node:crypto signs and verifies, because it is
 * about a hundred times faster and refuses malleated signatures, which tweetnacl 1.0.3 accepts. Signatures are never used as identifiers.
 * Source: RFC 8032 section 5.1; PKCS#8 and SPKI wrappings of RFC 8410.
 */
import { createHash, createHmac, createPrivateKey, createPublicKey, sign, timingSafeEqual, verify, type KeyObject } from 'node:crypto';
import nacl from 'tweetnacl';

/** What a signature is for. A signature made for one purpose verifies for no other. */
export const Purpose = {
  frame: 'picket/1 frame',
  hello: 'picket/1 hello',
  welcome: 'picket/1 welcome',
  config: 'picket/1 config',
  successor: 'picket/1 successor',
  enroll: 'picket/1 enroll',
} as const;
export type Purpose = (typeof Purpose)[keyof typeof Purpose];

export const PUBLIC_KEY_BYTES = 32;
export const SECRET_KEY_BYTES = 64;
export const SIGNATURE_BYTES = 64;
export const DIGEST_BYTES = 32;
export const ID_BYTES = 16;

const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');
const TAGS = new Map<Purpose, Buffer>(Object.values(Purpose).map((purpose) => [purpose, Buffer.from(`${purpose}\0`, 'latin1')]));

/** A key pair in tweetnacl's format. */
export type KeyPair = { readonly publicKey: Uint8Array; readonly secretKey: Uint8Array };

/** Signs a 32-byte digest for a purpose. */
export type Signer = (purpose: Purpose, digest: Uint8Array) => Uint8Array;
/** Verifies a signature of a 32-byte digest for a purpose. */
export type Verifier = (purpose: Purpose, digest: Uint8Array, signature: Uint8Array) => boolean;

/** A new key pair, from tweetnacl's generator (which takes its randomness from node:crypto). */
export function newKeyPair(): KeyPair {
  return nacl.sign.keyPair();
}

/** The key pair of a 32-byte seed. */
export function keyPairFromSeed(seed: Uint8Array): KeyPair {
  if (seed.length !== 32) throw new RangeError(`seed: expected 32 bytes, got ${seed.length}`);
  return nacl.sign.keyPair.fromSeed(seed);
}

/** Agent id: the first 16 bytes of SHA-256 of the public key. The key is the identity; the id only names it. */
export function agentIdOf(publicKey: Uint8Array): Uint8Array {
  return sha256(publicKey).subarray(0, ID_BYTES);
}

export function sha256(...parts: readonly Uint8Array[]): Buffer {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
}

/** HMAC-SHA-256, for the proof that a token's secret is known. */
export function hmacSha256(key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array {
  const hmac = createHmac('sha256', key);
  for (const part of parts) hmac.update(part);
  return hmac.digest();
}

/** Equality in constant time; false for different lengths. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}

/** A signer that keeps the imported key. */
export function signer(secretKey: Uint8Array): Signer {
  const signRaw = rawSigner(secretKey);
  return (purpose, digest) => signRaw(message(purpose, digest));
}

/** A verifier that keeps the imported key (importing halves the rate). Throws RangeError for a key that is not 32 bytes. */
export function verifier(publicKey: Uint8Array): Verifier {
  const verifyRaw = rawVerifier(publicKey);
  return (purpose, digest, signature) => verifyRaw(message(purpose, digest), signature);
}

/** Plain Ed25519 without a purpose; for vectors of others. What Picket sends is signed with a purpose. */
export function rawSigner(secretKey: Uint8Array): (message: Uint8Array) => Uint8Array {
  if (secretKey.length !== SECRET_KEY_BYTES) throw new RangeError(`secretKey: expected ${SECRET_KEY_BYTES} bytes, got ${secretKey.length}`);
  const key = createPrivateKey({ key: Buffer.concat([PKCS8_PREFIX, secretKey.subarray(0, 32)]), format: 'der', type: 'pkcs8' });
  return (bytes) => sign(null, bytes, key);
}

/** Plain Ed25519 verification, strict in S. */
export function rawVerifier(publicKey: Uint8Array): (message: Uint8Array, signature: Uint8Array) => boolean {
  const key = importPublicKey(publicKey);
  return (bytes, signature) => signature.length === SIGNATURE_BYTES && verify(null, bytes, key, signature);
}

function importPublicKey(publicKey: Uint8Array): KeyObject {
  if (publicKey.length !== PUBLIC_KEY_BYTES) throw new RangeError(`publicKey: expected ${PUBLIC_KEY_BYTES} bytes, got ${publicKey.length}`);
  return createPublicKey({ key: Buffer.concat([SPKI_PREFIX, publicKey]), format: 'der', type: 'spki' });
}

/** What is signed: the purpose tag with a NUL, then the digest. */
function message(purpose: Purpose, digest: Uint8Array): Uint8Array {
  return Buffer.concat([TAGS.get(purpose) as Buffer, digest]);
}
