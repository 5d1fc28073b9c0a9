/** Properties of block devices from udev's database (/run/udev/data). Asks no daemon. */
import { listFolder, readSmall } from './source-file.ts';

/** The setting may name the database or the folder that holds it (`/run/udev`). */
export function udevFolder(path: string): string {
  return listFolder(`${path}/data`).length > 0 ? `${path}/data` : path;
}

/** Lines `E:NAME=value`; empty if udev does not know the device or does not run here. */
export function readUdev(path: string): Map<string, string> {
  return parseUdev(readSmall(path) ?? '');
}

export function parseUdev(text: string): Map<string, string> {
  const properties = new Map<string, string>();
  for (const line of text.split('\n')) {
    const equals = line.indexOf('=');
    if (line.startsWith('E:') && equals > 2) properties.set(line.slice(2, equals), line.slice(equals + 1));
  }
  return properties;
}
