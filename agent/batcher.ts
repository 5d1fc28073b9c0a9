/**
 * Takes samples between two flushes and turns them into frames: a dictionary part for what is new, then the samples. Says which series have ended.
 * No object per sample. Not when to flush (flush.ts), nor what is done with frames.
 */
import {
  DICTIONARY_ENTRIES_MAX,
  encodeSamples,
  FrameKind,
  GROUPS_PER_FRAME_MAX,
  Lane,
  type DictionaryEntry,
  type Hint,
} from '../protocol/index.ts';
import type { ClockSegment } from './clock.ts';
import type { LabelPairs, Metric, SampleSink, SeriesRef } from './gather/gatherer.ts';
import { HintWatch } from './hints.ts';
import type { SealedDictionary, SealedFrame, Sealer } from './sealer.ts';
import { REFUSED, SeriesTable } from './series.ts';
import { TickTable, type Groups } from './tick-table.ts';

/** Where sealed frames go. A dictionary part comes before the first frame that needs it. */
export interface FrameOutlet {
  dictionary(part: SealedDictionary): void;
  frame(frame: SealedFrame): void;
}

export type BatcherOptions = {
  readonly sealer: Sealer;
  readonly segment: () => ClockSegment;
  readonly outlet: FrameOutlet;
  /** The dictionary is full or mostly dead: everything has been sealed, and when this returns the sealer has begun another epoch. */
  readonly renew: () => void;
};

/** What did not become a sample. */
export type BatchDrops = {
  /** Series over a limit of the wire or of this process. */
  readonly series: number;
  /** Values of such a series, or of one for which the dictionary had no room. */
  readonly samples: number;
};

/** Ticks of one frame: one minute at 1 s. At most 64. */
const TICKS_MAX = 60;
/** The wire allows 10 minutes; slow gatherers alone must not come near. */
const SPAN_MS_MAX = 5 * 60 * 1000;
/** A sample takes at most 9 bytes and a bit, so that this many always fit into the 1 MiB of a frame. */
const SAMPLES_MAX = 90_000;
/** What a frame should stay below, by the size of those before it. */
const FRAME_BYTES_GOAL = 192 * 1024;
/** Before the first frame. Real hosts are between 0.3 and 2 bytes per sample. */
const BYTES_PER_SAMPLE_FIRST = 2;
/** A dictionary this small is not worth a new epoch, however dead it is. */
const RENEW_ENTRIES_MIN = 1024;
/** A full dictionary is renewed only if that makes room; else the same series would fill the next one too, each tick. */
const FULL_ALIVE_MAX = 0.9 * DICTIONARY_ENTRIES_MAX;
const FIRST_REFS = 1024;
const NONE = -1;

export class Batcher implements SampleSink {
  readonly #options: BatcherOptions;
  readonly #series = new SeriesTable();
  readonly #hints = new HintWatch();
  readonly #table = new TickTable();
  readonly #sources = new Map<string, Source>();
  /** By ref: its entry in the epoch's dictionary, or NONE. */
  #entryOf = new Int32Array(FIRST_REFS).fill(NONE);
  /** By entry; the sealer knows of the first `sealer.dictionaryLength` of them. */
  #entries: SeriesRef[] = [];
  /** Metrics whose help text this epoch has. */
  readonly #helped = new Set<string>();
  /** Of the pending ticks. */
  #segment: ClockSegment;
  #bytesPerSample = BYTES_PER_SAMPLE_FIRST;
  #droppedSamples = 0;
  #lastMs = 0;

  constructor(options: BatcherOptions) {
    this.#options = options;
    this.#segment = options.segment();
  }

