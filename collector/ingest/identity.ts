/** The collector's own key and the fleet's id: made once at set-up, kept in DATA/identity.json (0600). Not who the agents are. */
import { randomBytes } from 'node:crypto';
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, statSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import {
  agentIdOf,
  ID_BYTES,
  keyPairFromSeed,
  newKeyPair,
  SECRET_KEY_BYTES,
  sha256,
  signer,
  type KeyPair,
  type Signer,
} from '../../protocol/index.ts';
import { IngestError } from './error.ts';

export type CollectorIdentity = {
  readonly keys: KeyPair;
  readonly sign: Signer;
  readonly fleetId: Uint8Array;
  /** SHA-256 of the public key: what an enrolment token carries. */
  readonly fingerprint: Uint8Array;
  /** The id under which the collector's own frames are stored. */
  readonly agentId: Uint8Array;
};

const FILE = 'identity.json';
const MODE_SECRET = 0o600;

/** Reads the identity of a data folder, or makes it on the first start. Throws IngestError `identity_damaged` or `identity_exposed`. */
export function openIdentity(dataDir: string): CollectorIdentity {
  const path = join(dataDir, FILE);
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') {
      throw new IngestError('identity_damaged', `cannot read the collector's key ${path}: ${(cause as Error).message}`, { cause });
    }
    return create(path);
  }
  if ((statSync(path).mode & 0o077) !== 0) {
    throw new IngestError('identity_exposed', `the collector's key ${path} can be read by others; type: chmod 600 ${path}`);
  }
  return parse(path, text);
}

function create(path: string): CollectorIdentity {
  const keys = newKeyPair();
  const fleetId = randomBytes(ID_BYTES);
  const text = `${JSON.stringify({ version: 1, secretKey: Buffer.from(keys.secretKey).toString('base64'), fleetId: fleetId.toString('hex') })}\n`;
  writeSecret(path, text);
  return identityOf(keys, fleetId);
}

function parse(path: string, text: string): CollectorIdentity {
  try {
    const document = JSON.parse(text) as { secretKey?: unknown; fleetId?: unknown };
    const secretKey = Buffer.from(String(document.secretKey), 'base64');
    const fleetId = Buffer.from(String(document.fleetId), 'hex');
    const keys = keyPairFromSeed(secretKey.subarray(0, 32));
    if (secretKey.length === SECRET_KEY_BYTES && fleetId.length === ID_BYTES && secretKey.equals(keys.secretKey))
      return identityOf(keys, fleetId);
  } catch (cause) {
    throw damaged(path, cause);
  }
  throw damaged(path, undefined);
}

function damaged(path: string, cause: unknown): IngestError {
  return new IngestError(
    'identity_damaged',
    `the collector's key ${path} is damaged; put it back from a backup, since all agents trust this key`,
    { cause },
  );
}

function identityOf(keys: KeyPair, fleetId: Uint8Array): CollectorIdentity {
  return { keys, sign: signer(keys.secretKey), fleetId, fingerprint: sha256(keys.publicKey), agentId: agentIdOf(keys.publicKey) };
}

/** Writes a file that only its owner may read, durable before it has its name. */
export function writeSecret(path: string, text: string): void {
  const temporary = `${path}.new`;
  const file = openSync(temporary, 'w', MODE_SECRET);
  try {
    writeSync(file, text);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(temporary, path);
  const folder = openSync(dirname(path), 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}
