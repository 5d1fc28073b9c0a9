/** `picket enroll`: makes a token and prints the one command for the other host. */
import { isLoopback } from '../../agent/config.ts';
import { ask, CLIENT_OPTIONS, clientOf, isRecord, textOf } from '../client.ts';
import { CommandError, JSON_OUTPUT, usageError, type Command } from '../command.ts';
import { durationMs } from '../settings.ts';
import { printable } from '../terminal.ts';

const TTL_DEFAULT = '1h';
const TTL_SECONDS_MAX = 366 * 86_400;
const USES_MAX = 100_000;

export const enroll: Command = {
  name: 'enroll',
  usage: '[OPTIONS]',
  summary: 'Makes an enrolment token and prints the command that adds another host.',
  about:
    'Asks the running collector. The token is shown once; it carries the fingerprint of the collector, so the agent trusts no one else.',
  wordsMax: 0,
  options: [
    { name: 'ttl', value: 'DURATION', help: `how long the token is good (default ${TTL_DEFAULT})` },
    { name: 'uses', value: 'COUNT', help: 'how many hosts may enrol with it (default 1)' },
    { name: 'replace', value: 'NAME', help: 'the new host may take over this name from a host enrolled before' },
    ...CLIENT_OPTIONS,
    JSON_OUTPUT,
  ],
  examples: [
    { line: 'picket enroll', about: 'for one host, within the hour' },
    { line: 'picket enroll --ttl 1d --uses 20', about: 'for twenty hosts today' },
    { line: 'picket enroll --replace web-1', about: 'for the new machine behind the name web-1' },
  ],
  async run(args, io) {
    const ttlMs = durationMs(args.values['ttl'] ?? TTL_DEFAULT);
    if (ttlMs === undefined || ttlMs < 1000 || ttlMs > TTL_SECONDS_MAX * 1000) {
      throw usageError('enroll', `--ttl "${args.values['ttl']}" is not a duration from 1s to 1y; write for example --ttl 1h`);
    }
    const uses = Number(args.values['uses'] ?? 1);
    if (!Number.isInteger(uses) || uses < 1 || uses > USES_MAX)
      throw usageError('enroll', `--uses "${args.values['uses']}" is not a whole number from 1 to ${USES_MAX}`);
    const replace = args.values['replace'];
    const client = await clientOf('enroll', args, io);
    const answer = await ask(client, '/api/v1/enroll', {
      method: 'POST',
      body: { ttlSeconds: Math.round(ttlMs / 1000), uses, ...(replace === undefined ? {} : { replace }) },
    });
    if (!isRecord(answer) || typeof answer['token'] !== 'string' || typeof answer['command'] !== 'string') {
      throw new CommandError('answer_unexpected', `${client.url} answered without a token; is it a Picket collector of this version?`);
    }
    if (args.switches.has('json')) io.out(`${JSON.stringify(answer)}\n`);
    else io.out(enrollText(printable(answer['command']), uses, textOf(answer['expiresAt']) ?? ''));
    if (namesLoopback(answer['command'])) io.error(`warning: ${LOOPBACK_ONLY}\n`);
    return 0;
  },
};

const LOOPBACK_ONLY =
  'this collector listens on loopback only; start it with PICKET_LISTEN=0.0.0.0:8080 (and TLS) so that other hosts reach it, and ask anew';

/** The collector puts an address there by which others reach it, if it has one. */
function namesLoopback(command: string): boolean {
  const url = /\bPICKET_COLLECTOR_URL=(?<url>\S+)/.exec(command)?.groups?.['url'];
  return url !== undefined && URL.canParse(url) && isLoopback(url);
}

function enrollText(command: string, uses: number, expiresAt: string): string {
  const who =
    uses === 1
      ? 'On the other host, in a checkout of Picket after npm ci'
      : `On each of up to ${uses} hosts, in a checkout of Picket after npm ci`;
  return `${who}:\n\n  ${command}\n\nGood until ${printable(expiresAt)}. The token in it is shown only now.\n`;
}
