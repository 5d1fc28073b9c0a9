/** The root keeps its promises: the test command finds every test, versions are exact, CI runs what the README says. */
import assert from 'node:assert/strict';
import { globSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

const ROOT = join(import.meta.dirname, '../..');
const MANIFEST = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
  engines?: object;
  bin: Record<string, string>;
  scripts: Record<string, string>;
  dependencies: Record<string, string>;
  devDependencies: Record<string, string>;
  optionalDependencies: Record<string, string>;
};
/** Far fewer than there are; a pattern that matches nothing would let `npm test` pass. */
const TEST_FILES_MIN = 40;

test('the pattern of npm test matches every test file', () => {
  const pattern = /'(?<pattern>[^']+)'$/.exec(MANIFEST.scripts['test'] ?? '')?.groups?.['pattern'] ?? '';
  const matched = globSync(pattern, { cwd: ROOT }).toSorted();
  const there = readdirSync(join(ROOT, 'test'), { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.test.ts'));
  assert.deepEqual(matched, there.map((path) => join('test', path)).toSorted());
  assert.ok(matched.length >= TEST_FILES_MIN, `${matched.length} test files`);
});

test('versions are exact, and both platforms get the same runtime', () => {
  for (const [name, version] of Object.entries({
    ...MANIFEST.dependencies,
    ...MANIFEST.devDependencies,
    ...MANIFEST.optionalDependencies,
  })) {
    assert.match(version, /^\d+\.\d+\.\d+$/, name);
  }
  assert.equal(new Set(Object.values(MANIFEST.optionalDependencies)).size, 1);
  assert.equal(process.version, `v${Object.values(MANIFEST.optionalDependencies)[0]}`, 'and the tests run on it');
});

test('npm prints no warning for this package, and SIGTERM reaches the runtime', () => {
  assert.equal(MANIFEST.engines, undefined);
  for (const [name, line] of Object.entries(MANIFEST.scripts)) {
    assert.doesNotMatch(name, /^(pre|post|prepare)/);
    assert.match(line, /^exec packaging\/node /, name);
  }
});

test('what is run from a shell may be executed', () => {
  for (const path of [MANIFEST.bin['picket'] ?? '', 'packaging/node', '.ci/run'])
    assert.equal(statSync(join(ROOT, path)).mode & 0o111, 0o111, path);
});

test("CI runs the README's test command, last and as it stands there", () => {
  const script = readFileSync(join(ROOT, '.ci/run'), 'utf8').trimEnd().split('\n');
  assert.equal(script.at(-1), 'npm ci && npm test');
  assert.match(readFileSync(join(ROOT, 'README.md'), 'utf8'), /^npm ci && npm test$/m);
});
