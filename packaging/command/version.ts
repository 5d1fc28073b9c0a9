/** `picket version`: of this checkout or release, and of the runtime under it. */
import { JSON_OUTPUT, type Command } from '../command.ts';
import { version } from '../version.ts';

export const versionCommand: Command = {
  name: 'version',
  usage: '[OPTIONS]',
  summary: 'Prints the version of Picket and of the runtime.',
  wordsMax: 0,
  options: [JSON_OUTPUT],
  examples: [{ line: 'picket version', about: 'one line' }],
  async run(args, io) {
    const found = { picket: version(), node: process.versions.node, platform: `${process.platform}-${process.arch}` };
    io.out(args.switches.has('json') ? `${JSON.stringify(found)}\n` : `picket ${found.picket} (node ${found.node}, ${found.platform})\n`);
    return 0;
  },
};
