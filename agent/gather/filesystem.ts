/**
 * Space and inodes of mounted file systems. A file system that does not answer (a dead NFS server) blocks the thread that asks for ever: each
 * mount is asked by at most one thread, threads that may be lost are few, and nobody waits for them. Disks are in diskstats.ts.
 */
import { Binding } from './binding.ts';
import type { Gatherer, HostPaths, Metric, SampleSink, SeriesRef, Tick, Timers } from './gatherer.ts';
import { parseMounts, type Mount } from './mounts.ts';
import { GatherError, type Scanner } from './scanner.ts';
import { errnoOf, SourceFile } from './source-file.ts';

const gauge = (name: string, help: string): Metric => ({ name: `node_filesystem_${name}`, type: 'gauge', help });
const DEVICE_ERROR = gauge('device_error', 'Whether an error occurred while getting statistics for the given device.');
const READONLY = gauge('readonly', 'Filesystem read-only status.');
const MOUNT_INFO = gauge('mount_info', 'Filesystem mount information.');
/** In the order in which `sizesOf` gives them. */
const SIZES: readonly Metric[] = [
  gauge('size_bytes', 'Filesystem size in bytes.'),
  gauge('free_bytes', 'Filesystem free space in bytes.'),
  gauge('avail_bytes', 'Filesystem space available to non-root users in bytes.'),
  gauge('files', 'Filesystem total file nodes.'),
  gauge('files_free', 'Filesystem total free file nodes.'),
  gauge('purgeable_bytes', 'Filesystem space available including purgeable space (MacOS specific).'),
];

/** Texts of the label `device_error` where node_exporter has words for a system error. */
const ERRORS: Readonly<Record<string, string>> = {
  EACCES: 'permission denied',
  EIO: 'input/output error',
  ENOENT: 'no such file or directory',
  ENOTCONN: 'transport endpoint is not connected',
  EPERM: 'operation not permitted',
  ESTALE: 'stale file handle',
};
const TIMEOUT = 'mountpoint timeout';
const NOT_ASKED = 'not asked: other mounts do not answer';

/** Types whose statfs only looks into memory. All others, FUSE and unknown ones too, may wait for somebody. */
const LOCAL_TYPES = /^(bcachefs|btrfs|exfat|ext[234]|f2fs|fat|hfsplus|jfs|msdos|ntfs3?|ramfs|reiserfs|tmpfs|udf|ufs|vfat|xfs|zfs)$/;
/** libuv has four threads for files; the spool needs one of them whatever hangs. */
const LOCAL_THREADS = 1;
const REMOTE_THREADS = 2;

/** What statfs(2) says. */
export type SpaceStats = {
  readonly bsize: number;
  readonly blocks: number;
  readonly bfree: number;
  readonly bavail: number;
  readonly files: number;
  readonly ffree: number;
};

export type FilesystemSettings = {
  readonly mountPointsExclude: RegExp;
  readonly fsTypesExclude: RegExp;
  /** How long a mount may take before it is reported as an error. Twice this is less than the interval. */
  readonly mountTimeoutMs: number;
};

export type FilesystemDeps = { readonly statfs: (path: string) => Promise<SpaceStats>; readonly timers: Timers };

/** Threads for one kind of mounts. A lost one comes back when its call does. */
type Threads = { free: number; readonly count: number };
type Series = {
  readonly mount: Mount;
  readonly sizes: readonly SeriesRef[];
  readonly info: SeriesRef;
  /** By the text of the label `device_error`. */
  readonly states: Map<string, { readonly error: SeriesRef; readonly readonly: SeriesRef }>;
};
/** What is mounted in one place, one over the other: they get one answer. */
type Place = { readonly mountpoint: string; readonly isLocal: boolean; readonly series: readonly Series[] };

export class FilesystemGatherer implements Gatherer {
  readonly name = 'filesystem';
  readonly intervalMs = 10_000;
  readonly #rootfs: string;
  readonly #settings: FilesystemSettings;
  readonly #deps: FilesystemDeps;
  readonly #scanner: Scanner;
  readonly #files: readonly SourceFile[];
  readonly #binding = new Binding();
  readonly #local: Threads = { free: LOCAL_THREADS, count: LOCAL_THREADS };
  readonly #remote: Threads = { free: REMOTE_THREADS, count: REMOTE_THREADS };
  /** Mount points whose call has not returned, from whichever tick. */
  readonly #pending = new Set<string>();
  #text = Buffer.alloc(0);
  #version = 0;
  #mounts: Mount[] = [];
  #places: Place[] = [];

  constructor(paths: HostPaths, settings: FilesystemSettings, scanner: Scanner, deps: FilesystemDeps) {
    this.#rootfs = paths.rootfs.replace(/\/+$/, '');
    this.#settings = settings;
    this.#deps = deps;
    this.#scanner = scanner;
    // The first process sees the host's mounts; where its folder is closed to us (hidepid, no root) our own must do.
    this.#files = ['1', 'self'].map((process) => new SourceFile(`${paths.procfs}/${process}/mountinfo`, 'records'));
  }

