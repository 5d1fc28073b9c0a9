/** Who holds a port or a folder: read from /proc where there is one. For sentences to people and for pid files; nothing is ever ended from here. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

export type Owner = { readonly pid: number; readonly command: string };

/** State "listen" in /proc/net/tcp. */
const LISTEN = '0A';
/** A machine may run many processes; a sentence is not worth reading more of them. */
const PROCESSES_MAX = 20_000;

/** The process that listens on a TCP port, if it can be seen (root sees all, others their own). */
export function portOwner(port: number): Owner | undefined {
  const inodes = new Set(['/proc/net/tcp', '/proc/net/tcp6'].flatMap((path) => listeningInodes(read(path) ?? '', port)));
  if (inodes.size === 0) return undefined;
  for (const entry of list('/proc').slice(0, PROCESSES_MAX)) {
    if (!/^\d+$/.test(entry)) continue;
    if (list(`/proc/${entry}/fd`).some((fd) => inodes.has(link(`/proc/${entry}/fd/${fd}`)))) return ownerOf(Number(entry));
  }
  return undefined;
}

/** Links (`socket:[inode]`) of the sockets that listen on the port. */
export function listeningInodes(text: string, port: number): string[] {
  const hex = port.toString(16).toUpperCase().padStart(4, '0');
  const rows = text.split('\n').map((line) => line.trim().split(/\s+/));
  return rows.filter((row) => row[3] === LISTEN && row[1]?.endsWith(`:${hex}`) === true).map((row) => `socket:[${row[9]}]`);
}

/** The process of a pid if it lives. Where there is no /proc its command is not known. */
export function ownerOf(pid: number): Owner | undefined {
  const command = read(`/proc/${pid}/cmdline`);
  if (command !== undefined && command !== '') return { pid, command: command.replaceAll('\0', ' ').trim().slice(0, 200) };
  if (command === '' || process.platform === 'linux') return undefined;
  try {
    process.kill(pid, 0);
    return { pid, command: '' };
  } catch {
    return undefined;
  }
}

/** The `npm start` above a collector or agent: it brings back what is ended below it. Otherwise the process itself. */
export function startedBy(owner: Owner): Owner {
  // The name of a program in the second field may hold spaces and parentheses; the parent is the second field after it.
  const parent = Number(/^.*\) \S (?<parent>\d+) /s.exec(read(`/proc/${owner.pid}/stat`) ?? '')?.groups?.['parent'] ?? NaN);
  const above = parent > 1 ? ownerOf(parent) : undefined;
  return above?.command.includes('packaging/start.ts') === true ? above : owner;
}

export function ownerText(owner: Owner | undefined): string {
  if (owner === undefined) return 'another process';
  return owner.command === '' ? `process ${owner.pid}` : `process ${owner.pid} (${owner.command})`;
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return undefined;
  }
}

function list(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function link(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}
