/** The sources keep to the import directions and package owners of packaging/architecture.ts, and each of those rules can fail. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { architectureProblems, importsOf, PACKAGE_OWNERS } from '../packaging/architecture.ts';

const ROOT = join(import.meta.dirname, '..');

/** A small tree that keeps every rule. */
const CLEAN: Readonly<Record<string, string>> = {
  'protocol/index.ts': `export * from './frame.ts';`,
  'protocol/frame.ts': `import { sign } from 'node:crypto'; export const frame = sign;`,
  'agent/main.ts': `import { link } from './link/link.ts'; export const main = link;`,
  'agent/clock.ts': 'export const clock = 1;',
  'agent/link/link.ts': `import { WebSocket } from 'ws';\nimport { clock } from '../clock.ts';\nimport { frame } from '../../protocol/index.ts';\nexport const link = [WebSocket, clock, frame];`,
  'agent/spool/spool.ts': 'export const spool = 1;',
  'collector/main.ts': `import { store } from './store/store.ts'; export const main = store;`,
  'collector/config.ts': 'export const config = 1;',
  'collector/model/ports.ts': 'export type Port = 1;',
  'collector/store/store.ts': `import { Level } from 'level';\nimport type { Port } from '../model/ports.ts';\nexport const store: Port | unknown = Level;`,
  'collector/query/engine.ts': `import type { Port } from '../model/ports.ts'; export const engine: Port = 1;`,
  'collector/http/app.ts': `import Koa from 'koa';\nimport type pino from 'pino';\nimport { engine } from '../query/engine.ts';\nexport const app = (log: pino.Logger) => [Koa, engine, log];`,
  'packaging/picket.ts': `import { main } from '../collector/main.ts'; import { frame } from '../protocol/frame.ts'; export const all = [main, frame];`,
  'test/all.test.ts': `import { store } from '../collector/store/store.ts';\nimport fc from 'fast-check';\nexport const all = [store, fc];`,
};

/** What the check says of the clean tree with one file changed or added. */
function problemsWith(changes: Readonly<Record<string, string>>): string[] {
  const root = mkdtempSync(join(tmpdir(), 'picket-architecture-'));
  try {
    for (const [path, text] of Object.entries({ ...CLEAN, ...changes })) {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      writeFileSync(join(root, path), `${text}\n`);
    }
    return architectureProblems(root).map(({ path, line, sentence }) => `${path}:${line} ${sentence}`);
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

test('this checkout keeps every rule', () => {
  assert.deepEqual(architectureProblems(ROOT), []);
});

test('every package of this checkout has an owner, and every owner a package', () => {
  const { dependencies, devDependencies, optionalDependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as Record<
    string,
    object
  >;
  assert.deepEqual(
    Object.keys(PACKAGE_OWNERS).toSorted(),
    Object.keys({ ...dependencies, ...devDependencies, ...optionalDependencies }).toSorted(),
  );
});

test('a tree that keeps the rules has no problems', () => {
  assert.deepEqual(problemsWith({}), []);
});

test('each breach of a rule is found where it stands', () => {
  const check = (path: string, text: string, expected: RegExp): void => {
    const problems = problemsWith({ [path]: text });
    assert.ok(
      problems.some((problem) => expected.test(problem)),
      `${path}: ${text}\n${problems.join('\n')}`,
    );
  };
  check(
    'protocol/x.ts',
    `import { clock } from '../agent/clock.ts';`,
    /^protocol\/x\.ts:1 imports agent\/clock\.ts; protocol may import nothing of ours/,
  );
  check('agent/x.ts', `\nimport { frame } from '../protocol/frame.ts';`, /^agent\/x\.ts:2 .* entered by protocol\/index\.ts/);
  check(
    'agent/x.ts',
    `import { config } from '../collector/config.ts';`,
    /^agent\/x\.ts:1 imports collector\/config\.ts; agent may import/,
  );
  check(
    'collector/model/x.ts',
    `import type { clock } from '../../agent/clock.ts';`,
    /^collector\/model\/x\.ts:1 imports agent\/clock\.ts/,
  );
  check('collector/http/x.ts', `import { store } from '../store/store.ts';`, /the store is seen by collector\/main\.ts alone/);
  check('collector/http/x.ts', `export * from '../store/store.ts';`, /the store is seen by collector\/main\.ts alone/);
  check('collector/http/x.ts', `export const x = () => import('../store/store.ts');`, /the store is seen by collector\/main\.ts alone/);
  check('collector/query/x.ts', `import { app } from '../http/app.ts';`, /collector\/query may import protocol, collector\/model/);
  check('collector/model/x.ts', `import { engine } from '../query/engine.ts';`, /collector\/model may import protocol/);
  check('collector/config.ts', `import type { Port } from './model/ports.ts';`, /collector\/config\.ts may import nothing of ours/);
  check('agent/x.ts', `import { all } from '../packaging/picket.ts';`, /agent must work without packaging/);
  check('agent/x.ts', `import { all } from '../test/all.test.ts';`, /agent must work without test/);
  check(
    'agent/spool/x.ts',
    `import { WebSocket } from 'ws';`,
    /^agent\/spool\/x\.ts:1 imports ws; that package belongs to agent\/link and collector\/ingest/,
  );
  check('collector/store/x.ts', `import pino from 'pino';`, /imports pino; that package belongs to packaging\/log\.ts/);
  check('agent/x.ts', `import lodash from 'lodash/fp';`, /imports lodash, which has no owner/);
  check('agent/x.ts', `import { clock } from './clock';`, /imports "\.\/clock"; write the file's name with \.ts/);
  check('test/x.ts', `import { clock } from '../agent/clock.js';`, /write the file's name with \.ts/);
  check('agent/x.ts', `import { clock } from './clocks.ts';`, /imports agent\/clocks\.ts, which is not there/);
  check('agent/x.ts', `import { clock } from '../../x/clock.ts';`, /outside the checkout/);
});

test('cycles are found between files and between rooms', () => {
  const files = problemsWith({ 'agent/spool/a.ts': `import './b.ts';`, 'agent/spool/b.ts': `import './a.ts';` });
  assert.deepEqual(files, ['agent/spool/b.ts:1 file cycle: agent/spool/a.ts -> agent/spool/b.ts -> agent/spool/a.ts']);
  const rooms = problemsWith({
    'agent/spool/a.ts': `import { link } from '../link/link.ts';`,
    'agent/link/b.ts': `import { spool } from '../spool/spool.ts';`,
  });
  assert.deepEqual(rooms, ['agent/spool:1 room cycle: agent/link -> agent/spool -> agent/link']);
});

test('imports are read as the language reads them', () => {
  const text = [
    `/* import a from 'comment'; */`,
    `// import b from 'comment';`,
    `import type { C } from 'types';`,
    `import {`,
    `  d, // one of two`,
    `  type E,`,
    `} from "mixed";`,
    `import 'effect';`,
    `const url = 'https://example/'; const f = await import('late');`,
    `export * as g from 'again';`,
    `let h: typeof import('typeof');`,
  ].join('\n');
  assert.deepEqual(
    importsOf('x.ts', text).map(({ line, specifier, typeOnly }) => [line, specifier, typeOnly]),
    [
      [3, 'types', true],
      [4, 'mixed', false],
      [10, 'again', false],
      [8, 'effect', false],
      [9, 'late', false],
      [11, 'typeof', true],
    ],
  );
});
