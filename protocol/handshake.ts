/**
 * The handshake: challenge (collector), hello (agent), welcome or rejected (collector). Both sides prove their keys over the whole transcript, so a
 * relayed, replayed or downgraded exchange does not verify. README.md draws it.
 */
import { asBytes, asCount, asFields, asInteger, asList, asText, type Fields } from './check.ts';
import { ControlKind, readControl, readErrorCode, readHeld, readRanges, type HeldEpoch } from './control.ts';
import { fail, ok, type ErrorCode, type Result } from './errors.ts';
import { ACK_RANGES_MAX, HOST_NAME_BYTES_MAX, PROTOCOL_VERSION } from './limits.ts';
import { pack, unpack } from './msgpack.ts';
import {
  DIGEST_BYTES,
  equalBytes,
  hmacSha256,
  ID_BYTES,
  PUBLIC_KEY_BYTES,
  Purpose,
  sha256,
  SIGNATURE_BYTES,
  verifier,
  type Signer,
} from './sign.ts';

export const NONCE_BYTES = 32;
export const TOKEN_ID_BYTES = 8;

export type Challenge = {
  readonly versions: readonly number[];
  readonly fleetId: Uint8Array;
  /** The collector's public key. */
  readonly key: Uint8Array;
  readonly nonce: Uint8Array;
  readonly timeMs: number;
};

export type Hello = {
  readonly version: number;
  readonly versions: readonly number[];
  /** The agent's public key. */
  readonly key: Uint8Array;
  readonly nonce: Uint8Array;
  readonly epoch: Uint8Array;
  readonly bootId: string;
  /** SHA-256 of the machine id with the fleet id as salt: tells a clone, tells nothing else. 32 bytes. */
  readonly machine: Uint8Array;
  /** Host name that the agent asks for when it enrols; afterwards the collector's record decides. */
  readonly name: string;
  readonly agentVersion: string;
  readonly wallMs: number;
  readonly clockSegment: number;
  readonly clockBaseMs: number;
  readonly held: readonly HeldEpoch[];
  /** Proof of an enrolment token; only while not enrolled. */
  readonly enroll?: { readonly tokenId: Uint8Array; readonly proof: Uint8Array };
};

export type WelcomeLane = { readonly lane: number; readonly ranges: readonly (readonly [number, number])[] };
export type WelcomeEpoch = { readonly epoch: Uint8Array; readonly dictionaryLength: number; readonly lanes: readonly WelcomeLane[] };

export type Welcome = {
  readonly version: number;
  /** The name under which the collector keeps this host. */
  readonly name: string;
  readonly timeMs: number;
  /** What is stored of the epochs that the agent holds. */
  readonly received: readonly WelcomeEpoch[];
  readonly credit: readonly [number, number, number];
};

export type Rejected = { readonly code: ErrorCode; readonly message: string; readonly retryMs: number };

/** A message that was sent or received, with the very bytes that count in the transcript. */
export type Said<T> = { readonly value: T; readonly bytes: Uint8Array };

export function encodeChallenge(challenge: Challenge): Said<Challenge> {
  return { value: challenge, bytes: pack([ControlKind.challenge, challenge]) };
}

export function decodeChallenge(bytes: Uint8Array): Result<Said<Challenge>> {
  const read = readKind(bytes, ControlKind.challenge);
  if (!read.ok) return read;
  const fields = read.value;
  const versions = asList(fields['versions'], 16, asCount);
  const fleetId = asBytes(fields['fleetId'], ID_BYTES);
  const key = asBytes(fields['key'], PUBLIC_KEY_BYTES);
  const nonce = asBytes(fields['nonce'], NONCE_BYTES);
  const timeMs = asInteger(fields['timeMs']);
  if (versions === undefined || fleetId === undefined || key === undefined || nonce === undefined || timeMs === undefined)
    return malformed('challenge');
  if (!versions.includes(PROTOCOL_VERSION))
    return fail('handshake_version', `the collector speaks versions ${versions.join(', ')}, not ${PROTOCOL_VERSION}`);
  return ok({ value: { versions, fleetId, key, nonce, timeMs }, bytes });
}

