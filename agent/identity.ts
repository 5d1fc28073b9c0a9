/**
 * Who this agent is: its key, made once, and the collector that it trusts, pinned when it was enrolled. DIR/identity.json, readable by its user
 * alone. Not what the last run did (run-state.ts), and no network.
 */
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import {
  agentIdOf,
  decodeToken,
  DIGEST_BYTES,
  equalBytes,
  ID_BYTES,
  newKeyPair,
  PUBLIC_KEY_BYTES,
  Purpose,
  SECRET_KEY_BYTES,
  sha256,
  signer,
  verifier,
  type EnrollToken,
  type KeyPair,
  type Signer,
} from '../protocol/index.ts';
import { AgentError } from './error.ts';

/** The collector as it was when this agent was enrolled. */
export type Enrolment = {
  readonly fleetId: Uint8Array;
  readonly collectorKey: Uint8Array;
  /** The name under which the collector keeps this host. */
  readonly name: string;
};

export type IdentityOptions = {
  readonly directory: string;
  /** What `picket enroll` printed on the collector; needed until the agent is enrolled. */
  readonly enrollToken?: string | undefined;
  /** The host's root as this process sees it. */
  readonly rootfs: string;
};

const FILE = 'identity.json';
const FILE_VERSION = 1;
const FILE_MODE = 0o600;
const DIRECTORY_MODE = 0o700;
/** A few hundred bytes are written; more is not ours. */
const FILE_BYTES_MAX = 64 * 1024;

type Stored = {
  readonly keys: KeyPair;
  readonly createdAt: string;
  /** Stands for the machine where it has no id of its own. */
  readonly machineId: string | undefined;
  readonly enrolment: Enrolment | undefined;
};

export class Identity {
  readonly agentId: Uint8Array;
  readonly sign: Signer;
  /** The fleet that frames are sealed for: the pinned one, else the token's. */
  readonly fleetId: Uint8Array;
  /** The token that proves the right to enrol; kept while it is given, in case the collector has forgotten this agent. */
  readonly token: EnrollToken | undefined;
  /** SHA-256 of the machine id with the fleet id as salt. */
  readonly machine: Uint8Array;
  readonly #file: string;
  #stored: Stored;

  private constructor(file: string, stored: Stored, token: EnrollToken | undefined, fleetId: Uint8Array, machineId: string) {
    this.#file = file;
    this.#stored = stored;
    this.token = token;
    this.fleetId = fleetId;
    this.agentId = agentIdOf(stored.keys.publicKey);
    this.sign = signer(stored.keys.secretKey);
    this.machine = sha256(fleetId, Buffer.from(machineId));
  }

  /** Reads the identity, or makes it. Throws AgentError with a sentence for a person. */
  static open(options: IdentityOptions): Identity {
    const file = path.join(options.directory, FILE);
    makeDirectory(options.directory);
    const token = readToken(options.enrollToken);
    const kept = readIdentity(file);
    const fleetId = kept?.enrolment?.fleetId ?? token?.fleetId;
    if (fleetId === undefined) {
      throw new AgentError(
        'identity_not_enrolled',
        `cannot start: ${options.directory} is not enrolled with a collector and no enrolment token is given; ` +
          'make one with "picket enroll" on the collector and set PICKET_ENROLL_TOKEN',
      );
    }
    if (token !== undefined && !equalBytes(fleetId, token.fleetId)) {
      throw new AgentError(
        'identity_other_fleet',
        `cannot start: ${file} is enrolled with another collector than the one that made this enrolment token; ` +
          `remove the token to stay with the old one, or delete ${file} to leave it`,
      );
    }
    const machineId = readMachineId(options.rootfs) ?? kept?.machineId;
    if (kept !== undefined && machineId !== undefined) return new Identity(file, kept, token, fleetId, machineId);
    const made = kept ?? { keys: newKeyPair(), createdAt: new Date().toISOString(), machineId: undefined, enrolment: undefined };
    const stored = { ...made, machineId: machineId === undefined ? randomBytes(16).toString('hex') : made.machineId };
    writeDurably(file, encode(stored), FILE_MODE);
    return new Identity(file, stored, token, fleetId, machineId ?? (stored.machineId as string));
  }

  get publicKey(): Uint8Array {
    return this.#stored.keys.publicKey;
  }

  get enrolment(): Enrolment | undefined {
    return this.#stored.enrolment;
  }

