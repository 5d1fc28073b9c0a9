/** `npm run check`: types, lint, format and import directions, each told in the words of its tool. With --write it formats instead. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { architectureProblems, SOURCE_FOLDERS } from './architecture.ts';
import { ROOT } from './root.ts';

const DASHBOARD = 'collector/dashboard/tsconfig.json';
const FORMATTED = [...SOURCE_FOLDERS, 'package.json', 'tsconfig.json', '.oxlintrc.json', '.oxfmtrc.json'];

type Step = { readonly name: string; run(): Promise<{ ok: boolean; text: string }> };

/** Resolves with the exit code. */
export async function check(): Promise<number> {
  const steps: Step[] = [
    tool('types', 'tsc', ['-p', 'tsconfig.json']),
    ...(existsSync(join(ROOT, DASHBOARD)) ? [tool('types of the page', 'tsc', ['-p', DASHBOARD])] : []),
    tool('lint', 'oxlint', ['--type-aware', '--deny-warnings', ...SOURCE_FOLDERS]),
    tool('format', 'oxfmt', ['--check', ...FORMATTED]),
    { name: 'imports', run: () => Promise.resolve(imports()) },
  ];
  let failed = 0;
  for (const step of steps) {
    const startedMs = performance.now();
    const { ok, text } = await step.run();
    if (!ok) failed++;
    process.stdout.write(
      `${ok ? 'ok  ' : 'FAIL'} ${step.name} (${Math.round(performance.now() - startedMs)} ms)\n${ok ? '' : `${text.trimEnd()}\n`}`,
    );
  }
  if (failed > 0) process.stdout.write(`\n${failed} of ${steps.length} failed. Formatting is mended by: npm run format\n`);
  return failed === 0 ? 0 : 1;
}

function tool(name: string, command: string, args: readonly string[]): Step {
  return {
    name,
    async run() {
      const { code, text } = await output(command, args);
      return { ok: code === 0, text };
    },
  };
}

function imports(): { ok: boolean; text: string } {
  const problems = architectureProblems(ROOT);
  return { ok: problems.length === 0, text: problems.map(({ path, line, sentence }) => `${path}:${line} ${sentence}\n`).join('') };
}

async function output(command: string, args: readonly string[]): Promise<{ code: number | null; text: string }> {
  const child = spawn(join(ROOT, 'node_modules', '.bin', command), [...args], { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] });
  const parts: Buffer[] = [];
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (part: Buffer) => void parts.push(part));
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  return { code, text: Buffer.concat(parts).toString('utf8') };
}

if (import.meta.main) {
  if (process.argv.includes('--write')) {
    const { code, text } = await output('oxfmt', ['--write', ...FORMATTED]);
    process.stdout.write(text);
    process.exitCode = code ?? 1;
  } else process.exitCode = await check();
}
