/** Mount points from the text of mountinfo. Asks no file system anything; that is filesystem.ts. */
import { GatherError, type Scanner } from './scanner.ts';

/** Mounts that are gathered of one host; more than that needs an exclusion. */
const MOUNTS_MAX = 1024;

export type Mount = {
  readonly device: string;
  /** As the host sees it, without rootfs. */
  readonly mountpoint: string;
  readonly fstype: string;
  readonly major: string;
  readonly minor: string;
  readonly isReadOnly: boolean;
};

/**
 * `36 35 98:0 /root /mnt rw,noatime shared:1 - ext3 /dev/sda rw,errors=continue` (proc_pid_mountinfo(5)). One entry per device, mount point and
 * type: the same thing mounted twice in one place is one series.
 */
export function parseMounts(scanner: Scanner, isWanted: (mount: Mount) => boolean): Mount[] {
  scanner.requireWhole('mounts');
  const mounts = new Map<string, Mount>();
  while (!scanner.atEnd()) {
    const start = scanner.pos;
    scanner.nextLine();
    const fields = scanner.text(start, scanner.pos - 1).split(' ');
    const dash = fields.indexOf('-', 6);
    const numbers = /^(\d+):(\d+)$/.exec(fields[2] ?? '');
    if (dash < 0 || numbers === null || fields.length < dash + 3) {
      scanner.pos = start;
      scanner.fail('a mount: ids, major:minor, root, mount point, options, -, type, device');
    }
    const options = `${fields[5] ?? ''},${fields[dash + 3] ?? ''}`.split(',');
    const mount: Mount = {
      device: unescape(fields[dash + 2] ?? ''),
      mountpoint: unescape(fields[4] ?? ''),
      fstype: fields[dash + 1] ?? '',
      major: numbers[1] ?? '',
      minor: numbers[2] ?? '',
      isReadOnly: options.includes('ro'),
    };
    if (isWanted(mount)) mounts.set(JSON.stringify([mount.device, mount.mountpoint, mount.fstype]), mount);
  }
  if (mounts.size > MOUNTS_MAX) {
    throw new GatherError(
      'source_oversized',
      `cannot gather ${scanner.path}: more than ${MOUNTS_MAX} mounts; exclude some in the configuration`,
    );
  }
  return [...mounts.values()];
}

/** Blanks, tabs, line ends and backslashes stand as \ooo. */
function unescape(field: string): string {
  return field.replaceAll(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8)));
}
