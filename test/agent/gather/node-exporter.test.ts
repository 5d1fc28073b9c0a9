/** Held against node_exporter's own fixture tree and the output that its authors expect for it. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { DEFAULT_SETTINGS, gatherers } from '../../../agent/gather/all.ts';
import { gatherOnce } from '../../../agent/exposition.ts';
import { suites } from '../../support/outside.ts';
import { realTimers, samplesOf } from './recorder.ts';

/** Gatherers of which every expected sample must be there with the same value. The others have a test of their own or values of a live machine. */
const COLLECTORS = ['cpu', 'diskstats', 'filefd', 'loadavg', 'meminfo', 'netstat', 'os', 'pressure', 'sockstat', 'stat', 'time', 'vmstat'];

const root = suites();
const isMissing = root === undefined;
if (isMissing) process.stdout.write('SKIPPED: node_exporter fixtures are not beside this checkout (PICKET_SUITES)\n');

test('the recorded suites may be absent from a clone of a user, not from CI', () => {
  assert.ok(!isMissing || process.env.CI !== 'true', 'set PICKET_SUITES');
});

test(
  'every sample that node_exporter gives for its fixtures is given, with the same labels and the same value, and no other',
  { skip: isMissing },
  async (t) => {
    const data = join(root ?? '', 'node_exporter');
    const folder = mkdtempSync(join(tmpdir(), 'picket-fixtures-'));
    t.after(() => rmSync(folder, { recursive: true }));
    execFileSync('tar', ['-xzf', join(data, 'fixtures_extracted.tar.gz'), '-C', folder]);
    const tree = join(folder, 'collector', 'fixtures');
    const paths = { procfs: join(tree, 'proc'), sysfs: join(tree, 'sys'), rootfs: tree, udev: join(tree, 'udev', 'data') };
    const clock = { wallMs: () => Date.now(), monotonicMs: () => performance.now() };
    const list = gatherers(paths, DEFAULT_SETTINGS, { clock, timers: realTimers });
    const text = await gatherOnce(list, clock, realTimers, { warn: () => {}, info: () => {} });
    for (const gatherer of list) gatherer.close();
    const ours = samplesOf(text);
    const newest = samplesOf(readFileSync(join(data, 'e2e-output.txt'), 'utf8'));
    let equal = 0;
    for (const collector of COLLECTORS) {
      await t.test(collector, () => {
        const expected = samplesOf(readFileSync(join(data, 'per_collector_derived', `${collector}.prom`), 'utf8'));
        const families = new Set([...expected.keys()].map(familyOf));
        const wanted = new Map(
          [...expected].filter(([series]) => !isLive(series)).map(([series, value]) => [series, newest.get(series) ?? value]),
        );
        const given = new Map([...ours].filter(([series]) => families.has(familyOf(series)) && !isLive(series)));
        assert.deepEqual(sorted(given), sorted(wanted));
        assert.equal(ours.get(`node_scrape_collector_success{collector="${collector}"}`), 1);
        equal += wanted.size;
      });
    }
    assert.equal(equal, 473);
    assert.deepEqual(
      headersOf(text),
      Object.fromEntries(Object.entries(headersOf(text)).map(([line, name]) => [expectedHeader(data, line, name), name])),
    );
  },
);

/** Time of day and zone of the machine where the file was made. */
function isLive(series: string): boolean {
  return /^node_time_(seconds|zone)/.test(series);
}

function familyOf(series: string): string {
  return series.replace(/\{.*/s, '');
}

function sorted(samples: Map<string, number>): [string, number][] {
  return [...samples].sort(([a], [b]) => (a < b ? -1 : 1));
}

/** HELP and TYPE lines, by text. */
function headersOf(text: string): Record<string, string> {
  const lines = text.split('\n').filter((line) => line.startsWith('# '));
  return Object.fromEntries(lines.map((line) => [line, line.split(' ')[2] ?? '']));
}

/** The same line in the expected output; ours where node_exporter has no such family there. */
function expectedHeader(data: string, line: string, name: string): string {
  const kind = line.split(' ')[1] ?? '';
  const found = readFileSync(join(data, 'e2e-output.txt'), 'utf8')
    .split('\n')
    .find((other) => other.startsWith(`# ${kind} ${name} `));
  return found ?? line;
}
