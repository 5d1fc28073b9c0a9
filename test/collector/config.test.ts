/** The collector's settings: defaults, what is allowed, what is answered to the rest. */
import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { test } from 'node:test';
import { collectorConfig, listenAddress, type CollectorConfig } from '../../collector/config.ts';
import { ConfigError } from '../../packaging/config-error.ts';
import { openSettings } from '../../packaging/settings.ts';

async function config(environment: Record<string, string>): Promise<CollectorConfig> {
  return collectorConfig(await openSettings({ section: 'collector', environment }));
}

async function refused(environment: Record<string, string>, expected: RegExp): Promise<void> {
  await assert.rejects(
    () => config(environment),
    (error) => error instanceof ConfigError && expected.test(`${error.code} ${error.sentence}`),
  );
}

test('without any setting it listens on loopback and keeps 90 days in ./data', async () => {
  assert.deepEqual(await config({}), {
    listen: { host: '127.0.0.1', port: 8080 },
    dataDir: resolve('data'),
    retention: { ageMs: 90 * 86_400_000, bytesMax: 50e9, acceptAnyTime: false },
    logLevel: 'info',
  });
});

test('the public variables set what they name', async () => {
  const read = await config({
    PICKET_LISTEN: '[::1]:0',
    PICKET_DATA_DIR: '/var/lib/picket',
    PICKET_ADMIN_TOKEN: 'abc',
    PICKET_PUBLIC_URL: 'https://picket.example/',
    PICKET_TLS_CERT_FILE: '/c.pem',
    PICKET_TLS_KEY_FILE: '/k.pem',
    PICKET_RETENTION: '7d',
    PICKET_LOG_LEVEL: 'debug',
  });
  assert.deepEqual(read.listen, { host: '::1', port: 0 });
  assert.equal(read.dataDir, '/var/lib/picket');
  assert.equal(read.adminToken, 'abc');
  assert.equal(read.publicUrl, 'https://picket.example');
  assert.deepEqual(read.tls, { certFile: '/c.pem', keyFile: '/k.pem' });
  assert.deepEqual(read.retention, { ageMs: 7 * 86_400_000, bytesMax: 50e9, acceptAnyTime: false });
  assert.equal(read.logLevel, 'debug');
});

test('PICKET_RETENTION=off keeps everything and takes any time stamp, unless bytes are bounded', async () => {
  assert.deepEqual((await config({ PICKET_RETENTION: 'off' })).retention, { ageMs: undefined, bytesMax: undefined, acceptAnyTime: true });
  assert.equal((await config({ PICKET_RETENTION: 'off', PICKET_RETENTION_BYTES: '1GB' })).retention.bytesMax, 1e9);
});

test('addresses are host:port, with brackets around IPv6', async () => {
  const check = (text: string, expected: string | undefined): void => {
    const address = listenAddress(text);
    assert.equal(address === undefined ? undefined : `${address.host} ${address.port}`, expected, text);
  };
  check('0.0.0.0:9000', '0.0.0.0 9000');
  check('localhost:8080', 'localhost 8080');
  check('[::]:8080', ':: 8080');
  check('::1:8080', undefined);
  check('8080', undefined);
  check(':8080', undefined);
  check('h:65536', undefined);
  check('http://h:80', undefined);
});

test('what cannot be used is refused with what to write instead', async () => {
  await refused({ PICKET_LISTEN: '8080' }, /^config_invalid PICKET_LISTEN: "8080" is not host:port; write for example 127\.0\.0\.1:8080/);
  await refused({ PICKET_RETENTION: '30' }, /^config_invalid PICKET_RETENTION: "30" is not a duration; .*90d, or off/);
  await refused({ PICKET_RETENTION: '1s' }, /outside 1h to 100y/);
  await refused({ PICKET_TLS_CERT_FILE: '/c.pem' }, /^config_missing PICKET_TLS_CERT_FILE: tls\.cert_file needs tls\.key_file/);
  await refused({ PICKET_TLS_KEY_FILE: '/k.pem' }, /^config_missing PICKET_TLS_KEY_FILE: /);
  await refused({ PICKET_PUBLIC_URL: 'picket.example' }, /^config_invalid PICKET_PUBLIC_URL/);
  await refused({ PICKET_LOG_LEVEL: 'loud' }, /write one of trace, debug/);
});

test('a bad secret is not repeated in the error', async () => {
  await refused({ PICKET_ADMIN_TOKEN: 'two words' }, /^config_invalid PICKET_ADMIN_TOKEN: the value is not one word/);
});

test("the other systems' names are accepted and named as not used yet", async () => {
  const read = await openSettings({
    section: 'collector',
    environment: { ALERT_EMAIL: 'a@b', PERFORMANCE_CPU_THRESHOLD: '80', LOG_RETENTION_DAYS: '30' },
  });
  collectorConfig(read);
  assert.deepEqual(
    read.unused.map((one) => one.variable),
    ['ALERT_EMAIL', 'PERFORMANCE_CPU_THRESHOLD', 'LOG_RETENTION_DAYS'],
  );
});
