/** Who holds a port or a folder, asked of the real kernel. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { claimFolder, livingOwner } from '../../packaging/pid-file.ts';
import { listeningInodes, ownerOf, ownerText, portOwner } from '../../packaging/process-owner.ts';

const folder = mkdtempSync(join(tmpdir(), 'picket-owner-'));
after(() => rmSync(folder, { recursive: true, force: true }));

test('the process that listens on a port is found, on either family', async () => {
  for (const host of ['127.0.0.1', '::1']) {
    const server = createServer().listen(0, host);
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    assert.equal(portOwner(port)?.pid, process.pid, host);
    await new Promise((resolve) => server.close(resolve));
    assert.equal(portOwner(port), undefined, host);
  }
});

test('only sockets that listen on the very port count', () => {
  const text = [
    '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode',
    '   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 111 1',
    '   1: 0100007F:1F90 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 222 1',
    '   2: 0100007F:1F91 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 333 1',
  ].join('\n');
  assert.deepEqual(listeningInodes(text, 8080), ['socket:[111]']);
});

test('a process is named by its pid and command, an unknown one is said to be another', () => {
  assert.match(ownerText(ownerOf(process.pid)), new RegExp(`^process ${process.pid} \\(.*node`));
  assert.equal(ownerText(undefined), 'another process');
  assert.equal(ownerText({ pid: 7, command: '' }), 'process 7');
});

test('a folder is claimed with the own pid and given back', () => {
  const path = join(folder, 'a', 'agent.pid');
  const release = claimFolder(path, 'agent', () => '');
  assert.equal(readFileSync(path, 'utf8'), `${process.pid}\n`);
  release();
  assert.equal(existsSync(path), false);
});

test('a folder that a living process of the same role has is refused, with who and what to do', async () => {
  const other = spawn(process.execPath, ['--eval', 'setInterval(() => {}, 1000)', 'collector'], { stdio: 'ignore' });
  await once(other, 'spawn');
  const path = join(folder, 'collector.pid');
  writeFileSync(path, `${other.pid}\n`);
  assert.throws(() => claimFolder(path, 'collector', (owner) => `stop ${owner.pid}`), {
    code: 'folder_in_use',
    message: new RegExp(`^${folder} is in use: the collector there is process ${other.pid} \\(.*; stop ${other.pid}$`),
  });
  assert.equal(livingOwner(path, 'agent'), undefined, 'a process that is something else does not count');
  other.kill('SIGKILL');
  await once(other, 'exit');
  claimFolder(path, 'collector', () => '')();
});

test('a pid file that makes no sense, or that names this very process, is written anew', () => {
  const path = join(folder, 'x.pid');
  for (const text of ['', 'abc', '-1', '4194304999', String(process.pid)]) {
    writeFileSync(path, text);
    claimFolder(path, 'agent', () => '')();
    assert.equal(existsSync(path), false, text);
  }
});

test('a folder that cannot be written is told', () => {
  assert.throws(
    () => claimFolder('/proc/picket/agent.pid', 'agent', () => ''),
    { code: 'folder_unwritable', message: /^the folder \/proc\/picket cannot be made: .*PICKET_AGENT_DIR$/ },
    'where mkdir -p would never end',
  );
  writeFileSync(join(folder, 'file'), '');
  assert.throws(() => claimFolder(join(folder, 'file', 'agent.pid'), 'agent', () => ''), {
    code: 'folder_unwritable',
    message: /^(the folder .*file cannot be made|cannot write .*agent\.pid): .*/,
  });
});
