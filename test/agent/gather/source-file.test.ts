/** Files that stay open. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { Scanner } from '../../../agent/gather/scanner.ts';
import { SourceFile } from '../../../agent/gather/source-file.ts';

const folder = mkdtempSync(join(tmpdir(), 'picket-source-'));
after(() => rmSync(folder, { recursive: true }));
const textOf = (scanner: Scanner): string => scanner.text(0, scanner.end);

for (const delivery of ['piece', 'records'] as const) {
  test(`a file delivered in ${delivery} is read anew from its start at each tick, longer or shorter`, () => {
    const path = join(folder, delivery);
    const file = new SourceFile(path, delivery);
    const scanner = new Scanner();
    for (const text of ['one\n', 'a longer text\n', 'x\n', 'z'.repeat(100_000)]) {
      truncateSync(writePath(path), 0);
      writeFileSync(path, text);
      file.read(scanner);
      assert.equal(textOf(scanner), text);
      assert.equal(scanner.pos, 0);
    }
    file.close();
  });
}

function writePath(path: string): string {
  if (!existsSync(path)) writeFileSync(path, '');
  return path;
}

test('a kernel file longer than a page is read to its end', { skip: !existsSync('/proc/self/maps') }, () => {
  const file = new SourceFile('/proc/self/maps', 'records');
  const scanner = new Scanner();
  file.read(scanner);
  file.close();
  assert.ok(scanner.end > 4096);
  assert.equal(scanner.bytes[scanner.end - 1], 10);
  const lines = textOf(scanner).trimEnd().split('\n').length;
  const whole = readFileSync('/proc/self/maps', 'utf8').trimEnd().split('\n').length;
  assert.ok(Math.abs(lines - whole) < 20, `${lines} lines, ${whole} by another way`);
});

test('a missing file is said to be missing, with its path, and found when it comes', () => {
  const path = join(folder, 'late');
  const file = new SourceFile(path, 'piece');
  const scanner = new Scanner();
  assert.throws(() => file.read(scanner), { code: 'source_missing', message: new RegExp(path) });
  writeFileSync(path, 'here\n');
  let reads = 1;
  while (!file.tryRead(scanner)) reads++;
  assert.ok(reads <= 30, `${reads} reads`);
  assert.equal(textOf(scanner), 'here\n');
  file.close();
});

test('a folder in the place of a file is unreadable, not missing', () => {
  assert.throws(() => new SourceFile(folder, 'piece').read(new Scanner()), {
    code: 'source_unreadable',
    message: new RegExp(`${folder}: EISDIR`),
  });
});

test('closing gives the descriptor back and a later read opens anew', { skip: !existsSync('/proc/self/fd') }, () => {
  const path = join(folder, 'closed');
  writeFileSync(path, 'a\n');
  const isOpen = (): boolean =>
    readdirSync('/proc/self/fd').some((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`) === path;
      } catch {
        return false;
      }
    });
  const file = new SourceFile(path, 'piece');
  const scanner = new Scanner();
  file.read(scanner);
  assert.equal(isOpen(), true);
  file.close();
  assert.equal(isOpen(), false);
  file.read(scanner);
  assert.equal(textOf(scanner), 'a\n');
  file.close();
  file.close();
});

test(
  'a process that ends behind an open descriptor is found again under the same path or is missing',
  { skip: !existsSync('/proc/self/stat') },
  async () => {
    const { spawn } = await import('node:child_process');
    const child = spawn(process.execPath, ['-e', 'setTimeout(() => {}, 20000)'], { stdio: 'ignore' });
    const file = new SourceFile(`/proc/${child.pid}/stat`, 'piece');
    const scanner = new Scanner();
    file.read(scanner);
    assert.match(textOf(scanner), new RegExp(`^${child.pid} `));
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
    assert.throws(() => file.read(scanner), { code: 'source_missing' });
    file.close();
  },
);

test('a file without end is refused with its size', () => {
  const file = new SourceFile('/dev/zero', 'records');
  assert.throws(() => file.read(new Scanner()), { code: 'source_oversized', message: /\/dev\/zero: it is larger than/ });
  file.close();
});
