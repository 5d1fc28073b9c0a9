/** Enrolment tokens: made, listed, used up, revoked. The secret leaves this file once, inside the token text; the store holds only what checks a proof. */
import { randomBytes } from 'node:crypto';
import {
  encodeToken,
  enrollProofMatches,
  fail,
  newTokenSecret,
  ok,
  TOKEN_ID_BYTES,
  tokenKey,
  type Challenge,
  type Hello,
  type Result,
  type Said,
} from '../../protocol/index.ts';
import type { RecordStore } from '../model/ports.ts';
import type { CollectorIdentity } from './identity.ts';

export type TokenOptions = {
  /** Default an hour, at most a year. */
  readonly ttlMs?: number | undefined;
  /** Agents that may enrol with it; default 1. */
  readonly uses?: number | undefined;
  /** A host name that this token may take over from an agent enrolled before. */
  readonly replace?: string | undefined;
};

type TokenRecord = { key: string; createdMs: number; expiresMs: number; usesLeft: number; uses: number; replace: string };

export type TokenInfo = {
  readonly id: string;
  readonly createdMs: number;
  readonly expiresAtMs: number;
  readonly uses: number;
  readonly usesLeft: number;
};

const TTL_MS_DEFAULT = 60 * 60 * 1000;
const TTL_MS_MAX = 366 * 24 * 60 * 60 * 1000;
const USES_MAX = 100_000;
/** Compare-and-set retries when agents enrol with one token at the same moment. */
const ATTEMPTS_MAX = 100;

export class EnrollTokens {
  readonly #records: RecordStore;
  readonly #identity: CollectorIdentity;
  readonly #nowMs: () => number;

  constructor(deps: { records: RecordStore; identity: CollectorIdentity; nowMs: () => number }) {
    this.#records = deps.records;
    this.#identity = deps.identity;
    this.#nowMs = deps.nowMs;
  }

  /** Makes a token. RangeError for a lifetime or count out of bounds. */
  async create(options: TokenOptions = {}): Promise<{ id: string; token: string; expiresAtMs: number }> {
    const ttlMs = options.ttlMs ?? TTL_MS_DEFAULT;
    const uses = options.uses ?? 1;
    if (!(ttlMs > 0 && ttlMs <= TTL_MS_MAX))
      throw new RangeError(`the token's lifetime must be above 0 and at most a year, got ${ttlMs} ms`);
    if (!Number.isInteger(uses) || uses < 1 || uses > USES_MAX)
      throw new RangeError(`the token's uses must be 1..${USES_MAX}, got ${uses}`);
    const tokenId = randomBytes(TOKEN_ID_BYTES);
    const secret = newTokenSecret(randomBytes);
    const createdMs = this.#nowMs();
    const expiresMs = createdMs + ttlMs;
    const record: TokenRecord = {
      key: Buffer.from(tokenKey(secret)).toString('base64'),
      createdMs,
      expiresMs,
      uses,
      usesLeft: uses,
      replace: options.replace ?? '',
    };
    const id = tokenId.toString('hex');
    await this.#records.putIfAbsent('token', id, record);
    const { fleetId, fingerprint } = this.#identity;
    return { id, token: encodeToken({ tokenId, fleetId, fingerprint, secret }), expiresAtMs: expiresMs };
  }

  /** Tokens that can still be used; those that ended are deleted on the way. */
  async list(): Promise<readonly TokenInfo[]> {
    const infos: TokenInfo[] = [];
    for (const { id, version, value } of await this.#records.list<TokenRecord>('token')) {
      if (value.expiresMs <= this.#nowMs() || value.usesLeft === 0) {
        await this.#records.delete('token', id, version);
        continue;
      }
      infos.push({ id, createdMs: value.createdMs, expiresAtMs: value.expiresMs, uses: value.uses, usesLeft: value.usesLeft });
    }
    return infos;
  }

  async revoke(id: string): Promise<boolean> {
    const record = await this.#records.get<TokenRecord>('token', id);
    return record !== undefined && this.#records.delete('token', id, record.version);
  }

  /** Checks a proof and takes one use. The caller enrols at once or gives the use back with `release`. */
  async take(challenge: Said<Challenge>, hello: Hello): Promise<Result<{ id: string; replace: string }>> {
    if (hello.enroll === undefined) {
      return fail('identity_unknown', 'this agent is not enrolled here; give it a token made with "picket enroll"');
    }
    const id = Buffer.from(hello.enroll.tokenId).toString('hex');
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      const record = await this.#records.get<TokenRecord>('token', id);
      if (record === undefined || !enrollProofMatches(Buffer.from(record.value.key, 'base64'), challenge, hello)) {
        return fail('token_invalid', 'this enrolment token is unknown here or was revoked; make a new one with "picket enroll"');
      }
      if (record.value.expiresMs <= this.#nowMs())
        return fail('token_expired', 'this enrolment token has expired; make a new one with "picket enroll"');
      if (record.value.usesLeft < 1)
        return fail('token_used_up', 'this enrolment token has been used up; make a new one with "picket enroll"');
      const next = { ...record.value, usesLeft: record.value.usesLeft - 1 };
      if ((await this.#records.compareAndSet('token', id, record.version, next)) !== undefined)
        return ok({ id, replace: record.value.replace });
    }
    return fail('token_invalid', 'too many agents enrol with this token at once; it is tried again by itself');
  }

  /** Gives a use back when the enrolment failed for another reason. */
  async release(id: string): Promise<void> {
    const record = await this.#records.get<TokenRecord>('token', id);
    if (record !== undefined)
      await this.#records.compareAndSet('token', id, record.version, { ...record.value, usesLeft: record.value.usesLeft + 1 });
  }
}
