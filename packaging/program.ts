/** Runs one of a set of commands as a process: finds it, reads its arguments, and turns what went wrong into a sentence and an exit code. */
import { CommandError, commandHelp, failureOf, overallHelp, readArguments, type Command, type Io } from './command.ts';
import { nearest } from './settings.ts';

/** In the order of the help. Each is loaded when it is asked for: the agent must not carry what the collector needs. */
export type Commands = Readonly<Record<string, () => Promise<Command>>>;

/** Resolves with the exit code: 0 done, 1 failed, 2 wrong use or configuration. Never rejects. */
export async function run(commands: Commands, args: readonly string[], io: Io): Promise<number> {
  try {
    return await dispatch(commands, args, io);
  } catch (error) {
    return tellFailure(error, io);
  }
}

/** Runs as this process and ends it. */
export async function runProcess(commands: Commands, args: readonly string[]): Promise<never> {
  endQuietlyOnBrokenPipe();
  const io: Io = {
    environment: process.env,
    out: (text) => void process.stdout.write(text),
    error: (text) => void process.stderr.write(text),
    terminal: process.stdout.isTTY,
  };
  for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
    process.on(event, (error: unknown) => {
      tellFailure(error, io);
      process.exit(1);
    });
  }
  process.exit(await run(commands, args, io));
}

/** One sentence and the code; the stack only for who asked for it. */
export function tellFailure(error: unknown, io: Pick<Io, 'environment' | 'error'>): 1 | 2 {
  const { code, sentence, exitCode } = failureOf(error);
  io.error(`picket: ${sentence} [${code}]\n`);
  if (['debug', 'trace'].includes(io.environment['PICKET_LOG_LEVEL'] ?? '') && error instanceof Error) io.error(`${error.stack}\n`);
  return exitCode;
}

async function dispatch(commands: Commands, args: readonly string[], io: Io): Promise<number> {
  const [first, ...rest] = args;
  if (first === '--version') return dispatch(commands, ['version'], io);
  if (first === 'help' && rest[0] !== undefined) return dispatch(commands, [rest[0], '--help'], io);
  if (first === undefined || first === 'help' || first === '--help' || first === '-h') {
    const loaded = await Promise.all(Object.values(commands).map((load) => load()));
    (first === undefined ? io.error : io.out)(overallHelp(loaded));
    return first === undefined ? 2 : 0;
  }
  const load = Object.hasOwn(commands, first) ? commands[first] : undefined;
  if (load === undefined) throw unknownCommand(commands, first);
  const command = await load();
  if (rest.includes('-h')) return dispatch(commands, [first, '--help'], io);
  const given = readArguments(command, rest);
  if (!given.switches.has('help')) return command.run(given, io);
  io.out(commandHelp(command));
  return 0;
}

function unknownCommand(commands: Commands, name: string): CommandError {
  const near = nearest(name, Object.keys(commands));
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
