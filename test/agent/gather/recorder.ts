/** A sink that remembers what was set, by the text of the series. Not a test. */
import { fileURLToPath } from 'node:url';
import type { Gatherer, HostPaths, LabelPairs, Metric, SampleSink, SeriesRef, Timers } from '../../../agent/gather/gatherer.ts';

export const realTimers: Timers = {
  setTimer: (callback, delayMs) => setTimeout(callback, delayMs),
  clearTimer: (timer) => clearTimeout(timer as NodeJS.Timeout),
};

/** A host as this machine's kernel 6.18 showed it, with a few lines added by hand. */
export const FIXTURE = fileURLToPath(new URL('../../fixtures/linux-6.18', import.meta.url));
export const FIXTURE_PATHS: HostPaths = pathsUnder(FIXTURE);

export function pathsUnder(root: string): HostPaths {
  return { procfs: `${root}/proc`, sysfs: `${root}/sys`, rootfs: root, udev: `${root}/udev` };
}

export class Recorder implements SampleSink {
  readonly #names: string[] = [];
  readonly #refs = new Map<string, SeriesRef>();
  /** Values since the last `take`. */
  #values = new Map<string, number>();
  seriesCalls = 0;

  series(metric: Metric, labels: LabelPairs = {}): SeriesRef {
    this.seriesCalls++;
    const pairs = Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1));
    const text = metric.name + (pairs.length === 0 ? '' : `{${pairs.map(([name, value]) => `${name}="${value}"`).join(',')}}`);
    let ref = this.#refs.get(text);
    if (ref === undefined) this.#refs.set(text, (ref = this.#names.push(text) - 1));
    return ref;
  }

  set(ref: SeriesRef, value: number): void {
    const name = this.#names[ref];
    if (name === undefined) throw new RangeError(`series ${ref} was never given out`);
    this.#values.set(name, value);
  }

  take(): Map<string, number> {
    const values = this.#values;
    this.#values = new Map();
    return values;
  }
}

export const tickAt = (second: number): { timeMs: number; monotonicMs: number } => ({ timeMs: second * 1000, monotonicMs: second * 1000 });

/** One tick of one gatherer. */
export async function gathered(gatherer: Gatherer, sink: Recorder = new Recorder(), second = 1): Promise<Map<string, number>> {
  await gatherer.gather(tickAt(second), sink);
  return sink.take();
}

/** Samples of a text in Prometheus's format, by series as it stands there. */
export function samplesOf(text: string): Map<string, number> {
  const samples = new Map<string, number>();
  for (const line of text.split('\n')) {
    const space = line.lastIndexOf(' ');
    if (line !== '' && !line.startsWith('#')) samples.set(line.slice(0, space), Number(line.slice(space + 1).replace('Inf', 'Infinity')));
  }
  return samples;
}
