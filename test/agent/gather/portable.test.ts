/** Platforms without /proc. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  PortableFilesystemGatherer,
  PortableHostGatherer,
  PortableNetworkGatherer,
  type HostFacts,
  type SlowFacts,
} from '../../../agent/gather/portable.ts';
import { gathered, Recorder } from './recorder.ts';

const cpu = { model: 'm', speed: 1, times: { user: 1000, nice: 0, sys: 2500, idle: 9000, irq: 0 } };
const host: HostFacts = {
  cpus: () => [cpu, cpu],
  loadavg: () => [0.5, 0.25, 0.125],
  totalmem: () => 16e9,
  freemem: () => 4e9,
  uptime: () => 100.4,
  platform: () => 'darwin',
};

test('CPU, memory, load and boot time from the runtime alone', async () => {
  const gatherer = new PortableHostGatherer(host);
  const sink = new Recorder();
  const samples = await gathered(gatherer, sink, 1000);
  assert.equal(samples.get('node_cpu_seconds_total{cpu="1",mode="system"}'), 2.5);
  assert.equal(samples.get('node_memory_total_bytes'), 16e9);
  assert.equal(samples.get('node_load5'), 0.25);
  assert.equal(samples.get('node_boot_time_seconds'), 900);
  assert.equal((await gathered(gatherer, sink, 1001)).get('node_boot_time_seconds'), 900, 'uptime is rounded: the boot time must not jump');
});

test('where there is no load average none is made up', async () => {
  const samples = await gathered(new PortableHostGatherer({ ...host, platform: () => 'win32', loadavg: () => [0, 0, 0] }));
  assert.equal(samples.has('node_load1'), false);
});

test('file systems and devices come from other programs; what those do not know is left out', async () => {
  const facts: SlowFacts = {
    fsSize: () => Promise.resolve([{ fs: '/dev/disk1', type: 'APFS', size: 1000, used: 400, available: 500, mount: '/', rw: true }]),
    networkStats: () =>
      Promise.resolve([{ iface: 'en0', rx_bytes: 1, rx_errors: 2, rx_dropped: NaN, tx_bytes: 3, tx_errors: 4, tx_dropped: 5 }]),
  };
  const load = (): Promise<SlowFacts> => Promise.resolve(facts);
  const labels = '{device="/dev/disk1",fstype="APFS",mountpoint="/"}';
  assert.deepEqual(Object.fromEntries(await gathered(new PortableFilesystemGatherer(load))), {
    [`node_filesystem_size_bytes${labels}`]: 1000,
    [`node_filesystem_avail_bytes${labels}`]: 500,
    [`node_filesystem_free_bytes${labels}`]: 600,
    [`node_filesystem_readonly${labels}`]: 0,
  });
  const network = await gathered(new PortableNetworkGatherer(load));
  assert.equal(network.get('node_network_transmit_bytes_total{device="en0"}'), 3);
  assert.equal(network.has('node_network_receive_drop_total{device="en0"}'), false);
});

test('a program that fails fails the gatherer', async () => {
  const gatherer = new PortableFilesystemGatherer(() => Promise.reject(new Error('no df')));
  await assert.rejects(gathered(gatherer), /no df/);
});
