/** What a host is made of (hardware, system, disks, network), asked at start and each hour in a short-lived process. Not samples: facts. */
import { spawn } from 'node:child_process';
import { uptime } from 'node:os';
import type { Timers } from './gather/gatherer.ts';

/** Long enough for a slow disk's answer; what has been printed by then is kept. */
export const INVENTORY_MS_MAX = 30_000;
/** A host of 256 network devices has 70 KB. */
export const INVENTORY_BYTES_MAX = 256 * 1024;
const INVENTORY_INTERVAL_MS = 3_600_000;

/** Sections in the order in which they come; lists have one entry per device. */
const SINGLE = ['os', 'cpu', 'memory', 'system', 'bios', 'board', 'chassis'] as const;
const LISTS = ['memoryModules', 'disks', 'blockDevices', 'networkInterfaces'] as const;

export type Facts = Readonly<Record<string, string | number | boolean | null>>;
export type Inventory = Readonly<Partial<Record<(typeof SINGLE)[number], Facts>>> &
  Readonly<Partial<Record<(typeof LISTS)[number], readonly Facts[]>>> & {
    /** Sections that are not there or not whole, and why. Empty when all went well. */
    readonly problems: Readonly<Record<string, string>>;
    /** Ms since 1970, by the host's clock. */
    readonly bootTimeMs?: number;
  };

export class InventoryError extends Error {
  readonly code = 'inventory_failed';
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'InventoryError';
  }
}

export type InventoryOptions = {
  /** inventory-child.ts, or what became of it in a bundle. */
  readonly childPath: string;
  readonly deadlineMs?: number;
  readonly bytesMax?: number;
  readonly signal?: AbortSignal;
};

/** Starts the child and reads it to its end, its deadline or its bound. Rejects only if nothing came at all. */
export async function readInventory(options: InventoryOptions): Promise<Inventory> {
  const { childPath, deadlineMs = INVENTORY_MS_MAX, bytesMax = INVENTORY_BYTES_MAX, signal } = options;
  const { output, end } = await outputOf(childPath, deadlineMs, bytesMax, signal);
  const inventory = inventoryOf(output, end);
  if (Object.keys(inventory).length === 1) throw new InventoryError(`cannot take the inventory with ${childPath}: ${end}`);
  return { ...inventory, bootTimeMs: Date.now() - Math.round(uptime() * 1000) };
}

export type KeptInventory = { stop(): Promise<void> };

/** Takes the inventory now and each hour. A failure is told and tried again in an hour. */
export function keepInventory(options: {
  readonly read: (signal: AbortSignal) => Promise<Inventory>;
  readonly timers: Timers;
  readonly onInventory: (inventory: Inventory) => void;
  readonly onFailure: (error: unknown) => void;
  readonly intervalMs?: number;
}): KeptInventory {
  const { read, timers, onInventory, onFailure, intervalMs = INVENTORY_INTERVAL_MS } = options;
  const abort = new AbortController();
  let timer: unknown;
  let running: Promise<void> = Promise.resolve();
  const take = async (): Promise<void> => {
    try {
      const inventory = await read(abort.signal);
      if (!abort.signal.aborted) onInventory(inventory);
    } catch (error) {
      if (!abort.signal.aborted) onFailure(error);
    }
    if (!abort.signal.aborted) timer = timers.setTimer(() => (running = take()), intervalMs);
  };
  running = take();
  return {
    stop: async () => {
      abort.abort();
      timers.clearTimer(timer);
      await running;
    },
  };
}

/** Reads the lines that are whole. What is no section of ours is left out. */
export function inventoryOf(output: string, end: string): Inventory {
  const sections: Record<string, unknown> = {};
  const problems: Record<string, string> = {};
  for (const line of output.slice(0, output.lastIndexOf('\n') + 1).split('\n')) {
    const { section, facts, problem } = lineOf(line);
    if (typeof section !== 'string') continue;
    if (isOneOf(SINGLE, section) && isFacts(facts)) sections[section] = facts;
    if (isOneOf(LISTS, section) && Array.isArray(facts) && facts.every(isFacts)) sections[section] = facts;
    if (typeof problem === 'string') problems[section] = problem;
  }
  for (const section of [...SINGLE, ...LISTS]) if (sections[section] === undefined) problems[section] ??= end;
  return { ...sections, problems };
}

type Output = { readonly output: string; readonly end: string };

function outputOf(childPath: string, deadlineMs: number, bytesMax: number, signal: AbortSignal | undefined): Promise<Output> {
  const { promise, resolve } = Promise.withResolvers<Output>();
  // A group of its own, so that the programs it started end with it.
  const child = spawn(process.execPath, [childPath], {
    cwd: '/',
    detached: process.platform !== 'win32',
    env: { PATH: process.env.PATH ?? '/usr/sbin:/usr/bin:/sbin:/bin', LANG: 'C', SystemRoot: process.env.SystemRoot },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const chunks: Buffer[] = [];
  let bytes = 0;
  let complaint = '';
  let end = '';
  const stop = (why: string): void => {
    end ||= why;
    killGroup(child.pid);
  };
  const timer = setTimeout(() => stop(`not done within ${deadlineMs} ms`), deadlineMs);
  const onAbort = (): void => stop('the agent is ending');
  if (signal?.aborted === true) onAbort();
  signal?.addEventListener('abort', onAbort, { once: true });
  child.stdout.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes <= bytesMax) chunks.push(chunk);
    else stop(`more than ${bytesMax} bytes`);
  });
  child.stderr.on('data', (chunk: Buffer) => (complaint = (complaint + chunk.toString('utf8')).slice(0, 500)));
  child.on('error', (error) => (end ||= error.message));
  child.on('close', (code) => {
    clearTimeout(timer);
    signal?.removeEventListener('abort', onAbort);
    if (code !== 0) end ||= `ended with ${code ?? 'a signal'}: ${complaint.trim().split('\n').at(-1) ?? ''}`;
    resolve({ output: Buffer.concat(chunks).toString('utf8'), end: end || 'not given' });
  });
  return promise;
}

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(process.platform === 'win32' ? pid : -pid, 'SIGKILL');
  } catch {
    // It ended a moment before.
  }
}

function lineOf(line: string): { section?: unknown; facts?: unknown; problem?: unknown } {
  try {
    const parsed: unknown = JSON.parse(line);
    return typeof parsed === 'object' && parsed !== null ? parsed : {};
  } catch {
    return {};
  }
}

function isFacts(value: unknown): value is Facts {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  return Object.values(value).every((fact) => fact === null || ['string', 'number', 'boolean'].includes(typeof fact));
}

function isOneOf(names: readonly string[], name: string): boolean {
  return names.includes(name);
}
