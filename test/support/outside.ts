/** Where the recordings and servers of others lie that Picket is held against: the one file that may name a path outside the checkout. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The folder of recorded suites (PICKET_SUITES, else ../shared/data beside the checkout), or nothing where it is absent. */
export function suites(): string | undefined {
  return existing(process.env['PICKET_SUITES'] ?? fileURLToPath(new URL('../../../shared/data', import.meta.url)));
}

/** The script that starts the peers (PICKET_PEERS, else ../shared/peers.sh beside the checkout), or nothing where it is absent. */
export function peers(): string | undefined {
  return existing(process.env['PICKET_PEERS'] ?? fileURLToPath(new URL('../../../shared/peers.sh', import.meta.url)));
}

function existing(path: string): string | undefined {
  return existsSync(path) ? path : undefined;
}
