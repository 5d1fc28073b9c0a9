/** Makes the frames that an agent would send, sealed and accepted, from plain series: for tests of whatever takes VerifiedFrames. Not an agent. */
import {
  encodeDictionary,
  encodeSamples,
  type DictionaryEntry,
  FrameKind,
  keyPairFromSeed,
  Lane,
  readFrame,
  type SampleGroup,
  seal,
  signer,
} from '../../../protocol/index.ts';
import { labelsOf } from '../../../collector/model/labels.ts';
import type { VerifiedFrame } from '../../../collector/model/ports.ts';

export type FakeSeries = {
  readonly name: string;
  readonly labels?: Record<string, string>;
  readonly relayed?: boolean;
  readonly help?: string;
  readonly type?: DictionaryEntry['type'];
};

/** One fixed key for all: the store never looks at signatures. */
const sign = signer(keyPairFromSeed(new Uint8Array(32).fill(7)).secretKey);
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const idOf = (text: string): Uint8Array => Buffer.from(text.padEnd(16, '.').slice(0, 16));

export class FakeAgent {
  readonly host: string;
  readonly agentIdBytes: Uint8Array;
  readonly epochBytes: Uint8Array;
  readonly #refs = new Map<string, number>();
  readonly #sequences = new Map<number, number>();

  constructor(host: string, epoch = 'epoch-1') {
    this.host = host;
    this.agentIdBytes = idOf(host);
    this.epochBytes = idOf(epoch);
  }

  get agentId(): string {
    return hex(this.agentIdBytes);
  }

  get epoch(): string {
    return hex(this.epochBytes);
  }

  get dictionaryLength(): number {
    return this.#refs.size;
  }

  /** Announces series; refs are given in this order. */
  dictionary(series: readonly FakeSeries[]): VerifiedFrame {
    const from = this.#refs.size;
    const entries = series.map((one) => {
      this.#refs.set(JSON.stringify([one.name, one.labels ?? {}]), this.#refs.size);
      return {
        name: one.name,
        type: one.type ?? ('gauge' as const),
        scope: one.relayed === true ? ('relayed' as const) : ('node' as const),
        labels: labelsOf(one.labels ?? {}),
        help: one.help ?? '',
      };
    });
    return this.frame(FrameKind.dictionary, Lane.dictionary, encodeDictionary({ from, entries }), { dictionaryLength: from });
  }

  ref(name: string, labels: Record<string, string> = {}): number {
    const ref = this.#refs.get(JSON.stringify([name, labels]));
    if (ref === undefined) throw new Error(`${name} was not announced`);
    return ref;
  }

  /** A samples frame: rows of values, one row per series (refs 0, 1, ...), at the given times. */
  samples(timesMs: readonly number[], rows: readonly (readonly number[])[], options: Partial<FrameOptions> = {}): VerifiedFrame {
    const values = new Float64Array(rows.length * timesMs.length);
    for (const [s, row] of rows.entries()) values.set(row, s * timesMs.length);
    const base = timesMs[0] ?? 0;
    return this.groups(
      base,
      [{ times: Float64Array.from(timesMs, (time) => time - base), refs: Uint32Array.from(rows.keys()), values }],
      options,
    );
  }

  groups(timeMs: number, groups: readonly SampleGroup[], options: Partial<FrameOptions> = {}): VerifiedFrame {
    return this.frame(FrameKind.samples, options.lane ?? Lane.now, encodeSamples(groups), {
      timeMs,
      dictionaryLength: this.#refs.size,
      ...options,
    });
  }

  frame(kind: FrameKind, lane: Lane, payload: Uint8Array, options: Partial<FrameOptions> = {}): VerifiedFrame {
    const sequence = options.sequence ?? this.#sequences.get(lane) ?? 0;
    this.#sequences.set(lane, Math.max(sequence + 1, this.#sequences.get(lane) ?? 0));
    const { bytes, digest } = seal(
      {
        kind,
        lane,
        agentId: this.agentIdBytes,
        fleetId: idOf('fleet'),
        epoch: this.epochBytes,
        sequence,
        previous: new Uint8Array(32),
        dictionaryLength: options.dictionaryLength ?? this.#refs.size,
        clockSegment: 0,
        timeMs: options.timeMs ?? 0,
        clockBaseMs: 0,
      },
      payload,
      sign,
    );
    const view = readFrame(bytes);
    if (!view.ok) throw new Error(view.detail);
    return {
      agentId: this.agentId,
      epoch: this.epoch,
      header: view.value.header,
      digest,
      bytes,
      source: options.source ?? labelsOf({ job: 'node', instance: this.host }),
      correctionMs: options.correctionMs ?? 0,
      receivedMs: options.receivedMs ?? options.timeMs ?? 0,
    };
  }
}

export type FrameOptions = {
  readonly lane: Lane;
  readonly sequence: number;
  readonly timeMs: number;
  readonly dictionaryLength: number;
  readonly correctionMs: number;
  readonly receivedMs: number;
  readonly source: readonly string[];
};
