/** The agent about itself: what it costs, what its spool holds, what it had to drop. The numbers come through one narrow interface. */
import { Binding } from './binding.ts';
import type { Gatherer, LabelPairs, Metric, SampleSink, SeriesRef, Tick } from './gatherer.ts';
import type { Scanner } from './scanner.ts';
import { SourceFile } from './source-file.ts';

/** What the spool holds of one lane. */
export type LaneDepth = {
  readonly lane: string;
  readonly bytes: number;
  readonly frames: number;
  /** Age of the oldest frame that is not acked, ms; 0 if there is none. */
  readonly oldestMs: number;
};

/** What was dropped since the process began. */
export type LaneDrops = { readonly lane: string; readonly cause: string; readonly frames: number; readonly bytes: number };

/** Implemented by whoever wires the agent. Called each second: answers from memory. */
export interface SelfSource {
  readonly version: string;
  /** Every lane, at each call. */
  spool(): readonly LaneDepth[];
  /** Grows by a row when a cause occurs for the first time. */
  drops(): readonly LaneDrops[];
  linkUp(): boolean;
}

/** What the process knows of itself: CPU time in microseconds, resident bytes. */
export interface ProcessFigures {
  cpuUsage(): { readonly user: number; readonly system: number };
  residentBytes(): number;
  close(): void;
}

const agent = (name: string, type: 'counter' | 'gauge', help: string): Metric => ({ name: `picket_agent_${name}`, type, help });
const INFO = agent('info', 'gauge', 'Version of the agent.');
const LINK = agent('link_up', 'gauge', 'Whether the agent is connected to its collector.');
const CPU = agent('cpu_seconds_total', 'counter', 'CPU time that the agent used, user and system.');
const RESIDENT = agent('resident_memory_bytes', 'gauge', 'Memory of the agent that is resident, shared pages included.');
const SPOOL: readonly Metric[] = [
  agent('spool_bytes', 'gauge', 'Bytes of frames that the collector has not acked yet.'),
  agent('spool_frames', 'gauge', 'Frames that the collector has not acked yet.'),
  agent('spool_oldest_seconds', 'gauge', 'Age of the oldest frame that the collector has not acked yet.'),
];
const DROPPED: readonly Metric[] = [
  agent('dropped_frames_total', 'counter', 'Frames that were dropped before the collector had them.'),
  agent('dropped_bytes_total', 'counter', 'Bytes of frames that were dropped before the collector had them.'),
];

export class SelfGatherer implements Gatherer {
  readonly name = 'self';
  readonly intervalMs = 1000;
  readonly #source: SelfSource;
  readonly #figures: ProcessFigures;
  readonly #binding = new Binding();
  /** References by metric, lane and cause. */
  #refs = new Map<string, readonly SeriesRef[]>();

  constructor(source: SelfSource, figures: ProcessFigures) {
    this.#source = source;
    this.#figures = figures;
  }

  gather(_tick: Tick, sink: SampleSink): void {
    if (this.#binding.isStale(sink)) this.#refs = new Map();
    const source = this.#source;
    const { user, system } = this.#figures.cpuUsage();
    const [info, link, cpu, resident] = this.#refsOf(sink, 'agent', [INFO, LINK, CPU, RESIDENT], undefined);
    sink.set(info as number, 1);
    sink.set(link as number, source.linkUp() ? 1 : 0);
    // Milliseconds: the rest is noise that costs bytes on the wire.
    sink.set(cpu as number, Math.round((user + system) / 1000) / 1000);
    sink.set(resident as number, this.#figures.residentBytes());
    for (const depth of source.spool()) {
      const [bytes, frames, oldest] = this.#refsOf(sink, depth.lane, SPOOL, depth);
      sink.set(bytes as number, depth.bytes);
      sink.set(frames as number, depth.frames);
      sink.set(oldest as number, Math.round(depth.oldestMs) / 1000);
    }
    for (const drop of source.drops()) {
      const [frames, bytes] = this.#refsOf(sink, `${drop.lane} ${drop.cause}`, DROPPED, drop);
      sink.set(frames as number, drop.frames);
      sink.set(bytes as number, drop.bytes);
    }
  }

  close(): void {
    this.#figures.close();
  }

  #refsOf(
    sink: SampleSink,
    key: string,
    metrics: readonly Metric[],
    of: { lane: string; cause?: string } | undefined,
  ): readonly SeriesRef[] {
    const known = this.#refs.get(key);
    if (known !== undefined) return known;
    const made = metrics.map((metric) => sink.series(metric, this.#labelsOf(metric, of)));
    this.#refs.set(key, made);
    return made;
  }

  #labelsOf(metric: Metric, of: { lane: string; cause?: string } | undefined): LabelPairs {
    if (metric === INFO) return { version: this.#source.version };
    if (of === undefined) return {};
    return of.cause === undefined ? { lane: of.lane } : { lane: of.lane, cause: of.cause };
  }
}

/** Of this very process. /proc/self/statm stays open, as asking the runtime opens and closes a file each time. */
export class OwnFigures implements ProcessFigures {
  readonly #statm = new SourceFile('/proc/self/statm', 'piece');
  readonly #scanner: Scanner;
  readonly #pageBytes: number;

  constructor(scanner: Scanner, pageBytes: number) {
    this.#scanner = scanner;
    this.#pageBytes = pageBytes;
  }

  cpuUsage(): { user: number; system: number } {
    return process.cpuUsage();
  }

  residentBytes(): number {
    return this.#statm.tryRead(this.#scanner) ? parseStatm(this.#scanner) * this.#pageBytes : process.memoryUsage.rss();
  }

  close(): void {
    this.#statm.close();
  }
}

/** `15021 12288 9728 ...`: the second, resident pages. */
export function parseStatm(scanner: Scanner): number {
  scanner.requireWhole('memory in pages');
  scanner.integer();
  scanner.skipBlanks();
  return scanner.integer();
}
