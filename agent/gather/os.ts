/** What the distribution calls itself, from os-release. The kernel is in uname.ts. */
import { Binding, HeldSamples } from './binding.ts';
import type { Gatherer, HostPaths, Metric, SampleSink, Tick } from './gatherer.ts';
import { GatherError } from './scanner.ts';
import { readSmall } from './source-file.ts';

/** Labels of the metric, in the order in which its help names them; os-release has them in capitals. */
const LABELS = [
  'build_id',
  'id',
  'id_like',
  'image_id',
  'image_version',
  'name',
  'pretty_name',
  'variant',
  'variant_id',
  'version',
  'version_codename',
  'version_id',
];
const INFO: Metric = {
  name: 'node_os_info',
  type: 'gauge',
  help: `A metric with a constant '1' value labeled by ${LABELS.join(', ')}.`,
};
const VERSION: Metric = { name: 'node_os_version', type: 'gauge', help: 'Metric containing the major.minor part of the OS version.' };
const SUPPORT_END: Metric = {
  name: 'node_os_support_end_timestamp_seconds',
  type: 'gauge',
  help: 'Metric containing the end-of-life date timestamp of the OS.',
};
const FILES = ['/etc/os-release', '/usr/lib/os-release'];

/** Assignments as a shell reads them: `NAME="Debian GNU/Linux"`, quotes and backslashes taken away. */
export function parseOsRelease(text: string): Map<string, string> {
  const values = new Map<string, string>();
  for (const line of text.split('\n')) {
    const assignment = /^\s*([A-Z][A-Z0-9_]*)=(.*?)\s*$/.exec(line);
    if (assignment === null) continue;
    const [, name = '', raw = ''] = assignment;
    const quote = raw[0] === '"' || raw[0] === "'" ? raw[0] : '';
    const isQuoted = quote !== '' && raw.length > 1 && raw.endsWith(quote);
    const inner = isQuoted ? raw.slice(1, -1) : raw;
    values.set(name, quote === "'" ? inner : inner.replaceAll(/\\(.)/g, '$1'));
  }
  return values;
}

export class OsGatherer implements Gatherer {
  readonly name = 'os';
  readonly intervalMs = 60_000;
  readonly #paths: HostPaths;
  readonly #binding = new Binding();
  readonly #facts = new HeldSamples();
  #seen = '';

  constructor(paths: HostPaths) {
    this.#paths = paths;
  }

  gather(_tick: Tick, sink: SampleSink): void {
    const root = this.#paths.rootfs === '/' ? '' : this.#paths.rootfs;
    const text = FILES.map((file) => readSmall(`${root}${file}`)).find((found) => found !== undefined);
    if (text === undefined)
      throw new GatherError('source_missing', `cannot read ${FILES.map((file) => root + file).join(' or ')}: no such file`);
    if (this.#binding.isStale(sink) || text !== this.#seen) {
      this.#seen = text;
      this.#bind(sink, parseOsRelease(text));
    }
    this.#facts.set(sink);
  }

  close(): void {}

  #bind(sink: SampleSink, release: ReadonlyMap<string, string>): void {
    this.#facts.clear();
    const labels: Record<string, string> = {};
    for (const label of LABELS) labels[label] = release.get(label.toUpperCase()) ?? '';
    this.#facts.add(sink, INFO, labels, 1);
    const version = Number(/^\d+\.?\d*/.exec(labels.version_id ?? '')?.[0] ?? 0);
    if (version > 0)
      this.#facts.add(sink, VERSION, { id: labels.id ?? '', id_like: labels.id_like ?? '', name: labels.name ?? '' }, version);
    const supportEndMs = Date.parse(release.get('SUPPORT_END') ?? '');
    if (!Number.isNaN(supportEndMs)) this.#facts.add(sink, SUPPORT_END, undefined, supportEndMs / 1000);
  }
}
