/** The one list of gatherers, and the defaults of their settings. Nothing registers itself; a new gatherer is a line here. */
import { existsSync, readFileSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { CpuGatherer, type CpuSettings } from './cpu.ts';
import { DiskGatherer } from './diskstats.ts';
import { FilefdGatherer } from './filefd.ts';
import { FilesystemGatherer, type FilesystemDeps, type FilesystemSettings } from './filesystem.ts';
import type { Clock, Gatherer, HostPaths, Timers } from './gatherer.ts';
import { LoadGatherer } from './loadavg.ts';
import { MemoryGatherer } from './meminfo.ts';
import { NetdevGatherer } from './netdev.ts';
import { NetstatGatherer } from './netstat.ts';
import { OsGatherer } from './os.ts';
import { PortableFilesystemGatherer, PortableHostGatherer, PortableNetworkGatherer } from './portable.ts';
import { PressureGatherer } from './pressure.ts';
import { ProcStat } from './proc-stat.ts';
import { GatherError, Scanner } from './scanner.ts';
import { OwnFigures, SelfGatherer, type SelfSource } from './self.ts';
import { pageBytesOf, SockstatGatherer } from './sockstat.ts';
import { StatGatherer } from './stat.ts';
import { loadSystemInformation } from './system-information.ts';
import { TimeGatherer } from './time.ts';
import { UnameGatherer } from './uname.ts';
import { VmstatGatherer } from './vmstat.ts';

export const DEFAULT_PATHS: HostPaths = { procfs: '/proc', sysfs: '/sys', rootfs: '/', udev: '/run/udev/data' };

/** Everything that can be set about gatherers but their intervals, which the scheduler has. Patterns are node_exporter's. */
export type GatherSettings = {
  /** Names of gatherers that do not run. */
  readonly disabled: readonly string[];
  readonly cpu: CpuSettings;
  readonly diskstats: { readonly deviceExclude: RegExp };
  readonly filesystem: FilesystemSettings;
  readonly netdev: { readonly deviceExclude: RegExp | undefined };
  readonly netstat: { readonly fields: RegExp };
  readonly vmstat: { readonly fields: RegExp };
};

export const DEFAULT_SETTINGS: GatherSettings = {
  disabled: [],
  cpu: { info: true, flags: /^(aes|avx.?|constant_tsc)$/, bugs: /^(cpu_meltdown|spectre_.*|mds)$/ },
  diskstats: { deviceExclude: /^(z?ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+$/ },
  filesystem: {
    mountPointsExclude: /^\/(dev|proc|run\/credentials\/.+|sys|var\/lib\/docker\/.+|var\/lib\/containers\/storage\/.+)($|\/)/,
    fsTypesExclude: new RegExp(
      '^(autofs|binfmt_misc|bpf|cgroup2?|configfs|debugfs|devpts|devtmpfs|fusectl|hugetlbfs|iso9660|mqueue|nsfs|overlay|proc|procfs|pstore|' +
        'rpc_pipefs|securityfs|selinuxfs|squashfs|erofs|sysfs|tracefs)$',
    ),
    mountTimeoutMs: 3000,
  },
  netdev: { deviceExclude: undefined },
  netstat: {
    fields: new RegExp(
      '^(.*_(InErrors|InErrs)|Ip_Forwarding|Ip(6|Ext)_(InOctets|OutOctets)|Icmp6?_(InMsgs|OutMsgs)|' +
        'TcpExt_(Listen.*|Syncookies.*|TCPSynRetrans|TCPTimeouts|TCPOFOQueue|TCPRcvQDrop)|' +
        'Tcp_(ActiveOpens|InSegs|OutSegs|OutRsts|PassiveOpens|RetransSegs|CurrEstab)|' +
        'Udp6?_(InDatagrams|OutDatagrams|NoPorts|RcvbufErrors|SndbufErrors))$',
    ),
  },
  vmstat: { fields: /^(oom_kill|pgpg|pswp|pg.*fault).*/ },
};

export type GatherDeps = {
  readonly clock: Clock;
  readonly timers: Timers;
  /** Absent where there is no agent to speak of (`--once`). */
  readonly self?: SelfSource;
  /** For tests; by default asked of the kernel on libuv's threads. */
  readonly statfs?: FilesystemDeps['statfs'];
  readonly exists?: (path: string) => boolean;
};

/**
 * What this host can be asked, in the order in which it is asked at a tick. Throws if the host's /proc is said to be where it is not: the
 * platform's own figures would then be those of a container, not of its host.
 */
export function gatherers(paths: HostPaths, settings: GatherSettings, deps: GatherDeps): Gatherer[] {
  const scanner = new Scanner();
  const pageBytes = pageBytesOf(readAuxv());
  const hasProcfs = (deps.exists ?? existsSync)(paths.procfs);
  if (!hasProcfs && paths.procfs !== DEFAULT_PATHS.procfs) {
    throw new GatherError(
      'source_missing',
      `cannot gather from ${paths.procfs}: no such folder; mount the host's /proc there or correct the path of procfs`,
    );
  }
  const host = hasProcfs ? linux(paths, settings, deps, scanner, pageBytes) : portable();
  const list = deps.self === undefined ? host : [...host, new SelfGatherer(deps.self, new OwnFigures(scanner, pageBytes))];
  const isKept = (gatherer: Gatherer): boolean => !settings.disabled.includes(gatherer.name);
  for (const gatherer of list) if (!isKept(gatherer)) gatherer.close();
  return list.filter(isKept);
}

function linux(paths: HostPaths, settings: GatherSettings, deps: GatherDeps, scanner: Scanner, pageBytes: number): Gatherer[] {
  const stat = new ProcStat(paths, scanner);
  return [
    new CpuGatherer(paths, settings.cpu, scanner, stat),
    new StatGatherer(stat),
    new LoadGatherer(paths, scanner),
    new MemoryGatherer(paths, scanner),
    new VmstatGatherer(paths, settings.vmstat.fields, scanner),
    new PressureGatherer(paths, scanner),
    new DiskGatherer(paths, settings.diskstats.deviceExclude, scanner),
    new NetdevGatherer(paths, settings.netdev.deviceExclude, scanner),
    new NetstatGatherer(paths, settings.netstat.fields, scanner),
    new SockstatGatherer(paths, pageBytes, scanner),
    new FilefdGatherer(paths, scanner),
    new TimeGatherer(paths, deps.clock),
    new FilesystemGatherer(paths, settings.filesystem, scanner, { statfs: deps.statfs ?? statfs, timers: deps.timers }),
    new UnameGatherer(paths),
    new OsGatherer(paths),
  ];
}

function portable(): Gatherer[] {
  return [
    new PortableHostGatherer(),
    new PortableFilesystemGatherer(loadSystemInformation),
    new PortableNetworkGatherer(loadSystemInformation),
  ];
}

/** Of this very process, whatever host the paths show: it is this kernel's page that matters. */
function readAuxv(): Buffer {
  try {
    return readFileSync('/proc/self/auxv');
  } catch {
    return Buffer.alloc(0);
  }
}
