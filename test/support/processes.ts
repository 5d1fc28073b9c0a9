/** Real processes of Picket for tests and benches: started on a free port and a fresh folder, watched, measured through /proc, ended by their own id. */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const PICKET = join(ROOT, 'packaging/picket.ts');
/** Clock ticks per second of /proc/PID/stat: a constant of Linux's interface. */
const TICKS_PER_SECOND = 100;

export type Running = {
  readonly child: ChildProcess;
  readonly pid: number;
  /** All that it wrote, both streams. */
  output(): string;
  /** Ends it with a signal and waits for its end; the exit code, or the signal's name. */
  end(signal?: NodeJS.Signals): Promise<number | string>;
  readonly ended: Promise<number | string>;
};

/** Starts `picket ARGS` under this Node. */
export function picket(args: readonly string[], env: Readonly<Record<string, string>>, nodeArgs: readonly string[] = []): Running {
  return start(process.execPath, [...nodeArgs, PICKET, ...args], env);
}

export function start(command: string, args: readonly string[], env: Readonly<Record<string, string>>): Running {
  const clean = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !name.startsWith('PICKET_') && name !== 'NODE_OPTIONS' && name !== 'NODE_TEST_CONTEXT'),
  );
  const child = spawn(command, args, { env: { ...clean, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  let text = '';
  const collect = (chunk: Buffer): void => {
    if (text.length < 4_000_000) text += chunk.toString();
  };
  child.stdout?.on('data', collect);
  child.stderr?.on('data', collect);
  const ended = new Promise<number | string>((resolve) => child.on('exit', (code, signal) => resolve(code ?? signal ?? 'unknown')));
  return {
    child,
    pid: child.pid as number,
    output: () => text,
    ended,
    end(signal = 'SIGTERM') {
      child.kill(signal);
      return ended;
    },
  };
}

/** A folder that the caller removes. */
export function freshFolder(name: string): { path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), `picket-${name}-`));
  return { path, remove: () => rmSync(path, { recursive: true, force: true, maxRetries: 5 }) };
}

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

export type CollectorProcess = Running & {
  readonly url: string;
  readonly agentUrl: string;
  readonly token: string;
  readonly port: number;
  readonly dataDir: string;
};

export const ADMIN_TOKEN = 'test-admin-token-0123456789abcdef';

/** Starts a collector and waits until it answers. */
export async function startCollector(options: {
  dataDir: string;
  port?: number;
  env?: Readonly<Record<string, string>>;
  nodeArgs?: readonly string[];
}): Promise<CollectorProcess> {
  const port = options.port ?? (await freePort());
  const url = `http://127.0.0.1:${port}`;
  const running = picket(
    ['collector'],
    {
      PICKET_DATA_DIR: options.dataDir,
      PICKET_LISTEN: `127.0.0.1:${port}`,
      PICKET_ADMIN_TOKEN: ADMIN_TOKEN,
      PICKET_LOG_LEVEL: 'info',
      ...options.env,
    },
    options.nodeArgs,
  );
  const isUp = async (): Promise<boolean> => (await fetch(`${url}/-/healthy`)).ok;
  await eventually(async () => {
    if (running.child.exitCode !== null) throw new Fatal(`the collector ended with ${running.child.exitCode}:\n${running.output()}`);
    return isUp();
  }, 20_000);
  return { ...running, url, agentUrl: `ws://127.0.0.1:${port}/agent`, token: ADMIN_TOKEN, port, dataDir: options.dataDir };
}

/** Starts an agent of a collector. */
export function startAgent(options: {
  collector: { agentUrl: string };
  directory: string;
  name: string;
  enrollToken?: string;
  env?: Readonly<Record<string, string>>;
}): Running {
  return picket(['agent'], {
    PICKET_COLLECTOR_URL: options.collector.agentUrl,
    PICKET_AGENT_DIR: options.directory,
    PICKET_NAME: options.name,
    PICKET_LOG_LEVEL: 'info',
    ...(options.enrollToken === undefined ? {} : { PICKET_ENROLL_TOKEN: options.enrollToken }),
    ...options.env,
  });
}

/** Asks the collector's API as administrator; parsed JSON. */
export async function api(
  collector: { url: string; token: string },
  path: string,
  init: { readonly method?: string; readonly body?: string } = {},
): Promise<unknown> {
  const response = await fetch(collector.url + path, {
    ...init,
    headers: { authorization: `Bearer ${collector.token}`, 'content-type': 'application/json' },
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${path}: ${response.status} ${text}`);
  return text === '' ? undefined : JSON.parse(text);
}

/** A new enrolment token. */
export async function enrollToken(collector: { url: string; token: string }, uses = 1): Promise<string> {
  const answer = (await api(collector, '/api/v1/enroll', { method: 'POST', body: JSON.stringify({ uses, ttlSeconds: 3600 }) })) as {
    token: string;
  };
  return answer.token;
}

/** Ends the waiting of `eventually` at once. */
export class Fatal extends Error {}

/** Polls until the condition holds; the last error or a sentence when time is over. */
export async function eventually(condition: () => Promise<boolean> | boolean, timeoutMs: number, everyMs = 50): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  let last: unknown = new Error('the condition never held');
  while (Date.now() < deadline) {
    try {
      if (await condition()) return;
    } catch (error) {
      if (error instanceof Fatal) throw error;
      last = error;
    }
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
  throw new Error(`not within ${timeoutMs} ms: ${(last as Error).message}`);
}

/** CPU seconds (user and system, all threads) of a process so far. */
export function cpuSeconds(pid: number): number {
  const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** Resident memory, bytes: whole and the anonymous part. */
export function residentBytes(pid: number): { rss: number; anonymous: number } {
  const text = readFileSync(`/proc/${pid}/status`, 'latin1');
  const kilobytes = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? 0);
  return { rss: kilobytes('VmRSS') * 1024, anonymous: kilobytes('RssAnon') * 1024 };
}

/** Value of the p-th quantile of numbers. */
export function quantile(numbers: readonly number[], p: number): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(p * sorted.length))] ?? Number.NaN;
}