  get drops(): BatchDrops {
    return { series: this.#series.refused, samples: this.#droppedSamples };
  }

  /** Newest sample time that has been sealed; 0 if none. */
  get lastMs(): number {
    return this.#lastMs;
  }

  series(metric: Metric, labels?: LabelPairs): SeriesRef {
    const known = this.#series.size;
    const ref = this.#series.find(metric, labels);
    if (ref === known) {
      if (ref >= this.#entryOf.length) this.#entryOf = grownRefs(this.#entryOf);
      this.#hints.add(ref, this.#series.entry(ref));
    }
    return ref;
  }

  /** Sets a value of the tick that is going on. Series that are set here and by no source never end. */
  set(ref: SeriesRef, value: number): void {
    const entry = this.#entryFor(ref);
    if (entry === NONE) return;
    this.#table.put(entry, value);
    if (!this.#hints.idle) this.#hints.update(ref, value);
  }

  /** A sink for one gatherer: what it set when it ran before and did not set when it ran again has ended. */
  sourceOf(name: string): SampleSink {
    let source = this.#sources.get(name);
    if (source === undefined) {
      source = new Source(this, (ref) => this.#setStale(ref));
      this.#sources.set(name, source);
    }
    return source;
  }

  /** Every value of this tick has been set; these sources have ended a run with it, by throwing or not. */
  endTick(tick: { readonly timeMs: number }, ended: readonly { readonly name: string }[]): void {
    for (const { name } of ended) this.#sources.get(name)?.endRun();
    if (this.#isFull(tick.timeMs)) this.flush();
    if (this.#table.ticks === 0) this.#segment = this.#options.segment();
    this.#table.endTick(tick.timeMs);
    if (this.#isWornOut()) this.#renew();
  }

  setHints(hints: readonly Hint[]): void {
    this.#hints.set(hints, this.#series);
  }

  /** Whether a hinted comparison changed its truth since the last call. */
  takeCrossed(): boolean {
    return this.#hints.takeCrossed();
  }

  /**
   * Seals the ticks that have ended. To be called when a clock segment ends, too, before anything of the next is stamped: a frame has one segment.
   */
  flush(): void {
    if (this.#table.samples > 0) {
      this.#announce();
      this.#seal(0, this.#table.ticks);
    }
    this.#table.clear();
  }

  #isFull(timeMs: number): boolean {
    const { ticks, firstMs, lastMs, samples, lastSamples } = this.#table;
    if (ticks === 0) return false;
    if (ticks >= TICKS_MAX || timeMs <= lastMs || timeMs - firstMs > SPAN_MS_MAX) return true;
    const expected = samples + lastSamples;
    return expected > SAMPLES_MAX || expected * this.#bytesPerSample > FRAME_BYTES_GOAL;
  }

  #entryFor(ref: SeriesRef): number {
    const known = ref === REFUSED ? NONE : (this.#entryOf[ref] as number);
    if (known !== NONE) return known;
    if (ref === REFUSED || this.#entries.length >= DICTIONARY_ENTRIES_MAX) {
      this.#droppedSamples++;
      return NONE;
    }
    this.#entryOf[ref] = this.#entries.length;
    return this.#entries.push(ref) - 1;
  }

  #setStale(ref: SeriesRef): void {
    const entry = this.#entryFor(ref);
    if (entry === NONE) return;
    this.#table.putStale(entry);
    if (!this.#hints.idle) this.#hints.update(ref, NaN);
  }

  #isWornOut(): boolean {
    const entries = this.#entries.length;
    if (entries <= RENEW_ENTRIES_MIN) return false;
    let alive = 0;
    for (const source of this.#sources.values()) alive += source.alive;
    return alive < entries / 2 || (entries >= DICTIONARY_ENTRIES_MAX && alive <= FULL_ALIVE_MAX);
  }

  #renew(): void {
    this.flush();
    for (const ref of this.#entries) this.#entryOf[ref] = NONE;
    this.#entries = [];
    this.#helped.clear();
    this.#options.renew();
  }

  /** Announces the entries that the sealer does not know yet. */
  #announce(): void {
    const { sealer, outlet } = this.#options;
    const fresh = this.#entries.slice(sealer.dictionaryLength);
    if (fresh.length === 0) return;
    const entries = fresh.map((ref) => this.#entryText(ref));
    for (const part of sealer.announce(entries, this.#segment, this.#table.firstMs)) outlet.dictionary(part);
  }

  /** The help text goes with the first entry of a metric. */
  #entryText(ref: SeriesRef): DictionaryEntry {
    const entry = this.#series.entry(ref);
    if (this.#helped.has(entry.name)) return { ...entry, help: '' };
    this.#helped.add(entry.name);
    return entry;
  }

  /** Seals the ticks [from, to) as one frame, or as two if their series fall into more groups than a frame may have. */
  #seal(from: number, to: number): void {
    const groups = this.#table.groups(from, to);
    if (groups === undefined) return;
    if (groups.groups.length > GROUPS_PER_FRAME_MAX) {
      const middle = (from + to) >> 1;
      this.#seal(from, middle);
      this.#seal(middle, to);
      return;
    }
    this.#sealGroups(groups);
  }

  #sealGroups({ groups, fromMs, toMs, samples, rows }: Groups): void {
    const frame = this.#options.sealer.seal({
      kind: FrameKind.samples,
      lane: Lane.now,
      bytes: encodeSamples(groups),
      dictionaryLength: rows,
      segment: this.#segment,
      fromMs,
      toMs,
      samples,
    });
    // Half old, half new: follows a change of the mix within a few frames, and one odd frame does not decide.
    this.#bytesPerSample = (this.#bytesPerSample + frame.bytes.length / samples) / 2;
    this.#lastMs = Math.max(this.#lastMs, toMs);
    this.#options.outlet.frame(frame);
  }
}

/** Remembers what one gatherer set, from run to run. */
class Source implements SampleSink {
  readonly #batcher: Batcher;
  readonly #setStale: (ref: SeriesRef) => void;
  /** Rises with each run. */
  #run = 1;
  /** Set since the last run ended, set in the run before that. */
  #current: SeriesRef[] = [];
  #previous: SeriesRef[] = [];
  /** By ref: the run that set it last. */
  #setIn = new Uint32Array(FIRST_REFS);

  constructor(batcher: Batcher, setStale: (ref: SeriesRef) => void) {
    this.#batcher = batcher;
    this.#setStale = setStale;
  }

  /** Series that its last run set, or the one that is going on. */
  get alive(): number {
    return Math.max(this.#previous.length, this.#current.length);
  }

  series(metric: Metric, labels?: LabelPairs): SeriesRef {
    return this.#batcher.series(metric, labels);
  }

  set(ref: SeriesRef, value: number): void {
    if (ref >= this.#setIn.length) this.#grow(ref);
    if (ref !== REFUSED && this.#setIn[ref] !== this.#run) {
      this.#setIn[ref] = this.#run;
      this.#current.push(ref);
    }
    this.#batcher.set(ref, value);
  }

  endRun(): void {
    for (const ref of this.#previous) if (this.#setIn[ref] !== this.#run) this.#setStale(ref);
    const emptied = this.#previous;
    this.#previous = this.#current;
    this.#current = emptied;
    emptied.length = 0;
    this.#run++;
  }

  #grow(ref: SeriesRef): void {
    const setIn = new Uint32Array(Math.max(ref + 1, this.#setIn.length * 2));
    setIn.set(this.#setIn);
    this.#setIn = setIn;
  }
}

function grownRefs(refs: Int32Array): Int32Array<ArrayBuffer> {
  const grown = new Int32Array(refs.length * 2).fill(NONE);
  grown.set(refs);
  return grown;
}
