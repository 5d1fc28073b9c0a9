/** `picket status`: is the collector there and ready, and do the hosts report. */
import { ask, CLIENT_OPTIONS, clientOf, isRecord, textOf, type Client } from '../client.ts';
import { CommandError, JSON_OUTPUT, type Command } from '../command.ts';
import { askHosts, hostTable } from '../host-list.ts';
import { printable } from '../terminal.ts';

export const status: Command = {
  name: 'status',
  usage: '[OPTIONS]',
  summary: 'Tells whether the collector is ready and which hosts report.',
  about: 'Exits with 1 if the collector does not answer or is not ready.',
  wordsMax: 0,
  options: [...CLIENT_OPTIONS, JSON_OUTPUT],
  examples: [
    { line: 'picket status', about: 'collector, hosts, and what they still keep' },
    { line: 'picket status --url https://collector.example --token T', about: 'of a collector elsewhere' },
  ],
  async run(args, io) {
    const client = await clientOf('status', args, io);
    const ready = await isReady(client);
    const build = await ask(client, '/api/v1/status/buildinfo');
    const { answer, hosts } = await askHosts(client);
    const up = hosts.filter((host) => host.status === 'up').length;
    if (args.switches.has('json')) {
      io.out(`${JSON.stringify({ url: client.url, ready, version: versionOf(build), ...(isRecord(answer) ? answer : {}) })}\n`);
    } else {
      io.out(
        `collector  ${client.url}  ${ready ? 'ready' : 'not ready (it may still be warming up)'}  version ${printable(versionOf(build))}\n`,
      );
      io.out(`hosts      ${hosts.length}, of which ${up} up\n\n`);
      io.out(hosts.length === 0 ? 'No host yet. Add one with: picket enroll\n' : hostTable(hosts, Date.now()));
    }
    return ready ? 0 : 1;
  },
};

/** Not ready is an answer, too; only silence is a failure. */
async function isReady(client: Client): Promise<boolean> {
  try {
    const response = await fetch(`${client.url}/-/ready`, { redirect: 'error', signal: AbortSignal.timeout(10_000) });
    await response.body?.cancel();
    return response.ok;
  } catch {
    // The next request says in a sentence what is wrong.
    return false;
  }
}

/** The build information has Prometheus's form, and a version of Prometheus for those who ask for one; ours stands in the revision. */
function versionOf(build: unknown): string {
  const data = isRecord(build) && isRecord(build['data']) ? build['data'] : undefined;
  const found = /^picket-(?<version>\S+)$/.exec(textOf(data?.['revision']) ?? '')?.groups?.['version'];
  if (found === undefined) throw new CommandError('answer_unexpected', 'what answers there is not a Picket collector; name it with --url');
  return found;
}
