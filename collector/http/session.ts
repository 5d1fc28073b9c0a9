/** Who asks: the log-in, the session cookie, and the gate that every other path stands behind. What a credential is worth is access/'s. */
import type Router from '@koa/router';
import type { Context, Middleware, Next } from 'koa';
import { sendJson, sendText } from './answer.ts';
import { readJsonObject } from './body.ts';
import { HttpError } from './errors.ts';

/** Who a request speaks for. `id` names the session; its cookie is not kept. */
export type Principal =
  | { readonly user: string; readonly via: 'token' }
  | { readonly user: string; readonly via: 'session'; readonly id: string; readonly expiresMs: number };

export type Refusal =
  | { readonly code: 'unauthenticated' | 'token_wrong' | 'login_code_invalid' }
  /** Too many wrong credentials from this address. */
  | { readonly code: 'login_limited'; readonly retryAfterSeconds: number };

export type NewSession = { readonly cookie: string; readonly expiresMs: number };

export interface Access {
  readonly counts: { readonly loggedIn: number; readonly wrong: number; readonly limited: number };
  /** `authorization` and `session` are the header and the cookie as they came. */
  authenticate(given: Credentials): Promise<Principal | Refusal>;
  logIn(token: string, address: string): Promise<NewSession | Refusal>;
  /** A code of a log-in link; good once. */
  logInByCode(code: string, address: string): Promise<NewSession | Refusal>;
  logOut(sessionId: string): Promise<void>;
}

export type Credentials = { readonly authorization: string | undefined; readonly session: string | undefined; readonly address: string };

export type SessionDeps = {
  readonly access: Access;
  /** A proxy of ours in front says by X-Forwarded-* who asks and how. */
  readonly trustProxy: boolean;
};

export const SESSION_COOKIE = 'picket_session';
/** A cookie header longer than this is not ours to search. */
const COOKIE_LENGTH_MAX = 8192;
const REALM = 'Bearer realm="picket"';

export function sessionRoutes(router: Router, deps: SessionDeps): void {
  router.post('/api/v1/session', (ctx) => logIn(ctx, deps));
  router.get('/api/v1/session', (ctx) => {
    const who = principalOf(ctx);
    sendJson(ctx, { user: who.user, via: who.via, expiresMs: who.via === 'session' ? who.expiresMs : null });
  });
  router.delete('/api/v1/session', (ctx) => logOut(ctx, deps));
  router.get('/login', (ctx) => logInByLink(ctx, deps));
}

/** Lets through who has a credential, and what needs none. */
export function requireCredential(deps: SessionDeps): Middleware {
  return async (ctx: Context, next: Next) => {
    if (isPublic(ctx)) return next();
    const who = await deps.access.authenticate(credentialsOf(ctx, deps));
    if ('code' in who) throw refusalError(who);
    if (who.via === 'session') requireSameOrigin(ctx);
    ctx.state['principal'] = who;
    return next();
  };
}

/** Asks again whether the credential of this request is still good. */
export function stillAllowed(ctx: Context, deps: SessionDeps): () => Promise<boolean> {
  const given = credentialsOf(ctx, deps);
  return async () => !('code' in (await deps.access.authenticate(given)));
}

/** Health and the log-in. The page's files, which hold nothing about any host, have been answered before. Exact paths: what is not named here is not public. */
function isPublic(ctx: Context): boolean {
  if (ctx.path === '/api/v1/session') return ctx.method === 'POST';
  return (ctx.method === 'GET' || ctx.method === 'HEAD') && PUBLIC_PATHS.has(ctx.path);
}

const PUBLIC_PATHS: ReadonlySet<string> = new Set(['/-/healthy', '/-/ready', '/login']);

async function logIn(ctx: Context, deps: SessionDeps): Promise<void> {
  if (ctx.get('origin') !== '' || ctx.get('sec-fetch-site') !== '') requireSameOrigin(ctx);
  const body = await readJsonObject(ctx.req);
  const token = body['token'];
  if (typeof token !== 'string' || token === '') throw new HttpError(400, 'body_invalid', 'the body must be {"token": "..."}');
  const session = await deps.access.logIn(token, addressOf(ctx, deps));
  if ('code' in session) throw refusalError(session);
  setCookie(ctx, deps, session);
  ctx.status = 204;
}

