/** Series that the collector itself writes (`up` of each host), sealed as frames of its own key so that they take the same line as everybody's. */
import { randomBytes } from 'node:crypto';
import PQueue from 'p-queue';
import {
  DICTIONARY_ENTRIES_MAX,
  DIGEST_BYTES,
  encodeDictionary,
  encodeSamples,
  FrameKind,
  ID_BYTES,
  Lane,
  readFrame,
  seal,
  type DictionaryEntry,
  type WireMetricType,
} from '../../protocol/index.ts';
import { labelsKey, type Labels } from '../model/labels.ts';
import type { AgentId, Appender, VerifiedFrame } from '../model/ports.ts';
import type { CollectorIdentity } from './identity.ts';

export type OwnSample = {
  readonly name: string;
  readonly type: WireMetricType;
  readonly help: string;
  readonly labels: Labels;
  readonly value: number;
};

/** Moments that may wait for the store: minutes of `up`. */
const WAITING_MAX = 64;

export class OwnSeries {
  readonly #identity: CollectorIdentity;
  readonly #appender: Appender;
  readonly #nowMs: () => number;
  readonly #agentId: AgentId;
  #epoch: Uint8Array = randomBytes(ID_BYTES);
  #refs = new Map<string, number>();
  #sequence = 0;
  #previous: Uint8Array = new Uint8Array(DIGEST_BYTES);
  #dictionarySequence = 0;
  #dictionaryPrevious: Uint8Array = new Uint8Array(DIGEST_BYTES);
  #lastMs = 0;
  /** One write at a time, in order: each frame names the one before. */
  readonly #writes = new PQueue({ concurrency: 1 });
  /** Moments that were not written because the store was too slow for them. */
  dropped = 0;

  private constructor(deps: { identity: CollectorIdentity; appender: Appender; nowMs: () => number }) {
    this.#identity = deps.identity;
    this.#appender = deps.appender;
    this.#nowMs = deps.nowMs;
    this.#agentId = Buffer.from(deps.identity.agentId).toString('hex');
  }

  /** Opens with a new epoch; those of earlier runs are over. */
  static async open(deps: { identity: CollectorIdentity; appender: Appender; nowMs: () => number }): Promise<OwnSeries> {
    const own = new OwnSeries(deps);
    for (const { epoch } of await deps.appender.received(own.#agentId)) deps.appender.forget(own.#agentId, epoch);
    return own;
  }

  /** Writes samples of one moment. Resolves when they are durable, or when they were dropped because too many moments wait. */
  async write(samples: readonly OwnSample[]): Promise<void> {
    if (samples.length === 0) return;
    if (this.#writes.size >= WAITING_MAX) {
      this.dropped++;
      return;
    }
    await this.#writes.add(() => this.#write(samples));
  }

  async #write(samples: readonly OwnSample[]): Promise<void> {
    const timeMs = Math.max(this.#nowMs(), this.#lastMs + 1);
    this.#lastMs = timeMs;
    if (this.#refs.size + samples.length > DICTIONARY_ENTRIES_MAX) this.#newEpoch();
    const frames: VerifiedFrame[] = [];
    const valuesByRef = new Map<number, number>();
    const from = this.#refs.size;
    const entries: DictionaryEntry[] = [];
    for (const sample of samples) {
      const key = `${sample.name}\0${labelsKey(sample.labels)}`;
      let ref = this.#refs.get(key);
      if (ref === undefined) {
        ref = this.#refs.size;
        this.#refs.set(key, ref);
        entries.push({ name: sample.name, type: sample.type, scope: 'relayed', labels: sample.labels, help: sample.help });
      }
      valuesByRef.set(ref, sample.value);
    }
    if (entries.length > 0) frames.push(this.#seal(FrameKind.dictionary, encodeDictionary({ from, entries }), from, timeMs));
    const refs = Uint32Array.from(valuesByRef.keys()).sort();
    const values = Float64Array.from(refs, (ref) => valuesByRef.get(ref) as number);
    frames.push(this.#seal(FrameKind.samples, encodeSamples([{ times: Float64Array.of(0), refs, values }]), this.#refs.size, timeMs));
    await this.#appender.append(frames);
  }

  #seal(
    kind: typeof FrameKind.dictionary | typeof FrameKind.samples,
    payload: Uint8Array,
    dictionaryLength: number,
    timeMs: number,
  ): VerifiedFrame {
    const isDictionary = kind === FrameKind.dictionary;
    const { bytes, digest } = seal(
      {
        kind,
        lane: isDictionary ? Lane.dictionary : Lane.bulk,
        agentId: this.#identity.agentId,
        fleetId: this.#identity.fleetId,
        epoch: this.#epoch,
        sequence: isDictionary ? this.#dictionarySequence++ : this.#sequence++,
        previous: isDictionary ? this.#dictionaryPrevious : this.#previous,
        dictionaryLength,
        clockSegment: 0,
        timeMs,
        clockBaseMs: 0,
      },
      payload,
      this.#identity.sign,
    );
    if (isDictionary) this.#dictionaryPrevious = digest;
    else this.#previous = digest;
    const view = readFrame(bytes);
    if (!view.ok) throw new Error(`a frame of our own does not read: ${view.detail}`);
    const epoch = Buffer.from(this.#epoch).toString('hex');
    return { agentId: this.#agentId, epoch, header: view.value.header, digest, bytes, source: [], correctionMs: 0, receivedMs: timeMs };
  }

  #newEpoch(): void {
    this.#appender.forget(this.#agentId, Buffer.from(this.#epoch).toString('hex'));
    this.#epoch = randomBytes(ID_BYTES);
    this.#refs = new Map();
    this.#sequence = 0;
    this.#dictionarySequence = 0;
    this.#previous = new Uint8Array(DIGEST_BYTES);
    this.#dictionaryPrevious = new Uint8Array(DIGEST_BYTES);
  }
}