/** Signs a hello over the challenge. */
export function encodeHello(challenge: Said<Challenge>, hello: Hello, sign: Signer): Said<Hello> {
  const body = pack(hello);
  const signature = sign(Purpose.hello, sha256(challenge.value.fleetId, challenge.bytes, body));
  return { value: hello, bytes: pack([ControlKind.hello, { body, signature }]) };
}

/** Decodes a hello and checks that the key it names signed this very exchange. Whether the key is known is the caller's question. */
export function decodeHello(challenge: Said<Challenge>, bytes: Uint8Array): Result<Said<Hello>> {
  const read = readKind(bytes, ControlKind.hello);
  if (!read.ok) return read;
  const body = read.value['body'];
  const signature = asBytes(read.value['signature'], SIGNATURE_BYTES);
  if (!(body instanceof Uint8Array) || signature === undefined) return malformed('hello');
  const unpacked = unpack(body, 'handshake_malformed');
  if (!unpacked.ok) return unpacked;
  const hello = readHello(asFields(unpacked.value));
  if (hello === undefined) return malformed('hello');
  // The agent names all versions it speaks under its signature, so that a choice below the best of both shows as tampering.
  const best = Math.max(...hello.versions.filter((version) => challenge.value.versions.includes(version)));
  if (hello.version !== best || hello.version !== PROTOCOL_VERSION) {
    return fail(
      'handshake_version',
      `the agent chose version ${hello.version}; this collector speaks ${challenge.value.versions.join(', ')}`,
    );
  }
  if (!verifier(hello.key)(Purpose.hello, sha256(challenge.value.fleetId, challenge.bytes, body), signature)) {
    return fail('handshake_signature', 'the hello is not signed by its key over this challenge');
  }
  return ok({ value: hello, bytes });
}

function readHello(fields: Fields | undefined): Hello | undefined {
  if (fields === undefined) return undefined;
  const version = asCount(fields['version']);
  const versions = asList(fields['versions'], 16, asCount);
  const key = asBytes(fields['key'], PUBLIC_KEY_BYTES);
  const nonce = asBytes(fields['nonce'], NONCE_BYTES);
  const epoch = asBytes(fields['epoch'], ID_BYTES);
  const bootId = asText(fields['bootId'], 64);
  const machine = asBytes(fields['machine'], DIGEST_BYTES);
  const name = asText(fields['name'], HOST_NAME_BYTES_MAX);
  const agentVersion = asText(fields['agentVersion'], 64);
  const wallMs = asInteger(fields['wallMs']);
  const clockSegment = asCount(fields['clockSegment']);
  const clockBaseMs = asInteger(fields['clockBaseMs']);
  const held = readHeld(fields['held']);
  if (
    version === undefined ||
    versions === undefined ||
    key === undefined ||
    nonce === undefined ||
    epoch === undefined ||
    bootId === undefined
  )
    return undefined;
  if (machine === undefined || name === undefined || agentVersion === undefined || wallMs === undefined || clockSegment === undefined)
    return undefined;
  if (clockBaseMs === undefined || held === undefined) return undefined;
  const hello = { version, versions, key, nonce, epoch, bootId, machine, name, agentVersion, wallMs, clockSegment, clockBaseMs, held };
  if (fields['enroll'] === undefined) return hello;
  const enroll = asFields(fields['enroll']);
  const tokenId = asBytes(enroll?.['tokenId'], TOKEN_ID_BYTES);
  const proof = asBytes(enroll?.['proof'], DIGEST_BYTES);
  return tokenId === undefined || proof === undefined ? undefined : { ...hello, enroll: { tokenId, proof } };
}

/** Signs a welcome over challenge and hello. */
export function encodeWelcome(challenge: Said<Challenge>, hello: Said<Hello>, welcome: Welcome, sign: Signer): Uint8Array {
  const received = welcome.received.map((epoch) => ({
    ...epoch,
    lanes: epoch.lanes.map((lane) => ({ lane: lane.lane, ranges: lane.ranges.flat() })),
  }));
  const body = pack({ ...welcome, received });
  const signature = sign(Purpose.welcome, sha256(challenge.value.fleetId, challenge.bytes, hello.bytes, body));
  return pack([ControlKind.welcome, { body, signature }]);
}

