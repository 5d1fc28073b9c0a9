/** Disk I/O from /proc/diskstats, and what udev and /sys say about the disks. File systems are in filesystem.ts. */
import { Binding, HeldSamples } from './binding.ts';
import type { Gatherer, HostPaths, Metric, SampleSink, SeriesRef, Tick } from './gatherer.ts';
import type { Scanner } from './scanner.ts';
import { readSmall, SourceFile } from './source-file.ts';
import { Table } from './table.ts';
import { readUdev, udevFolder } from './udev.ts';

const MILLISECOND = 1 / 1000;
/** The unit of /proc/diskstats, whatever the disk's own sector is (Documentation/block/stat.rst). */
const SECTOR_BYTES = 512;

/** Order of the numbers of a line, with the factor to the metric's unit. Old kernels have 11 or 15 of them. */
const COLUMNS: readonly (readonly [name: string, type: 'counter' | 'gauge', factor: number, help: string])[] = [
  ['reads_completed_total', 'counter', 1, 'The total number of reads completed successfully.'],
  ['reads_merged_total', 'counter', 1, 'The total number of reads merged.'],
  ['read_bytes_total', 'counter', SECTOR_BYTES, 'The total number of bytes read successfully.'],
  ['read_time_seconds_total', 'counter', MILLISECOND, 'The total number of seconds spent by all reads.'],
  ['writes_completed_total', 'counter', 1, 'The total number of writes completed successfully.'],
  ['writes_merged_total', 'counter', 1, 'The number of writes merged.'],
  ['written_bytes_total', 'counter', SECTOR_BYTES, 'The total number of bytes written successfully.'],
  ['write_time_seconds_total', 'counter', MILLISECOND, 'This is the total number of seconds spent by all writes.'],
  ['io_now', 'gauge', 1, 'The number of I/Os currently in progress.'],
  ['io_time_seconds_total', 'counter', MILLISECOND, 'Total seconds spent doing I/Os.'],
  ['io_time_weighted_seconds_total', 'counter', MILLISECOND, 'The weighted # of seconds spent doing I/Os.'],
  ['discards_completed_total', 'counter', 1, 'The total number of discards completed successfully.'],
  ['discards_merged_total', 'counter', 1, 'The total number of discards merged.'],
  ['discarded_sectors_total', 'counter', 1, 'The total number of sectors discarded successfully.'],
  ['discard_time_seconds_total', 'counter', MILLISECOND, 'This is the total number of seconds spent by all discards.'],
  ['flush_requests_total', 'counter', 1, 'The total number of flush requests completed successfully'],
  ['flush_requests_time_seconds_total', 'counter', MILLISECOND, 'This is the total number of seconds spent by all flush requests.'],
];
const METRICS: readonly Metric[] = COLUMNS.map(([name, type, , help]) => ({ name: `node_disk_${name}`, type, help }));
const FACTORS = COLUMNS.map(([, , factor]) => factor);
/** What every kernel since 2.6.25 gives. */
const NUMBERS_MIN = 11;

const INFO: Metric = { name: 'node_disk_info', type: 'gauge', help: 'Info of /sys/block/<block_device>.' };
const FILESYSTEM_INFO: Metric = { name: 'node_disk_filesystem_info', type: 'gauge', help: 'Info about disk filesystem.' };
const MAPPER_INFO: Metric = { name: 'node_disk_device_mapper_info', type: 'gauge', help: 'Info about disk device mapper.' };
const ATA: readonly (readonly [property: string, metric: Metric])[] = [
  ['ID_ATA_WRITE_CACHE', { name: 'node_disk_ata_write_cache', type: 'gauge', help: 'ATA disk has a write cache.' }],
  [
    'ID_ATA_WRITE_CACHE_ENABLED',
    { name: 'node_disk_ata_write_cache_enabled', type: 'gauge', help: 'ATA disk has its write cache enabled.' },
  ],
  [
    'ID_ATA_ROTATION_RATE_RPM',
    { name: 'node_disk_ata_rotation_rate_rpm', type: 'gauge', help: 'ATA disk rotation rate in RPMs (0 for SSDs).' },
  ],
];
/** udev's facts change when a disk is formatted or its cache is switched. */
const FACTS_MS = 60_000;

/** `   8       0 sda 25354637 34367663 ...`: rows are named by the first three words, so that another disk under the same name is another row. */
export function parseDiskstats(scanner: Scanner, table: Table): void {
  // A machine without any disk has an empty file.
  if (scanner.end > 0) scanner.requireWhole('disk statistics');
  table.begin();
  while (!scanner.atEnd()) {
    scanner.skipBlanks();
    const start = scanner.pos;
    scanner.integer();
    scanner.skipBlanks();
    scanner.integer();
    scanner.skipBlanks();
    const nameStart = scanner.pos;
    const end = scanner.word();
    if (end === nameStart) scanner.fail('a device name');
    const row = table.row(scanner, start, end);
    const numbers = row < 0 ? 0 : COLUMNS.length;
    for (let count = 0; count < numbers; count++) {
      scanner.skipBlanks();
      if (scanner.atLineEnd() && count >= NUMBERS_MIN) break;
      table.push(row, scanner.integer());
    }
    scanner.nextLine();
  }
  table.finish(scanner);
}

