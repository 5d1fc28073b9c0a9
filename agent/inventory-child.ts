/**
 * Asks systeminformation for what a host is made of and prints one JSON line per section, then ends. Runs in a process of its own because it
 * starts other programs, blocks, and needs memory that the agent must not keep. Takes no arguments.
 */
import os from 'node:os';
import { loadSystemInformation, type SystemInformation } from './gather/system-information.ts';

type Facts = Record<string, string | number | boolean | null>;
type Section = { readonly name: string; readonly read: (from: SystemInformation) => Promise<unknown>; readonly fields: readonly string[] };

/** Rows of one section (a container host has hundreds of network devices), and characters of one value. */
const ROWS_MAX = 256;
const TEXT_MAX = 256;
/** If whoever started us is gone, nobody else ends us. */
const LIFE_MS_MAX = 120_000;
/** Below everything that a host is there for. */
const NICENESS = 10;

/**
 * Fields that are sent. Serial numbers and UUIDs are not among them: systeminformation gives the machine id as the system's serial, and that
 * must not leave the host.
 */
const SECTIONS: readonly Section[] = [
  {
    name: 'os',
    read: (from) => from.osInfo(),
    fields: ['platform', 'distro', 'release', 'codename', 'kernel', 'arch', 'hostname', 'fqdn', 'uefi'],
  },
  {
    name: 'cpu',
    read: (from) => from.cpu(),
    fields: [
      'manufacturer',
      'brand',
      'vendor',
      'family',
      'model',
      'stepping',
      'speed',
      'speedMin',
      'speedMax',
      'cores',
      'physicalCores',
      'processors',
      'socket',
    ],
  },
  { name: 'memory', read: (from) => from.mem(), fields: ['total', 'swaptotal'] },
  { name: 'system', read: (from) => from.system(), fields: ['manufacturer', 'model', 'version', 'sku', 'virtual', 'virtualHost'] },
  { name: 'bios', read: (from) => from.bios(), fields: ['vendor', 'version', 'releaseDate', 'revision'] },
  { name: 'board', read: (from) => from.baseboard(), fields: ['manufacturer', 'model', 'version', 'memMax', 'memSlots'] },
  { name: 'chassis', read: (from) => from.chassis(), fields: ['manufacturer', 'model', 'type', 'version'] },
  {
    name: 'memoryModules',
    read: (from) => from.memLayout(),
    fields: ['size', 'bank', 'type', 'ecc', 'clockSpeed', 'formFactor', 'manufacturer', 'partNum'],
  },
  {
    name: 'disks',
    read: (from) => from.diskLayout(),
    fields: ['device', 'type', 'name', 'vendor', 'size', 'firmwareRevision', 'interfaceType'],
  },
  {
    name: 'blockDevices',
    read: (from) => from.blockDevices(),
    fields: ['name', 'type', 'fsType', 'mount', 'size', 'physical', 'label', 'model', 'removable', 'protocol'],
  },
  {
    name: 'networkInterfaces',
    read: (from) => from.networkInterfaces(),
    fields: [
      'iface',
      'default',
      'ip4',
      'ip4subnet',
      'ip6',
      'ip6subnet',
      'mac',
      'internal',
      'virtual',
      'operstate',
      'type',
      'duplex',
      'mtu',
      'speed',
      'dhcp',
    ],
  },
];

async function main(): Promise<void> {
  setTimeout(() => process.exit(1), LIFE_MS_MAX).unref();
  os.setPriority(NICENESS);
  const from = await loadSystemInformation();
  // One after the other: together they would start twenty programs at once.
  for (const section of SECTIONS) process.stdout.write(`${JSON.stringify(await lineOf(section, from))}\n`);
}

async function lineOf(section: Section, from: SystemInformation): Promise<object> {
  try {
    const found = await section.read(from);
    if (!Array.isArray(found)) return { section: section.name, facts: pick(found, section.fields) };
    const facts = found.slice(0, ROWS_MAX).map((row) => pick(row, section.fields));
    return { section: section.name, facts, ...(found.length > ROWS_MAX ? { problem: `${found.length - ROWS_MAX} more left out` } : {}) };
  } catch (error) {
    return { section: section.name, problem: error instanceof Error ? error.message.slice(0, TEXT_MAX) : 'failed' };
  }
}

function pick(found: unknown, fields: readonly string[]): Facts {
  const facts: Facts = {};
  if (typeof found !== 'object' || found === null) return facts;
  for (const [field, value] of Object.entries(found)) {
    if (!fields.includes(field)) continue;
    if (typeof value === 'string') facts[field] = value.slice(0, TEXT_MAX);
    else if (typeof value === 'number' || typeof value === 'boolean' || value === null) facts[field] = value;
  }
  return facts;
}

await main();
