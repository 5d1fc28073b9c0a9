/** Where values come from, and what the reader says when they cannot be used. The settings themselves are tested beside agent and collector. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { ConfigError } from '../../packaging/config-error.ts';
import { durationMs, nearest, openSettings, sizeBytes, type Settings } from '../../packaging/settings.ts';
import { printSettings } from '../../packaging/settings-file.ts';

const folder = mkdtempSync(join(tmpdir(), 'picket-settings-'));
after(() => rmSync(folder, { recursive: true, force: true }));
let files = 0;

function file(text: string): string {
  const path = join(folder, `${files++}.yaml`);
  writeFileSync(path, text);
  return path;
}

function reader(environment: Record<string, string>, flags: Record<string, string> = {}): Promise<Settings> {
  return openSettings({ section: 'collector', environment, flags });
}

async function code(run: () => unknown): Promise<string> {
  try {
    await run();
  } catch (error) {
    if (error instanceof ConfigError) return `${error.code} ${error.sentence}`;
    throw error;
  }
  return 'no error';
}

test('the command line wins over the environment, that over the file, that over the default', async () => {
  const setting = { key: 'listen', variable: 'PICKET_LISTEN' };
  const config = file('collector: { listen: "file:1" }\n');
  assert.equal((await reader({})).text(setting, 'default:1'), 'default:1');
  assert.equal((await reader({ PICKET_CONFIG: config })).text(setting, 'default:1'), 'file:1');
  assert.equal((await reader({ PICKET_CONFIG: config, PICKET_LISTEN: 'env:1' })).text(setting, 'default:1'), 'env:1');
  assert.equal(
    (await reader({ PICKET_CONFIG: config, PICKET_LISTEN: 'env:1' }, { listen: 'flag:1' })).text(setting, 'default:1'),
    'flag:1',
  );
});

test('an empty variable counts as not set', async () => {
  assert.equal((await reader({ PICKET_LISTEN: '' })).text({ key: 'listen', variable: 'PICKET_LISTEN' }, 'default:1'), 'default:1');
});

test('an alias takes the unit of its own system, and the name of ours wins over it', async () => {
  const setting = { key: 'interval', variable: 'PICKET_INTERVAL', aliases: [{ variable: 'MONITOR_INTERVAL', unit: 's' }] };
  const bounds = { min: '1s', max: '1h' };
  assert.equal((await reader({ MONITOR_INTERVAL: '60' })).durationMs(setting, '1s', bounds), 60_000);
  assert.equal((await reader({ MONITOR_INTERVAL: '2m' })).durationMs(setting, '1s', bounds), 120_000);
  assert.equal((await reader({ MONITOR_INTERVAL: '60', PICKET_INTERVAL: '5s' })).durationMs(setting, '1s', bounds), 5000);
});

test('a secret is read from the file that its _FILE variable or key names', async () => {
  const setting = { key: 'admin_token', variable: 'PICKET_ADMIN_TOKEN', secret: true };
  const secret = file('s3cret\n');
  assert.equal((await reader({ PICKET_ADMIN_TOKEN_FILE: secret })).text(setting, undefined), 's3cret');
  assert.equal((await reader({ PICKET_CONFIG: file(`collector: { admin_token_file: ${secret} }`) })).text(setting, undefined), 's3cret');
  assert.match(
    await code(async () => (await reader({ PICKET_ADMIN_TOKEN: 'a', PICKET_ADMIN_TOKEN_FILE: secret })).text(setting, undefined)),
    /^config_conflict .*keep one/,
  );
  assert.match(
    await code(async () => (await reader({ PICKET_ADMIN_TOKEN_FILE: join(folder, 'none') })).text(setting, undefined)),
    /^config_unreadable .*there is no such file/,
  );
  assert.match(
    await code(async () => (await reader({ PICKET_ADMIN_TOKEN_FILE: file(' \n') })).text(setting, undefined)),
    /^config_invalid .*is empty/,
  );
});

test('errors in the file name its line and column', async () => {
  const key = { key: 'listen', variable: 'PICKET_LISTEN' };
  const bad = file('log_level: info\ncollector:\n  listen: nowhere\n');
  assert.equal(
    await code(async () => (await reader({ PICKET_CONFIG: bad })).text(key, undefined, () => 'is not host:port')),
    `config_invalid ${bad}:3:11: listen: "nowhere" is not host:port`,
  );
  const unknown = file('collector:\n  lisen: 127.0.0.1:1\n');
  const read = await reader({ PICKET_CONFIG: unknown });
  read.text(key, undefined);
  assert.equal(
    await code(async () => read.finish()),
    `config_unknown_key ${unknown}:2:10: there is no setting collector.lisen; did you mean listen?`,
  );
  const section = file('colector: {}\n');
  assert.match(await code(async () => reader({ PICKET_CONFIG: section })), /^config_unknown_key .*:1:1: there is no section colector/);
  assert.match(await code(async () => reader({ PICKET_CONFIG: file('collector:\n  a: 1\n  a: 2\n') })), /^config_syntax .*:3:3: .*unique/i);
  assert.match(await code(async () => reader({ PICKET_CONFIG: file('- a\n') })), /^config_syntax .*:1:1: expected keys/);
  assert.match(await code(async () => reader({ PICKET_CONFIG: file('collector: { listen: [a] }') })), /^config_invalid .*is a list/);
  assert.match(await code(async () => reader({ PICKET_CONFIG: join(folder, 'none') })), /^config_unreadable .*there is no such file/);
});

test('a file that grows through its aliases, or nests without end, is refused', async () => {
  const loop = file('collector: &a\n  b: *a\n');
  assert.match(await code(async () => reader({ PICKET_CONFIG: loop })), /^config_syntax .*nested too deep/);
});

test('the other program of the same file is left to that program', async () => {
  const read = await reader({ PICKET_CONFIG: file('agent: { whatever: 1 }\n') });
  read.finish();
});

test('what is printed masks secrets, tells where values come from and names what is not used yet', async () => {
  const read = await reader({ PICKET_ADMIN_TOKEN: 'hidden', PICKET_LISTEN: 'h:1', SLACK_WEBHOOK: 'https://hidden' });
  read.text({ key: 'listen', variable: 'PICKET_LISTEN' }, 'default:1');
  read.text({ key: 'data_dir' }, './data');
  read.text({ key: 'admin_token', variable: 'PICKET_ADMIN_TOKEN', secret: true }, undefined);
  read.notUsedYet([
    { variable: 'SLACK_WEBHOOK', about: 'later' },
    { variable: 'ALERT_EMAIL', about: 'later' },
  ]);
  assert.equal(
    printSettings('collector', read),
    [
      'collector:',
      '  listen: h:1 # from PICKET_LISTEN',
      '  data_dir: ./data',
      '  admin_token: "********" # from PICKET_ADMIN_TOKEN',
      '# SLACK_WEBHOOK is accepted, but not used yet: later',
      '',
    ].join('\n'),
  );
});

test('durations and sizes are numbers with a unit', async () => {
  const check = (text: string, expected: number | undefined): void => assert.equal(durationMs(text), expected, text);
  check('500ms', 500);
  check('5s', 5000);
  check('1h30m', 5_400_000);
  check('90d', 7_776_000_000);
  check('0', 0);
  check('5', undefined);
  check('', undefined);
  check('5 s', undefined);
  check('s', undefined);
  assert.equal(sizeBytes('50GB'), 5e10);
  assert.equal(sizeBytes('1.5MiB'), 1_572_864);
  assert.equal(sizeBytes('50'), undefined);
});

test('a value outside its bounds is told what to write', async () => {
  const read = (text: string): Promise<string> =>
    code(async () => (await reader({ X: text })).durationMs({ key: 'x', variable: 'X' }, '5s', { min: '1s', max: '5m', multipleOf: '1s' }));
  assert.match(await read('5'), /^config_invalid X: "5" is not a duration; .*for example 5s/);
  assert.match(await read('6m'), /is outside 1s to 5m/);
  assert.match(await read('1500ms'), /no multiple of 1s/);
  assert.match(await code(async () => (await reader({ X: 'maybe' })).flag({ key: 'x', variable: 'X' }, true)), /write true or false/);
  assert.match(
    await code(async () => (await reader({ X: '-1' })).integer({ key: 'x', variable: 'X' }, 3, { min: 0, max: 9 })),
    /whole number from 0 to 9/,
  );
});

test('the word that was probably meant is found, a far one is not', async () => {
  assert.equal(nearest('lisen', ['listen', 'data_dir']), 'listen');
  assert.equal(nearest('xyz', ['listen', 'data_dir']), undefined);
});
