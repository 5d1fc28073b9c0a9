/** Takes frames to the write-ahead log: one synced commit at a time, everything that arrived meanwhile in the next. Not decoding, not cutting. */
import { join } from 'node:path';
import { decodeDictionary, FrameKind, payloadOf, readFrame } from '../../protocol/index.ts';
import type { VerifiedFrame } from '../model/ports.ts';
import type { Decoder } from './decoder.ts';
import { StoreError } from './errors.ts';
import type { StoreCounters, StoreLimits } from './options.ts';
import type { Received } from './received.ts';
import { type Note, WalGeneration } from './wal.ts';

type Job = { readonly frames: readonly VerifiedFrame[]; readonly done: PromiseWithResolvers<void> };

export type WriterHost = {
  readonly directory: string;
  readonly nowMs: () => number;
  readonly limits: StoreLimits;
  readonly counters: StoreCounters;
  readonly received: Received;
  readonly decoder: Decoder;
  /** A generation gets no more frames; cut it when its frames are decoded. */
  readonly closed: (generation: WalGeneration) => void;
  readonly damaged: (detail: string) => void;
  /** Resolves when there is room for another generation to be filled. */
  readonly room: () => Promise<void>;
};

export class Writer {
  readonly #host: WriterHost;
  #jobs: Job[] = [];
  #notes: Note[] = [];
  #running: Promise<void> | undefined;
  #current: WalGeneration | undefined;
  #generation: number;
  #commit: number;
  #openedMs = 0;
  #isClosed = false;
  #rotateWanted = false;
  #waitingFrames = 0;
  /** Frames of the commit that is being put together, by sequence. */
  readonly #underWay = new Map<number, VerifiedFrame[]>();

  /** The numbers of the last generation and commit that the store has seen. */
  constructor(host: WriterHost, generation: number, commit: number) {
    this.#host = host;
    this.#generation = generation;
    this.#commit = commit;
  }

  get generation(): number {
    return this.#generation;
  }

  /** The last commit that is durable. */
  get commit(): number {
    return this.#commit;
  }

  get walBytes(): number {
    return this.#current?.bytes ?? 0;
  }

  /** Frames whose commit has not returned. */
  get waitingFrames(): number {
    return this.#waitingFrames;
  }

