/** Brings durable frames into the head, in order and in bounded turns: the step after the ack. Never throws for what a frame holds. */
import {
  decodeDictionary,
  decodeSamples,
  FrameKind,
  type FrameView,
  payloadOf,
  readFrame,
  type Result,
  SampleRoom,
} from '../../protocol/index.ts';
import type { Labels } from '../model/labels.ts';
import type { AgentId, Epoch } from '../model/ports.ts';
import type { EpochDictionary } from './dictionary.ts';
import type { Head } from './head.ts';
import type { StoreCounters } from './options.ts';
import { Turn } from './turn.ts';

/** A durable frame with what the collector knew when it came. */
export type DurableFrame = {
  readonly agentId: AgentId;
  readonly epoch: Epoch;
  readonly lane: number;
  readonly sequence: number;
  readonly source: Labels;
  readonly correctionMs: number;
  readonly receivedMs: number;
  readonly bytes: Uint8Array;
};

export type DecoderHost = {
  readonly head: Head;
  readonly counters: StoreCounters;
  /** Frames of the epoch's dictionary that earlier cuts have kept, in order. */
  readonly loadDictionary: (agentId: AgentId, epoch: Epoch) => Promise<readonly Uint8Array[]>;
  readonly quarantine: (frame: DurableFrame, detail: string) => void;
  readonly appended: (agentId: AgentId, newestMs: number) => void;
};

type Item = { readonly generation: number; readonly frame: DurableFrame };

export class Decoder {
  readonly #host: DecoderHost;
  /** The head copies what it keeps. */
  readonly #room = new SampleRoom();
  #items: Item[] = [];
  #next = 0;
  #pendingBytes = 0;
  #isRunning = false;
  #pushed = 0;
  #done = 0;
  #waiting: { readonly until: number; readonly resolve: () => void }[] = [];
  readonly #newest = new Map<AgentId, number>();

  constructor(host: DecoderHost) {
    this.#host = host;
  }

  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  get pendingFrames(): number {
    return this.#items.length - this.#next;
  }

