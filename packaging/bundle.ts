/** `npm run bundle`: agent and collector as one file each under dist/, for hosts where the sources are not wanted. Their runtime is not part of it. */
import { copyFile, mkdir, rm, stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { build, type Plugin } from 'esbuild';
import { buildPage } from './page.ts';
import { ROOT } from './root.ts';
import { sizeText } from './terminal.ts';

/** One program: what it runs, as the text of its first module. */
type Program = { readonly file: string; readonly entry: string };

const AGENT: Program = {
  file: 'agent.mjs',
  entry: `import { runProcess } from './program.ts'; import { agent } from './command/agent.ts';
    await runProcess({ agent: async () => agent }, ['agent', ...process.argv.slice(2)]);`,
};
const COLLECTOR: Program = {
  file: 'collector.mjs',
  entry: `import { runProcess } from './program.ts'; import { collector } from './command/collector.ts';
    await runProcess({ collector: async () => collector }, ['collector', ...process.argv.slice(2)]);`,
};
/** Runs for a moment at start and hourly, so that what systeminformation needs never stays in the agent. */
const INVENTORY: Program = { file: 'inventory-child.mjs', entry: `import '../agent/inventory-child.ts';` };

/** CommonJS inside an ES module asks for these. */
const BANNER = [
  `import { createRequire as picketCreateRequire } from 'node:module';`,
  `import { dirname as picketDirname } from 'node:path';`,
  `import { fileURLToPath as picketFileURLToPath } from 'node:url';`,
  `const require = picketCreateRequire(import.meta.url);`,
  `const __filename = picketFileURLToPath(import.meta.url);`,
  `const __dirname = picketDirname(__filename);`,
].join('');

/** LevelDB's native part is looked for beside the bundle instead of in a package folder. */
const NATIVE_LEVEL: Plugin = {
  name: 'native-level',
  setup(building) {
    building.onLoad({ filter: /classic-level\/binding\.js$/ }, () => ({
      contents: `module.exports = require('./classic-level.node');`,
      loader: 'js',
    }));
    building.onResolve({ filter: /^\.\/classic-level\.node$/ }, ({ path }) => ({ path, external: true }));
  },
};

/** Writes the bundles into `folder` and answers their sizes in bytes by file name. */
export async function bundle(folder: string): Promise<ReadonlyMap<string, number>> {
  await buildPage(ROOT);
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  const programs = [AGENT, COLLECTOR, INVENTORY];
  await Promise.all(programs.map((program) => bundleOne(program, folder)));
  await copyFile(nativeLevel(), join(folder, 'classic-level.node'));
  const sizes = programs.map(async ({ file }) => [file, (await stat(join(folder, file))).size] as const);
  return new Map(await Promise.all(sizes));
}

async function bundleOne(program: Program, folder: string): Promise<void> {
  await build({
    stdin: { contents: program.entry, resolveDir: import.meta.dirname, loader: 'ts' },
    outfile: join(folder, program.file),
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node24',
    // Names stay: a stack that nobody can read costs more than the bytes.
    minifySyntax: true,
    minifyWhitespace: true,
    legalComments: 'none',
    logLevel: 'warning',
    banner: { js: BANNER },
    plugins: [NATIVE_LEVEL],
  });
}

function nativeLevel(): string {
  const require = createRequire(import.meta.url);
  const folder = dirname(createRequire(require.resolve('level')).resolve('classic-level/package.json'));
  return (createRequire(join(folder, 'index.js'))('node-gyp-build') as { path(folder: string): string }).path(folder);
}

if (import.meta.main) {
  for (const [file, bytes] of await bundle(join(ROOT, 'dist'))) process.stdout.write(`dist/${file}  ${sizeText(bytes)}\n`);
}