export function encodeRejected(rejected: Rejected): Uint8Array {
  return pack([ControlKind.rejected, rejected]);
}

/** Decodes the collector's answer to a hello. A rejection is unsigned: it may end a connection, never an identity. */
export function decodeAnswer(
  challenge: Said<Challenge>,
  hello: Said<Hello>,
  bytes: Uint8Array,
): Result<{ welcome: Welcome } | { rejected: Rejected }> {
  const read = readControl(bytes);
  if (!read.ok) return read;
  const { kind, body } = read.value;
  if (kind === ControlKind.rejected) {
    const code = readErrorCode(body['code']);
    const message = asText(body['message'], 4096);
    const retryMs = asCount(body['retryMs']);
    return code === undefined || message === undefined || retryMs === undefined
      ? malformed('rejection')
      : ok({ rejected: { code, message, retryMs } });
  }
  const inner = body['body'];
  const signature = asBytes(body['signature'], SIGNATURE_BYTES);
  if (kind !== ControlKind.welcome || !(inner instanceof Uint8Array) || signature === undefined) return malformed('welcome');
  if (!verifier(challenge.value.key)(Purpose.welcome, sha256(challenge.value.fleetId, challenge.bytes, hello.bytes, inner), signature)) {
    return fail('handshake_signature', "the welcome is not signed by the collector's key over this exchange");
  }
  const unpacked = unpack(inner, 'handshake_malformed');
  if (!unpacked.ok) return unpacked;
  const welcome = readWelcome(asFields(unpacked.value));
  return welcome === undefined ? malformed('welcome') : ok({ welcome });
}

function readWelcome(fields: Fields | undefined): Welcome | undefined {
  if (fields === undefined) return undefined;
  const version = asCount(fields['version']);
  const name = asText(fields['name'], HOST_NAME_BYTES_MAX);
  const timeMs = asInteger(fields['timeMs']);
  const received = asList(fields['received'], 4096, readWelcomeEpoch);
  const credit = asList(fields['credit'], 3, asCount);
  if (version !== PROTOCOL_VERSION || name === undefined || timeMs === undefined || received === undefined || credit?.length !== 3)
    return undefined;
  return { version, name, timeMs, received, credit: credit as [number, number, number] };
}

function readWelcomeEpoch(value: unknown): WelcomeEpoch | undefined {
  const fields = asFields(value);
  const epoch = asBytes(fields?.['epoch'], ID_BYTES);
  const dictionaryLength = asCount(fields?.['dictionaryLength']);
  const lanes = asList(fields?.['lanes'], 3, (item) => {
    const lane = asCount(asFields(item)?.['lane']);
    const ranges = readRanges(asFields(item)?.['ranges'], ACK_RANGES_MAX);
    return lane === undefined || lane > 2 || ranges === undefined ? undefined : { lane, ranges };
  });
  return epoch === undefined || dictionaryLength === undefined || lanes === undefined ? undefined : { epoch, dictionaryLength, lanes };
}

/** What the agent shows to prove that it has a token without sending it. */
export function enrollProof(tokenKey: Uint8Array, challenge: Said<Challenge>, agentKey: Uint8Array, nonce: Uint8Array): Uint8Array {
  return hmacSha256(tokenKey, Buffer.from(`${Purpose.enroll}\0`, 'latin1'), challenge.bytes, agentKey, nonce);
}

export function enrollProofMatches(tokenKey: Uint8Array, challenge: Said<Challenge>, hello: Hello): boolean {
  return hello.enroll !== undefined && equalBytes(enrollProof(tokenKey, challenge, hello.key, hello.nonce), hello.enroll.proof);
}

function readKind(bytes: Uint8Array, kind: number): Result<Fields> {
  const read = readControl(bytes);
  if (!read.ok) return fail('handshake_malformed', read.detail);
  return read.value.kind === kind
    ? ok(read.value.body)
    : fail('handshake_malformed', `expected a message of kind ${kind}, got ${read.value.kind}`);
}

function malformed<T>(what: string): Result<T> {
  return fail('handshake_malformed', `a field of the ${what} is missing or wrong`);
}
