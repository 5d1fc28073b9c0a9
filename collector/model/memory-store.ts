/**
 * The store in memory: the double that tests of other rooms use and that passes the same conformance suite as LevelDB's. Nothing is durable, nothing is
 * compressed, nothing is bounded but by its process. Not for production.
 */
import { decodeDictionary, decodeSamples, type DictionaryEntry, FrameKind, payloadOf, readFrame } from '../../protocol/index.ts';
import { type Labels, labelsKey, labelValue, type Matcher } from './labels.ts';
import type {
  AgentId,
  AppendedFeed,
  Appender,
  ColumnBatch,
  Epoch,
  EpochReceived,
  LabelSource,
  RecordKind,
  RecordStore,
  SampleSource,
  SelectHints,
  SeriesColumns,
  StoredRecord,
  TimeRange,
  VerifiedFrame,
} from './ports.ts';
import { QueryLimitError } from './query-limit.ts';
import { SequenceRanges } from './ranges.ts';

/** Names of a label source are told per hour, as the port says. */
const WINDOW_MS = 3_600_000;
const SOURCE_LABELS = new Set(['agent', 'instance', 'job']);

type Series = { readonly labels: Labels; readonly samples: Map<number, bigint> };
type Lane = { readonly ranges: SequenceRanges; highest: number; digest: Uint8Array };
type EpochState = { readonly lanes: Map<number, Lane>; readonly entries: DictionaryEntry[] };

export class MemoryStore implements Appender, SampleSource, LabelSource, AppendedFeed {
  readonly records: RecordStore = new MemoryRecords();
  readonly #agents = new Map<AgentId, Map<Epoch, EpochState>>();
  readonly #series = new Map<string, Series>();
  readonly #metadata = new Map<string, { type: string; help: string }>();
  readonly #listeners = new Set<(agentId: AgentId, newestMs: number) => void>();

  append(frames: readonly VerifiedFrame[]): Promise<void> {
    for (const frame of frames) this.#take(frame);
    return Promise.resolve();
  }

