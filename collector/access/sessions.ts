/** Browser sessions in the record store: only the hash of a cookie is kept, so that a copy of the data logs nobody in. */
import { randomBytes } from 'node:crypto';
import type { RecordStore } from '../model/ports.ts';
import { sha256 } from './admin-token.ts';

/** A browser is asked again after a month. */
export const SESSION_MS = 30 * 24 * 60 * 60 * 1000;
/** Sessions at a time; the oldest ends when one more begins. */
export const SESSIONS_MAX = 200;
const COOKIE_BYTES = 32;
const COOKIE = /^[\w-]{43}$/;

export type SessionRecord = { readonly user: string; readonly createdMs: number; readonly expiresMs: number; readonly address: string };
export type Session = SessionRecord & { readonly id: string };

export class Sessions {
  readonly #records: RecordStore;
  readonly #nowMs: () => number;

  constructor(records: RecordStore, nowMs: () => number) {
    this.#records = records;
    this.#nowMs = nowMs;
  }

  /** Durable when resolved. */
  async begin(user: string, address: string): Promise<{ readonly cookie: string; readonly session: Session }> {
    await this.#makeRoom();
    const cookie = randomBytes(COOKIE_BYTES).toString('base64url');
    const createdMs = this.#nowMs();
    const record: SessionRecord = { user, createdMs, expiresMs: createdMs + SESSION_MS, address };
    const id = idOf(cookie);
    await this.#records.putIfAbsent('session', id, record);
    return { cookie, session: { ...record, id } };
  }

  async find(cookie: string): Promise<Session | undefined> {
    if (!COOKIE.test(cookie)) return undefined;
    const id = idOf(cookie);
    const record = await this.#records.get<SessionRecord>('session', id);
    return record === undefined || record.value.expiresMs <= this.#nowMs() ? undefined : { ...record.value, id };
  }

  async end(id: string): Promise<void> {
    const record = await this.#records.get('session', id);
    if (record !== undefined) await this.#records.delete('session', id, record.version);
  }

  /** Deletes what has expired, and the oldest above the limit. */
  async #makeRoom(): Promise<void> {
    const records = await this.#records.list<SessionRecord>('session');
    const live = records
      .filter((record) => record.value.expiresMs > this.#nowMs())
      .toSorted((a, b) => a.value.createdMs - b.value.createdMs);
    const ended = new Set(records.filter((record) => !live.includes(record)));
    for (const record of live.slice(0, Math.max(0, live.length - SESSIONS_MAX + 1))) ended.add(record);
    for (const record of ended) await this.#records.delete('session', record.id, record.version);
  }
}

function idOf(cookie: string): string {
  return sha256(cookie).toString('hex');
}
