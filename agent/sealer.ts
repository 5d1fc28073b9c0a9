/**
 * Seals payloads into the frames of an epoch: sequences and digests per lane, dictionary parts by length. Not what payloads say, nor where frames go.
 * An epoch is drawn at every start and never continued; a full or mostly dead dictionary begins another.
 */
import assert from 'node:assert/strict';
import {
  DICTIONARY_ENTRIES_MAX,
  DIGEST_BYTES,
  encodeDictionary,
  FrameKind,
  ID_BYTES,
  Lane,
  LANE_NAMES,
  seal,
  type DictionaryEntry,
  type Signer,
} from '../protocol/index.ts';
import type { ClockSegment } from './clock.ts';

/** A frame on its way to the spool and the link; the bytes are never touched again. */
export type SealedFrame = {
  /** 32 hex digits. */
  readonly epoch: string;
  readonly lane: Lane;
  readonly sequence: number;
  readonly bytes: Uint8Array;
  /** Times of its first and last sample or event. */
  readonly fromMs: number;
  readonly toMs: number;
  readonly samples: number;
};

/** Entries `from` up to before `to` of an epoch's dictionary. */
export type SealedDictionary = { readonly epoch: string; readonly from: number; readonly to: number; readonly bytes: Uint8Array };

export type Payload = {
  readonly kind: Exclude<FrameKind, typeof FrameKind.dictionary>;
  readonly lane: Exclude<Lane, typeof Lane.dictionary>;
  readonly bytes: Uint8Array;
  /** Dictionary entries that it needs. */
  readonly dictionaryLength: number;
  /** The segment that its times belong to. */
  readonly segment: ClockSegment;
  readonly fromMs: number;
  readonly toMs: number;
  readonly samples: number;
};

export type SealerOptions = {
  readonly agentId: Uint8Array;
  readonly fleetId: Uint8Array;
  readonly sign: Signer;
  readonly random: (bytes: number) => Uint8Array;
};

/** A part of a dictionary is a frame of its own; this many bytes of entries keep it far below the bound of a frame. */
const PART_BYTES_MAX = 64 * 1024;

export class Sealer {
  readonly #options: SealerOptions;
  #epoch: Uint8Array;
  #epochName: string;
  #dictionaryLength = 0;
  readonly #sequences = new Float64Array(LANE_NAMES.length);
  readonly #previous: Uint8Array[] = [];

  constructor(options: SealerOptions) {
    this.#options = options;
    this.#epoch = options.random(ID_BYTES);
    this.#epochName = Buffer.from(this.#epoch).toString('hex');
    this.#reset();
  }

  get epoch(): Uint8Array {
    return this.#epoch;
  }

  /** 32 hex digits. */
  get epochName(): string {
    return this.#epochName;
  }

  /** Entries announced so far. */
  get dictionaryLength(): number {
    return this.#dictionaryLength;
  }

  /** Draws a new epoch: sequences and dictionary begin again. */
  renew(): void {
    this.#epoch = this.#options.random(ID_BYTES);
    this.#epochName = Buffer.from(this.#epoch).toString('hex');
    this.#reset();
  }

  /** Appends entries to the dictionary, in as many frames as their size needs. They must be valid (`entryProblem`) and fit. */
  announce(entries: readonly DictionaryEntry[], segment: ClockSegment, timeMs: number): SealedDictionary[] {
    assert(this.#dictionaryLength + entries.length <= DICTIONARY_ENTRIES_MAX, 'a full dictionary is renewed before entries are announced');
    const frames: SealedDictionary[] = [];
    let start = 0;
    while (start < entries.length) {
      const end = partEnd(entries, start);
      const from = this.#dictionaryLength;
      const payload = encodeDictionary({ from, entries: entries.slice(start, end) });
      const { bytes } = this.#seal(FrameKind.dictionary, Lane.dictionary, payload, { dictionaryLength: from, segment, fromMs: timeMs });
      this.#dictionaryLength = from + end - start;
      frames.push({ epoch: this.#epochName, from, to: this.#dictionaryLength, bytes });
      start = end;
    }
    return frames;
  }

  seal(payload: Payload): SealedFrame {
    assert(payload.dictionaryLength <= this.#dictionaryLength, 'a frame needs no more entries than were announced');
    const { bytes, sequence } = this.#seal(payload.kind, payload.lane, payload.bytes, payload);
    const { lane, fromMs, toMs, samples } = payload;
    return { epoch: this.#epochName, lane, sequence, bytes, fromMs, toMs, samples };
  }

  #seal(
    kind: FrameKind,
    lane: Lane,
    payload: Uint8Array,
    about: { readonly dictionaryLength: number; readonly segment: ClockSegment; readonly fromMs: number },
  ): { bytes: Uint8Array; sequence: number } {
    const sequence = this.#sequences[lane] as number;
    const { bytes, digest } = seal(
      {
        kind,
        lane,
        agentId: this.#options.agentId,
        fleetId: this.#options.fleetId,
        epoch: this.#epoch,
        sequence,
        previous: this.#previous[lane] as Uint8Array,
        dictionaryLength: about.dictionaryLength,
        clockSegment: about.segment.number,
        timeMs: about.fromMs,
        clockBaseMs: about.segment.baseMs,
      },
      payload,
      this.#options.sign,
    );
    this.#sequences[lane] = sequence + 1;
    this.#previous[lane] = digest;
    return { bytes, sequence };
  }

  #reset(): void {
    this.#dictionaryLength = 0;
    this.#sequences.fill(0);
    for (const lane of LANE_NAMES.keys()) this.#previous[lane] = new Uint8Array(DIGEST_BYTES);
  }
}

/** One entry at least, then as many as stay below the size of a part. */
function partEnd(entries: readonly DictionaryEntry[], start: number): number {
  let bytes = 0;
  for (let i = start; i < entries.length; i++) {
    const { name, labels, help } = entries[i] as DictionaryEntry;
    // UTF-16 length times 3 is the most that UTF-8 takes.
    bytes += 3 * (name.length + help.length) + 16;
    for (const text of labels) bytes += 3 * text.length + 3;
    if (bytes > PART_BYTES_MAX && i > start) return i;
  }
  return entries.length;
}
