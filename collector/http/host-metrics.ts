/** Which node_exporter metrics make up a host's figures and charts, and how they are read from the store. Not the arithmetic: query/rates.ts. */
import { labelValue, MatchOp, type Labels, type Matcher } from '../model/labels.ts';
import type { SampleSource, SeriesColumns } from '../model/ports.ts';

/** Samples that one read for figures or charts may take. An hour of one host at 1 s with 64 cores is 2 million. */
const SAMPLES_MAX = 20_000_000;

/** Filesystems that say nothing about how full a disk is. */
const PSEUDO_FILESYSTEMS = new Set(
  (
    'tmpfs devtmpfs ramfs overlay squashfs erofs cramfs iso9660 udf autofs efivarfs proc sysfs cgroup cgroup2 nsfs tracefs debugfs bpf ' +
    'configfs rpc_pipefs fuse.lxcfs fuse.gvfsd-fuse fuse.portal'
  ).split(' '),
);

/** Interfaces whose bytes pass another one as well: counting both would count twice. */
const VIRTUAL_INTERFACE = /^(?:lo|veth|docker|br-|virbr|cni|flannel|cali|vxlan|tun|tap|bond|team|dummy|ifb|wg|kube|nodelocaldns)/;

/** Devices that stand on others. */
const VIRTUAL_DISK = /^(?:dm-|md|loop|ram|zram|fd|sr|nbd)/;

export function isRealFilesystem(labels: Labels): boolean {
  return !PSEUDO_FILESYSTEMS.has(labelValue(labels, 'fstype'));
}

export function isRealInterface(labels: Labels): boolean {
  const device = labelValue(labels, 'device');
  return !VIRTUAL_INTERFACE.test(device) && !device.includes('.');
}

export function isLoopback(labels: Labels): boolean {
  return labelValue(labels, 'device') === 'lo';
}

export function isRealDisk(labels: Labels): boolean {
  return !VIRTUAL_DISK.test(labelValue(labels, 'device'));
}

export function equalTo(name: string, value: string): Matcher {
  return { name, op: MatchOp.equal, value, matches: (text) => text === value };
}

/** Any of `values`; as `=~` with the set given, so that a store looks them up. `value` is for people: nobody compiles it. */
export function anyOf(name: string, values: readonly string[]): Matcher {
  const set = new Set(values);
  return { name, op: MatchOp.regexp, value: values.join('|'), matches: (text) => set.has(text), values };
}

export type Span = { readonly fromMs: number; readonly toMs: number };

/** Hands every series of a gathered metric to `take`. */
export async function eachSeries(
  source: SampleSource,
  matchers: readonly Matcher[],
  span: Span,
  signal: AbortSignal,
  take: (series: SeriesColumns) => void,
): Promise<void> {
  const all = [...matchers, equalTo('job', 'node')];
  for await (const batch of source.select(all, span, { samplesMax: SAMPLES_MAX }, signal)) {
    signal.throwIfAborted();
    for (const series of batch) take(series);
  }
}
