/** A network namespace with one cable to this machine, made and removed by the test: a host of its own whose link can be cut. */
import { execFileSync } from 'node:child_process';

export type Namespace = {
  /** Address of this machine as the namespace sees it. */
  readonly hostAddress: string;
  /** Command line that runs inside. */
  enter(command: readonly string[]): readonly [string, ...string[]];
  /** Pulls the cable; packets of open connections vanish without a word. */
  cut(): void;
  join(): void;
  remove(): void;
};

function ip(...args: string[]): void {
  execFileSync('ip', args, { stdio: 'pipe' });
}

/** Why namespaces cannot be made here, or undefined. */
export function namespaceProblem(): string | undefined {
  try {
    execFileSync('ip', ['-V'], { stdio: 'pipe' });
  } catch {
    return 'the command ip is missing (Debian package iproute2)';
  }
  if (process.getuid?.() !== 0) return 'network namespaces need root';
  const name = `picket-probe-${process.pid}`;
  try {
    ip('netns', 'add', name);
    ip('netns', 'delete', name);
    return undefined;
  } catch (error) {
    return `the kernel makes no network namespaces here: ${(error as Error).message.split('\n')[0]}`;
  }
}

/** Makes a namespace; `index` (1..200) keeps names and addresses of tests that run side by side apart. */
export function newNamespace(index: number): Namespace {
  const name = `picket-${process.pid}-${index}`;
  // Interface names have at most 15 bytes.
  const outside = `pk${process.pid % 100_000}o${index}`;
  const inside = `pk${process.pid % 100_000}i${index}`;
  // Two runs on one machine must not share an address: the second byte is the test's, the third the process's.
  const subnet = `10.${index}.${process.pid % 250}`;
  ip('netns', 'add', name);
  ip('link', 'add', outside, 'type', 'veth', 'peer', 'name', inside);
  ip('link', 'set', inside, 'netns', name);
  ip('address', 'add', `${subnet}.1/24`, 'dev', outside);
  ip('link', 'set', outside, 'up');
  ip('-n', name, 'address', 'add', `${subnet}.2/24`, 'dev', inside);
  ip('-n', name, 'link', 'set', inside, 'up');
  ip('-n', name, 'link', 'set', 'lo', 'up');
  return {
    hostAddress: `${subnet}.1`,
    enter: (command) => ['ip', 'netns', 'exec', name, ...command],
    cut: () => ip('link', 'set', outside, 'down'),
    join: () => ip('link', 'set', outside, 'up'),
    remove() {
      ip('link', 'delete', outside);
      ip('netns', 'delete', name);
    },
  };
}
