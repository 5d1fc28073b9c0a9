/** `npm run bundle`: agent and collector as one file each under dist/, for hosts where the sources are not wanted. Their runtime is not part of it. */
import { copyFile, mkdir, readdir, rm, stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { build, type Plugin } from 'esbuild';
import { buildPage } from './page.ts';
import { ROOT } from './root.ts';
import { sizeText } from './terminal.ts';
import { version } from './version.ts';

/**
 * What is built: first modules by file name. Those of one set share what they load late (YAML, systeminformation) as files of their own, so that a
 * process reads only what it uses.
 */
const SETS: readonly Readonly<Record<string, string>>[] = [
  {
    agent: 'packaging/bundle-agent.ts',
    // Runs for a moment at start and hourly, so that what systeminformation needs never stays in the agent.
    'inventory-child': 'agent/inventory-child.ts',
  },
  { collector: 'packaging/bundle-collector.ts' },
];

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

/** pino's transports are threads with files of their own; they do not survive bundling, are not used, and what they load would stay in memory. */
const NO_TRANSPORTS: Plugin = {
  name: 'no-transports',
  setup(building) {
    building.onLoad({ filter: /pino\/lib\/transport\.js$/ }, () => ({ contents: 'module.exports = undefined;', loader: 'js' }));
  },
};

/** A bundle knows its version without a package.json beside it. */
const VERSION: Plugin = {
  name: 'version',
  setup(building) {
    const contents = `export const version = () => ${JSON.stringify(version())};`;
    building.onLoad({ filter: /packaging\/version\.ts$/ }, () => ({ contents, loader: 'js' }));
  },
};

/** Writes the bundles into `folder` and answers the sizes in bytes of what is there, by file name. */
export async function bundle(folder: string): Promise<ReadonlyMap<string, number>> {
  await buildPage(ROOT);
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  await Promise.all(SETS.map((entries) => bundleSet(entries, folder)));
  await copyFile(nativeLevel(), join(folder, 'classic-level.node'));
  const sizes = (await readdir(folder)).map(async (file) => [file, (await stat(join(folder, file))).size] as const);
  return new Map(await Promise.all(sizes));
}

async function bundleSet(entries: Readonly<Record<string, string>>, folder: string): Promise<void> {
  await build({
    entryPoints: Object.entries(entries).map(([out, path]) => ({ out, in: join(ROOT, path) })),
    outdir: folder,
    outExtension: { '.js': '.mjs' },
    chunkNames: `${Object.keys(entries)[0]}-[name]-[hash]`,
    bundle: true,
    splitting: true,
    platform: 'node',
    format: 'esm',
    target: 'node24',
    // Names stay: a stack that nobody can read costs more than the bytes.
    minifySyntax: true,
    minifyWhitespace: true,
    legalComments: 'none',
    logLevel: 'warning',
    banner: { js: BANNER },
    plugins: [NATIVE_LEVEL, NO_TRANSPORTS, VERSION],
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
