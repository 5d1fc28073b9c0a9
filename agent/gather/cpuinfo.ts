/** /proc/cpuinfo as facts per CPU. Read rarely, so strings are fine here. */
import type { Scanner } from './scanner.ts';

export type CpuFacts = {
  readonly labels: Readonly<
    Record<'package' | 'core' | 'cpu' | 'vendor' | 'family' | 'model' | 'model_name' | 'microcode' | 'stepping' | 'cachesize', string>
  >;
  /** 0 where the kernel does not say. */
  readonly hertz: number;
  readonly flags: readonly string[];
  readonly bugs: readonly string[];
};

/** Fields of x86; the second name is what ARM calls it. */
const FIELDS = {
  package: ['physical id'],
  core: ['core id'],
  vendor: ['vendor_id', 'CPU implementer'],
  family: ['cpu family', 'CPU architecture'],
  model: ['model', 'CPU part'],
  model_name: ['model name', 'Model Name'],
  microcode: ['microcode'],
  stepping: ['stepping', 'CPU revision'],
  cachesize: ['cache size'],
} as const;

/** One block of `key : value` lines per CPU, blocks apart by an empty line. Empty where the architecture has no such blocks. */
export function parseCpuinfo(scanner: Scanner): CpuFacts[] {
  const cpus: CpuFacts[] = [];
  let fields = new Map<string, string>();
  const finish = (): void => {
    if (/^\d+$/.test(fields.get('processor') ?? '')) cpus.push(factsOf(fields));
    fields = new Map();
  };
  for (const line of scanner.text(0, scanner.end).split('\n')) {
    const colon = line.indexOf(':');
    if (line.trim() === '') finish();
    else if (colon > 0) fields.set(line.slice(0, colon).trim(), line.slice(colon + 1).trim());
  }
  finish();
  return cpus;
}

function factsOf(fields: ReadonlyMap<string, string>): CpuFacts {
  const pick = (names: readonly string[]): string => names.map((name) => fields.get(name)).find((value) => value !== undefined) ?? '';
  const words = (names: readonly string[]): string[] =>
    pick(names)
      .split(/\s+/)
      .filter((word) => word !== '');
  const megahertz = Number(pick(['cpu MHz', 'clock']).replace(/MHz$/, ''));
  return {
    labels: {
      package: pick(FIELDS.package),
      core: pick(FIELDS.core),
      cpu: pick(['processor']),
      vendor: pick(FIELDS.vendor),
      family: pick(FIELDS.family),
      model: pick(FIELDS.model),
      model_name: pick(FIELDS.model_name),
      microcode: pick(FIELDS.microcode),
      stepping: pick(FIELDS.stepping),
      cachesize: pick(FIELDS.cachesize),
    },
    hertz: Number.isFinite(megahertz) ? megahertz * 1e6 : 0,
    flags: words(['flags', 'Features']),
    bugs: words(['bugs']),
  };
}
