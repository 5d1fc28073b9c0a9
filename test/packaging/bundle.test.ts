/** The bundles run on their own: every program answers, and what is loaded late is found. */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { bundle } from '../../packaging/bundle.ts';

const folder = mkdtempSync(join(tmpdir(), 'picket-bundle-'));
const run = promisify(execFile);

before(async () => {
  const sizes = await bundle(folder);
  for (const file of ['agent.mjs', 'collector.mjs', 'inventory-child.mjs', 'classic-level.node'])
    assert.ok((sizes.get(file) ?? 0) > 1000, file);
});
after(() => rmSync(folder, { recursive: true, force: true }));

async function output(file: string, args: readonly string[], environment: Record<string, string> = {}): Promise<string> {
  const { stdout } = await run(process.execPath, ['--disallow-code-generation-from-strings', join(folder, file), ...args], {
    env: { ...process.env, ...environment },
  });
  return stdout;
}

test('the agent of the bundle gathers this host', async () => {
  assert.match(await output('agent.mjs', ['--once', '--format', 'prometheus']), /^node_load1 \d/m);
});

test('a configuration file is read by what is loaded for it alone', async () => {
  const path = join(folder, 'picket.yaml');
  writeFileSync(path, 'agent: { name: from-file }\n');
  assert.match(await output('agent.mjs', ['--print-config'], { PICKET_CONFIG: path }), /name: from-file # from .*picket\.yaml:1:16/);
});

test('the inventory of the bundle prints lines of JSON', async () => {
  const lines = (await output('inventory-child.mjs', [])).trim().split('\n');
  assert.ok(lines.length > 3);
  for (const line of lines) assert.equal(typeof JSON.parse(line), 'object');
});

test('the collector of the bundle opens its database, listens and ends', async () => {
  const environment = { ...process.env, PICKET_DATA_DIR: join(folder, 'data'), PICKET_LISTEN: '127.0.0.1:0' };
  const child = spawn(process.execPath, [join(folder, 'collector.mjs')], { env: environment, stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
  const { url } = JSON.parse(line) as { url: string };
  assert.equal((await fetch(`${url}/-/healthy`)).status, 200);
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  assert.deepEqual(await ended, [0, null]);
});