  async gather(_tick: Tick, sink: SampleSink): Promise<void> {
    this.#readMounts();
    if (this.#binding.isStale(sink, this.#version)) this.#bind(sink);
    const local: Place[] = [];
    const remote: Place[] = [];
    for (const place of this.#places) {
      if (this.#pending.has(place.mountpoint)) this.#setError(sink, place, TIMEOUT);
      else (place.isLocal ? local : remote).push(place);
    }
    await Promise.all([this.#ask(sink, local, this.#local), this.#ask(sink, remote, this.#remote)]);
  }

  close(): void {
    for (const file of this.#files) file.close();
  }

  #readMounts(): void {
    this.#readText();
    const { bytes, end } = this.#scanner;
    if (end === this.#text.length && bytes.compare(this.#text, 0, end, 0, end) === 0) return;
    const { mountPointsExclude, fsTypesExclude } = this.#settings;
    this.#mounts = parseMounts(
      this.#scanner,
      (mount) => !mountPointsExclude.test(this.#onHost(mount)) && !fsTypesExclude.test(mount.fstype),
    );
    this.#text = Buffer.from(bytes.subarray(0, end));
    this.#version++;
  }

  #readText(): void {
    const [first, own] = this.#files as readonly [SourceFile, SourceFile];
    try {
      if (first.tryRead(this.#scanner)) return;
    } catch (error) {
      if (!(error instanceof GatherError) || error.code !== 'source_unreadable') throw error;
    }
    own.read(this.#scanner);
  }

  /** A container that sees the host under rootfs finds that prefix before each mount point. */
  #onHost(mount: Mount): string {
    const { mountpoint } = mount;
    if (this.#rootfs === '' || !mountpoint.startsWith(this.#rootfs)) return mountpoint;
    return mountpoint.slice(this.#rootfs.length) || '/';
  }

  #bind(sink: SampleSink): void {
    const places = new Map<string, Series[]>();
    for (const found of this.#mounts) {
      const mount = { ...found, mountpoint: this.#onHost(found) };
      const { device, mountpoint, fstype, major, minor } = mount;
      const sizes = SIZES.map((metric) => sink.series(metric, { device, mountpoint, fstype, device_error: '' }));
      const series = { mount, sizes, info: sink.series(MOUNT_INFO, { device, mountpoint, major, minor }), states: new Map() };
      places.set(mountpoint, [...(places.get(mountpoint) ?? []), series]);
    }
    this.#places = [...places].map(([mountpoint, series]) => {
      return { mountpoint, isLocal: series.every(({ mount }) => LOCAL_TYPES.test(mount.fstype)), series };
    });
  }

  /** As many workers as there are threads; what they cannot get to because threads are lost is said to be so. */
  async #ask(sink: SampleSink, queue: Place[], threads: Threads): Promise<void> {
    const { timers } = this.#deps;
    const round = { isOver: false };
    const timer = timers.setTimer(() => (round.isOver = true), this.#settings.mountTimeoutMs);
    await Promise.all(Array.from({ length: threads.count }, () => this.#work(sink, queue, threads, round)));
    timers.clearTimer(timer);
    for (const place of queue) this.#setError(sink, place, NOT_ASKED);
  }

  async #work(sink: SampleSink, queue: Place[], threads: Threads, round: { readonly isOver: boolean }): Promise<void> {
    while (threads.free > 0 && !round.isOver) {
      const place = queue.shift();
      if (place === undefined) return;
      await this.#askOne(sink, place, threads);
    }
  }

  async #askOne(sink: SampleSink, place: Place, threads: Threads): Promise<void> {
    const { mountpoint } = place;
    threads.free--;
    this.#pending.add(mountpoint);
    const release = (): void => {
      threads.free++;
      this.#pending.delete(mountpoint);
    };
    const answer = this.#deps.statfs(`${this.#rootfs}${mountpoint}`).then(
      (stats) => {
        release();
        return sizesOf(stats);
      },
      (error: unknown) => {
        release();
        return ERRORS[errnoOf(error)] ?? errnoOf(error);
      },
    );
    const sizes = await this.#within(answer);
    if (typeof sizes === 'string') this.#setError(sink, place, sizes);
    else this.#setSizes(sink, place, sizes);
  }

  #within(answer: Promise<readonly number[] | string>): Promise<readonly number[] | string> {
    const { timers } = this.#deps;
    return new Promise((resolve) => {
      const timer = timers.setTimer(() => resolve(TIMEOUT), this.#settings.mountTimeoutMs);
      void answer.then((sizes) => {
        timers.clearTimer(timer);
        resolve(sizes);
      });
    });
  }

  #setError(sink: SampleSink, place: Place, error: string): void {
    for (const series of place.series) this.#setState(sink, series, error, 1);
  }

  #setSizes(sink: SampleSink, place: Place, sizes: readonly number[]): void {
    for (const series of place.series) {
      this.#setState(sink, series, '', 0);
      for (let i = 0; i < sizes.length; i++) sink.set(series.sizes[i] as number, sizes[i] as number);
    }
  }

  #setState(sink: SampleSink, series: Series, error: string, value: number): void {
    let state = series.states.get(error);
    if (state === undefined) {
      const { device, mountpoint, fstype } = series.mount;
      const labels = { device, mountpoint, fstype, device_error: error };
      state = { error: sink.series(DEVICE_ERROR, labels), readonly: sink.series(READONLY, labels) };
      series.states.set(error, state);
    }
    sink.set(state.error, value);
    sink.set(state.readonly, series.mount.isReadOnly ? 1 : 0);
    sink.set(series.info, 1);
  }
}

function sizesOf(stats: SpaceStats): readonly number[] {
  const { bsize, blocks, bfree, bavail, files, ffree } = stats;
  return [blocks * bsize, bfree * bsize, bavail * bsize, files, ffree, 0];
}
