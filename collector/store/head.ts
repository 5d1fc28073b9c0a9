/** The newest samples in memory: the generations that are not cut yet, by stream, and the index of what is in them. Not durable: the log is. */
import type { SampleGroup } from '../../protocol/index.ts';
import type { AgentId, Epoch } from '../model/ports.ts';
import { lowerBound } from './assembly.ts';
import { Arena } from './arena.ts';
import { type Block, OpenBlock, type SealedBlock } from './block.ts';
import { Layout } from './layout.ts';
import { EpochDictionary, type Stream } from './dictionary.ts';
import { NameIndex, type Source } from './names.ts';
import { WINDOW_MS } from './window.ts';

/** Memory that all open blocks together aim at: with many series each gets fewer ticks before it is compressed. */
const OPEN_BYTES_TARGET = 16 * 1024 * 1024;
const TICKS_MIN = 10;
/** Longer runs gain little and keep more memory uncompressed. */
const TICKS_MAX = 60;
/** Open blocks of one stream: groups of different intervals, times the live frames and the backlog that come in turns. */
const OPEN_PER_STREAM_MAX = 16;
/** Sets of series of one stream that are remembered: one per interval, and what comes and goes. */
const LAYOUTS_PER_STREAM_MAX = 32;

/** The blocks of one stream in one generation. */
export class StreamBlocks {
  readonly stream: Stream;
  readonly sealed: SealedBlock[] = [];
  /** The least recently used first. */
  readonly open: OpenBlock[] = [];
  /** The latest used last. */
  readonly #layouts: Layout[] = [];

  constructor(stream: Stream) {
    this.stream = stream;
  }

  /** One layout for equal references, so that blocks can be compared by it. */
  layoutOf(refs: Uint32Array): Layout {
    const layouts = this.#layouts;
    for (let i = layouts.length - 1; i >= 0; i--) {
      const layout = layouts[i] as Layout;
      if (!equalRefs(layout.refs, refs)) continue;
      if (i < layouts.length - 1) layouts.push(...layouts.splice(i, 1));
      return layout;
    }
    if (layouts.length >= LAYOUTS_PER_STREAM_MAX) layouts.shift();
    const layout = new Layout(refs.slice(), this.stream);
    layouts.push(layout);
    return layout;
  }

  /** In the order in which they were begun. */
  inOrder(): Block[] {
    const blocks: Block[] = [...this.sealed, ...this.open.filter((block) => block.ticks > 0)];
    return blocks.sort((a, b) => a.number - b.number);
  }
}

/** A dictionary frame of a generation; its cut keeps it, for the log that held it goes. */
export type DictionaryFrame = { readonly agentId: AgentId; readonly epoch: Epoch; readonly from: number; readonly bytes: Uint8Array };

export class HeadGeneration {
  readonly number: number;
  readonly streams = new Map<Stream, StreamBlocks>();
  readonly dictionaryFrames: DictionaryFrame[] = [];
  readonly arena = new Arena();
  readonly #newest = new Map<Source, number>();
  samples = 0;

  constructor(number: number) {
    this.number = number;
  }

  /** Newest time of anything from the stream's source. */
  newestMs(stream: Stream): number {
    return this.#newest.get(stream.source) ?? -Infinity;
  }

  noteNewest(stream: Stream, timeMs: number): void {
    if (timeMs > this.newestMs(stream)) this.#newest.set(stream.source, timeMs);
  }
}

export class Head {
  readonly index = new NameIndex();
  /** By agent, then epoch: both are strings that the callers keep, which makes them cheap to look up. */
  readonly #dictionaries = new Map<AgentId, Map<Epoch, EpochDictionary>>();
  /** In rising order of their numbers. */
  readonly #generations: HeadGeneration[] = [];
  /** Memory of blocks that are done, by its length: the next generation begins the same blocks again. */
  readonly #spare = new Map<number, Float64Array<ArrayBuffer>[]>();
  #spareBytes = 0;
  #openBytes = 0;
  #openSeries = 0;
  #nextBlock = 0;

