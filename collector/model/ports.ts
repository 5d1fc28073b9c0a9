/**
 * The contracts between the rooms of the collector: what stores, what reads, what is asked. Types only.
 * The LevelDB store and the in-memory double implement these; one conformance suite (test/collector/model/conformance.ts) runs on both.
 */
import type { FrameHeader } from '../../protocol/index.ts';
import type { Labels, Matcher } from './labels.ts';

/** 32 lower-case hex digits: the agent's id as in the envelope. */
export type AgentId = string;
/** 32 lower-case hex digits: one run of an agent process. */
export type Epoch = string;

/** A frame whose signature, limits and sequence have been checked by ingest, on its way to the store. */
export type VerifiedFrame = {
  readonly agentId: AgentId;
  readonly epoch: Epoch;
  readonly header: FrameHeader;
  /** SHA-256 of the frame up to its signature; names its content. */
  readonly digest: Uint8Array;
  /** The frame as it came. The store keeps and replays these very bytes; the caller does not touch them again. */
  readonly bytes: Uint8Array;
  /** Identifying labels that the collector gives to the node's own series, sorted (`instance`, `job`). Stored with the frame so that replay gives the same. */
  readonly source: Labels;
  /** Added to every time in the frame (ms); fixed per clock segment (law 10). 0 where the agent's clock is trusted. */
  readonly correctionMs: number;
  /** Collector's clock when the frame arrived. */
  readonly receivedMs: number;
};

/** Half-open [from, to). */
export type SequenceRange = readonly [from: number, to: number];

/** What has been stored of one lane of one epoch. */
export type LaneReceived = {
  readonly lane: number;
  /** Sorted, disjoint, not touching. */
  readonly ranges: readonly SequenceRange[];
  /** Digest of the frame with the highest sequence stored, 32 bytes, or empty if none. */
  readonly lastDigest: Uint8Array;
};

export type EpochReceived = {
  readonly epoch: Epoch;
  readonly lanes: readonly LaneReceived[];
  /** Dictionary entries that are durable. */
  readonly dictionaryLength: number;
};

/** WRITE. */
export interface Appender {
  /**
   * Stores frames of any kind, dictionary frames included. Resolves when all of them are durable (one synced commit); rejects with StoreError
   * and then none may be acked (some may have been stored: a resend is harmless). Calls are committed in the order made; the caller should
   * gather what arrives while one call is pending and pass it in the next (group commit). Samples become readable soon after, not necessarily at, resolution.
   */
  append(frames: readonly VerifiedFrame[]): Promise<void>;
  /** What is durable of all epochs of an agent that the store still remembers. Answers while the store is warming up. */
  received(agentId: AgentId): Promise<readonly EpochReceived[]>;
  /** The agent holds nothing below `floor` any more: ranges below it collapse into one. Durable with the next commit. */
  collapse(agentId: AgentId, epoch: Epoch, lane: number, floor: number): void;
  /** Forgets ranges and dictionary of an epoch that the agent has ended and of which it holds nothing. */
  forget(agentId: AgentId, epoch: Epoch): void;
}

/** What the caller knows about its use of the samples, so that a store can read less. As Prometheus's SelectHints. */
export type SelectHints = {
  readonly stepMs?: number;
  /** Name of the function or aggregation over the samples (`rate`, `series`, ...). */
  readonly func?: string;
  readonly by?: boolean;
  readonly grouping?: readonly string[];
  /** Most samples the caller will take before it fails; the store throws QueryLimitError above it. */
  readonly samplesMax?: number;
};

/** Milliseconds, both ends included. */
export type TimeRange = { readonly fromMs: number; readonly toMs: number };

/** One series' samples in a range, times strictly rising. Arrays are read-only views; series of one host often share the very same `timesMs` object. */
export type SeriesColumns = { readonly labels: Labels; readonly timesMs: Float64Array; readonly values: Float64Array };

export type ColumnBatch = readonly SeriesColumns[];

/** READ samples. Order of series is unspecified; one label set comes once per select. Staleness markers are values with the bits of STALE_NAN. */
export interface SampleSource {
  select(matchers: readonly Matcher[], range: TimeRange, hints: SelectHints, signal: AbortSignal): AsyncIterable<ColumnBatch>;
}

/** READ names. All answers are sorted and exact for the range at the granularity of an hour window (they may name series that are silent in the range but not in the window). */
export interface LabelSource {
  series(matchers: readonly Matcher[], range: TimeRange, signal: AbortSignal): Promise<readonly Labels[]>;
  labelNames(matchers: readonly Matcher[], range: TimeRange, signal: AbortSignal): Promise<readonly string[]>;
  labelValues(name: string, matchers: readonly Matcher[], range: TimeRange, signal: AbortSignal): Promise<readonly string[]>;
  /** Type and help by metric name, as the agents announced them. */
  metadata(): Promise<ReadonlyMap<string, { readonly type: string; readonly help: string }>>;
}

/** Tells when samples of an agent became readable; for live views. */
export interface AppendedFeed {
  /** `newestMs` is the newest sample time of the node's own series. Returns the function that ends the subscription. */
  onAppended(listener: (agentId: AgentId, newestMs: number) => void): () => void;
}

/** Kinds of documents in the record store. A new kind is a new line here. */
export type RecordKind = 'meta' | 'agent' | 'host' | 'token' | 'session' | 'clock' | 'gap' | 'delivery' | 'event' | 'inventory' | 'audit';

export type StoredRecord<T> = { readonly id: string; readonly version: number; readonly value: T };

/** Documents by kind and id. Values are JSON-like. No transactions over two records; nobody may assume to be the only writer. */
export interface RecordStore {
  get<T>(kind: RecordKind, id: string): Promise<StoredRecord<T> | undefined>;
  /** Sorted by id. `prefix` restricts to ids that begin with it; `limit` and `after` (exclusive) page. */
  list<T>(
    kind: RecordKind,
    options?: { readonly prefix?: string; readonly after?: string; readonly limit?: number },
  ): Promise<readonly StoredRecord<T>[]>;
  /** False if the id exists. Durable when resolved, as all writes here. */
  putIfAbsent<T>(kind: RecordKind, id: string, value: T): Promise<boolean>;
  /** Replaces if the version is still the given one; the new version or undefined if it was not. */
  compareAndSet<T>(kind: RecordKind, id: string, version: number, value: T): Promise<number | undefined>;
  delete(kind: RecordKind, id: string, version: number): Promise<boolean>;
  /** Rises with each write of a record of the kind. */
  revision(kind: RecordKind): number;
}

/** Frames the store took and could not decode, or found damaged. Ingest files them as gaps. */
export type StoreLoss = {
  readonly cause: 'store_corruption' | 'undecodable';
  readonly agentId: AgentId | undefined;
  /** The host whose own series it was, if only its name is known. */
  readonly instance?: string | undefined;
  readonly epoch: Epoch | undefined;
  readonly lane: number | undefined;
  readonly ranges: readonly SequenceRange[];
  readonly fromMs: number | undefined;
  readonly toMs: number | undefined;
  readonly bytes: number;
  readonly detail: string;
};

export type StoreState = 'warming' | 'ready' | 'closed';