async function logInByLink(ctx: Context, deps: SessionDeps): Promise<void> {
  ctx.set('cache-control', 'no-store');
  const code = ctx.query['code'];
  const session = typeof code === 'string' ? await deps.access.logInByCode(code, addressOf(ctx, deps)) : undefined;
  if (session === undefined) {
    ctx.redirect('/');
    return;
  }
  if ('code' in session) {
    ctx.status = session.code === 'login_limited' ? 429 : 403;
    sendText(ctx, 'text/html', linkPage(session.code));
    return;
  }
  setCookie(ctx, deps, session);
  ctx.status = 303;
  ctx.redirect('/');
}

function linkPage(code: Refusal['code']): string {
  const why =
    code === 'login_limited'
      ? 'There were too many failed log-ins from this address. Wait a minute and open the link again.'
      : 'This log-in link has been used, or is older than ten minutes. Log in with the token on <a href="/">the page</a>; a restart of the collector prints a new link.';
  return `<!doctype html><html lang="en"><meta charset="utf-8"><title>Log-in link · Picket</title><p>${why}</p></html>`;
}

async function logOut(ctx: Context, deps: SessionDeps): Promise<void> {
  const who = principalOf(ctx);
  if (who.via === 'session') await deps.access.logOut(who.id);
  setCookie(ctx, deps, { cookie: '', expiresMs: 0 });
  ctx.status = 204;
}

function principalOf(ctx: Context): Principal {
  return ctx.state['principal'] as Principal;
}

function setCookie(ctx: Context, deps: SessionDeps, session: NewSession): void {
  const secure = isSecure(ctx, deps) ? '; Secure' : '';
  const expires = new Date(session.expiresMs).toUTCString();
  ctx.append('set-cookie', `${SESSION_COOKIE}=${session.cookie}; Path=/; HttpOnly; SameSite=Strict; Expires=${expires}${secure}`);
  ctx.set('cache-control', 'no-store');
}

export function refusalError(refusal: Refusal): HttpError {
  const headers = { 'www-authenticate': REALM };
  switch (refusal.code) {
    case 'unauthenticated':
      return new HttpError(
        401,
        refusal.code,
        'log in, or send the token as "Authorization: Bearer TOKEN"; it is in the file admin-token of the data folder',
        {
          headers,
        },
      );
    case 'token_wrong':
      return new HttpError(
        401,
        refusal.code,
        'this token is not the admin token; it is in the file admin-token of the data folder, or what PICKET_ADMIN_TOKEN says',
        {
          headers,
        },
      );
    case 'login_code_invalid':
      return new HttpError(401, refusal.code, 'this log-in code has been used or is older than ten minutes', { headers });
    case 'login_limited':
      return new HttpError(
        429,
        refusal.code,
        `too many wrong credentials came from this address; try again in ${refusal.retryAfterSeconds} s`,
        {
          headers: { 'retry-after': String(refusal.retryAfterSeconds) },
        },
      );
  }
}

function credentialsOf(ctx: Context, deps: SessionDeps): Credentials {
  return { authorization: ctx.headers.authorization, session: cookieOf(ctx.headers.cookie), address: addressOf(ctx, deps) };
}

function cookieOf(header: string | undefined): string | undefined {
  if (header === undefined || header.length > COOKIE_LENGTH_MAX) return undefined;
  for (const pair of header.split(';')) {
    const at = pair.indexOf('=');
    if (at !== -1 && pair.slice(0, at).trim() === SESSION_COOKIE) return pair.slice(at + 1).trim();
  }
  return undefined;
}

/** A browser says where a request comes from; a page of another origin may not use our cookie to change anything. */
function requireSameOrigin(ctx: Context): void {
  if (ctx.method === 'GET' || ctx.method === 'HEAD' || ctx.method === 'OPTIONS') return;
  const origin = ctx.get('origin');
  const same =
    origin === '' ? ctx.get('sec-fetch-site') === 'same-origin' : URL.canParse(origin) && new URL(origin).host === ctx.get('host');
  if (same) return;
  throw new HttpError(
    403,
    'origin_mismatch',
    `a request with a session cookie must come from this page itself, not from ${origin || 'an unnamed origin'}`,
  );
}

function addressOf(ctx: Context, deps: SessionDeps): string {
  const forwarded = deps.trustProxy ? ctx.get('x-forwarded-for').split(',').at(-1)?.trim() : undefined;
  return forwarded || (ctx.req.socket.remoteAddress ?? '');
}

export function isSecure(ctx: Context, deps: { readonly trustProxy: boolean }): boolean {
  return 'encrypted' in ctx.req.socket || (deps.trustProxy && ctx.get('x-forwarded-proto').split(',').at(-1)?.trim() === 'https');
}
