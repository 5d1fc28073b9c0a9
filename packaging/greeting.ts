/** The first lines that somebody sees who starts Picket: where it is, how to get in, where things lie, how to stop it. */
import { hostname, userInfo } from 'node:os';
import type { Io } from './command.ts';

export type Listening = {
  readonly url: string;
  /** How other machines reach it. */
  readonly elsewhereUrl?: string;
  readonly loginUrl: string;
  readonly dataDir: string;
  readonly tokenFile?: string | undefined;
};

/** `version` as in package.json. */
export function greeting(info: Listening, version: string, environment: Io['environment']): string {
  const rows: [string, string][] = [
    ['Page', info.url],
    ['Log in', `${info.loginUrl}  (good once, for ten minutes)`],
    ['Data', info.dataDir],
    ['API token', info.tokenFile ?? 'the one of PICKET_ADMIN_TOKEN'],
    ['Try', `${settingsLine(environment)}npx picket query node_load1   (and: npx picket --help)`],
    ['Stop', 'Ctrl-C'],
  ];
  const tunnel = tunnelLine(info.url, environment);
  if (info.elsewhereUrl !== undefined && info.elsewhereUrl !== info.url) rows.splice(1, 0, ['Others by', info.elsewhereUrl]);
  if (tunnel !== undefined) rows.splice(2, 0, ['From afar', tunnel]);
  return ['', `Picket ${version} is running.`, '', ...rows.map(([name, text]) => `  ${name.padEnd(9)}  ${text}`), '', ''].join('\n');
}

/** The settings that a command in another shell needs to find this collector, if they are not the defaults. */
function settingsLine(environment: Io['environment']): string {
  const set = ['PICKET_CONFIG', 'PICKET_DATA_DIR', 'PICKET_LISTEN'].filter((name) => (environment[name] ?? '') !== '');
  return set.map((name) => `${name}=${environment[name]} `).join('');
}

/** What to type on one's own computer, if this is a shell on another machine and the page is open to that machine alone. */
export function tunnelLine(pageUrl: string, environment: Io['environment']): string | undefined {
  const connection = (environment['SSH_CONNECTION'] ?? '').split(' ');
  const url = new URL(pageUrl);
  if (connection.length !== 4 || !['127.0.0.1', 'localhost', '[::1]'].includes(url.hostname)) return undefined;
  const user = environment['USER'] ?? userInfo().username;
  // The address that the client of this very connection reached; the host's own name need not resolve there.
  const host = connection[2] === undefined || connection[2] === '' ? hostname() : connection[2];
  const port = connection[3] === undefined || connection[3] === '22' ? '' : `-p ${connection[3]} `;
  return `ssh -L ${url.port}:${url.host} ${port}${user}@${host}   and then the log-in link on your own computer`;
}