  push(generation: number, frames: readonly DurableFrame[]): void {
    for (const frame of frames) {
      this.#items.push({ generation, frame });
      this.#pendingBytes += frame.bytes.length;
    }
    this.#pushed += frames.length;
    if (this.#isRunning) return;
    this.#isRunning = true;
    this.#run().catch((error: unknown) => {
      // Nothing in a frame can get here: it is a mistake of ours, and going on would mean frames that are acked but never read.
      process.nextTick(() => {
        throw error;
      });
    });
  }

  /** Resolves when everything pushed so far is in the head, whatever comes meanwhile. */
  drain(): Promise<void> {
    if (this.#done === this.#pushed) return Promise.resolve();
    return new Promise((resolve) => {
      this.#waiting.push({ until: this.#pushed, resolve });
    });
  }

  async #run(): Promise<void> {
    const turn = new Turn();
    // The commit that brought the frames shall be acked before the work begins.
    await turn.yield();
    while (this.#next < this.#items.length) {
      const { generation, frame } = this.#items[this.#next] as Item;
      const wait = this.#decode(generation, frame);
      if (wait !== undefined) {
        await wait;
        turn.restart();
      }
      this.#pendingBytes -= frame.bytes.length;
      this.#next++;
      this.#done++;
      if (this.#next === this.#items.length || turn.due()) {
        this.#compact();
        this.#announce();
        this.#wake();
        await turn.yield();
      }
    }
    this.#isRunning = false;
  }

  #wake(): void {
    for (const { resolve } of this.#waiting.filter(({ until }) => until <= this.#done)) resolve();
    this.#waiting = this.#waiting.filter(({ until }) => until > this.#done);
  }

  #compact(): void {
    this.#items = this.#items.slice(this.#next);
    this.#next = 0;
  }

  #announce(): void {
    for (const [agentId, newestMs] of this.#newest) this.#host.appended(agentId, newestMs);
    this.#newest.clear();
  }

  /** Returns a promise only where the disk must be asked: nearly all frames are done in one step. */
  #decode(generation: number, frame: DurableFrame): Promise<void> | undefined {
    const read = readFrame(frame.bytes);
    if (!read.ok) return this.#refuse(frame, `${read.code}: ${read.detail}`);
    const view = read.value;
    const { kind } = view.header;
    if (kind !== FrameKind.samples && kind !== FrameKind.dictionary) {
      this.#host.counters.framesOtherKind++;
      return undefined;
    }
    const { head } = this.#host;
    const known = head.dictionary(frame.agentId, frame.epoch);
    const isEnough = (known?.length ?? 0) >= view.header.dictionaryLength;
    if (isEnough) return this.#apply(generation, frame, view, known ?? head.addDictionary(frame.agentId, frame.epoch));
    return this.#load(frame, known ?? head.addDictionary(frame.agentId, frame.epoch)).then((dictionary) =>
      this.#apply(generation, frame, view, dictionary),
    );
  }

  #apply(generation: number, frame: DurableFrame, view: FrameView, dictionary: EpochDictionary): undefined {
    const { head, counters } = this.#host;
    const payload = payloadOf(view);
    if (!payload.ok) return this.#refuse(frame, `${payload.code}: ${payload.detail}`);
    if (dictionary.generation < generation) dictionary.generation = generation;
    const done =
      view.header.kind === FrameKind.dictionary
        ? this.#applyDictionary(generation, frame, payload.value, dictionary)
        : this.#applySamples(generation, frame, view, payload.value, dictionary);
    if (!done.ok) return this.#refuse(frame, `${done.code}: ${done.detail}`);
    counters.framesDecoded++;
    // Keeps the generation in the list even if nothing of it is a sample, so that its cut finds it.
    head.generation(generation);
    return undefined;
  }

  #applyDictionary(generation: number, frame: DurableFrame, payload: Uint8Array, dictionary: EpochDictionary): Result<undefined> {
    const part = decodeDictionary(payload);
    if (!part.ok) return part;
    const { from, entries } = part.value;
    if (!dictionary.extend(from, entries)) {
      return { ok: false, code: 'dictionary_missing', detail: `entries from ${from}, but only ${dictionary.length} before them are known` };
    }
    this.#host.head.generation(generation).dictionaryFrames.push({ agentId: frame.agentId, epoch: frame.epoch, from, bytes: frame.bytes });
    return { ok: true, value: undefined };
  }

  #applySamples(
    generation: number,
    frame: DurableFrame,
    view: FrameView,
    payload: Uint8Array,
    dictionary: EpochDictionary,
  ): Result<undefined> {
    const { head, counters } = this.#host;
    const { header } = view;
    if (header.dictionaryLength > dictionary.length) {
      return { ok: false, code: 'dictionary_missing', detail: `needs ${header.dictionaryLength} entries, ${dictionary.length} are known` };
    }
    const groups = decodeSamples(payload, header.dictionaryLength, this.#room);
    if (!groups.ok) return groups;
    const stream = dictionary.stream(frame.source);
    const into = head.generation(generation);
    const before = into.samples;
    head.append(into, stream, header.timeMs + frame.correctionMs, groups.value);
    counters.samplesAppended += into.samples - before;
    let newestMs = this.#newest.get(frame.agentId) ?? -Infinity;
    for (const { times } of groups.value) newestMs = Math.max(newestMs, times[times.length - 1] as number);
    this.#newest.set(frame.agentId, newestMs);
    return { ok: true, value: undefined };
  }

  async #load(frame: DurableFrame, dictionary: EpochDictionary): Promise<EpochDictionary> {
    for (const bytes of await this.#host.loadDictionary(frame.agentId, frame.epoch)) {
      const view = readFrame(bytes);
      const payload = view.ok ? payloadOf(view.value) : view;
      const part = payload.ok ? decodeDictionary(payload.value) : payload;
      if (part.ok) dictionary.extend(part.value.from, part.value.entries);
    }
    return dictionary;
  }

  #refuse(frame: DurableFrame, detail: string): undefined {
    this.#host.counters.framesQuarantined++;
    this.#host.quarantine(frame, detail);
    return undefined;
  }
}