  received(agentId: AgentId): Promise<readonly EpochReceived[]> {
    const answers = [...(this.#agents.get(agentId) ?? [])].map(([epoch, { lanes, entries }]) => ({
      epoch,
      dictionaryLength: entries.length,
      lanes: [...lanes]
        .sort(([a], [b]) => a - b)
        .map(([lane, { ranges, digest }]) => ({ lane, ranges: ranges.toArray(), lastDigest: digest })),
    }));
    return Promise.resolve(answers);
  }

  collapse(agentId: AgentId, epoch: Epoch, lane: number, floor: number): void {
    this.#lane(agentId, epoch, lane).ranges.addRange(0, floor);
  }

  forget(agentId: AgentId, epoch: Epoch): void {
    this.#agents.get(agentId)?.delete(epoch);
  }

  async *select(matchers: readonly Matcher[], range: TimeRange, hints: SelectHints, signal: AbortSignal): AsyncGenerator<ColumnBatch> {
    signal.throwIfAborted();
    const axes = new Map<string, Float64Array>();
    const batch: SeriesColumns[] = [];
    let taken = 0;
    for (const { labels, samples } of this.#series.values()) {
      if (!matchesAll(labels, matchers)) continue;
      const times = [...samples.keys()].filter((time) => time >= range.fromMs && time <= range.toMs).sort((a, b) => a - b);
      if (times.length === 0) continue;
      taken += times.length;
      if (hints.samplesMax !== undefined && taken > hints.samplesMax) throw new QueryLimitError(hints.samplesMax);
      const values = new Float64Array(BigUint64Array.from(times, (time) => samples.get(time) as bigint).buffer);
      batch.push({ labels, timesMs: shared(axes, Float64Array.from(times)), values });
    }
    if (batch.length > 0) yield await Promise.resolve(batch);
  }

  series(matchers: readonly Matcher[], range: TimeRange, signal: AbortSignal): Promise<readonly Labels[]> {
    return settle(() => {
      signal.throwIfAborted();
      return this.#found(matchers, range).sort(compareLabels);
    });
  }

  labelNames(matchers: readonly Matcher[], range: TimeRange, signal: AbortSignal): Promise<readonly string[]> {
    return settle(() => {
      signal.throwIfAborted();
      return sortedUnique(this.#found(matchers, range).flatMap((labels) => labels.filter((_, i) => i % 2 === 0)));
    });
  }

  labelValues(name: string, matchers: readonly Matcher[], range: TimeRange, signal: AbortSignal): Promise<readonly string[]> {
    return settle(() => {
      signal.throwIfAborted();
      return sortedUnique(
        this.#found(matchers, range)
          .map((labels) => labelValue(labels, name))
          .filter((value) => value !== ''),
      );
    });
  }

  metadata(): Promise<ReadonlyMap<string, { readonly type: string; readonly help: string }>> {
    return Promise.resolve(new Map(this.#metadata));
  }

  onAppended(listener: (agentId: AgentId, newestMs: number) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #take(frame: VerifiedFrame): void {
    const { lane: laneNumber, sequence, kind } = frame.header;
    const lane = this.#lane(frame.agentId, frame.epoch, laneNumber);
    if (!lane.ranges.add(sequence)) return;
    if (sequence > lane.highest) {
      lane.highest = sequence;
      lane.digest = frame.digest;
    }
    const view = readFrame(frame.bytes);
    const payload = view.ok ? payloadOf(view.value) : view;
    if (!payload.ok) return;
    const { entries } = this.#epoch(frame.agentId, frame.epoch);
    if (kind === FrameKind.dictionary) this.#learn(entries, payload.value);
    if (kind === FrameKind.samples) this.#store(frame, entries, payload.value);
  }

  #learn(entries: DictionaryEntry[], payload: Uint8Array): void {
    const part = decodeDictionary(payload);
    if (!part.ok || part.value.from > entries.length) return;
    for (const entry of part.value.entries.slice(entries.length - part.value.from)) {
      entries.push(entry);
      const known = this.#metadata.get(entry.name);
      this.#metadata.set(entry.name, { type: entry.type, help: entry.help === '' ? (known?.help ?? '') : entry.help });
    }
  }

  #store(frame: VerifiedFrame, entries: readonly DictionaryEntry[], payload: Uint8Array): void {
    const groups = decodeSamples(payload, frame.header.dictionaryLength);
    if (!groups.ok || frame.header.dictionaryLength > entries.length) return;
    const baseMs = frame.header.timeMs + frame.correctionMs;
    let newestMs = -Infinity;
    for (const { times, refs, values } of groups.value) {
      const bits = new BigUint64Array(values.buffer, values.byteOffset, values.length);
      for (const [i, ref] of refs.entries()) {
        const { samples } = this.#seriesOf(entries[ref] as DictionaryEntry, frame.source);
        for (const [t, offset] of times.entries()) {
          const time = baseMs + offset;
          newestMs = Math.max(newestMs, time);
          // Of equal times the first stored stays.
          if (!samples.has(time)) samples.set(time, bits[i * times.length + t] as bigint);
        }
      }
    }
    for (const listener of this.#listeners) listener(frame.agentId, newestMs);
  }

  #seriesOf(entry: DictionaryEntry, identity: Labels): Series {
    const own = pairsOf(entry.labels);
    const source = entry.scope === 'node' ? pairsOf(identity) : own.filter(([name]) => name === 'instance' || name === 'job');
    const host = labelValue(identity, 'instance');
    if (entry.scope === 'relayed' && host !== '') source.push(['agent', host]);
    const pairs = [...own.filter(([name]) => !SOURCE_LABELS.has(name)), ...source, ['__name__', entry.name] as const];
    const labels = pairs.sort(([a], [b]) => (a < b ? -1 : 1)).flat();
    const key = labelsKey(labels);
    let series = this.#series.get(key);
    if (series === undefined) this.#series.set(key, (series = { labels, samples: new Map() }));
    return series;
  }

  /** Label sets with samples in the hours of the range. */
  #found(matchers: readonly Matcher[], range: TimeRange): Labels[] {
    const from = Math.floor(range.fromMs / WINDOW_MS) * WINDOW_MS;
    const to = (Math.floor(range.toMs / WINDOW_MS) + 1) * WINDOW_MS;
    const found: Labels[] = [];
    for (const { labels, samples } of this.#series.values()) {
      if (matchesAll(labels, matchers) && samples.keys().some((time) => time >= from && time < to)) found.push(labels);
    }
    return found;
  }

  #epoch(agentId: AgentId, epoch: Epoch): EpochState {
    let epochs = this.#agents.get(agentId);
    if (epochs === undefined) this.#agents.set(agentId, (epochs = new Map()));
    let state = epochs.get(epoch);
    if (state === undefined) epochs.set(epoch, (state = { lanes: new Map(), entries: [] }));
    return state;
  }

  #lane(agentId: AgentId, epoch: Epoch, number: number): Lane {
    const { lanes } = this.#epoch(agentId, epoch);
    let lane = lanes.get(number);
    if (lane === undefined) lanes.set(number, (lane = { ranges: new SequenceRanges(), highest: -1, digest: new Uint8Array() }));
    return lane;
  }
}