  get generations(): readonly HeadGeneration[] {
    return this.#generations;
  }

  get dictionaries(): Iterable<EpochDictionary> {
    return this.#dictionaries.values().flatMap((epochs) => epochs.values());
  }

  get bytes(): number {
    let bytes = this.#openBytes + this.#spareBytes;
    for (const generation of this.#generations) bytes += generation.arena.bytes;
    return bytes;
  }

  get seriesCount(): number {
    let count = 0;
    for (const dictionary of this.dictionaries) count += dictionary.length;
    return count;
  }

  generation(number: number): HeadGeneration {
    let found = this.#generations.find((generation) => generation.number === number);
    if (found === undefined) {
      found = new HeadGeneration(number);
      this.#generations.push(found);
      this.#generations.sort((a, b) => a.number - b.number);
    }
    return found;
  }

  dictionary(agentId: AgentId, epoch: Epoch): EpochDictionary | undefined {
    return this.#dictionaries.get(agentId)?.get(epoch);
  }

  addDictionary(agentId: AgentId, epoch: Epoch): EpochDictionary {
    const dictionary = new EpochDictionary(agentId, epoch, this.index);
    const epochs = this.#dictionaries.get(agentId);
    if (epochs === undefined) this.#dictionaries.set(agentId, new Map([[epoch, dictionary]]));
    else epochs.set(epoch, dictionary);
    return dictionary;
  }

  /** Adds the groups of one frame; `baseMs` is what their times are offsets from. */
  append(generation: HeadGeneration, stream: Stream, baseMs: number, groups: readonly SampleGroup[]): void {
    let blocks = generation.streams.get(stream);
    if (blocks === undefined) generation.streams.set(stream, (blocks = new StreamBlocks(stream)));
    for (const group of groups) {
      const { times } = group;
      for (let i = 0; i < times.length; i++) times[i] = (times[i] as number) + baseMs;
      generation.samples += times.length * group.refs.length;
      this.#appendGroup(generation, blocks, group);
    }
    for (const { times } of groups) generation.noteNewest(stream, times[times.length - 1] as number);
  }

  /** Compresses what is still open of a stream in a generation that gets no more frames. */
  seal(generation: HeadGeneration, blocks: StreamBlocks): void {
    for (const block of blocks.open.splice(0)) this.#sealOne(generation, blocks, block);
  }

  /** A generation has been cut: its blocks go, and with them the dictionaries that no newer generation uses. */
  drop(number: number): void {
    const at = this.#generations.findIndex((generation) => generation.number === number);
    if (at < 0) return;
    const [dropped] = this.#generations.splice(at, 1);
    for (const blocks of dropped?.streams.values() ?? []) for (const open of blocks.open) this.#release(open);
    for (const [agentId, epochs] of this.#dictionaries) {
      for (const [epoch, dictionary] of epochs) {
        if (dictionary.generation > number) continue;
        dictionary.release();
        epochs.delete(epoch);
      }
      if (epochs.size === 0) this.#dictionaries.delete(agentId);
    }
  }

  #appendGroup(generation: HeadGeneration, blocks: StreamBlocks, group: SampleGroup): void {
    const { times, values } = group;
    const layout = blocks.layoutOf(group.refs);
    const ticks = times.length;
    const newestMs = generation.newestMs(blocks.stream);
    let done = 0;
    while (done < ticks) {
      const firstMs = times[done] as number;
      const windowEnd = (Math.floor(firstMs / WINDOW_MS) + 1) * WINDOW_MS;
      const mayRepeat = firstMs <= newestMs && repeats(generation, blocks.stream, firstMs, times[ticks - 1] as number);
      const block = mayRepeat ? this.#begin(generation, blocks, layout) : this.#openFor(generation, blocks, layout, firstMs);
      let end = Math.min(ticks, done + block.room);
      while ((times[end - 1] as number) >= windowEnd) end--;
      block.append(times, values, done, end);
      done = end;
      if (block.room === 0) blocks.sealed.push(block.seal(generation.arena, this.#nextBlock++));
    }
  }

  /** The open block of these series and window that ends closest before `timeMs`, or a new one. */
  #openFor(generation: HeadGeneration, blocks: StreamBlocks, layout: Layout, timeMs: number): OpenBlock {
    const { open } = blocks;
    const window = Math.floor(timeMs / WINDOW_MS);
    let best = -1;
    for (let i = open.length - 1; i >= 0; i--) {
      const block = open[i] as OpenBlock;
      if (block.layout !== layout) continue;
      const fits = block.ticks === 0 || (block.lastMs < timeMs && Math.floor(block.lastMs / WINDOW_MS) === window);
      if (fits && (best < 0 || endOf(block) > endOf(open[best] as OpenBlock))) best = i;
    }
    if (best >= 0) {
      const block = open[best] as OpenBlock;
      if (best < open.length - 1) {
        open.splice(best, 1);
        open.push(block);
      }
      return block;
    }
    return this.#begin(generation, blocks, layout);
  }

  #begin(generation: HeadGeneration, blocks: StreamBlocks, layout: Layout): OpenBlock {
    const { open } = blocks;
    if (open.length >= OPEN_PER_STREAM_MAX) this.#sealOne(generation, blocks, open.shift() as OpenBlock);
    const series = layout.refs.length;
    const capacity = Math.floor(OPEN_BYTES_TARGET / 8 / (this.#openSeries + series));
    const ticks = Math.min(TICKS_MAX, Math.max(TICKS_MIN, capacity));
    const block = new OpenBlock(this.#nextBlock++, layout, ticks, this.#memory(ticks * series));
    this.#openBytes += block.bytes;
    this.#openSeries += series;
    open.push(block);
    return block;
  }

  #sealOne(generation: HeadGeneration, blocks: StreamBlocks, block: OpenBlock): void {
    if (block.ticks > 0) blocks.sealed.push(block.seal(generation.arena, this.#nextBlock++));
    this.#release(block);
  }

  #release(block: OpenBlock): void {
    this.#openBytes -= block.bytes;
    this.#openSeries -= block.layout.refs.length;
    const memory = block.yieldMemory();
    if (memory === undefined || this.#spareBytes + memory.byteLength > OPEN_BYTES_TARGET) return;
    this.#spareBytes += memory.byteLength;
    const same = this.#spare.get(memory.length);
    if (same === undefined) this.#spare.set(memory.length, [memory]);
    else same.push(memory);
  }

  #memory(length: number): Float64Array<ArrayBuffer> | undefined {
    const memory = this.#spare.get(length)?.pop();
    if (memory !== undefined) this.#spareBytes -= memory.byteLength;
    return memory;
  }
}

/**
 * Whether a block of the same source has a time within [firstMs, lastMs]. Such ticks get a block of their own, begun after all others, so that of equal
 * times the sample that was stored first is the one in the lower block.
 */
function repeats(generation: HeadGeneration, stream: Stream, firstMs: number, lastMs: number): boolean {
  for (const other of generation.streams.values()) {
    if (other.stream.source !== stream.source) continue;
    for (const blocks of [other.sealed, other.open]) {
      for (const block of blocks) {
        if (block.ticks === 0 || block.firstMs > lastMs || block.lastMs < firstMs) continue;
        const times = block.times();
        const at = lowerBound(times, firstMs);
        if (at < times.length && (times[at] as number) <= lastMs) return true;
      }
    }
  }
  return false;
}

function endOf(block: OpenBlock): number {
  return block.ticks === 0 ? -Infinity : block.lastMs;
}

function equalRefs(a: Uint32Array, b: Uint32Array): boolean {
  const length = a.length;
  if (length !== b.length) return false;
  for (let i = 0; i < length; i++) if (a[i] !== b[i]) return false;
  return true;
}
