/** What a sub-command of `picket` is, how its arguments are read and how its help is printed. The commands themselves are in command/. */
import { parseArgs } from 'node:util';
import { ConfigError } from './config-error.ts';
import { nearest } from './settings.ts';

/** Where a command reads and writes; the process's own in picket.ts, buffers in tests. */
export type Io = {
  readonly environment: Readonly<Record<string, string | undefined>>;
  out(text: string): void;
  error(text: string): void;
  /** Whether people read what `out` writes. */
  readonly terminal: boolean;
};

export type Option = {
  readonly name: string;
  /** Word for the value in the help; without it the option is a switch. */
  readonly value?: string;
  readonly help: string;
};

export type Arguments = {
  /** Values of options that take one. */
  readonly values: Readonly<Record<string, string | undefined>>;
  readonly switches: ReadonlySet<string>;
  readonly words: readonly string[];
};

export type Command = {
  readonly name: string;
  /** What follows the name, as in `EXPR [OPTIONS]`. */
  readonly usage: string;
  readonly summary: string;
  readonly about?: string;
  readonly options: readonly Option[];
  readonly examples: readonly { readonly line: string; readonly about: string }[];
  /** Most words (not options) that it takes. */
  readonly wordsMax: number;
  /** Resolves with the exit code: 0 done, 1 failed. Throws CommandError, ConfigError or what went wrong. */
  run(args: Arguments, io: Io): Promise<number>;
};

/** Something that a command cannot do, said in one sentence that tells what to do about it. */
export class CommandError extends Error {
  readonly code: string;
  readonly exitCode: 1 | 2;
  constructor(code: string, sentence: string, options: ErrorOptions & { exitCode?: 1 | 2 } = {}) {
    super(sentence, options);
    this.name = 'CommandError';
    this.code = code;
    this.exitCode = options.exitCode ?? 1;
  }
}

export const HELP: Option = { name: 'help', help: 'print this' };
export const JSON_OUTPUT: Option = { name: 'json', help: 'print JSON, for programs' };

/** What a failure is to the caller of the program: a sentence, a stable code, and how it ends. */
export type Failure = { readonly code: string; readonly sentence: string; readonly exitCode: 1 | 2 };

export function failureOf(error: unknown): Failure {
  if (error instanceof ConfigError) return { code: error.code, sentence: error.sentence, exitCode: 2 };
  if (error instanceof CommandError) return { code: error.code, sentence: error.message, exitCode: error.exitCode };
  if (!(error instanceof Error)) return { code: 'unexpected', sentence: String(error), exitCode: 1 };
  const code = 'code' in error && typeof error.code === 'string' ? error.code : 'unexpected';
  const sentence = 'sentence' in error && typeof error.sentence === 'string' ? error.sentence : error.message;
  return { code, sentence, exitCode: 1 };
}

export function usageError(command: string, sentence: string): CommandError {
  return new CommandError('usage', `${sentence}; see: picket ${command} --help`.replace('  ', ' '), { exitCode: 2 });
}

/** Throws CommandError (usage) for options and words that the command does not know. */
export function readArguments(command: Command, args: readonly string[]): Arguments {
  const all = [...command.options, HELP];
  const options = Object.fromEntries(
    all.map((option) => [option.name, { type: option.value === undefined ? 'boolean' : 'string' } as const]),
  );
  const { tokens } = parseArgs({ args: [...args], options, strict: false, allowPositionals: true, tokens: true });
  const values: Record<string, string> = {};
  const switches = new Set<string>();
  const words: string[] = [];
  for (const token of tokens) {
    if (token.kind === 'positional') words.push(token.value);
    if (token.kind !== 'option') continue;
    const option = all.find((one) => one.name === token.name);
    if (option === undefined) throw unknownOption(command, token.rawName, all);
    if (option.value === undefined) {
      if (token.value !== undefined) throw usageError(command.name, `--${option.name} takes no value`);
      switches.add(option.name);
    } else if (token.value === undefined) throw usageError(command.name, `--${option.name} needs a value (${option.value})`);
    else values[option.name] = token.value;
  }
  const extra = words[command.wordsMax];
  if (extra !== undefined && !switches.has('help')) throw usageError(command.name, `${command.name} does not take "${extra}"`);
  return { values, switches, words };
}

function unknownOption(command: Command, name: string, all: readonly Option[]): CommandError {
  const near = nearest(
    name.replace(/^-+/, ''),
    all.map((option) => option.name),
  );
  return usageError(command.name, `${command.name} has no option ${name}${near === undefined ? '' : `, did you mean --${near}?`}`);
}

export function commandHelp(command: Command): string {
  const lines = [command.summary, '', `  picket ${command.name} ${command.usage}`.trimEnd()];
  if (command.about !== undefined) lines.push('', command.about);
  lines.push('', 'Options', ...columns([...command.options, HELP].map((option) => [optionText(option), option.help])));
  lines.push('', 'Examples', ...command.examples.flatMap(({ line, about }) => [`  ${line}`, `      ${about}`]), '');
  return lines.join('\n');
}

export function overallHelp(commands: readonly Command[]): string {
  return [
    'Picket watches hosts: a small agent on each node, one collector.',
    '',
    '  picket COMMAND [OPTIONS]',
    '',
    'Commands',
    ...columns(commands.map((command) => [command.name, command.summary])),
    '',
    'Each command explains itself: picket COMMAND --help',
    '',
    'Examples',
    '  picket status',
    '      is the collector there, and which hosts report',
    '  picket query node_load1',
    '      the newest load of every host',
    '  picket enroll',
    '      the one command that adds another host',
    '',
    'Exit codes: 0 done, 1 failed, 2 wrong use or configuration.',
    '',
  ].join('\n');
}

function optionText(option: Option): string {
  return `--${option.name}${option.value === undefined ? '' : ` ${option.value}`}`;
}

function columns(rows: readonly (readonly [string, string])[]): string[] {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`);
}
