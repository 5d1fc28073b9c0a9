/** What the store does behind the acks: cuts closed generations in their order, merges closed windows, lets old partitions go. One job at a time. */
import type { AgentId, Epoch } from '../model/ports.ts';
import { cutGeneration } from './cut.ts';
import { unlinkDatabase } from './database.ts';
import type { Decoder } from './decoder.ts';
import type { Head } from './head.ts';
import { mergeWindow } from './merge.ts';
import type { StoreCounters, StoreLimits, StoreLog } from './options.ts';
import { Pace } from './pace.ts';
import type { Partition } from './partition.ts';
import type { Partitions } from './partitions.ts';
import { type Received, stateName } from './received.ts';
import type { Records } from './records.ts';
import type { WalGeneration } from './wal.ts';
import { WINDOW_MS } from './window.ts';

/** Closed generations that may wait for their cut before appends have to. */
const CLOSED_MAX = 2;
/** Epochs of agents that have sent nothing for so long are forgotten even if nobody said so. */
const EPOCH_IDLE_MS = 90 * 24 * 3_600_000;
/** The state that says which days have a partition, so that one that vanishes is missed. */
export const DAYS = 'days';
const DICTIONARY_PREFIX = 'dictionary/';

export type BackgroundHost = {
  readonly head: Head;
  readonly decoder: Decoder;
  readonly records: Records;
  readonly received: Received;
  readonly partitions: Partitions;
  readonly counters: StoreCounters;
  readonly limits: StoreLimits;
  readonly nowMs: () => number;
  readonly log: StoreLog;
};

export class Background {
  readonly #host: BackgroundHost;
  readonly #abort = new AbortController();
  readonly #closed: WalGeneration[] = [];
  /** Epochs whose states go with the cut of the generation in which they were forgotten. */
  #forgotten: readonly { readonly generation: number; readonly agentId: AgentId; readonly epoch: Epoch }[] = [];
  #cutThrough: number;
  #running: Promise<void> = Promise.resolve();
  #room: PromiseWithResolvers<void> | undefined;
  /** Resolves when the next generation is cut, or none will be. */
  #nextCut = Promise.withResolvers<void>();
  #isTicking = false;
  #retry: NodeJS.Timeout | undefined;

  constructor(host: BackgroundHost, cutThrough: number) {
    this.#host = host;
    this.#cutThrough = cutThrough;
  }

  /** The newest generation whose chunks count; what is newer is in the head. */
  get cutThrough(): number {
    return this.#cutThrough;
  }

  get closedCount(): number {
    return this.#closed.length;
  }

  /** A generation gets no more frames. Generations must come in the order of their numbers. */
  cut(generation: WalGeneration): void {
    this.#closed.push(generation);
    this.#start();
  }

  /** Resolves when appends may fill another generation. */
  room(): Promise<void> {
    if (this.#closed.length < CLOSED_MAX || this.#abort.signal.aborted) return Promise.resolve();
    this.#room ??= Promise.withResolvers();
    return this.#room.promise;
  }

  forget(generation: number, agentId: AgentId, epoch: Epoch): void {
    this.#forgotten = [...this.#forgotten, { generation, agentId, epoch }];
  }

  /** Retention, idle epochs and merges that are due. */
  async tick(): Promise<void> {
    if (this.#isTicking || this.#abort.signal.aborted) return;
    this.#isTicking = true;
    try {
      await this.#enqueue(async () => {
        const dropped = await this.#host.partitions.retain();
        this.#host.counters.partitionsDropped += dropped.length;
        await this.#mergeDue(this.#host.nowMs() - this.#host.limits.mergeAfterMs);
      });
    } catch (error) {
      // What the end of the store has cut short is done at the next start.
      if (!this.#abort.signal.aborted) throw error;
    } finally {
      this.#isTicking = false;
    }
  }

  idleEpochs(): [AgentId, Epoch][] {
    return this.#host.received.idle(this.#host.nowMs() - EPOCH_IDLE_MS);
  }

  /** Resolves when all generations closed so far are cut. */
  async drain(): Promise<void> {
    while (this.#closed.length > 0 && !this.#abort.signal.aborted) await this.#nextCut.promise;
  }

  /** Merges every window that was cut, closed or not, and gives all space back. */
  mergeAll(): Promise<void> {
    return this.#enqueue(async () => {
      await this.#mergeDue(Infinity);
      for (const day of this.#host.partitions.days()) await this.#host.partitions.use(day, (partition) => partition.compact());
    });
  }

  async close(): Promise<void> {
    this.#abort.abort();
    clearTimeout(this.#retry);
    this.#room?.resolve();
    this.#nextCut.resolve();
    await this.#running;
  }

  /** One job after the other; a failed one is told and does not stop the next. */
  #enqueue(job: () => Promise<void>): Promise<void> {
    const done = this.#running.then(() => (this.#abort.signal.aborted ? undefined : job()));
    this.#running = done.catch((error: unknown) => {
      if (!this.#abort.signal.aborted) this.#host.log.error({ error }, 'background work of the store has failed');
    });
    return done;
  }

