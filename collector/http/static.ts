/** The page's files, as the build left them. Only what was listed is served, so that no path of a request ever reaches the file system. */
import { createHash } from 'node:crypto';
import { readdir, readFile, stat } from 'node:fs/promises';
import { extname, join } from 'node:path';
import type { Context, Middleware, Next } from 'koa';
import { HttpError } from './errors.ts';

/** A page of some hundred kilobytes is expected; a folder larger than this is not the page. */
const FILES_MAX = 1000;
const FILE_BYTES_MAX = 16 * 1024 * 1024;
/** The build is looked at again at most this often. */
const LOOK_MS = 250;

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
  '.json': 'application/json',
  '.webmanifest': 'application/manifest+json',
  '.woff2': 'font/woff2',
  '.txt': 'text/plain; charset=utf-8',
};

type Encoding = 'br' | 'gzip';
const ENCODINGS: Readonly<Record<string, Encoding>> = { '.br': 'br', '.gz': 'gzip' };

type Asset = {
  readonly type: string;
  readonly etag: string;
  /** Its name holds a hash of its content: it never changes. */
  readonly immutable: boolean;
  readonly plain: Buffer;
  readonly packed: ReadonlyMap<Encoding, Buffer>;
};

/** Answers GET and HEAD of files in `folder`; `/` is index.html. Other paths go on. */
export function staticFiles(folder: string): Middleware {
  const files = new PageFiles(folder);
  return async (ctx: Context, next: Next) => {
    if (ctx.method !== 'GET' && ctx.method !== 'HEAD') return next();
    const path = ctx.path === '/' ? '/index.html' : ctx.path;
    const asset = await files.find(path);
    if (asset !== undefined) return sendAsset(ctx, asset);
    if (path === '/index.html') {
      throw new HttpError(503, 'page_missing', 'the page has not been built; npm start builds it');
    }
    return next();
  };
}

function sendAsset(ctx: Context, asset: Asset): void {
  ctx.set('etag', asset.etag);
  ctx.set('cache-control', asset.immutable ? 'public, max-age=31536000, immutable' : 'no-cache');
  ctx.type = asset.type;
  ctx.status = 200;
  if (asset.packed.size > 0) ctx.vary('Accept-Encoding');
  if (ctx.fresh) {
    ctx.status = 304;
    return;
  }
  for (const [encoding, bytes] of asset.packed) {
    if (ctx.acceptsEncodings(encoding, 'identity') !== encoding) continue;
    ctx.set('content-encoding', encoding);
    ctx.body = bytes;
    return;
  }
  ctx.body = asset.plain;
}

/** The folder's files in memory, read anew when index.html has changed. */
class PageFiles {
  readonly #folder: string;
  #assets: ReadonlyMap<string, Asset> = new Map();
  #version = '';
  #lookedMs = -Infinity;
  #looking: Promise<void> | undefined;

  constructor(folder: string) {
    this.#folder = folder;
  }

  async find(path: string): Promise<Asset | undefined> {
    if (performance.now() - this.#lookedMs > LOOK_MS) await (this.#looking ??= this.#look().finally(() => (this.#looking = undefined)));
    return this.#assets.get(path);
  }

  async #look(): Promise<void> {
    const index = await stat(join(this.#folder, 'index.html')).catch(() => undefined);
    const version = index === undefined ? '' : `${index.mtimeMs} ${index.ino} ${index.size}`;
    if (version !== this.#version) {
      this.#assets = version === '' ? new Map() : await readAssets(this.#folder);
      this.#version = version;
    }
    this.#lookedMs = performance.now();
  }
}

async function readAssets(folder: string): Promise<ReadonlyMap<string, Asset>> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const paths = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const present = new Set(paths);
  const assets = new Map<string, Asset>();
  for (const path of paths.slice(0, FILES_MAX)) {
    const type = TYPES[extname(path)];
    if (type === undefined || (await stat(path)).size > FILE_BYTES_MAX) continue;
    const packed = new Map<Encoding, Buffer>();
    for (const [suffix, encoding] of Object.entries(ENCODINGS))
      if (present.has(path + suffix)) packed.set(encoding, await readFile(path + suffix));
    const plain = await readFile(path);
    const etag = `"${createHash('sha256').update(plain).digest('base64url').slice(0, 22)}"`;
    assets.set(path.slice(folder.length).replaceAll('\\', '/'), { type, etag, immutable: hashed(path), plain, packed });
  }
  return assets;
}

/** Vite's names of files under assets/: a name, a dash, eight characters of hash. */
function hashed(path: string): boolean {
  return /\/assets\/[^/]+-[\w-]{8}\.\w+$/.test(path);
}
