/** The manual names every setting with its variable and default, and no other; the programs are asked, so that the two cannot drift. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { agentConfig } from '../../agent/config.ts';
import { collectorConfig } from '../../collector/config.ts';
import { COMMANDS } from '../../packaging/picket.ts';
import { openSettings, type Settings } from '../../packaging/settings.ts';

const ROOT = join(import.meta.dirname, '../..');
const MANUAL = readFileSync(join(ROOT, 'packaging/README.md'), 'utf8');

/** Rows of the table under a heading: key, variable, default. */
function rows(heading: string): [string, string, string][] {
  const section = MANUAL.split(`\n## ${heading}\n`)[1]?.split('\n## ')[0] ?? '';
  return section.split('\n').flatMap((line) => {
    const cells = line.split('|').map((cell) => cell.trim().replaceAll('`', ''));
    return line.startsWith('| `') ? [[cells[1] ?? '', cells[2] ?? '', cells[3] ?? ''] as [string, string, string]] : [];
  });
}

async function settingsOf(section: 'agent' | 'collector', text: string): Promise<Settings> {
  const folder = mkdtempSync(join(tmpdir(), 'picket-manual-'));
  try {
    const path = join(folder, 'picket.yaml');
    writeFileSync(path, text);
    const read = await openSettings({ section, environment: { PICKET_CONFIG: path } });
    if (section === 'agent') agentConfig(read, { defaultDirectory: 'x' });
    else collectorConfig(read);
    return read;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function check(section: 'agent' | 'collector', heading: string, read: Settings): void {
  const documented = rows(heading);
  const known = [...read.decisions.map((decision) => decision.key), ...read.unset].map((key) =>
    key.replace(/^gatherers\.\w+\./, 'gatherers.NAME.'),
  );
  assert.deepEqual(documented.map(([key]) => key).toSorted(), [...new Set(known)].toSorted(), `keys of the ${section}`);
  for (const { key, variable, text, origin } of read.decisions) {
    const row = documented.find(([name]) => name === key);
    if (row === undefined) continue;
    assert.equal(row[1], variable ?? '', key);
    if (origin === 'default' && !['name', 'dir'].includes(key))
      assert.equal(row[2].replace(/,.*$/, ''), text.replace(/^data\/.*$/, ''), key);
  }
}

test('the manual has every setting of the collector', async () => {
  check('collector', 'Collector', await settingsOf('collector', ''));
});

test('the manual has every setting of the agent', async () => {
  check('agent', 'Agent', await settingsOf('agent', 'agent: { gatherers: { cpu: { enabled: true } } }'));
});

test('a slip in the name of a variable is told, and no variable of one program is a slip to the other', async () => {
  const variables = [...rows('Collector'), ...rows('Agent')].flatMap(([, variable]) =>
    variable === '' ? [] : [variable, `${variable}_FILE`],
  );
  for (const name of [...variables, 'PICKET_CONFIG', 'PICKET_SUITES', 'PICKET_PEERS']) {
    // Empty counts as not set, so only the names matter.
    agentConfig(await openSettings({ section: 'agent', environment: { [name]: '' } }), { defaultDirectory: 'x' });
    collectorConfig(await openSettings({ section: 'collector', environment: { [name]: '' } }));
  }
  const slip = await openSettings({ section: 'collector', environment: { PICKET_LISTN: '127.0.0.1:1' } });
  assert.throws(() => collectorConfig(slip), {
    code: 'config_unknown_key',
    message: 'PICKET_LISTN is not a variable of Picket; did you mean PICKET_LISTEN?',
  });
});

test("the manual's example file is accepted by both programs", async () => {
  const example = /```yaml\n(?<text>[^`]*)```/.exec(MANUAL)?.groups?.['text'] ?? '';
  assert.equal((await settingsOf('agent', example)).decisions.find(({ key }) => key === 'gather_interval')?.text, '5s');
  // The secret's file of the example is not on this machine.
  assert.ok(
    (await settingsOf('collector', example.replace(/^.*admin_token_file.*\n/m, ''))).decisions.some(
      ({ text }) => text === '/var/lib/picket',
    ),
  );
});

test('the manual names each variable that is accepted and not used yet', async () => {
  const environment = Object.fromEntries(
    [...MANUAL.matchAll(/`((?:ALERT|SLACK|MONITOR|PERFORMANCE|LOG_RETENTION|PROMETHEUS)[A-Z_]*)`/g)].map(([, name]) => [name, '60']),
  );
  const agent = await openSettings({ section: 'agent', environment });
  const collector = await openSettings({ section: 'collector', environment });
  agentConfig(agent, { defaultDirectory: 'x' });
  collectorConfig(collector);
  const used = ['MONITOR_INTERVAL', 'MONITORING_METRICS_COLLECTION_INTERVAL'];
  const unused = [...agent.unused, ...collector.unused].map(({ variable }) => variable);
  assert.deepEqual(Object.keys(environment).toSorted(), [...new Set([...used, ...unused])].toSorted());
});

test('the README names every command', async () => {
  const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');
  for (const name of Object.keys(COMMANDS)) if (name !== 'version') assert.match(readme, new RegExp(`picket ${name}`), name);
});
