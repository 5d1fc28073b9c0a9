/** `npm run bench -- NAME [--json] [options]`: runs one benchmark. Each is a file here with `run(options)`; figures are medians where it says so. */
import { readdirSync } from 'node:fs';
import { parseArgs } from 'node:util';

export type BenchOptions = { readonly json: boolean; readonly args: readonly string[] };
/** Figures by name; the last line with --json. */
export type Figures = Record<string, unknown>;

const names = readdirSync(import.meta.dirname)
  .filter((file) => file.endsWith('.bench.ts'))
  .map((file) => file.slice(0, -'.bench.ts'.length));

const { positionals, values } = parseArgs({
  allowPositionals: true,
  strict: false,
  options: { json: { type: 'boolean', default: false } },
});
const [name] = positionals;
if (name === undefined || !names.includes(name)) {
  process.stderr.write(`usage: npm run bench -- ${names.join('|')} [--json]\n`);
  process.exitCode = 2;
} else {
  const { run } = (await import(`./${name}.bench.ts`)) as { run(options: BenchOptions): Promise<Figures> };
  const args = process.argv.slice(process.argv.indexOf(name) + 1).filter((arg) => arg !== '--json');
  const figures = await run({ json: values['json'] === true, args });
  if (values['json'] === true) process.stdout.write(`${JSON.stringify(figures)}\n`);
}
