/** Codes of log-in links: good once and for ten minutes. Only in memory; a restart ends them. */
import { randomBytes } from 'node:crypto';

export const CODE_MS = 10 * 60 * 1000;
/** Links that wait to be opened; the oldest ends when one more is made. */
const CODES_MAX = 16;
const CODE_BYTES = 18;

export class LoginCodes {
  readonly #expiresMs = new Map<string, number>();
  readonly #nowMs: () => number;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  make(): string {
    const code = randomBytes(CODE_BYTES).toString('base64url');
    this.#expiresMs.set(code, this.#nowMs() + CODE_MS);
    const [oldest] = this.#expiresMs.keys();
    if (this.#expiresMs.size > CODES_MAX && oldest !== undefined) this.#expiresMs.delete(oldest);
    return code;
  }

  /** True the first time, if it comes in time. */
  take(code: string): boolean {
    const expiresMs = this.#expiresMs.get(code);
    this.#expiresMs.delete(code);
    return expiresMs !== undefined && this.#nowMs() < expiresMs;
  }
}
