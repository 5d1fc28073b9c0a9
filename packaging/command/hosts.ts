/** `picket hosts`: every host with its newest values. */
import { CLIENT_OPTIONS, clientOf } from '../client.ts';
import { JSON_OUTPUT, type Command } from '../command.ts';
import { askHosts, hostTable } from '../host-list.ts';

export const hosts: Command = {
  name: 'hosts',
  usage: '[OPTIONS]',
  summary: 'Lists the hosts with their status and newest values.',
  wordsMax: 0,
  options: [...CLIENT_OPTIONS, JSON_OUTPUT],
  examples: [
    { line: 'picket hosts', about: 'one line for each host' },
    { line: 'picket hosts --json', about: 'the same with every field, for programs' },
  ],
  async run(args, io) {
    const found = await askHosts(await clientOf('hosts', args, io));
    if (args.switches.has('json')) io.out(`${JSON.stringify(found.answer)}\n`);
    else if (found.hosts.length === 0) io.out('No host yet. Add one with: picket enroll\n');
    else io.out(hostTable(found.hosts, Date.now()));
    return 0;
  },
};
