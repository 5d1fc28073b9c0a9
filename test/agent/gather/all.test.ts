/** Which gatherers a host gets, and what they give on the very machine that runs the tests. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { DEFAULT_PATHS, DEFAULT_SETTINGS, gatherers, type GatherDeps } from '../../../agent/gather/all.ts';
import { gatherOnce } from '../../../agent/exposition.ts';
import { FIXTURE_PATHS, pathsUnder, realTimers, samplesOf } from './recorder.ts';

const clock = { wallMs: () => Date.now(), monotonicMs: () => performance.now() };
const self = { version: 'test', spool: () => [], drops: () => [], linkUp: () => true };
const deps: GatherDeps = { clock, timers: realTimers, self };
const names = (list: readonly { readonly name: string }[]): string[] => list.map(({ name }) => name);

test('a host with /proc gets them all under node_exporter names, each once, at whole seconds', () => {
  const list = gatherers(FIXTURE_PATHS, DEFAULT_SETTINGS, deps);
  const expected = 'cpu diskstats filefd filesystem loadavg meminfo netdev netstat os pressure self sockstat stat time uname vmstat';
  assert.equal(names(list).sort().join(' '), expected);
  for (const { name, intervalMs } of list) {
    const usual = { filesystem: 10_000, os: 60_000, uname: 60_000 }[name] ?? 1000;
    assert.equal(intervalMs, usual, name);
  }
});

test('a platform without /proc gets the portable ones', () => {
  const list = gatherers(DEFAULT_PATHS, DEFAULT_SETTINGS, { ...deps, exists: () => false });
  assert.deepEqual(names(list), ['host', 'filesystem', 'netdev', 'self']);
});

test('a path to a /proc that is not there is an error that names it, not the figures of some other host', () => {
  assert.throws(() => gatherers(pathsUnder('/nowhere'), DEFAULT_SETTINGS, deps), {
    code: 'source_missing',
    message: /cannot gather from \/nowhere\/proc: no such folder/,
  });
});

test('what is switched off is not there, and without an agent there is no self', () => {
  const list = gatherers(FIXTURE_PATHS, { ...DEFAULT_SETTINGS, disabled: ['cpu', 'os', 'nonsense'] }, { clock, timers: realTimers });
  assert.equal(
    names(list).some((name) => ['cpu', 'os', 'self'].includes(name)),
    false,
  );
  assert.equal(list.length, 13);
});

test('on this machine the common gatherers succeed, no value is out of its range', { skip: !existsSync('/proc/stat') }, async () => {
  const list = gatherers(DEFAULT_PATHS, DEFAULT_SETTINGS, deps);
  const text = await gatherOnce(list, clock, realTimers, { warn: () => {}, info: () => {} });
  for (const gatherer of list) gatherer.close();
  const samples = samplesOf(text);
  for (const name of [
    'cpu',
    'stat',
    'loadavg',
    'meminfo',
    'vmstat',
    'netdev',
    'time',
    'uname',
    'filefd',
    'self',
    'diskstats',
    'sockstat',
  ]) {
    assert.equal(samples.get(`node_scrape_collector_success{collector="${name}"}`), 1, name);
  }
  for (const [name, value] of samples)
    assert.ok(Number.isFinite(value) && (value >= 0 || name.includes('zone_offset')), `${name} ${value}`);
  assert.ok((samples.get('node_memory_MemTotal_bytes') ?? 0) > 1e8);
  assert.ok(Math.abs((samples.get('node_time_seconds') ?? 0) - Date.now() / 1000) < 60);
  assert.ok((samples.get('node_boot_time_seconds') ?? 0) > 1e9);
  assert.ok([...samples.keys()].some((name) => name.startsWith('node_cpu_seconds_total{cpu="0",mode="idle"}')));
});
