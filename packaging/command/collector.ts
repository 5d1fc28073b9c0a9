/** `picket collector`: the collector in this process. */
import { createServer } from 'node:net';
import { join } from 'node:path';
import { collectorConfig, type CollectorConfig } from '../../collector/config.ts';
import { isSupervised, tellSupervisor, untilSignal } from '../child.ts';
import { CommandError, JSON_OUTPUT, type Command, type Io } from '../command.ts';
import { greeting } from '../greeting.ts';
import { logger } from '../log.ts';
import { ownCollector, recordOwnCollector } from '../own-collector.ts';
import { claimFolder } from '../pid-file.ts';
import { ownerText, portOwner, startedBy } from '../process-owner.ts';
import { PAGE } from '../root.ts';
import { openSettings } from '../settings.ts';
import { version } from '../version.ts';

export const collector: Command = {
  name: 'collector',
  usage: '[OPTIONS]',
  summary: 'Runs the collector: receives, stores, answers queries, serves the page.',
  about: 'Settings come from the command line, the environment (PICKET_*), the file that PICKET_CONFIG names, and defaults, in this order.',
  wordsMax: 0,
  options: [
    { name: 'listen', value: 'HOST:PORT', help: 'where to listen (PICKET_LISTEN; default 127.0.0.1:8080)' },
    { name: 'data-dir', value: 'FOLDER', help: 'where everything is kept (PICKET_DATA_DIR; default ./data)' },
    { name: 'print-config', help: 'print the settings in force, secrets masked, and where each comes from' },
    { ...JSON_OUTPUT, help: 'with --print-config: print JSON' },
  ],
  examples: [
    { line: 'picket collector', about: 'on http://127.0.0.1:8080 with its data in ./data' },
    { line: 'PICKET_LISTEN=0.0.0.0:8080 PICKET_RETENTION=30d picket collector', about: 'for other hosts too, keeping 30 days' },
    { line: 'picket collector --print-config', about: 'what would be used' },
  ],
  async run(args, io) {
    const flags = { listen: args.values['listen'], data_dir: args.values['data-dir'] };
    const settings = await openSettings({ section: 'collector', environment: io.environment, flags });
    const config = collectorConfig(settings);
    if (args.switches.has('print-config')) {
      const { printSettings } = await import('../settings-file.ts');
      io.out(args.switches.has('json') ? `${JSON.stringify(settings.decisions)}\n` : printSettings('collector', settings));
      return 0;
    }
    await untilSignal((signal) => collect(config, io, signal));
    return 0;
  },
};

async function collect(config: CollectorConfig, io: Io, signal: AbortSignal): Promise<void> {
  const log = logger('collector', { level: config.logLevel, terminal: io.terminal });
  const next = `PICKET_DATA_DIR=./data2 PICKET_LISTEN=127.0.0.1:${config.listen.port + 1} npm start`;
  const release = claimFolder(join(config.dataDir, 'collector.pid'), 'collector', (owner) => {
    const where = ownCollector(config.dataDir)?.url ?? 'the address that it printed';
    return `open ${where}, stop it with "kill ${startedBy(owner).pid}", or use another folder and port: ${next}`;
  });
  let forget: (() => void) | undefined;
  try {
    await refuseBusyPort(config);
    // Loaded here, so that --help and --print-config need neither the database nor the web server.
    const { runCollector } = await import('../../collector/main.ts');
    await runCollector(config, {
      log,
      version: version(),
      pageDir: PAGE,
      signal,
      onListening(info) {
        const { tokenFile, ...rest } = info;
        const { tls, publicUrl } = config;
        const url = tls === undefined ? info.url : (publicUrl ?? info.url);
        forget = recordOwnCollector(config.dataDir, { url, ...(tls === undefined ? {} : { certFile: tls.certFile }) });
        if (isSupervised()) tellSupervisor({ kind: 'listening', ...rest, ...(tokenFile === undefined ? {} : { tokenFile }) });
        else if (io.terminal) io.out(greeting(info, version(), io.environment));
        else log.info(info, 'listening');
      },
    });
  } finally {
    forget?.();
    release();
  }
}

/** Says who has the port before anything is opened. Whoever takes it in the moment after gets the collector's own error. */
async function refuseBusyPort(config: CollectorConfig): Promise<void> {
  const { host, port } = config.listen;
  const probe = createServer();
  const code = await new Promise<string | undefined>((resolve) => {
    probe.once('error', (error) => resolve('code' in error ? String(error.code) : error.message));
    probe.listen({ host, port, exclusive: true }, () => resolve(undefined));
  });
  if (code === undefined) return new Promise((resolve) => void probe.close(() => resolve()));
  if (code === 'EADDRINUSE') {
    const other = `PICKET_LISTEN=${host.includes(':') ? `[${host}]` : host}:${port + 1} npm start`;
    throw new CommandError(
      'port_in_use',
      `port ${port} of ${host} is in use by ${ownerText(portOwner(port))}; stop that, or choose another port: ${other}`,
    );
  }
  const advice =
    code === 'EACCES' ? 'a port below 1024 needs more rights; choose one above' : 'name an address of this host with PICKET_LISTEN';
  throw new CommandError('listen_failed', `cannot listen on ${host} port ${port}: ${code}; ${advice}`);
}
