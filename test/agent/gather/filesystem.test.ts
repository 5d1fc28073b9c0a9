/** File systems: what they say, what fails, and that one which never answers harms nobody. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { DEFAULT_SETTINGS } from '../../../agent/gather/all.ts';
import { FilesystemGatherer, type SpaceStats } from '../../../agent/gather/filesystem.ts';
import { parseMounts } from '../../../agent/gather/mounts.ts';
import { Scanner } from '../../../agent/gather/scanner.ts';
import { FakeTime } from './fake-time.ts';
import { FIXTURE_PATHS, gathered, pathsUnder, Recorder, tickAt } from './recorder.ts';

const SPACE: SpaceStats = { bsize: 4096, blocks: 1000, bfree: 500, bavail: 400, files: 100, ffree: 90 };
const TIMEOUT_MS = DEFAULT_SETTINGS.filesystem.mountTimeoutMs;

/** A kernel that answers at once, except for the paths that are told to hang. */
class FakeKernel {
  readonly asked: string[] = [];
  readonly hanging = new Map<string, ((stats: SpaceStats) => void)[]>();
  readonly #failing = new Map<string, string>();

  hang(...paths: string[]): void {
    for (const path of paths) this.hanging.set(path, []);
  }

  fail(path: string, code: string): void {
    this.#failing.set(path, code);
  }

  statfs = (path: string): Promise<SpaceStats> => {
    this.asked.push(path);
    const code = this.#failing.get(path);
    if (code !== undefined) return Promise.reject(Object.assign(new Error('no'), { code }));
    const waiting = this.hanging.get(path);
    return waiting === undefined ? Promise.resolve(SPACE) : new Promise((resolve) => waiting.push(resolve));
  };

  wake(path: string): void {
    for (const resolve of this.hanging.get(path) ?? []) resolve(SPACE);
    this.hanging.delete(path);
  }
}

const mount = (at: string, fstype: string, device = `server:${at}`): string =>
  `50 27 0:50 / ${at} rw,relatime shared:31 - ${fstype} ${device} rw\n`;

function hostOf(
  t: TestContext,
  mountinfo: string,
): { gatherer: FilesystemGatherer; kernel: FakeKernel; timers: FakeTime; remount(text: string): void } {
  const root = mkdtempSync(join(tmpdir(), 'picket-mounts-'));
  t.after(() => rmSync(root, { recursive: true }));
  mkdirSync(join(root, '1'));
  const remount = (text: string): void => writeFileSync(join(root, '1', 'mountinfo'), text);
  remount(mountinfo);
  const kernel = new FakeKernel();
  const timers = new FakeTime();
  const paths = { procfs: root, sysfs: root, rootfs: '/', udev: root };
  const gatherer = new FilesystemGatherer(paths, DEFAULT_SETTINGS.filesystem, new Scanner(), { statfs: kernel.statfs, timers });
  t.after(() => gatherer.close());
  return { gatherer, kernel, timers, remount };
}

const errorsOf = (samples: Map<string, number>): Record<string, string> =>
  Object.fromEntries(
    [...samples.keys()]
      .filter((name) => name.startsWith('node_filesystem_device_error'))
      .map((name) => [/mountpoint="([^"]*)"/.exec(name)?.[1] ?? '', /device_error="([^"]*)"/.exec(name)?.[1] ?? '']),
  );

