/** Requests to the collector: JSON in and out, refusals as one kind of error with a sentence for people. */
import { isRecord, readCharts, readHosts } from './contract.ts';
import type { ChartsAnswer, HostsUpdate } from './contract.ts';
import { clock } from './clock.ts';
import type { TimeWindow } from './coverage.ts';

/** A chart of a day is some hundred kilobytes; what takes longer than this is not coming. */
const ANSWER_MAX_MS = 20_000;

export class ApiError extends Error {
  /** HTTP status, 0 if there was no answer. */
  readonly status: number;
  readonly code: string;
  constructor(status: number, code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'ApiError';
    this.status = status;
    this.code = code;
  }
}

/** The user's name, or undefined if nobody is logged in. */
export async function readSession(): Promise<string | undefined> {
  try {
    const answer = await request('GET', '/api/v1/session');
    return isRecord(answer) && typeof answer['user'] === 'string' ? answer['user'] : 'admin';
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) return undefined;
    throw error;
  }
}

export async function logIn(token: string): Promise<void> {
  await request('POST', '/api/v1/session', { token });
}

export async function logOut(): Promise<void> {
  await request('DELETE', '/api/v1/session');
}

export async function fetchHosts(): Promise<HostsUpdate> {
  return understood(readHosts(await request('GET', '/api/v1/hosts')), 'the list of hosts');
}

export async function fetchCharts(name: string, window: TimeWindow, stepMs: number, signal: AbortSignal): Promise<ChartsAnswer> {
  const query = `from=${Math.round(window.fromMs)}&to=${Math.round(window.toMs)}&step=${stepMs}`;
  return understood(readCharts(await request('GET', `${hostPath(name)}/charts?${query}`, undefined, signal)), `the charts of ${name}`);
}

/** Makes a one-time token and answers the command that carries it. */
export async function makeEnrollCommand(): Promise<string> {
  const answer = await request('POST', '/api/v1/enroll/command', {});
  return understood(isRecord(answer) && typeof answer['command'] === 'string' ? answer['command'] : undefined, 'the command');
}

export function hostPath(name: string): string {
  return `/api/v1/hosts/${encodeURIComponent(name)}`;
}

async function request(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<unknown> {
  const timeout = AbortSignal.timeout(ANSWER_MAX_MS);
  const sentMs = Date.now();
  let response: Response;
  try {
    response = await fetch(path, {
      method,
      signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
      headers: body === undefined ? { accept: 'application/json' } : { accept: 'application/json', 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  } catch (cause) {
    if (signal?.aborted) throw cause;
    throw new ApiError(0, 'unreachable', 'The collector cannot be reached. Is it running, and is this machine on line?', { cause });
  }
  clock.learn(response.headers.get('date'), sentMs, Date.now());
  const answer = await readJson(response);
  if (response.ok) return answer;
  const sentence =
    isRecord(answer) && typeof answer['error'] === 'string'
      ? answer['error']
      : `The collector answered ${response.status} and said no more.`;
  const code = isRecord(answer) && typeof answer['code'] === 'string' ? answer['code'] : 'unknown';
  throw new ApiError(response.status, code, sentence);
}

/** Undefined where there is no JSON: a 204, or a proxy's error page. */
async function readJson(response: Response): Promise<unknown> {
  const text = await response.text();
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function understood<T>(value: T | undefined, what: string): T {
  if (value !== undefined) return value;
  throw new ApiError(
    200,
    'not_understood',
    `The collector's answer for ${what} cannot be read by this page. Reload it: the collector may be newer.`,
  );
}
