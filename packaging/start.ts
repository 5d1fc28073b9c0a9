/** `npm start`: the page is built, then collector and an agent of this host run as two processes under a supervisor. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { agentConfig } from '../agent/config.ts';
import { collectorConfig, type CollectorConfig } from '../collector/config.ts';
import { listenUrl } from './client.ts';
import { greeting, type Listening } from './greeting.ts';
import { logger } from './log.ts';
import { tellFailure } from './program.ts';
import { ROOT } from './root.ts';
import { openSettings } from './settings.ts';
import { Supervisor, type ChildPlan, type SupervisorEvent } from './supervisor.ts';
import { version } from './version.ts';

const PICKET = join(import.meta.dirname, 'picket.ts');
/** The agent does not depend on the collector: after this time it starts without waiting for it, and keeps what it gathers. */
const AGENT_WAIT_MS = 5000;
/** The agent needs no code made from strings, and msgpack is where an attacker would want it. The collector's web server does. */
const AGENT_FLAGS = ['--disallow-code-generation-from-strings'];

type Environment = Readonly<Record<string, string | undefined>>;
type Log = ReturnType<typeof logger>;

/** Resolves with the exit code. */
async function start(environment: Environment): Promise<number> {
  const config = collectorConfig(await openSettings({ section: 'collector', environment }));
  const agentDir = resolve(nonEmpty(environment['PICKET_AGENT_DIR']) ?? join(config.dataDir, 'agent'));
  // Only to refuse what is wrong before anything runs.
  agentConfig(await openSettings({ section: 'agent', environment: agentEnvironment(environment, config, agentDir, undefined) }), {
    defaultDirectory: agentDir,
  });
  const terminal = process.stdout.isTTY;
  const log = logger('picket', { level: config.logLevel, terminal });
  // The programs do not wait for the page, only the invitation to look at it does.
  const page = prepareIn([], 'page', log);
  await compileOnce(log);
  return run(environment, config, { agentDir, log, terminal, page });
}

async function run(
  environment: Environment,
  config: CollectorConfig,
  options: { agentDir: string; log: Log; terminal: boolean; page: Promise<void> },
): Promise<number> {
  const { log } = options;
  let url: string | undefined;
  let greeted = false;
  const supervisor = new Supervisor({
    onEvent: (event) => tell(event, log),
    onMessage(_name, message) {
      if (message.kind !== 'listening') return;
      url = message.url;
      startAgent();
      if (greeted) return;
      greeted = true;
      void options.page.then(() => greet(message, environment, options));
    },
  });
  const agentPlan = plan('agent', () => agentEnvironment(environment, config, options.agentDir, url));
  const waiting = setTimeout(() => startAgent(), AGENT_WAIT_MS);
  let agentStarted = false;
  function startAgent(): void {
    clearTimeout(waiting);
    if (!agentStarted) supervisor.start(agentPlan);
    agentStarted = true;
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      clearTimeout(waiting);
      supervisor.stop();
    });
  }
  supervisor.start(plan('collector', () => environment));
  const exitCode = await supervisor.ended;
  clearTimeout(waiting);
  log.info({ exitCode }, 'picket has stopped');
  return exitCode;
}

function greet(info: Listening, environment: Environment, { log, terminal }: { log: Log; terminal: boolean }): void {
  const { url, elsewhereUrl, loginUrl, dataDir, tokenFile } = info;
  if (terminal) process.stdout.write(greeting(info, version(), environment));
  else log.info({ url, elsewhereUrl, loginUrl, dataDir, tokenFile }, 'picket is running');
}

function plan(name: 'collector' | 'agent', environment: () => Environment): ChildPlan {
  return { name, command: process.execPath, args: [...(name === 'agent' ? AGENT_FLAGS : []), PICKET, name], environment };
}

/** The agent of this host enrols itself with the token that the collector leaves in its data folder. `url` is where the collector says it listens. */
function agentEnvironment(environment: Environment, config: CollectorConfig, agentDir: string, url: string | undefined): Environment {
  const tokenFile = join(config.dataDir, 'local-enroll-token');
  const port = url === undefined ? config.listen.port : Number(new URL(url).port);
  const { PICKET_ENROLL_TOKEN: _token, PICKET_ENROLL_TOKEN_FILE: _file, ...rest } = environment;
  const authority = config.tls === undefined ? {} : { PICKET_CA_FILE: nonEmpty(environment['PICKET_CA_FILE']) ?? config.tls.certFile };
  return {
    ...rest,
    ...authority,
    PICKET_DATA_DIR: config.dataDir,
    PICKET_AGENT_DIR: agentDir,
    PICKET_COLLECTOR_URL: config.publicUrl ?? listenUrl({ ...config, listen: { ...config.listen, port } }),
    PICKET_ENROLL_TOKEN_FILE: existsSync(tokenFile) ? tokenFile : undefined,
    // An address of this host, even where it is not loopback.
    PICKET_INSECURE: 'true',
  };
}

function tell(event: SupervisorEvent, log: Log): void {
  if (event.kind === 'killed') return log.warn(event, `${event.name} did not end within ${event.afterMs} ms and was killed`);
  const pause = `starting it again in ${event.againMs / 1000} s`;
  if (event.quickEnds < 5) log.warn({ how: event.how }, `${event.name} ended; ${pause}`);
  else
    log.error(
      { how: event.how },
      `${event.name} ended ${event.quickEnds} times right after its start; ${pause}; what it said before tells why`,
    );
}

/** After an installation: what the programs' processes would otherwise do, and keep the means for, at their first start. */
async function compileOnce(log: Log): Promise<void> {
  const compiled = join(ROOT, 'node_modules', '.cache', `compiled-${version()}`);
  if (existsSync(compiled)) return;
  // The cache holds for the very flags alone.
  await Promise.all([prepareIn([], 'collector', log), prepareIn(AGENT_FLAGS, 'agent', log)]);
  await writeFile(compiled, '').catch((error: unknown) => log.debug({ err: error }, 'the checkout cannot be written: no cache'));
}

/** In a process of its own: what builds is large, and the supervisor stays for months. */
async function prepareIn(flags: readonly string[], what: 'page' | 'collector' | 'agent', log: Log): Promise<void> {
  const args = [...flags, join(import.meta.dirname, 'prepare.ts'), what];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'inherit'] });
  const code = await new Promise<number | null>((done) => {
    child.once('error', () => done(null));
    child.once('exit', done);
  });
  if (code !== 0) log.error({ code, what }, 'a preparation failed; everything that does not need it runs');
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === '' ? undefined : text;
}

const HELP = `Starts a collector and an agent of this host, and keeps both running.

  npm start

Settings are environment variables (PICKET_LISTEN, PICKET_DATA_DIR, ...) or a file named by PICKET_CONFIG; see packaging/README.md.
Each program alone: npm run collector, npm run agent.
`;

if (import.meta.main && process.argv.includes('--help')) process.stdout.write(HELP);
else if (import.meta.main) {
  try {
    // The page may still be in the making; it is not waited for.
    process.exit(await start(process.env));
  } catch (error) {
    process.exitCode = tellFailure(error, { environment: process.env, error: (text) => void process.stderr.write(text) });
  }
}
