/** `picket agent`: the agent in this process, or one look at the host without a collector. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { agentConfig, isLoopback, type AgentConfig } from '../../agent/config.ts';
import { untilSignal } from '../child.ts';
import { JSON_OUTPUT, usageError, type Command, type Io } from '../command.ts';
import { logger } from '../log.ts';
import { claimFolder } from '../pid-file.ts';
import { startedBy } from '../process-owner.ts';
import { openSettings, type Settings } from '../settings.ts';

/** Options that are keys of the configuration. */
const KEYS = ['collector-url', 'enroll-token', 'name', 'dir', 'ca-file', 'path.procfs', 'path.sysfs', 'path.rootfs', 'path.udev'];

export const agent: Command = {
  name: 'agent',
  usage: '[OPTIONS]',
  summary: 'Runs the agent: gathers this host, signs, keeps and sends it.',
  about: 'Settings come from the command line, the environment (PICKET_*), the file that PICKET_CONFIG names, and defaults, in this order.',
  wordsMax: 0,
  options: [
    { name: 'collector-url', value: 'URL', help: 'the collector (PICKET_COLLECTOR_URL; default ws://127.0.0.1:8080)' },
    { name: 'enroll-token', value: 'TOKEN', help: 'once, to become known (PICKET_ENROLL_TOKEN, PICKET_ENROLL_TOKEN_FILE)' },
    { name: 'name', value: 'NAME', help: "name of this host (PICKET_NAME; default: the machine's)" },
    { name: 'dir', value: 'FOLDER', help: 'identity and spool (PICKET_AGENT_DIR; default ./data/agent)' },
    { name: 'ca-file', value: 'FILE', help: 'PEM certificates to trust besides the usual ones (PICKET_CA_FILE)' },
    { name: 'insecure', help: 'allow ws:// to another machine (PICKET_INSECURE): signed, but not secret' },
    { name: 'once', help: 'gather once, print, end' },
    { name: 'format', value: 'FORMAT', help: 'with --once: prometheus (the text format)' },
    { name: 'path.procfs', value: 'FOLDER', help: 'where the host shows itself (default /proc)' },
    { name: 'path.sysfs', value: 'FOLDER', help: 'the same for /sys' },
    { name: 'path.rootfs', value: 'FOLDER', help: 'the same for /' },
    { name: 'path.udev', value: 'FOLDER', help: 'the same for /run/udev/data' },
    { name: 'print-config', help: 'print the settings in force, secrets masked, and where each comes from' },
    { ...JSON_OUTPUT, help: 'with --print-config: print JSON' },
  ],
  examples: [
    { line: 'picket agent --once --format prometheus', about: 'what this host would report' },
    {
      line: 'PICKET_COLLECTOR_URL=https://collector.example PICKET_ENROLL_TOKEN=... picket agent',
      about: 'enrol at a collector and report to it ("picket enroll" there prints this line)',
    },
    { line: 'picket agent --once --format prometheus --path.procfs /host/proc', about: 'from inside a container' },
  ],
  async run(args, io) {
    const flags: Record<string, string | undefined> = Object.fromEntries(
      KEYS.map((name) => [name.replaceAll('-', '_'), args.values[name]]),
    );
    if (args.switches.has('insecure')) flags['insecure'] = 'true';
    const { settings, config } = await readConfig(io, flags);
    if (args.switches.has('print-config')) {
      const { printSettings } = await import('../settings-file.ts');
      io.out(args.switches.has('json') ? `${JSON.stringify(settings.decisions)}\n` : printSettings('agent', settings));
      return 0;
    }
    const format = args.values['format'];
    if (format !== undefined && format !== 'prometheus')
      throw usageError('agent', `there is no format "${format}"; write --format prometheus`);
    if (format !== undefined && !args.switches.has('once')) throw usageError('agent', '--format goes with --once');
    if (args.switches.has('once')) {
      const { gatherOnce } = await loadAgent();
      io.out(await gatherOnce(config));
      return 0;
    }
    await untilSignal((signal) => report(config, io, signal));
    return 0;
  },
};

/** The agent of the collector's own host finds the token that the collector leaves for it beside its data. */
async function readConfig(io: Io, flags: Record<string, string | undefined>): Promise<{ settings: Settings; config: AgentConfig }> {
  const dataDir =
    io.environment['PICKET_DATA_DIR'] === undefined || io.environment['PICKET_DATA_DIR'] === ''
      ? './data'
      : io.environment['PICKET_DATA_DIR'];
  const defaults = { defaultDirectory: join(dataDir, 'agent') };
  const settings = await openSettings({ section: 'agent', environment: io.environment, flags });
  const config = agentConfig(settings, defaults);
  const tokenFile = join(dataDir, 'local-enroll-token');
  if (config.enrollToken !== undefined || !isLoopback(config.collectorUrl) || !existsSync(tokenFile)) return { settings, config };
  const withToken = await openSettings({
    section: 'agent',
    environment: { ...io.environment, PICKET_ENROLL_TOKEN_FILE: tokenFile },
    flags,
  });
  return { settings: withToken, config: agentConfig(withToken, defaults) };
}

async function report(config: AgentConfig, io: Io, signal: AbortSignal): Promise<void> {
  const log = logger('agent', { level: config.logLevel, terminal: io.terminal });
  const release = claimFolder(
    join(config.directory, 'agent.pid'),
    'agent',
    (owner) => `stop it with "kill ${startedBy(owner).pid}", or give this one a folder of its own with PICKET_AGENT_DIR`,
  );
  try {
    const { runAgent } = await loadAgent();
    await runAgent(config, { log, signal });
  } finally {
    release();
  }
}

/**
 * What makes an agent small, set before its code is loaded. Compilers that trade memory for speed cost 15 MB and save a tenth of a CPU that is used for
 * 3 ms a second; a young generation of 1 MB holds a tick. msgpackr reads its variable when it is loaded: its native part would be 6 MB more.
 */
export function loadAgent(): Promise<typeof import('../../agent/main.ts')> {
  for (const flag of ['--no-opt', '--no-maglev', '--no-sparkplug', '--max-semi-space-size=1', '--semi-space-growth-factor=1'])
    setFlagsFromString(flag);
  process.env['MSGPACKR_NATIVE_ACCELERATION_DISABLED'] = 'true';
  return import('../../agent/main.ts');
}