class MemoryRecords implements RecordStore {
  readonly #kinds = new Map<RecordKind, Map<string, { version: number; text: string }>>();
  readonly #revisions = new Map<RecordKind, number>();

  get<T>(kind: RecordKind, id: string): Promise<StoredRecord<T> | undefined> {
    const stored = this.#of(kind).get(id);
    return Promise.resolve(stored === undefined ? undefined : { id, version: stored.version, value: JSON.parse(stored.text) as T });
  }

  list<T>(kind: RecordKind, options: { prefix?: string; after?: string; limit?: number } = {}): Promise<readonly StoredRecord<T>[]> {
    const { prefix = '', after, limit = Infinity } = options;
    const ids = [...this.#of(kind).keys()].filter((id) => id.startsWith(prefix) && (after === undefined || compareBytes(id, after) > 0));
    const rows = ids.sort(compareBytes).slice(0, limit);
    const records = rows.map((id) => {
      const stored = this.#of(kind).get(id) as { version: number; text: string };
      return { id, version: stored.version, value: JSON.parse(stored.text) as T };
    });
    return Promise.resolve(records);
  }

  putIfAbsent<T>(kind: RecordKind, id: string, value: T): Promise<boolean> {
    if (this.#of(kind).has(id)) return Promise.resolve(false);
    this.#set(kind, id, 1, value);
    return Promise.resolve(true);
  }

  compareAndSet<T>(kind: RecordKind, id: string, version: number, value: T): Promise<number | undefined> {
    if (this.#of(kind).get(id)?.version !== version) return Promise.resolve(undefined);
    this.#set(kind, id, version + 1, value);
    return Promise.resolve(version + 1);
  }

  delete(kind: RecordKind, id: string, version: number): Promise<boolean> {
    if (this.#of(kind).get(id)?.version !== version) return Promise.resolve(false);
    this.#of(kind).delete(id);
    this.#revisions.set(kind, this.revision(kind) + 1);
    return Promise.resolve(true);
  }

  revision(kind: RecordKind): number {
    return this.#revisions.get(kind) ?? 0;
  }

  #of(kind: RecordKind): Map<string, { version: number; text: string }> {
    let records = this.#kinds.get(kind);
    if (records === undefined) this.#kinds.set(kind, (records = new Map()));
    return records;
  }

  /** Text, so that nobody holds a stored value and changes it. */
  #set(kind: RecordKind, id: string, version: number, value: unknown): void {
    this.#of(kind).set(id, { version, text: JSON.stringify(value) });
    this.#revisions.set(kind, this.revision(kind) + 1);
  }
}

function matchesAll(labels: Labels, matchers: readonly Matcher[]): boolean {
  return matchers.every((matcher) => matcher.matches(labelValue(labels, matcher.name)));
}

function pairsOf(labels: Labels): (readonly [name: string, value: string])[] {
  const pairs: [string, string][] = [];
  for (let i = 0; i < labels.length; i += 2) pairs.push([labels[i] as string, labels[i + 1] as string]);
  return pairs;
}

/** Equal axes are one object, as the port says they often are. */
function shared(axes: Map<string, Float64Array>, times: Float64Array): Float64Array {
  const key = times.join();
  const known = axes.get(key);
  if (known !== undefined) return known;
  axes.set(key, times);
  return times;
}

function sortedUnique(values: readonly string[]): string[] {
  return [...new Set(values)].sort();
}

function compareLabels(a: Labels, b: Labels): number {
  for (let i = 0; i < a.length && i < b.length; i++) {
    const x = a[i] as string;
    const y = b[i] as string;
    if (x !== y) return x < y ? -1 : 1;
  }
  return a.length - b.length;
}

/** Ids sort by their UTF-8 bytes, as keys do on disk. */
function compareBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

/** What is thrown becomes a rejection, as from a store that has to wait. */
function settle<T>(answer: () => T): Promise<T> {
  return new Promise((resolve) => {
    resolve(answer());
  });
}
