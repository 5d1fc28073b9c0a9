/** What changes rarely: clock and zone, kernel, distribution, CPU facts, udev, the agent itself. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { parseCpuinfo } from '../../../agent/gather/cpuinfo.ts';
import { FilefdGatherer } from '../../../agent/gather/filefd.ts';
import { OsGatherer, parseOsRelease } from '../../../agent/gather/os.ts';
import { Scanner } from '../../../agent/gather/scanner.ts';
import { OwnFigures, SelfGatherer, type LaneDrops } from '../../../agent/gather/self.ts';
import { parseZoneRule, TimeGatherer } from '../../../agent/gather/time.ts';
import { parseUdev, udevFolder } from '../../../agent/gather/udev.ts';
import { UnameGatherer } from '../../../agent/gather/uname.ts';
import { FIXTURE, FIXTURE_PATHS, gathered, pathsUnder, Recorder } from './recorder.ts';

const clock = { wallMs: () => 1_795_266_340_584.377, monotonicMs: () => 0 };

test('the time is the clock at the moment of gathering, in whole milliseconds', async () => {
  const samples = await gathered(new TimeGatherer(FIXTURE_PATHS, clock, () => ({ name: 'CET', offsetSeconds: 3600 })));
  assert.equal(samples.get('node_time_seconds'), 1_795_266_340.584);
  assert.equal(samples.get('node_time_zone_offset_seconds{time_zone="CET"}'), 3600);
  assert.equal(samples.get('node_time_clocksource_available_info{clocksource="kvm-clock",device="0"}'), 1);
  assert.equal(samples.get('node_time_clocksource_current_info{clocksource="tsc",device="0"}'), 1);
});

test('the zone is looked at again each minute, so that summer time arrives', async () => {
  let offsetSeconds = 3600;
  const gatherer = new TimeGatherer(FIXTURE_PATHS, clock, () => ({ name: offsetSeconds === 3600 ? 'CET' : 'CEST', offsetSeconds }));
  const sink = new Recorder();
  await gathered(gatherer, sink, 1);
  offsetSeconds = 7200;
  assert.ok((await gathered(gatherer, sink, 60)).has('node_time_zone_offset_seconds{time_zone="CET"}'));
  const later = await gathered(gatherer, sink, 61);
  assert.equal(later.get('node_time_zone_offset_seconds{time_zone="CEST"}'), 7200);
  assert.equal(later.has('node_time_zone_offset_seconds{time_zone="CET"}'), false);
});

test('zone rules: names plain and quoted, east and west, with and without summer', () => {
  const check = (rule: string, standard: string, standardOffset: number, summer: string): void =>
    assert.deepEqual(parseZoneRule(rule), { standard, standardOffset, summer });
  check('UTC0', 'UTC', 0, 'UTC');
  check('CET-1CEST,M3.5.0,M10.5.0/3', 'CET', 3600, 'CEST');
  check('EST5EDT,M3.2.0,M11.1.0', 'EST', -18_000, 'EDT');
  check('<-03>3', '-03', -10_800, '-03');
  check('<+0530>-5:30', '+0530', 19_800, '+0530');
  assert.equal(parseZoneRule(''), undefined);
});

test('the zone of this very machine has an offset that is a number and no minus zero', async () => {
  const samples = await gathered(new TimeGatherer(FIXTURE_PATHS, clock));
  const zones = [...samples].filter(([name]) => name.startsWith('node_time_zone_offset_seconds'));
  assert.equal(zones.length, 1);
  assert.ok(Number.isInteger(zones[0]?.[1]) && !Object.is(zones[0]?.[1], -0));
});

test('os-release is read as a shell would: quotes, backslashes, comments', () => {
  const text = '# comment\nNAME="Debian GNU/Linux"\nID=debian\nPRETTY_NAME=\'Odd "one"\'\nVERSION="12 \\"b\\""\nBAD LINE\n=x\nEMPTY=\n';
  assert.deepEqual(Object.fromEntries(parseOsRelease(text)), {
    NAME: 'Debian GNU/Linux',
    ID: 'debian',
    PRETTY_NAME: 'Odd "one"',
    VERSION: '12 "b"',
    EMPTY: '',
  });
});

test('the distribution: etc before usr/lib, version as a number, end of support as a time', async (t) => {
  const root = mkdtempSync(join(tmpdir(), 'picket-os-'));
  t.after(() => rmSync(root, { recursive: true }));
  assert.throws(() => new OsGatherer(pathsUnder(root)).gather({ timeMs: 0, monotonicMs: 0 }, new Recorder()), { code: 'source_missing' });
  mkdirSync(join(root, 'usr/lib'), { recursive: true });
  writeFileSync(join(root, 'usr/lib/os-release'), 'ID=arch\nNAME=Arch\n');
  const gatherer = new OsGatherer(pathsUnder(root));
  const sink = new Recorder();
  const rolling = await gathered(gatherer, sink);
  assert.equal([...rolling.keys()].length, 1, 'no version, so no version metric');
  mkdirSync(join(root, 'etc'));
  writeFileSync(join(root, 'etc/os-release'), 'ID=fedora\nNAME=Fedora\nVERSION_ID=41.2.7\nSUPPORT_END=2025-11-19\n');
  const fedora = await gathered(gatherer, sink);
  assert.equal(fedora.get('node_os_version{id="fedora",id_like="",name="Fedora"}'), 41.2);
  assert.equal(fedora.get('node_os_support_end_timestamp_seconds'), Date.UTC(2025, 10, 19) / 1000);
});

test('the kernel names itself, and the domain comes from the host that is watched', async () => {
  const [name, ...others] = [...(await gathered(new UnameGatherer(pathsUnder(FIXTURE)))).keys()];
  assert.equal(others.length, 0);
  assert.match(name ?? '', /^node_uname_info\{domainname="\(none\)",machine=".+",nodename=".+",release=".+",sysname=".+",version=".+"\}$/);
});

test('CPU facts of ARM, of a kernel without blocks, and of nonsense', () => {
  const arm = 'processor\t: 0\nBogoMIPS\t: 50.00\nFeatures\t: fp asimd aes\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\n\nprocessor\t: 1\n';
  const [first, second] = parseCpuinfo(Scanner.of(arm, '/f'));
  assert.deepEqual([first?.labels.vendor, first?.labels.model, first?.flags, first?.hertz], ['0x41', '0xd0c', ['fp', 'asimd', 'aes'], 0]);
  assert.equal(second?.labels.cpu, '1');
  assert.deepEqual(parseCpuinfo(Scanner.of('vendor_id : IBM/S390\n# processors : 4\n', '/f')), []);
  assert.deepEqual(parseCpuinfo(Scanner.of('', '/f')), []);
  assert.equal(parseCpuinfo(Scanner.of('processor : 0\ncpu MHz : 799.998\n', '/f'))[0]?.hertz, 799_998_000);
});

test('udev: values with equals signs, other lines left out, the folder or its parent', () => {
  assert.deepEqual(Object.fromEntries(parseUdev('S:x=y\nE:A=b=c\nE:EMPTY=\nE:=x\nnonsense\n')), { A: 'b=c', EMPTY: '' });
  assert.equal(udevFolder(`${FIXTURE}/udev`), `${FIXTURE}/udev/data`);
  assert.equal(udevFolder(`${FIXTURE}/udev/data`), `${FIXTURE}/udev/data`);
});

test('open files of the system, with a limit that means none', async (t) => {
  const root = mkdtempSync(join(tmpdir(), 'picket-filefd-'));
  t.after(() => rmSync(root, { recursive: true }));
  mkdirSync(join(root, 'proc/sys/fs'), { recursive: true });
  writeFileSync(join(root, 'proc/sys/fs/file-nr'), '1024\t0\t9223372036854775807\n');
  const samples = await gathered(new FilefdGatherer(pathsUnder(root), new Scanner()));
  assert.deepEqual([...samples.values()], [1024, 9.223372036854775807e18]);
});

test('the agent about itself: every lane, each cause of drops from the moment it occurs', async () => {
  const drops: LaneDrops[] = [];
  let isUp = false;
  const figures = { cpuUsage: () => ({ user: 1_234_567, system: 1000 }), residentBytes: () => 5e7, close: () => {} };
  const source = {
    version: '1.2.3',
    spool: () => [
      { lane: 'now', bytes: 100, frames: 2, oldestMs: 1500.4 },
      { lane: 'logs', bytes: 0, frames: 0, oldestMs: 0 },
    ],
    drops: () => drops,
    linkUp: () => isUp,
  };
  const gatherer = new SelfGatherer(source, figures);
  const sink = new Recorder();
  assert.deepEqual(Object.fromEntries(await gathered(gatherer, sink)), {
    'picket_agent_info{version="1.2.3"}': 1,
    picket_agent_link_up: 0,
    picket_agent_cpu_seconds_total: 1.236,
    picket_agent_resident_memory_bytes: 5e7,
    'picket_agent_spool_bytes{lane="now"}': 100,
    'picket_agent_spool_frames{lane="now"}': 2,
    'picket_agent_spool_oldest_seconds{lane="now"}': 1.5,
    'picket_agent_spool_bytes{lane="logs"}': 0,
    'picket_agent_spool_frames{lane="logs"}': 0,
    'picket_agent_spool_oldest_seconds{lane="logs"}': 0,
  });
  drops.push({ lane: 'logs', cause: 'spool_full', frames: 3, bytes: 300 });
  isUp = true;
  const later = await gathered(gatherer, sink, 2);
  assert.equal(later.get('picket_agent_dropped_frames_total{cause="spool_full",lane="logs"}'), 3);
  assert.equal(later.get('picket_agent_dropped_bytes_total{cause="spool_full",lane="logs"}'), 300);
  assert.equal(later.get('picket_agent_link_up'), 1);
});

test('the memory of this process is what the runtime says too', () => {
  const figures = new OwnFigures(new Scanner(), 4096);
  const bytes = figures.residentBytes();
  figures.close();
  assert.ok(Math.abs(bytes - process.memoryUsage.rss()) < 32 * 1024 * 1024, `${bytes} bytes`);
});
