/** `picket hosts`: every host with its newest values; `picket hosts revoke NAME` shuts one out. */
import { ask, CLIENT_OPTIONS, clientOf, isRecord, textOf } from '../client.ts';
import { CommandError, JSON_OUTPUT, usageError, type Arguments, type Command, type Io } from '../command.ts';
import { askHosts, hostTable } from '../host-list.ts';
import { printable } from '../terminal.ts';

export const hosts: Command = {
  name: 'hosts',
  usage: '[list | revoke NAME] [OPTIONS]',
  summary: 'Lists the hosts with their status and newest values, or revokes one.',
  about:
    "revoke: the collector takes nothing from that host's agent any more and the name is free for another; what is stored stays.\n" +
    'There is no way back but to enrol the host anew (picket enroll, after deleting the data/agent folder there).',
  wordsMax: 2,
  options: [...CLIENT_OPTIONS, JSON_OUTPUT],
  examples: [
    { line: 'picket hosts', about: 'one line for each host' },
    { line: 'picket hosts --json', about: 'the same with every field, for programs' },
    { line: 'picket hosts revoke web-1', about: 'its agent is refused from now on' },
  ],
  async run(args, io) {
    const [verb = 'list', name] = args.words;
    if (verb === 'list' && name === undefined) return list(args, io);
    if (verb === 'revoke' && name !== undefined) return revoke(name, args, io);
    throw usageError(
      'hosts',
      verb === 'revoke' ? 'hosts revoke needs the NAME that "picket hosts" shows' : 'write "picket hosts" or "picket hosts revoke NAME"',
    );
  },
};

async function list(args: Arguments, io: Io): Promise<number> {
  const found = await askHosts(await clientOf('hosts', args, io));
  if (args.switches.has('json')) io.out(`${JSON.stringify(found.answer)}\n`);
  else if (found.hosts.length === 0) io.out('No host yet. Add one with: picket enroll\n');
  else io.out(hostTable(found.hosts, Date.now()));
  return 0;
}

async function revoke(name: string, args: Arguments, io: Io): Promise<number> {
  const client = await clientOf('hosts', args, io);
  const answer = await ask(client, '/api/v1/agents');
  const agents = isRecord(answer) && Array.isArray(answer['agents']) ? answer['agents'].filter(isRecord) : [];
  // A name that was revoked may have been taken by another host since: then that one is meant.
  const named = agents.filter((agent) => agent['host'] === name);
  const agentId = textOf((named.find((agent) => agent['status'] !== 'revoked') ?? named[0])?.['agentId']);
  if (agentId === undefined)
    throw new CommandError('host_unknown', `no host is called "${printable(name)}"; "picket hosts" lists those there are`);
  const revoked = await ask(client, `/api/v1/agents/${encodeURIComponent(agentId)}`, { method: 'DELETE' });
  const already = isRecord(revoked) && revoked['already'] === true;
  if (args.switches.has('json')) io.out(`${JSON.stringify(revoked)}\n`);
  else io.out(already ? `${printable(name)} was revoked before.\n` : `Revoked ${printable(name)}.\n`);
  return 0;
}
