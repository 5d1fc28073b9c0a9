/** Enrolment over HTTP: making tokens, the command that carries one, and the list of those that still work. Secrets leave once, when made. */
import type Router from '@koa/router';
import type { Context } from 'koa';
import { sendJson } from './answer.ts';
import { readJsonObject } from './body.ts';
import { HttpError, parameterError } from './errors.ts';

/** The longest life of a token, a year, and the most hosts one may bring. */
const TTL_SECONDS_MAX = 366 * 24 * 60 * 60;
const USES_MAX = 100_000;
const TTL_SECONDS_DEFAULT = 60 * 60;

export type TokenOptions = { readonly ttlMs?: number; readonly uses?: number; readonly replace?: string };
export type NewToken = { readonly id: string; readonly token: string; readonly expiresAtMs: number };
export type TokenInfo = {
  readonly id: string;
  readonly createdMs: number;
  readonly expiresAtMs: number;
  readonly uses: number;
  readonly usesLeft: number;
};

export interface Enrolment {
  newToken(options: TokenOptions): Promise<NewToken>;
  /** Those that can still be used, without their secrets. */
  tokens(): Promise<readonly TokenInfo[]>;
  /** False if there is no such token. */
  revokeToken(id: string): Promise<boolean>;
  /** What to type on the host that is to be added. `url` is how the one who asks reaches this collector. */
  command(token: string, url: string): string;
}

export type EnrollDeps = { readonly enrolment: Enrolment; readonly urlOf: (ctx: Context) => string };

export function enrollRoutes(router: Router, deps: EnrollDeps): void {
  router.post('/api/v1/enroll', (ctx) => enroll(ctx, deps));
  router.post('/api/v1/enroll/command', (ctx) => enroll(ctx, deps));
  router.get('/api/v1/enroll/command', (ctx) => commandWithoutToken(ctx, deps));
  router.get('/api/v1/enroll/tokens', async (ctx) => sendJson(ctx, { tokens: await deps.enrolment.tokens() }));
  router.delete('/api/v1/enroll/tokens/:id', (ctx) => revokeToken(ctx, deps));
}

async function enroll(ctx: Context, deps: EnrollDeps): Promise<void> {
  const made = await deps.enrolment.newToken(optionsOf(await readJsonObject(ctx.req)));
  ctx.status = 201;
  sendJson(ctx, {
    id: made.id,
    token: made.token,
    command: deps.enrolment.command(made.token, deps.urlOf(ctx)),
    expiresAt: new Date(made.expiresAtMs).toISOString(),
    expiresAtMs: made.expiresAtMs,
  });
}

/** A GET changes nothing, so this one has a placeholder where the token goes; POST makes a token. */
function commandWithoutToken(ctx: Context, deps: EnrollDeps): void {
  sendJson(ctx, { command: deps.enrolment.command('TOKEN', deps.urlOf(ctx)) });
}

async function revokeToken(ctx: Context, deps: EnrollDeps): Promise<void> {
  const id = String(ctx['params']['id']);
  if (!(await deps.enrolment.revokeToken(id))) {
    throw new HttpError(404, 'token_unknown', `no enrolment token has the id ${JSON.stringify(id)}; it may have been used up or expired`);
  }
  ctx.status = 204;
}

function optionsOf(body: Readonly<Record<string, unknown>>): TokenOptions {
  for (const name of Object.keys(body)) {
    if (!['ttlSeconds', 'uses', 'replace'].includes(name))
      throw parameterError(name, 'is not known here; ttlSeconds, uses and replace are');
  }
  const replace = body['replace'];
  if (replace !== undefined && typeof replace !== 'string') throw parameterError('replace', 'must be the name of the host to take over');
  return {
    ttlMs: 1000 * wholeNumber(body, 'ttlSeconds', TTL_SECONDS_DEFAULT, TTL_SECONDS_MAX),
    uses: wholeNumber(body, 'uses', 1, USES_MAX),
    ...(replace === undefined ? {} : { replace }),
  };
}

function wholeNumber(body: Readonly<Record<string, unknown>>, name: string, byDefault: number, most: number): number {
  const value = body[name] ?? byDefault;
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 1 || value > most) {
    throw parameterError(name, `must be a whole number from 1 to ${most}`);
  }
  return value;
}
