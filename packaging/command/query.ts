/** `picket query EXPR`: what a query answers now, at a time or over a range, as a table or as JSON. */
import { ask, CLIENT_OPTIONS, clientOf, isRecord, textOf } from '../client.ts';
import { CommandError, JSON_OUTPUT, usageError, type Arguments, type Command, type Io } from '../command.ts';
import { durationMs } from '../settings.ts';
import { printable, table, timeText } from '../terminal.ts';

/** As many points as a terminal can show with profit. */
const POINTS = 60;
const RANGE_DEFAULT_S = 3600;

export const query: Command = {
  name: 'query',
  usage: 'EXPR [OPTIONS]',
  summary: 'Asks the collector for the series that a selector (as in PromQL) names, and prints them.',
  about:
    'EXPR is a selector, with the matchers =, !=, =~ and !~: node_load1, node_cpu_seconds_total{mode!="idle"}. No functions, operators or ' +
    'ranges in brackets yet.\nTimes are seconds since 1970, RFC 3339, or an age as in 10m. With --start, --end or --step the answer is over a range.',
  wordsMax: 1,
  options: [
    { name: 'time', value: 'TIME', help: 'for one moment (default: now)' },
    { name: 'start', value: 'TIME', help: 'first moment of a range (default: an hour before its end)' },
    { name: 'end', value: 'TIME', help: 'last moment of a range (default: now)' },
    { name: 'step', value: 'DURATION', help: `distance of the moments (default: ${POINTS} of them)` },
    ...CLIENT_OPTIONS,
    { ...JSON_OUTPUT, help: 'print the answer as it comes, in the form of the Prometheus API' },
  ],
  examples: [
    { line: 'picket query node_load1', about: 'the newest load of every host' },
    { line: `picket query 'node_filesystem_avail_bytes{mountpoint="/"}'`, about: 'of one mount point' },
    { line: 'picket query node_load1 --start 10m --step 1m --json', about: 'the last ten minutes, for programs' },
  ],
  async run(args, io) {
    const [expression] = args.words;
    if (expression === undefined) throw usageError('query', 'query needs an expression, for example: picket query node_load1');
    const nowS = Date.now() / 1000;
    const ranged = ['start', 'end', 'step'].some((name) => args.values[name] !== undefined);
    if (ranged && args.values['time'] !== undefined) throw usageError('query', '--time is for one moment; write --end for a range');
    const parameters = new URLSearchParams({ query: expression, ...(ranged ? range(args, nowS) : instant(args, nowS)) });
    const answer = await ask(await clientOf('query', args, io), `/api/v1/${ranged ? 'query_range' : 'query'}?${parameters.toString()}`);
    if (args.switches.has('json')) io.out(`${JSON.stringify(answer)}\n`);
    else print(answer, io);
    return 0;
  },
};

function instant(args: Arguments, nowS: number): Record<string, string> {
  return args.values['time'] === undefined ? {} : { time: String(timeS('time', args.values['time'], nowS)) };
}

function range(args: Arguments, nowS: number): Record<string, string> {
  const end = args.values['end'] === undefined ? nowS : timeS('end', args.values['end'], nowS);
  const start = args.values['start'] === undefined ? end - RANGE_DEFAULT_S : timeS('start', args.values['start'], nowS);
  if (start > end) throw usageError('query', '--start is after --end');
  const word = args.values['step'];
  const stepMs = word === undefined ? Math.max(1, Math.round((end - start) / POINTS)) * 1000 : (durationMs(word) ?? Number(word) * 1000);
  if (!(stepMs > 0)) throw usageError('query', `--step "${word}" is not a duration; write for example --step 15s`);
  return { start: String(start), end: String(end), step: String(stepMs / 1000) };
}

function timeS(name: string, text: string, nowS: number): number {
  const age = durationMs(text.replace(/^-/, ''));
  if (/[a-z]$/.test(text) && age !== undefined) return nowS - age / 1000;
  const value = /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : Date.parse(text) / 1000;
  if (Number.isFinite(value)) return value;
  throw usageError('query', `--${name} "${text}" is not a time; write seconds since 1970, 2026-11-21T12:00:00Z, or an age as in 10m`);
}

function print(answer: unknown, io: Io): void {
  const data = isRecord(answer) && isRecord(answer['data']) ? answer['data'] : undefined;
  const result = data?.['result'];
  if (data === undefined || !Array.isArray(result))
    throw new CommandError('answer_unexpected', 'the answer is not that of a query; see it whole with --json');
  const warnings = isRecord(answer) && Array.isArray(answer['warnings']) ? answer['warnings'] : [];
  for (const warning of warnings) io.error(`warning: ${printable(String(warning))}\n`);
  if (data['resultType'] === 'matrix') return printMatrix(result.filter(isRecord), io);
  const points =
    data['resultType'] === 'vector'
      ? result.filter(isRecord).map((one) => [seriesText(one['metric']), one['value']] as const)
      : [['scalar', result] as const];
  if (points.length === 0) return io.out('Nothing matches. Which names there are: picket query \'{__name__=~"node_.*"}\'\n');
  io.out(
    table(
      ['SERIES', 'VALUE', 'TIME'],
      points.map(([series, point]) => [series, ...pointText(point)]),
    ),
  );
}

function printMatrix(series: readonly Readonly<Record<string, unknown>>[], io: Io): void {
  if (series.length === 0) return io.out('Nothing matches in this range.\n');
  for (const one of series) {
    const values = Array.isArray(one['values']) ? one['values'] : [];
    io.out(`${printable(seriesText(one['metric']))}\n`);
    io.out(
      table(
        ['  TIME', 'VALUE'],
        values.map((point) => pointText(point)).map(([value, time]) => [`  ${time}`, value]),
      ),
    );
  }
}

function pointText(point: unknown): [value: string, time: string] {
  return Array.isArray(point) ? [String(point[1]), timeText(Number(point[0]) * 1000)] : ['-', '-'];
}

/** `name{label="value"}` with the labels in order, as a query could be written. */
function seriesText(metric: unknown): string {
  if (!isRecord(metric)) return '{}';
  const labels = Object.entries(metric).filter(([name]) => name !== '__name__');
  const shown = labels.map(([name, value]) => `${name}=${JSON.stringify(value)}`).join(', ');
  const name = textOf(metric['__name__']) ?? '';
  return shown === '' && name !== '' ? name : `${name}{${shown}}`;
}
