/** Where the collector of a data folder listens, as it said itself: a file beside its pid, so that commands in another shell need no settings. Not a registry. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { isLoopback } from '../agent/config.ts';
import { livingOwner } from './pid-file.ts';

export type OwnCollector = {
  /** How this machine reaches it. */
  readonly url: string;
  /** Its certificate, if it speaks TLS: what this machine may trust it by. */
  readonly certFile?: string;
};

/** Returns what removes it again. */
export function recordOwnCollector(dataDir: string, own: OwnCollector): () => void {
  const path = join(dataDir, 'collector.url');
  writeFileSync(path, `${own.url}\n${own.certFile ?? ''}\n`, { mode: 0o600 });
  return () => rmSync(path, { force: true });
}

/** What the living collector of the folder said; undefined if there is none. */
export function ownCollector(dataDir: string): OwnCollector | undefined {
  if (livingOwner(join(dataDir, 'collector.pid'), 'collector') === undefined) return undefined;
  try {
    const [url = '', certFile = ''] = readFileSync(join(dataDir, 'collector.url'), 'utf8').split('\n');
    return URL.canParse(url) ? { url, ...(certFile === '' ? {} : { certFile }) } : undefined;
  } catch {
    // It is still starting, or another user's.
    return undefined;
  }
}

/** Whether the address is one of this machine's, so that what is sent there does not leave it. A name could be anybody's. */
export function isThisMachine(url: string): boolean {
  if (isLoopback(url)) return true;
  const host = new URL(url).hostname.replace(/^\[|\]$/g, '');
  return Object.values(networkInterfaces()).some((addresses) => addresses?.some(({ address }) => address === host));
}
