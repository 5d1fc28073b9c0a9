/** Whether a credential is good: the admin token, a session, a log-in code. The one door to access/; http/ asks it and knows no secret. */
import type { RecordStore } from '../model/ports.ts';
import { sameSecret } from './admin-token.ts';
import { Attempts } from './attempts.ts';
import { LoginCodes } from './login-codes.ts';
import { Sessions } from './sessions.ts';

/** There is one user until there are more. */
const USER = 'admin';

export type Principal =
  | { readonly user: string; readonly via: 'token' }
  | { readonly user: string; readonly via: 'session'; readonly id: string; readonly expiresMs: number };

export type Refusal =
  | { readonly code: 'unauthenticated' | 'token_wrong' | 'login_code_invalid' }
  | { readonly code: 'login_limited'; readonly retryAfterSeconds: number };

export type NewSession = { readonly cookie: string; readonly expiresMs: number };

export type AccessCounts = { loggedIn: number; wrong: number; limited: number };

export type AccessDeps = { readonly records: RecordStore; readonly adminToken: string; readonly nowMs: () => number };

export class Access {
  readonly counts: AccessCounts = { loggedIn: 0, wrong: 0, limited: 0 };
  readonly #adminToken: string;
  readonly #sessions: Sessions;
  readonly #codes: LoginCodes;
  readonly #attempts: Attempts;

  constructor(deps: AccessDeps) {
    this.#adminToken = deps.adminToken;
    this.#sessions = new Sessions(deps.records, deps.nowMs);
    this.#codes = new LoginCodes(deps.nowMs);
    this.#attempts = new Attempts(deps.nowMs);
  }

  /** A code for a log-in link, `/login?code=...`. */
  newLoginCode(): string {
    return this.#codes.make();
  }

  /** A header is taken before a cookie. Wrong tokens count against the address; a cookie cannot be guessed. */
  async authenticate(given: {
    readonly authorization: string | undefined;
    readonly session: string | undefined;
    readonly address: string;
  }): Promise<Principal | Refusal> {
    if (given.authorization !== undefined) {
      const token = /^(?:bearer|token) +(\S+)$/i.exec(given.authorization)?.[1];
      if (token === undefined) return { code: 'unauthenticated' };
      return this.#check(given.address, 'token_wrong', () => sameSecret(token, this.#adminToken)) ?? { user: USER, via: 'token' };
    }
    const session = given.session === undefined ? undefined : await this.#sessions.find(given.session);
    if (session === undefined) return { code: 'unauthenticated' };
    return { user: session.user, via: 'session', id: session.id, expiresMs: session.expiresMs };
  }

  async logIn(token: string, address: string): Promise<NewSession | Refusal> {
    return this.#check(address, 'token_wrong', () => sameSecret(token, this.#adminToken)) ?? this.#begin(address);
  }

  async logInByCode(code: string, address: string): Promise<NewSession | Refusal> {
    return this.#check(address, 'login_code_invalid', () => this.#codes.take(code)) ?? this.#begin(address);
  }

  logOut(sessionId: string): Promise<void> {
    return this.#sessions.end(sessionId);
  }

  async #begin(address: string): Promise<NewSession> {
    const { cookie, session } = await this.#sessions.begin(USER, address);
    this.counts.loggedIn++;
    return { cookie, expiresMs: session.expiresMs };
  }

  /** An address that has used up its attempts is not even compared: otherwise it could go on guessing. */
  #check(address: string, code: 'token_wrong' | 'login_code_invalid', isRight: () => boolean): Refusal | undefined {
    const retryAfterSeconds = this.#attempts.waitSeconds(address);
    if (retryAfterSeconds > 0) {
      this.counts.limited++;
      return { code: 'login_limited', retryAfterSeconds };
    }
    if (isRight()) return undefined;
    this.#attempts.failed(address);
    this.counts.wrong++;
    return { code };
  }
}