test('space, inodes and state of each file system that is wanted', async () => {
  const kernel = new FakeKernel();
  const deps = { statfs: kernel.statfs, timers: new FakeTime() };
  const samples = await gathered(new FilesystemGatherer(FIXTURE_PATHS, DEFAULT_SETTINGS.filesystem, new Scanner(), deps));
  const labels = '{device="/dev/vda",device_error="",fstype="ext4",mountpoint="/"}';
  const of = (name: string): number | undefined => samples.get(`node_filesystem_${name}${labels}`);
  assert.deepEqual(
    ['size_bytes', 'free_bytes', 'avail_bytes', 'files', 'files_free', 'device_error', 'readonly', 'purgeable_bytes'].map(of),
    [4_096_000, 2_048_000, 1_638_400, 100, 90, 0, 0, 0],
  );
  assert.equal(samples.get('node_filesystem_mount_info{device="/dev/vda",major="254",minor="0",mountpoint="/"}'), 1);
  assert.equal(
    samples.get('node_filesystem_readonly{device="files.example:/data",device_error="",fstype="nfs4",mountpoint="/srv/my data"}'),
    1,
  );
  assert.deepEqual(kernel.asked.sort(), ['/', '/run', '/srv/my data'].map((path) => `${FIXTURE_PATHS.rootfs}${path}`).sort());
});

test('a mount that fails says why, and has no sizes', async (t) => {
  const { gatherer, kernel } = hostOf(t, mount('/a', 'ext4') + mount('/b', 'nfs') + mount('/c', 'fuse.x'));
  kernel.fail('/a', 'EACCES');
  kernel.fail('/b', 'ESTALE');
  kernel.fail('/c', 'EWEIRD');
  const samples = await gathered(gatherer);
  assert.deepEqual(errorsOf(samples), { '/a': 'permission denied', '/b': 'stale file handle', '/c': 'EWEIRD' });
  assert.equal(
    [...samples.keys()].some((name) => name.startsWith('node_filesystem_size_bytes')),
    false,
  );
});

test('without a list of mounts the tick fails with the path', async () => {
  const deps = { statfs: new FakeKernel().statfs, timers: new FakeTime() };
  const gatherer = new FilesystemGatherer(pathsUnder('/nowhere'), DEFAULT_SETTINGS.filesystem, new Scanner(), deps);
  await assert.rejects(gatherer.gather(tickAt(1), new Recorder()), { code: 'source_missing', message: /nowhere\/proc\/self\/mountinfo/ });
});

test('a mount that never answers is an error after the deadline, the others are there, and it is not asked again until it answers', async (t) => {
  const { gatherer, kernel, timers } = hostOf(t, mount('/dead', 'nfs') + mount('/alive', 'nfs') + mount('/', 'ext4'));
  kernel.hang('/dead');
  const sink = new Recorder();
  let isOver = false;
  const first = gatherer.gather(tickAt(10), sink).then(() => (isOver = true));
  await turn();
  assert.deepEqual(errorsOf(sink.take()), { '/alive': '', '/': '' });
  await timers.advance(TIMEOUT_MS - 1);
  assert.equal(isOver, false);
  await timers.advance(1);
  await first;
  assert.deepEqual(errorsOf(sink.take()), { '/dead': 'mountpoint timeout' });

  for (let second = 20; second < 100; second += 10) {
    const samples = await gathered(gatherer, sink, second);
    assert.deepEqual(errorsOf(samples), { '/dead': 'mountpoint timeout', '/alive': '', '/': '' });
  }
  assert.equal(kernel.asked.filter((path) => path === '/dead').length, 1);
  assert.equal(timers.pending, 0);

  kernel.wake('/dead');
  await turn();
  assert.deepEqual(errorsOf(await gathered(gatherer, sink, 100)), { '/dead': '', '/alive': '', '/': '' });
  assert.equal(kernel.asked.filter((path) => path === '/dead').length, 2);
});

test('many dead mounts cost two threads, one for local ones, and nothing piles up', async (t) => {
  const dead = ['/n1', '/n2', '/n3', '/n4', '/n5'];
  const { gatherer, kernel, timers } = hostOf(
    t,
    dead.map((path) => mount(path, 'nfs4')).join('') + mount('/', 'ext4') + mount('/data', 'xfs'),
  );
  kernel.hang(...dead);
  const sink = new Recorder();
  const first = gatherer.gather(tickAt(10), sink);
  await timers.advance(TIMEOUT_MS);
  await first;
  const expected = {
    '/n1': 'mountpoint timeout',
    '/n2': 'mountpoint timeout',
    '/n3': 'not asked: other mounts do not answer',
    '/n4': 'not asked: other mounts do not answer',
    '/n5': 'not asked: other mounts do not answer',
    '/': '',
    '/data': '',
  };
  assert.deepEqual(errorsOf(sink.take()), expected);
  for (let second = 20; second < 60; second += 10) assert.deepEqual(errorsOf(await gathered(gatherer, sink, second)), expected);
  assert.deepEqual(
    kernel.asked.filter((path) => path.startsWith('/n')),
    ['/n1', '/n2'],
  );
});

