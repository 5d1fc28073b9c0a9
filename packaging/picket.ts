/** The one command: finds the sub-command, runs it, and turns what went wrong into a sentence and an exit code. */
import { enableCompileCache } from 'node:module';
import { join } from 'node:path';
import { CommandError, commandHelp, failureOf, overallHelp, readArguments, type Command, type Io } from './command.ts';
import { nearest } from './settings.ts';

/** In the order of the help. Each is loaded when it is asked for: the agent must not carry what the collector needs. */
export const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  collector: async () => (await import('./command/collector.ts')).collector,
  agent: async () => (await import('./command/agent.ts')).agent,
  enroll: async () => (await import('./command/enroll.ts')).enroll,
  token: async () => (await import('./command/token.ts')).token,
  hosts: async () => (await import('./command/hosts.ts')).hosts,
  status: async () => (await import('./command/status.ts')).status,
  query: async () => (await import('./command/query.ts')).query,
  version: async () => (await import('./command/version.ts')).versionCommand,
};

/** Resolves with the exit code: 0 done, 1 failed, 2 wrong use or configuration. Never rejects. */
export async function picket(args: readonly string[], io: Io): Promise<number> {
  try {
    return await dispatch(args, io);
  } catch (error) {
    const { code, sentence, exitCode } = failureOf(error);
    io.error(`picket: ${sentence} [${code}]\n`);
    if (['debug', 'trace'].includes(io.environment['PICKET_LOG_LEVEL'] ?? '') && error instanceof Error) io.error(`${error.stack}\n`);
    return exitCode;
  }
}

async function dispatch(args: readonly string[], io: Io): Promise<number> {
  const [first, ...rest] = args;
  if (first === '--version') return dispatch(['version'], io);
  if (first === 'help' && rest[0] !== undefined) return dispatch([rest[0], '--help'], io);
  if (first === undefined || first === 'help' || first === '--help' || first === '-h') {
    const commands = await Promise.all(Object.values(COMMANDS).map((load) => load()));
    (first === undefined ? io.error : io.out)(overallHelp(commands));
    return first === undefined ? 2 : 0;
  }
  const load = Object.hasOwn(COMMANDS, first) ? COMMANDS[first] : undefined;
  if (load === undefined) throw unknownCommand(first);
  const command = await load();
  if (rest.includes('-h')) return dispatch([first, '--help'], io);
  const given = readArguments(command, rest);
  if (!given.switches.has('help')) return command.run(given, io);
  io.out(commandHelp(command));
  return 0;
}

function unknownCommand(name: string): CommandError {
  const near = nearest(name, Object.keys(COMMANDS));
  const hint = near === undefined ? 'see: picket --help' : `did you mean: picket ${near}`;
  return new CommandError('usage', `there is no command "${name}"; ${hint}`, { exitCode: 2 });
}

/** A reader that has seen enough (`picket query ... | head`) is not a failure. */
function endQuietlyOnBrokenPipe(): void {
  process.stdout.on('error', (error: Error) => {
    if ('code' in error && error.code === 'EPIPE') process.exit(0);
    throw error;
  });
}

if (import.meta.main) {
  // Stripping types costs 17 MB and 50 ms at every start, but not from the second one on.
  enableCompileCache(join(import.meta.dirname, '..', 'node_modules', '.cache', 'compile'));
  endQuietlyOnBrokenPipe();
  const io: Io = {
    environment: process.env,
    out: (text) => void process.stdout.write(text),
    error: (text) => void process.stderr.write(text),
    terminal: process.stdout.isTTY,
  };
  for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
    process.on(event, (error: unknown) => {
      const { code, sentence } = failureOf(error);
      io.error(`picket: ${sentence} [${code}]\n`);
      if (['debug', 'trace'].includes(process.env['PICKET_LOG_LEVEL'] ?? '') && error instanceof Error) io.error(`${error.stack}\n`);
      process.exit(1);
    });
  }
  process.exit(await picket(process.argv.slice(2), io));
}