  append(frames: readonly VerifiedFrame[]): Promise<void> {
    if (this.#isClosed) return Promise.reject(new StoreError('store_closed', 'cannot append: the store is closed'));
    const job: Job = { frames, done: Promise.withResolvers<void>() };
    this.#jobs.push(job);
    this.#waitingFrames += frames.length;
    this.#start();
    return job.done.promise;
  }

  /** Written with the next commit. */
  note(note: Note): void {
    this.#notes.push(note);
  }

  /** Closes the current generation if it is old enough or `now`. Resolves when that is done. */
  async rotate(now: boolean): Promise<void> {
    const isOld = this.#current !== undefined && this.#host.nowMs() - this.#openedMs >= this.#host.limits.generationAgeMs;
    if (!isOld && !now) return;
    this.#rotateWanted = true;
    this.#start();
    while (this.#running !== undefined) await this.#running;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    while (this.#running !== undefined) await this.#running;
    await this.#current?.close();
  }

  #start(): void {
    this.#running ??= this.#run();
  }

  async #run(): Promise<void> {
    while (this.#jobs.length > 0 || this.#rotateWanted) {
      if (this.#rotateWanted) await this.#rotate();
      if (this.#jobs.length === 0) continue;
      if (this.#host.decoder.pendingBytes > this.#host.limits.undecodedBytesMax) await this.#host.decoder.drain();
      const jobs = this.#take();
      try {
        await this.#commitJobs(jobs);
        for (const job of jobs) job.done.resolve();
      } catch (error) {
        this.#host.counters.commitFailures++;
        for (const job of jobs) job.done.reject(error);
        // LevelDB refuses every write after a failed one until it is opened again; a new generation also keeps commit numbers without holes.
        this.#rotateWanted = this.#current !== undefined;
      }
      for (const job of jobs) this.#waitingFrames -= job.frames.length;
      if (this.walBytes >= this.#host.limits.generationBytesMax) this.#rotateWanted = true;
    }
    // In the same turn as the last look at the jobs: a job that came a moment later must find nobody running, or it would wait for ever.
    this.#running = undefined;
  }

  #take(): Job[] {
    let bytes = 0;
    let count = 0;
    for (const job of this.#jobs) {
      if (count > 0 && bytes > this.#host.limits.commitBytesMax) break;
      for (const frame of job.frames) bytes += frame.bytes.length;
      count++;
    }
    return this.#jobs.splice(0, count);
  }

  async #commitJobs(jobs: readonly Job[]): Promise<void> {
    const { received, counters, decoder } = this.#host;
    const frames = this.#fresh(jobs);
    if (frames.length === 0 && this.#notes.length === 0) return;
    const generation = this.#current ?? (await this.#open());
    const notes = this.#notes;
    const startedMs = performance.now();
    await generation.append(this.#commit + 1, notes, frames);
    const tookMs = performance.now() - startedMs;
    this.#commit++;
    this.#notes = this.#notes.slice(notes.length);
    counters.commits++;
    counters.commitMs += tookMs;
    counters.commitMsMax = Math.max(counters.commitMsMax, tookMs);
    counters.framesAppended += frames.length;
    const durable = frames.map((frame) => {
      const { agentId, epoch, source, correctionMs, receivedMs, bytes, digest } = frame;
      const { lane, sequence } = frame.header;
      counters.bytesAppended += bytes.length;
      received.add(generation.number, { agentId, epoch, lane, sequence, digest, receivedMs });
      if (frame.header.kind === FrameKind.dictionary) countEntries(received, generation.number, frame);
      return { agentId, epoch, lane, sequence, source, correctionMs, receivedMs, bytes };
    });
    decoder.push(generation.number, durable);
  }

  /** The frames that are not stored yet, each once. */
  #fresh(jobs: readonly Job[]): VerifiedFrame[] {
    const { received, counters } = this.#host;
    const frames: VerifiedFrame[] = [];
    this.#underWay.clear();
    for (const job of jobs) {
      for (const frame of job.frames) {
        const { lane, sequence } = frame.header;
        const known = received.has(frame.agentId, frame.epoch, lane, sequence) || this.#isUnderWay(frame);
        if (known) counters.framesDuplicate++;
        else frames.push(frame);
      }
    }
    return frames;
  }

  /** Whether the frame stands in this commit already; it does from now on. */
  #isUnderWay(frame: VerifiedFrame): boolean {
    const { lane, sequence } = frame.header;
    const others = this.#underWay.get(sequence);
    if (others === undefined) {
      this.#underWay.set(sequence, [frame]);
      return false;
    }
    if (others.some((other) => other.header.lane === lane && other.agentId === frame.agentId && other.epoch === frame.epoch)) return true;
    others.push(frame);
    return false;
  }

  async #rotate(): Promise<void> {
    this.#rotateWanted = false;
    const before = this.#current;
    this.#current = undefined;
    if (before !== undefined) {
      await before.close();
      this.#host.closed(before);
    }
    await this.#host.room();
  }

  async #open(): Promise<WalGeneration> {
    const number = this.#generation + 1;
    const generation = await WalGeneration.open(number, join(this.#host.directory, generationName(number)), this.#host.damaged);
    this.#generation = number;
    this.#openedMs = this.#host.nowMs();
    this.#current = generation;
    await generation.append(this.#commit + 1, [{ kind: 'opened', previousCommit: this.#commit }], []);
    this.#commit++;
    return generation;
  }
}

/** Folder name of a generation, in the order of their numbers. */
export function generationName(number: number): string {
  return String(number).padStart(10, '0');
}

/** Dictionary entries are durable with their frame; a frame that does not decode adds none and is quarantined later. */
export function countEntries(received: Received, generation: number, frame: { agentId: string; epoch: string; bytes: Uint8Array }): void {
  const view = readFrame(frame.bytes);
  const payload = view.ok ? payloadOf(view.value) : view;
  const part = payload.ok ? decodeDictionary(payload.value) : payload;
  if (part.ok) received.addEntries(generation, frame.agentId, frame.epoch, part.value.from, part.value.from + part.value.entries.length);
}