type Disk = { readonly major: string; readonly minor: string; readonly device: string };

export class DiskGatherer implements Gatherer {
  readonly name = 'diskstats';
  readonly intervalMs = 1000;
  readonly #paths: HostPaths;
  readonly #scanner: Scanner;
  readonly #file: SourceFile;
  readonly #table: Table;
  readonly #binding = new Binding();
  readonly #facts = new HeldSamples();
  #factsDueMs = 0;
  #refs: SeriesRef[] = [];
  #places: number[] = [];
  #factors: number[] = [];

  constructor(paths: HostPaths, deviceExclude: RegExp, scanner: Scanner) {
    this.#paths = paths;
    this.#scanner = scanner;
    this.#file = new SourceFile(`${paths.procfs}/diskstats`, 'records');
    this.#table = new Table(COLUMNS.length, (name) => !deviceExclude.test(diskOf(name).device));
  }

  gather(tick: Tick, sink: SampleSink): void {
    this.#file.read(this.#scanner);
    parseDiskstats(this.#scanner, this.#table);
    const isStale = this.#binding.isStale(sink, this.#table.version);
    if (isStale) this.#bind(sink);
    if (isStale || tick.monotonicMs >= this.#factsDueMs) {
      this.#factsDueMs = tick.monotonicMs + FACTS_MS;
      this.#readFacts(sink);
    }
    const { values } = this.#table;
    for (let i = 0; i < this.#refs.length; i++) {
      sink.set(this.#refs[i] as number, (values[this.#places[i] as number] as number) * (this.#factors[i] as number));
    }
    this.#facts.set(sink);
  }

  close(): void {
    this.#file.close();
  }

  #bind(sink: SampleSink): void {
    const table = this.#table;
    this.#refs = [];
    this.#places = [];
    this.#factors = [];
    for (let row = 0; row < table.rows; row++) {
      if (!table.isWanted(row)) continue;
      const { device } = diskOf(table.name(row));
      for (let column = 0; column < (table.counts[row] as number); column++) {
        this.#refs.push(sink.series(METRICS[column] as Metric, { device }));
        this.#places.push(row * table.width + column);
        this.#factors.push(FACTORS[column] as number);
      }
    }
  }

  #readFacts(sink: SampleSink): void {
    this.#facts.clear();
    const udev = udevFolder(this.#paths.udev);
    for (let row = 0; row < this.#table.rows; row++) {
      if (this.#table.isWanted(row)) this.#addFacts(sink, diskOf(this.#table.name(row)), udev);
    }
  }

  #addFacts(sink: SampleSink, disk: Disk, udevPath: string): void {
    const { device, major, minor } = disk;
    const udev = readUdev(`${udevPath}/b${major}:${minor}`);
    const get = (name: string): string => udev.get(name) ?? '';
    const rotational = readSmall(`${this.#paths.sysfs}/block/${device.replaceAll('/', '!')}/queue/rotational`) ?? '';
    const labels = {
      device,
      major,
      minor,
      path: get('ID_PATH'),
      wwn: get('ID_WWN'),
      model: get('ID_MODEL'),
      // As printed on the disk's label; virtio disks have the last one only.
      serial: get('SCSI_IDENT_SERIAL') || get('ID_SERIAL_SHORT') || get('ID_SERIAL'),
      revision: get('ID_REVISION'),
      rotational: rotational === '1' ? '1' : '0',
    };
    this.#facts.add(sink, INFO, labels, 1);
    if (get('ID_FS_TYPE') !== '') {
      const filesystem = {
        device,
        type: get('ID_FS_TYPE'),
        usage: get('ID_FS_USAGE'),
        uuid: get('ID_FS_UUID'),
        version: get('ID_FS_VERSION'),
      };
      this.#facts.add(sink, FILESYSTEM_INFO, filesystem, 1);
    }
    if (get('DM_NAME') !== '') {
      const volume = { vg_name: get('DM_VG_NAME'), lv_name: get('DM_LV_NAME'), lv_layer: get('DM_LV_LAYER') };
      this.#facts.add(sink, MAPPER_INFO, { device, name: get('DM_NAME'), uuid: get('DM_UUID'), ...volume }, 1);
    }
    if (get('ID_ATA') === '') return;
    for (const [property, metric] of ATA) {
      const value = Number(get(property));
      if (get(property) !== '' && Number.isFinite(value)) this.#facts.add(sink, metric, { device }, value);
    }
  }
}

function diskOf(name: string): Disk {
  const [major = '', minor = '', device = ''] = name.split(/[ \t]+/);
  return { major, minor, device };
}