  /** Pins the collector; durable when it returns. Does nothing if all of it is known. */
  enrol(enrolment: Enrolment): void {
    const known = this.#stored.enrolment;
    if (known !== undefined && known.name === enrolment.name && equalBytes(known.collectorKey, enrolment.collectorKey)) return;
    this.#stored = { ...this.#stored, enrolment };
    writeDurably(this.#file, encode(this.#stored), FILE_MODE);
  }
}

/** Replaces a file so that after a crash it holds the old text or the new one, whole. */
export function writeDurably(file: string, text: string, mode: number): void {
  const temporary = `${file}.${process.pid}.tmp`;
  try {
    const fd = fs.openSync(temporary, 'w', mode);
    try {
      fs.writeFileSync(fd, text);
      fs.fsyncSync(fd);
    } finally {
      fs.closeSync(fd);
    }
    fs.renameSync(temporary, file);
    const directory = fs.openSync(path.dirname(file), 'r');
    try {
      fs.fsyncSync(directory);
    } finally {
      fs.closeSync(directory);
    }
  } catch (cause) {
    throw new AgentError('identity_unwritable', `cannot write ${file}: ${messageOf(cause)}; the agent's user must own its directory`, {
      cause,
    });
  }
}

/** The text of a small file of ours, or undefined if there is none. */
export function readSmallFile(file: string): string | undefined {
  try {
    const { size } = fs.statSync(file);
    if (size > FILE_BYTES_MAX) throw new AgentError('identity_damaged', `cannot use ${file}: it has ${size} bytes and is not the agent's`);
    return fs.readFileSync(file, 'utf8');
  } catch (cause) {
    if (cause instanceof AgentError) throw cause;
    if (isMissing(cause)) return undefined;
    throw new AgentError('identity_unwritable', `cannot read ${file}: ${messageOf(cause)}; the agent's user must own it`, { cause });
  }
}

/** The kernel's name for this boot; another one means that the machine was started again. */
export function readBootId(procfs: string): string {
  return readLine(path.join(procfs, 'sys/kernel/random/boot_id')) ?? 'unknown';
}

function makeDirectory(directory: string): void {
  try {
    fs.mkdirSync(directory, { recursive: true, mode: DIRECTORY_MODE });
    fs.accessSync(directory, fs.constants.W_OK | fs.constants.X_OK);
  } catch (cause) {
    throw new AgentError(
      'identity_unwritable',
      `cannot use the agent's directory ${directory}: ${messageOf(cause)}; make it writable for this user or set PICKET_AGENT_DIR`,
      { cause },
    );
  }
}

function readToken(text: string | undefined): EnrollToken | undefined {
  if (text === undefined || text.trim() === '') return undefined;
  const token = decodeToken(text);
  if (!token.ok) throw new AgentError('token_invalid', `cannot use the enrolment token: ${token.detail}`);
  return token.value;
}

function readIdentity(file: string): Stored | undefined {
  const text = readSmallFile(file);
  if (text === undefined) return undefined;
  const mode = fs.statSync(file).mode & 0o777;
  if ((mode & 0o077) !== 0) {
    throw new AgentError(
      'identity_permissions',
      `cannot use ${file}: its mode is ${mode.toString(8)}, so that others can read this agent's key; run "chmod 600 ${file}" if nobody has`,
    );
  }
  const stored = decode(text);
  if (stored === undefined) {
    throw new AgentError(
      'identity_damaged',
      `cannot use ${file}: it is damaged; restore it from a backup, or remove it and enrol this host anew with a token`,
    );
  }
  return stored;
}

function encode(stored: Stored): string {
  const { keys, createdAt, machineId, enrolment } = stored;
  const value = {
    version: FILE_VERSION,
    createdAt,
    publicKey: base64(keys.publicKey),
    secretKey: base64(keys.secretKey),
    machineId,
    enrolment: enrolment && { fleetId: base64(enrolment.fleetId), collectorKey: base64(enrolment.collectorKey), name: enrolment.name },
  };
  return `${JSON.stringify(value, undefined, 2)}\n`;
}

function decode(text: string): Stored | undefined {
  let fields: Record<string, unknown>;
  try {
    fields = JSON.parse(text) as Record<string, unknown>;
  } catch {
    return undefined;
  }
  if (typeof fields !== 'object' || fields === null || fields['version'] !== FILE_VERSION) return undefined;
  const publicKey = bytesOf(fields['publicKey'], PUBLIC_KEY_BYTES);
  const secretKey = bytesOf(fields['secretKey'], SECRET_KEY_BYTES);
  const { createdAt, machineId } = fields;
  if (publicKey === undefined || secretKey === undefined || typeof createdAt !== 'string') return undefined;
  if (machineId !== undefined && typeof machineId !== 'string') return undefined;
  if (!isPair(publicKey, secretKey)) return undefined;
  const enrolment = fields['enrolment'] === undefined ? undefined : readEnrolment(fields['enrolment']);
  if (fields['enrolment'] !== undefined && enrolment === undefined) return undefined;
  return { keys: { publicKey, secretKey }, createdAt, machineId, enrolment };
}

function readEnrolment(value: unknown): Enrolment | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const fields = value as Record<string, unknown>;
  const fleetId = bytesOf(fields['fleetId'], ID_BYTES);
  const collectorKey = bytesOf(fields['collectorKey'], PUBLIC_KEY_BYTES);
  const name = fields['name'];
  return fleetId === undefined || collectorKey === undefined || typeof name !== 'string' ? undefined : { fleetId, collectorKey, name };
}

/** The two keys belong together: what one signs the other verifies. */
function isPair(publicKey: Uint8Array, secretKey: Uint8Array): boolean {
  const digest = new Uint8Array(DIGEST_BYTES);
  return verifier(publicKey)(Purpose.hello, digest, signer(secretKey)(Purpose.hello, digest));
}

/** First of the places where a machine says which one it is. */
function readMachineId(rootfs: string): string | undefined {
  for (const place of ['etc/machine-id', 'var/lib/dbus/machine-id', 'sys/class/dmi/id/product_uuid']) {
    const id = readLine(path.join(rootfs, place));
    // systemd writes this word while a first boot has not drawn the id yet.
    if (id !== undefined && id !== 'uninitialized') return id;
  }
  return undefined;
}

/** The first line of a file that may not be there or not be ours to read. */
function readLine(file: string): string | undefined {
  try {
    const line = fs.readFileSync(file, 'utf8').split('\n', 1)[0]?.trim();
    return line === '' ? undefined : line;
  } catch {
    return undefined;
  }
}

function bytesOf(value: unknown, length: number): Uint8Array | undefined {
  if (typeof value !== 'string') return undefined;
  const bytes = Buffer.from(value, 'base64');
  return bytes.length === length ? Uint8Array.from(bytes) : undefined;
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}

function isMissing(cause: unknown): boolean {
  return cause instanceof Error && 'code' in cause && cause.code === 'ENOENT';
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
