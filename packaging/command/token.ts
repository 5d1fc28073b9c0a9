/** `picket token`: the enrolment tokens that can still be used, and how to take one back. */
import { ask, CLIENT_OPTIONS, clientOf, isRecord, textOf } from '../client.ts';
import { JSON_OUTPUT, usageError, type Arguments, type Command, type Io } from '../command.ts';
import { table, timeText } from '../terminal.ts';

export const token: Command = {
  name: 'token',
  usage: 'list | revoke ID [OPTIONS]',
  summary: 'Lists or revokes enrolment tokens.',
  wordsMax: 2,
  options: [...CLIENT_OPTIONS, JSON_OUTPUT],
  examples: [
    { line: 'picket token list', about: 'which tokens can still be used, by how many, until when' },
    { line: 'picket token revoke 4f0c0a1b2c3d4e5f', about: 'nobody can enrol with it any more; hosts that did stay' },
  ],
  async run(args, io) {
    const [verb, id] = args.words;
    if (verb === 'list' && id === undefined) return list(args, io);
    if (verb === 'revoke' && id !== undefined) return revoke(id, args, io);
    throw usageError(
      'token',
      verb === 'revoke'
        ? 'token revoke needs the ID that "picket token list" shows'
        : 'write "picket token list" or "picket token revoke ID"',
    );
  },
};

async function list(args: Arguments, io: Io): Promise<number> {
  const answer = await ask(await clientOf('token', args, io), '/api/v1/enroll/tokens');
  if (args.switches.has('json')) {
    io.out(`${JSON.stringify(answer)}\n`);
    return 0;
  }
  const tokens = isRecord(answer) && Array.isArray(answer['tokens']) ? answer['tokens'].filter(isRecord) : [];
  if (tokens.length === 0) io.out('There are no enrolment tokens. Make one with: picket enroll\n');
  else
    io.out(
      table(
        ['ID', 'USES LEFT', 'EXPIRES'],
        tokens.map((one) => [
          textOf(one['id']) ?? '-',
          textOf(one['usesLeft'] ?? one['uses']) ?? '-',
          timeText(Number(one['expiresAtMs'])),
        ]),
      ),
    );
  return 0;
}

async function revoke(id: string, args: Arguments, io: Io): Promise<number> {
  await ask(await clientOf('token', args, io), `/api/v1/enroll/tokens/${encodeURIComponent(id)}`, { method: 'DELETE' });
  io.out(args.switches.has('json') ? `${JSON.stringify({ revoked: id })}\n` : `Revoked ${id}.\n`);
  return 0;
}