test('a mount that is gone ends, one that comes begins, and an unchanged list is not parsed again', async (t) => {
  const { gatherer, remount } = hostOf(t, mount('/a', 'ext4'));
  const sink = new Recorder();
  assert.deepEqual(Object.keys(errorsOf(await gathered(gatherer, sink))), ['/a']);
  const calls = sink.seriesCalls;
  await gathered(gatherer, sink, 2);
  assert.equal(sink.seriesCalls, calls);
  remount(mount('/b', 'ext4') + mount('/dev/shm', 'tmpfs') + mount('/x', 'overlay'));
  assert.deepEqual(Object.keys(errorsOf(await gathered(gatherer, sink, 3))), ['/b']);
});

test('two things mounted in one place are asked once and are both there', async (t) => {
  const { gatherer, kernel, timers } = hostOf(t, mount('/a', 'nfs', 'one:/') + mount('/a', 'nfs', 'two:/'));
  const sink = new Recorder();
  const samples = await gathered(gatherer, sink);
  assert.equal([...samples.keys()].filter((name) => name.startsWith('node_filesystem_size_bytes')).length, 2);
  assert.deepEqual(kernel.asked, ['/a']);
  kernel.hang('/a');
  const hanging = gatherer.gather(tickAt(2), sink);
  await timers.advance(TIMEOUT_MS);
  await hanging;
  assert.equal([...sink.take()].filter(([name, value]) => name.startsWith('node_filesystem_device_error') && value === 1).length, 2);
});

test('seen from a container, the prefix of the host is taken off mount points', async () => {
  const scanner = Scanner.of(mount('/host', 'ext4') + mount('/host/var', 'ext4'), '/f');
  assert.equal(parseMounts(scanner, () => true).length, 2);
  const root = mkdtempSync(join(tmpdir(), 'picket-rootfs-'));
  mkdirSync(join(root, '1'));
  writeFileSync(join(root, '1', 'mountinfo'), mount('/host', 'ext4') + mount('/host/var', 'ext4') + mount('/host/proc', 'ext4'));
  const kernel = new FakeKernel();
  const paths = { procfs: root, sysfs: root, rootfs: '/host', udev: root };
  const gatherer = new FilesystemGatherer(paths, DEFAULT_SETTINGS.filesystem, new Scanner(), {
    statfs: kernel.statfs,
    timers: new FakeTime(),
  });
  assert.deepEqual(Object.keys(errorsOf(await gathered(gatherer))).sort(), ['/', '/var']);
  assert.deepEqual(kernel.asked.sort(), ['/host/', '/host/var']);
  gatherer.close();
  rmSync(root, { recursive: true });
});

test('a line that is no mount is refused with the line', () => {
  for (const text of ['50 27 0:50 / /a rw\n', '50 27 x:y / /a rw - ext4 /dev/sda rw\n', 'nonsense\n']) {
    assert.throws(() => parseMounts(Scanner.of(text, '/proc/1/mountinfo'), () => true), { message: /mountinfo, line 1: expected a mount/ });
  }
});

test('more mounts than a host can mean are refused with what to do', () => {
  const text = Array.from({ length: 1025 }, (_, i) => mount(`/m${i}`, 'ext4')).join('');
  assert.throws(() => parseMounts(Scanner.of(text, '/f'), () => true), { code: 'source_oversized', message: /exclude some/ });
  assert.equal(parseMounts(Scanner.of(text, '/f'), ({ mountpoint }) => mountpoint === '/m7').length, 1);
});