  #start(): void {
    // A failure is told by the queue.
    this.#enqueue(() => this.#cutNext()).catch(() => undefined);
  }

  #pace(): Pace {
    const { limits } = this.#host;
    return new Pace(limits.backgroundShare, () => this.#closed.length >= CLOSED_MAX, this.#abort.signal);
  }

  async #cutNext(): Promise<void> {
    const wal = this.#closed[0];
    if (wal === undefined) return;
    const { counters, log, limits } = this.#host;
    const pace = this.#pace();
    try {
      await this.#cut(wal, pace);
    } catch (error) {
      if (this.#abort.signal.aborted) return;
      counters.cutFailures++;
      log.error({ error, generation: wal.number }, 'cannot cut a generation; its samples stay in the log and in memory');
      // LevelDB refuses every write after a failed one until it is opened again.
      await this.#host.partitions.reopen();
      clearTimeout(this.#retry);
      this.#retry = setTimeout(() => this.#start(), limits.maintenanceMs);
      return;
    } finally {
      counters.cutTurns += pace.turns;
      counters.cutTurnMsMax = Math.max(counters.cutTurnMsMax, pace.longestMs);
    }
    this.#closed.shift();
    this.#nextCut.resolve();
    this.#nextCut = Promise.withResolvers();
    if (this.#closed.length < CLOSED_MAX) {
      this.#room?.resolve();
      this.#room = undefined;
    }
    await unlinkDatabase(wal.path);
    if (this.#closed.length > 0) this.#start();
  }

  async #cut(wal: WalGeneration, pace: Pace): Promise<void> {
    const { head, decoder, partitions, counters, received, records } = this.#host;
    await decoder.drain();
    const generation = head.generations.find(({ number }) => number === wal.number);
    if (generation !== undefined) await cutGeneration({ head, partitions, counters }, generation, pace);
    const states = received.statesOfCut(wal.number);
    for (const { agentId, epoch, from, bytes } of generation?.dictionaryFrames ?? []) {
      states.set(`${dictionaryPrefix(agentId, epoch)}${String(from).padStart(10, '0')}`, Buffer.from(bytes));
    }
    const deletions = await this.#statesToForget(wal.number);
    for (const name of deletions) states.delete(name);
    states.set('cut', Buffer.from(String(wal.number)));
    states.set(DAYS, daysState(partitions.days()));
    await records.writeState(states, deletions);
    // From here to the end of this step nothing waits: a reader sees the generation in the head or its chunks, never both or none.
    this.#cutThrough = wal.number;
    head.drop(wal.number);
    received.commitCut(wal.number);
    this.#forgotten = this.#forgotten.filter(({ generation: at }) => at > wal.number);
    counters.generationsCut++;
  }

  async #statesToForget(generation: number): Promise<string[]> {
    const names: string[] = [];
    for (const { generation: at, agentId, epoch } of this.#forgotten) {
      // A frame that came after all has made the epoch known again.
      if (at > generation || this.#host.received.hasEpoch(agentId, epoch)) continue;
      names.push(stateName(agentId, epoch));
      for (const [name] of await this.#host.records.listState(dictionaryPrefix(agentId, epoch))) names.push(name);
    }
    return names;
  }

  async #mergeDue(closedBeforeMs: number): Promise<void> {
    for (const day of this.#host.partitions.days()) {
      await this.#host.partitions.use(day, (partition) => this.#mergePartition(partition, closedBeforeMs));
    }
  }

  async #mergePartition(partition: Partition, closedBeforeMs: number): Promise<void> {
    for (const window of partition.windows()) {
      if ((window + 1) * WINDOW_MS > closedBeforeMs) continue;
      const generations = new Map([...partition.markers(window)].filter(([generation]) => generation <= this.#cutThrough));
      if (!partition.unmerged(window).some((generation) => generation <= this.#cutThrough)) continue;
      await mergeWindow(partition, window, generations, this.#host.counters, this.#pace());
    }
  }
}

export function dictionaryPrefix(agentId: AgentId, epoch: Epoch): string {
  return `${DICTIONARY_PREFIX}${agentId}/${epoch}/`;
}

export function daysState(days: readonly number[]): Buffer {
  return Buffer.from(JSON.stringify(days));
}

export function daysOf(state: Buffer | undefined): readonly number[] {
  return state === undefined ? [] : (JSON.parse(state.toString()) as number[]);
}
