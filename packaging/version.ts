/** The version of this checkout or release. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './root.ts';

export function version(): string {
  const text = readFileSync(join(ROOT, 'package.json'), 'utf8');
  const { version: found } = JSON.parse(text) as { version: string };
  return found;
}
