/** The page's files: types, caching, packed forms, and no way out of the folder. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import type { RunningServer } from '../../../collector/http/server.ts';
import { fakes, serve } from './fake-deps.ts';

let root: string;
let server: RunningServer;
const script = 'console.log(1);\n';

before(async () => {
  root = mkdtempSync(join(tmpdir(), 'picket-page-'));
  const page = join(root, 'dist');
  mkdirSync(join(page, 'assets'), { recursive: true });
  writeFileSync(join(page, 'index.html'), '<!doctype html>page');
  writeFileSync(join(page, 'picket.svg'), '<svg/>');
  writeFileSync(join(page, 'sources.sha256'), 'not for the world');
  writeFileSync(join(page, 'assets/index-Bpl_3zhr.js'), script);
  writeFileSync(join(page, 'assets/index-Bpl_3zhr.js.br'), brotliCompressSync(script));
  writeFileSync(join(page, 'assets/index-Bpl_3zhr.js.gz'), gzipSync(script));
  writeFileSync(join(root, 'admin-token'), 'secret');
  symlinkSync(join(root, 'admin-token'), join(page, 'link.txt'));
  server = await serve(fakes({ pageDir: page }));
});
after(async () => {
  await server.close();
  rmSync(root, { recursive: true });
});

type Answer = { status: number; headers: NodeJS.Dict<string | string[]>; body: string };

/** fetch would tidy the path before it is sent. */
function raw(path: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Answer> {
  return new Promise((resolve, reject) => {
    request({ host: server.host, port: server.port, path, method, headers }, (response) => {
      let body = '';
      response.on('data', (chunk: Buffer) => (body += chunk.toString('latin1')));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }));
    })
      .on('error', reject)
      .end();
  });
}

test('the page and its files have their types, and nothing may frame or add to them', async () => {
  const page = await raw('/');
  assert.deepEqual([page.status, page.headers['content-type'], page.body], [200, 'text/html; charset=utf-8', '<!doctype html>page']);
  assert.equal(page.headers['cache-control'], 'no-cache');
  assert.match(String(page.headers['content-security-policy']), /default-src 'none'.*script-src 'self'.*frame-ancestors 'none'/);
  assert.equal(page.headers['x-content-type-options'], 'nosniff');
  assert.equal(page.headers['referrer-policy'], 'no-referrer');
  assert.equal((await raw('/picket.svg')).headers['content-type'], 'image/svg+xml');
  assert.equal((await raw('/index.html')).body, '<!doctype html>page');
});

test('files whose names hold a hash are kept for ever, others are asked about again', async () => {
  const asset = await raw('/assets/index-Bpl_3zhr.js');
  assert.equal(asset.headers['cache-control'], 'public, max-age=31536000, immutable');
  const again = await raw('/', { 'if-none-match': String((await raw('/')).headers['etag']) });
  assert.deepEqual([again.status, again.body], [304, '']);
  assert.equal((await raw('/', { 'if-none-match': '"other"' })).status, 200);
});

test('packed forms go to who accepts them', async () => {
  const packed = async (accept: string): Promise<unknown> =>
    (await raw('/assets/index-Bpl_3zhr.js', { 'accept-encoding': accept })).headers['content-encoding'];
  assert.equal(await packed('gzip, deflate, br'), 'br');
  assert.equal(await packed('gzip'), 'gzip');
  assert.equal(await packed('identity'), undefined);
  assert.equal((await raw('/assets/index-Bpl_3zhr.js')).body, script);
  assert.equal((await raw('/assets/index-Bpl_3zhr.js')).headers['vary'], 'Accept-Encoding');
});

test('HEAD has the headers and no body', async () => {
  const head = await raw('/', {}, 'HEAD');
  assert.deepEqual([head.status, head.body, head.headers['content-length']], [200, '', '19']);
});

test('no path leads out of the folder, nor to what is not part of the page', async () => {
  const paths = [
    '/../admin-token',
    '/assets/../../admin-token',
    '/%2e%2e/admin-token',
    '/..%2fadmin-token',
    '/assets/..%5c..%5cadmin-token',
    '//etc/passwd',
    '/%00',
    '/index.html%00.js',
    '/link.txt',
    '/sources.sha256',
    '/assets/index-Bpl_3zhr.js.gz',
    '/assets',
    '/assets/',
    '/__proto__',
    '/constructor',
    `/${'a/'.repeat(3000)}`,
  ];
  for (const path of paths) {
    const answer = await raw(path);
    assert.equal(answer.status, 401, path);
    assert.ok(!answer.body.includes('secret') && !answer.body.includes('not for the world'), path);
  }
});

test('a page built anew is served without a restart', async () => {
  await raw('/');
  const page = join(root, 'dist');
  writeFileSync(join(page, 'index.html'), '<!doctype html>new page');
  utimesSync(join(page, 'index.html'), 5, 5);
  const deadline = performance.now() + 5000;
  let body = '';
  while (body !== '<!doctype html>new page' && performance.now() < deadline) body = (await raw('/')).body;
  assert.equal(body, '<!doctype html>new page');
});

test('a page that was never built says so', async () => {
  const bare = await serve(fakes({ pageDir: join(root, 'none') }));
  try {
    const response = await fetch(bare.url);
    assert.equal(response.status, 503);
    assert.equal(((await response.json()) as { code: string }).code, 'page_missing');
  } finally {
    await bare.close();
  }
});
