/** What the gatherers of /proc do from tick to tick: hot-plug, counters that step back, sources that come and go. Values are held in node-exporter.test.ts. */
import assert from 'node:assert/strict';
import { appendFileSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { DEFAULT_SETTINGS } from '../../../agent/gather/all.ts';
import { CpuGatherer, parseCpuList } from '../../../agent/gather/cpu.ts';
import { DiskGatherer } from '../../../agent/gather/diskstats.ts';
import type { Gatherer, HostPaths } from '../../../agent/gather/gatherer.ts';
import { LoadGatherer } from '../../../agent/gather/loadavg.ts';
import { MemoryGatherer } from '../../../agent/gather/meminfo.ts';
import { NetdevGatherer } from '../../../agent/gather/netdev.ts';
import { NetstatGatherer } from '../../../agent/gather/netstat.ts';
import { PressureGatherer } from '../../../agent/gather/pressure.ts';
import { ProcStat } from '../../../agent/gather/proc-stat.ts';
import { Scanner } from '../../../agent/gather/scanner.ts';
import { pageBytesOf, SockstatGatherer } from '../../../agent/gather/sockstat.ts';
import { StatGatherer } from '../../../agent/gather/stat.ts';
import { VmstatGatherer } from '../../../agent/gather/vmstat.ts';
import { FIXTURE, gathered, pathsUnder, Recorder, tickAt } from './recorder.ts';

type Host = {
  readonly paths: HostPaths;
  readonly scanner: Scanner;
  write(file: string, text: string): void;
  edit(file: string, change: (text: string) => string): void;
  remove(file: string): void;
};

/** A copy of the fixture that a test may change. */
function hostOf(t: TestContext): Host {
  const root = mkdtempSync(join(tmpdir(), 'picket-host-'));
  t.after(() => rmSync(root, { recursive: true }));
  cpSync(FIXTURE, root, { recursive: true });
  const write = (file: string, text: string): void => {
    mkdirSync(dirname(join(root, file)), { recursive: true });
    writeFileSync(join(root, file), text);
  };
  return {
    paths: pathsUnder(root),
    scanner: new Scanner(),
    write,
    edit: (file, change) => write(file, change(readFileSync(join(root, file), 'utf8'))),
    remove: (file) => rmSync(join(root, file)),
  };
}

function cpuOf(host: Host): CpuGatherer {
  return new CpuGatherer(host.paths, DEFAULT_SETTINGS.cpu, host.scanner, new ProcStat(host.paths, host.scanner));
}

const cpuLine = (cpu: number, ticks: readonly number[]): string => `cpu${cpu} ${ticks.join(' ')}\n`;
const stat = (...cpus: readonly (readonly number[])[]): string =>
  `cpu  1 2 3 4 5 6 7 8 9 10\n${cpus.map((ticks, i) => cpuLine(i, ticks)).join('')}ctxt 5\nbtime 6\n`;
const series = (samples: Map<string, number>, family: string): string[] => [...samples.keys()].filter((name) => name.startsWith(family));

test('a second tick asks the sink for no series and sets the same ones anew', async (t) => {
  const host = hostOf(t);
  const procStat = new ProcStat(host.paths, host.scanner);
  const list: Gatherer[] = [
    new CpuGatherer(host.paths, DEFAULT_SETTINGS.cpu, host.scanner, procStat),
    new StatGatherer(procStat),
    new LoadGatherer(host.paths, host.scanner),
    new MemoryGatherer(host.paths, host.scanner),
    new VmstatGatherer(host.paths, DEFAULT_SETTINGS.vmstat.fields, host.scanner),
    new PressureGatherer(host.paths, host.scanner),
    new DiskGatherer(host.paths, DEFAULT_SETTINGS.diskstats.deviceExclude, host.scanner),
    new NetdevGatherer(host.paths, undefined, host.scanner),
    new NetstatGatherer(host.paths, DEFAULT_SETTINGS.netstat.fields, host.scanner),
    new SockstatGatherer(host.paths, 4096, host.scanner),
  ];
  for (const gatherer of list) {
    const sink = new Recorder();
    const first = await gathered(gatherer, sink, 1);
    const calls = sink.seriesCalls;
    assert.ok(first.size > 0, gatherer.name);
    assert.deepEqual(await gathered(gatherer, sink, 2), first, gatherer.name);
    assert.equal(sink.seriesCalls, calls, gatherer.name);
    const other = new Recorder();
    assert.deepEqual(await gathered(gatherer, other, 3), first, `${gatherer.name} into another sink`);
    gatherer.close();
  }
});

test('CPU time is seconds by mode, guests apart', async (t) => {
  const host = hostOf(t);
  host.write('proc/stat', stat([100, 200, 300, 400, 500, 600, 700, 800, 900, 1000]));
  const samples = await gathered(cpuOf(host));
  const values = ['user', 'nice', 'system', 'idle', 'iowait', 'irq', 'softirq', 'steal'].map((mode) =>
    samples.get(`node_cpu_seconds_total{cpu="0",mode="${mode}"}`),
  );
  assert.deepEqual(values, [1, 2, 3, 4, 5, 6, 7, 8]);
  assert.equal(samples.get('node_cpu_guest_seconds_total{cpu="0",mode="user"}'), 9);
  assert.equal(samples.get('node_cpu_guest_seconds_total{cpu="0",mode="nice"}'), 10);
  assert.equal(series(samples, 'node_cpu_seconds_total').length, 8);
});

test('a CPU counter that steps back a little stays where it was; after a jump of idle by 3 s all follow', async (t) => {
  const host = hostOf(t);
  const gatherer = cpuOf(host);
  const sink = new Recorder();
  const check = async (ticks: readonly number[], user: number, idle: number, iowait: number): Promise<void> => {
    host.write('proc/stat', stat(ticks));
    const samples = await gathered(gatherer, sink);
    const of = (mode: string): number | undefined => samples.get(`node_cpu_seconds_total{cpu="0",mode="${mode}"}`);
    assert.deepEqual([of('user'), of('idle'), of('iowait')], [user, idle, iowait]);
  };
  await check([100, 0, 0, 1000, 50, 0, 0, 0, 0, 0], 1, 10, 0.5);
  await check([110, 0, 0, 990, 40, 0, 0, 0, 0, 0], 1.1, 10, 0.5);
  await check([120, 0, 0, 1010, 60, 0, 0, 0, 0, 0], 1.2, 10.1, 0.6);
  await check([5, 0, 0, 710, 7, 0, 0, 0, 0, 0], 0.05, 7.1, 0.07);
  gatherer.close();
});

test('a CPU that is taken away ends its series, and the others keep theirs', async (t) => {
  const host = hostOf(t);
  const gatherer = cpuOf(host);
  const sink = new Recorder();
  const ticks = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
  host.write('proc/stat', stat(ticks, ticks, ticks));
  assert.equal(series(await gathered(gatherer, sink), 'node_cpu_seconds_total').length, 24);
  host.write('proc/stat', stat(ticks, ticks).replace('cpu1', 'cpu2'));
  const samples = await gathered(gatherer, sink);
  assert.deepEqual(
    series(samples, 'node_cpu_seconds_total').filter((name) => name.includes('user')),
    ['node_cpu_seconds_total{cpu="0",mode="user"}', 'node_cpu_seconds_total{cpu="2",mode="user"}'],
  );
  gatherer.close();
});

test('a counter that steps back at the moment when another CPU comes stays where it was', async (t) => {
  const host = hostOf(t);
  const gatherer = cpuOf(host);
  const sink = new Recorder();
  host.write('proc/stat', stat([100, 0, 0, 1000, 50, 0, 0, 0, 0, 0]));
  await gathered(gatherer, sink);
  host.write('proc/stat', stat([100, 0, 0, 1000, 49, 0, 0, 0, 0, 0], [7, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
  const samples = await gathered(gatherer, sink, 2);
  assert.equal(samples.get('node_cpu_seconds_total{cpu="0",mode="iowait"}'), 0.5);
  assert.equal(samples.get('node_cpu_seconds_total{cpu="1",mode="user"}'), 0.07);
  gatherer.close();
});

test('a kernel without guest columns gives them as 0', async (t) => {
  const host = hostOf(t);
  host.write('proc/stat', stat([100, 200, 300, 400, 500]));
  const samples = await gathered(cpuOf(host));
  assert.equal(samples.get('node_cpu_seconds_total{cpu="0",mode="iowait"}'), 5);
  assert.equal(samples.get('node_cpu_seconds_total{cpu="0",mode="steal"}'), 0);
  assert.equal(samples.get('node_cpu_guest_seconds_total{cpu="0",mode="user"}'), 0);
});

test('facts of the CPUs: model, flags that are asked for, isolation; throttles once per core and package', async (t) => {
  const host = hostOf(t);
  for (const cpu of [0, 1, 2, 3]) {
    const folder = `sys/devices/system/cpu/cpu${cpu}`;
    host.write(`${folder}/topology/physical_package_id`, '0\n');
    host.write(`${folder}/topology/core_id`, `${cpu >> 1}\n`);
    host.write(`${folder}/thermal_throttle/core_throttle_count`, `${cpu + 5}\n`);
    host.write(`${folder}/thermal_throttle/package_throttle_count`, '30\n');
  }
  host.write('sys/devices/system/cpu/isolated', '1,3-4\n');
  const gatherer = cpuOf(host);
  const sink = new Recorder();
  const samples = await gathered(gatherer, sink, 1);
  assert.deepEqual(series(samples, 'node_cpu_flag_info'), [
    'node_cpu_flag_info{flag="aes"}',
    'node_cpu_flag_info{flag="avx"}',
    'node_cpu_flag_info{flag="avx2"}',
    'node_cpu_flag_info{flag="constant_tsc"}',
  ]);
  assert.deepEqual(
    series(samples, 'node_cpu_isolated'),
    ['1', '3', '4'].map((cpu) => `node_cpu_isolated{cpu="${cpu}"}`),
  );
  assert.match(series(samples, 'node_cpu_info')[0] ?? '', /cpu="0".*model_name="AMD EPYC".*vendor="AuthenticAMD"/);
  assert.equal(samples.get('node_cpu_core_throttles_total{core="0",package="0"}'), 5);
  assert.equal(samples.get('node_cpu_core_throttles_total{core="1",package="0"}'), 7);
  assert.equal(series(samples, 'node_cpu_package_throttles_total').length, 1);
  host.write('sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count', '99\n');
  assert.equal((await gathered(gatherer, sink, 2)).get('node_cpu_core_throttles_total{core="0",package="0"}'), 5);
  assert.equal((await gathered(gatherer, sink, 12)).get('node_cpu_core_throttles_total{core="0",package="0"}'), 99);
  gatherer.close();
});

test('lists of CPUs: single ones, ranges, nonsense left out, bounded', () => {
  assert.deepEqual(parseCpuList('1,3-5,9'), [1, 3, 4, 5, 9]);
  assert.deepEqual(parseCpuList(''), []);
  assert.deepEqual(parseCpuList('a,2-'), []);
  assert.equal(parseCpuList('0-99999999').length, 8193);
});

test('cpu and stat read /proc/stat once in a tick and again in the next', async (t) => {
  const host = hostOf(t);
  const procStat = new ProcStat(host.paths, host.scanner);
  const tick = tickAt(1);
  procStat.refresh(tick);
  host.edit('proc/stat', (text) => text.replace(/^ctxt .*$/m, 'ctxt 42'));
  const sink = new Recorder();
  const gatherer = new StatGatherer(procStat);
  gatherer.gather(tick, sink);
  assert.notEqual(sink.take().get('node_context_switches_total'), 42);
  gatherer.gather(tickAt(2), sink);
  assert.equal(sink.take().get('node_context_switches_total'), 42);
  gatherer.close();
});

test('a disk that is plugged in begins, one that is pulled ends, partitions and loops are left out', async (t) => {
  const host = hostOf(t);
  const gatherer = new DiskGatherer(host.paths, DEFAULT_SETTINGS.diskstats.deviceExclude, host.scanner);
  const sink = new Recorder();
  const devices = (samples: Map<string, number>): string[] =>
    series(samples, 'node_disk_reads_completed_total').map((name) => /"(.*)"/.exec(name)?.[1] ?? '');
  assert.deepEqual(devices(await gathered(gatherer, sink)), ['vda']);
  const before = readFileSync(join(host.paths.procfs, 'diskstats'), 'utf8');
  const sdb = '   8      16 sdb 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27\n   8      17 sdb1 1 1 1 1 1 1 1 1 1 1 1\n';
  host.write('proc/diskstats', sdb + before);
  const plugged = await gathered(gatherer, sink, 2);
  assert.deepEqual(devices(plugged), ['vda', 'sdb'].sort());
  assert.equal(plugged.get('node_disk_read_bytes_total{device="sdb"}'), 13 * 512);
  assert.equal(plugged.get('node_disk_flush_requests_time_seconds_total{device="sdb"}'), 27 * (1 / 1000));
  host.write('proc/diskstats', sdb);
  assert.deepEqual(devices(await gathered(gatherer, sink, 3)), ['sdb']);
  gatherer.close();
});

test('an old kernel with 11 numbers gives 11 series, and other numbers are refused with the line', async (t) => {
  const host = hostOf(t);
  const gatherer = new DiskGatherer(host.paths, DEFAULT_SETTINGS.diskstats.deviceExclude, host.scanner);
  host.write('proc/diskstats', '   8       0 sda 1 2 3 4 5 6 7 8 9 10 11\n');
  const samples = await gathered(gatherer);
  assert.equal([...samples.keys()].filter((name) => name.endsWith('{device="sda"}')).length, 11);
  host.write('proc/diskstats', '   8       0 sda 1 2 3 4 5\n');
  assert.throws(() => gatherer.gather(tickAt(2), new Recorder()), {
    message: /diskstats, line 1: expected a whole number in " {3}8 {7}0 sda 1 2 3 4 5"/,
  });
  gatherer.close();
});

test('what udev knows of a disk is read when it appears and again each minute', async (t) => {
  const host = hostOf(t);
  const gatherer = new DiskGatherer(host.paths, DEFAULT_SETTINGS.diskstats.deviceExclude, host.scanner);
  const sink = new Recorder();
  const first = await gathered(gatherer, sink, 1);
  const info =
    'node_disk_info{device="vda",major="254",minor="0",model="",path="pci-0000:00:06.0",revision="",rotational="1",serial="root",wwn=""}';
  assert.equal(first.get(info), 1);
  assert.match(series(first, 'node_disk_filesystem_info')[0] ?? '', /type="ext4".*version="1.0"/);
  host.write('udev/data/b254:0', 'E:ID_FS_TYPE=xfs\n');
  assert.match(series(await gathered(gatherer, sink, 2), 'node_disk_filesystem_info')[0] ?? '', /type="ext4"/);
  assert.match(series(await gathered(gatherer, sink, 62), 'node_disk_filesystem_info')[0] ?? '', /type="xfs"/);
  gatherer.close();
});

test('network devices come and go; the last colon of a line ends the name', async (t) => {
  const host = hostOf(t);
  const gatherer = new NetdevGatherer(host.paths, /^lo$/, host.scanner);
  const sink = new Recorder();
  const devices = (samples: Map<string, number>): string[] =>
    series(samples, 'node_network_receive_bytes_total').map((name) => /"(.*)"/.exec(name)?.[1] ?? '');
  assert.deepEqual(devices(await gathered(gatherer, sink)), ['ifb0', 'ifb1', 'eth0']);
  host.edit('proc/net/dev', (text) => `${text}  eth0:1:7 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n`);
  const samples = await gathered(gatherer, sink, 2);
  assert.deepEqual(devices(samples), ['ifb0', 'ifb1', 'eth0', 'eth0:1']);
  assert.equal(samples.get('node_network_receive_bytes_total{device="eth0:1"}'), 7);
  assert.equal(samples.get('node_network_transmit_compressed_total{device="eth0:1"}'), 16);
  assert.equal(samples.get('node_network_receive_nohandler_total{device="eth0"}'), 0);
  assert.equal(samples.has('node_network_receive_nohandler_total{device="eth0:1"}'), false);
  gatherer.close();
});

test('a header of protocols that changes is read anew, and one without its numbers is refused', async (t) => {
  const host = hostOf(t);
  const gatherer = new NetstatGatherer(host.paths, DEFAULT_SETTINGS.netstat.fields, host.scanner);
  const sink = new Recorder();
  await gathered(gatherer, sink);
  host.write('proc/net/snmp', 'Tcp: MaxConn ActiveOpens New CurrEstab\nTcp: -1 5 6 7\n');
  const samples = await gathered(gatherer, sink, 2);
  assert.equal(samples.get('node_netstat_Tcp_ActiveOpens'), 5);
  assert.equal(samples.get('node_netstat_Tcp_CurrEstab'), 7);
  assert.equal(samples.has('node_netstat_Udp_InDatagrams'), false);
  for (const text of ['Tcp: ActiveOpens\nUdp: 5\n', 'Tcp: A B\nTcp: 5\n', 'Tcp: A\nTcp: 5 6\n', 'Tcp: ActiveOpens\n']) {
    host.write('proc/net/snmp', text);
    assert.throws(() => gatherer.gather(tickAt(3), sink), { code: 'source_malformed', message: /net\/snmp, line/ });
  }
  assert.equal(sink.take().size, 0, 'a tick that failed has set nothing');
  gatherer.close();
});

test('without IPv6 the rest of the network is still there', async (t) => {
  const host = hostOf(t);
  host.remove('proc/net/snmp6');
  host.remove('proc/net/sockstat6');
  const netstat = await gathered(new NetstatGatherer(host.paths, DEFAULT_SETTINGS.netstat.fields, host.scanner));
  assert.ok(netstat.has('node_netstat_Tcp_InSegs') && !netstat.has('node_netstat_Ip6_InOctets'));
  const sockstat = await gathered(new SockstatGatherer(host.paths, 4096, host.scanner));
  assert.ok(sockstat.has('node_sockstat_TCP_inuse') && !sockstat.has('node_sockstat_TCP6_inuse'));
});

test('socket memory is pages and bytes, and may be below zero for a moment', async (t) => {
  const host = hostOf(t);
  host.write('proc/net/sockstat', 'sockets: used 9\nTCP: inuse 4 mem -2\nFRAG: inuse 0 memory 7\n');
  const samples = await gathered(new SockstatGatherer(host.paths, 65_536, host.scanner));
  assert.equal(samples.get('node_sockstat_sockets_used'), 9);
  assert.equal(samples.get('node_sockstat_TCP_mem'), -2);
  assert.equal(samples.get('node_sockstat_TCP_mem_bytes'), -131_072);
  assert.equal(samples.get('node_sockstat_FRAG_memory'), 7);
});

test('the page size comes from the auxiliary vector, or is the usual one', () => {
  const vector = Buffer.alloc(48);
  vector.writeBigUInt64LE(16n, 0);
  vector.writeBigUInt64LE(6n, 16);
  vector.writeBigUInt64LE(65_536n, 24);
  assert.equal(pageBytesOf(vector), 65_536);
  assert.equal(pageBytesOf(Buffer.alloc(0)), 4096);
  assert.equal(pageBytesOf(Buffer.alloc(7)), 4096);
});

test('memory in kB becomes bytes, page counts stay counts, parentheses become underscores', async (t) => {
  const host = hostOf(t);
  host.write('proc/meminfo', 'MemTotal:  10 kB\nActive(anon):  3 kB\nHugePages_Total:  2\n');
  assert.deepEqual(
    [...(await gathered(new MemoryGatherer(host.paths, host.scanner)))],
    [
      ['node_memory_MemTotal_bytes', 10_240],
      ['node_memory_Active_anon_bytes', 3072],
      ['node_memory_HugePages_Total', 2],
    ],
  );
});

test('pressure: irq may be missing, all may be missing, and stalls are microseconds', async (t) => {
  const host = hostOf(t);
  const samples = await gathered(new PressureGatherer(host.paths, host.scanner));
  assert.equal(samples.has('node_pressure_irq_stalled_seconds_total'), false);
  assert.equal(series(samples, 'node_pressure').length, 5);
  host.write(
    'proc/pressure/cpu',
    'some avg10=0.00 avg60=0.00 avg300=0.00 total=14036781\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=9\n',
  );
  host.write('proc/pressure/irq', 'full avg10=0.00 avg60=0.00 avg300=0.00 total=8494');
  const again = await gathered(new PressureGatherer(host.paths, host.scanner));
  assert.equal(again.get('node_pressure_cpu_waiting_seconds_total'), 14036781 / 1000 / 1000);
  assert.equal(again.get('node_pressure_irq_stalled_seconds_total'), 0.008494);
  host.write('proc/pressure/io', 'some avg10=0.00\n');
  assert.throws(() => new PressureGatherer(host.paths, host.scanner).gather(tickAt(1), new Recorder()), {
    message: /pressure\/io, line 1: expected total=/,
  });
  for (const file of ['cpu', 'io', 'memory', 'irq']) host.remove(`proc/pressure/${file}`);
  assert.throws(() => new PressureGatherer(host.paths, host.scanner).gather(tickAt(1), new Recorder()), {
    code: 'source_missing',
    message: /CONFIG_PSI/,
  });
});

test('of vmstat only the fields that are asked for', async (t) => {
  const host = hostOf(t);
  const samples = await gathered(new VmstatGatherer(host.paths, DEFAULT_SETTINGS.vmstat.fields, host.scanner));
  assert.deepEqual(
    [...samples.keys()].sort(),
    ['oom_kill', 'pgfault', 'pgmajfault', 'pgpgin', 'pgpgout', 'pswpin', 'pswpout'].map((field) => `node_vmstat_${field}`),
  );
  appendFileSync(join(host.paths.procfs, 'vmstat'), 'pgpgnew 7\n');
  assert.equal(
    (await gathered(new VmstatGatherer(host.paths, DEFAULT_SETTINGS.vmstat.fields, host.scanner))).get('node_vmstat_pgpgnew'),
    7,
  );
});
