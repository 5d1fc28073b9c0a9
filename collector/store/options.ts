/** What a store can be told when it is opened, its limits with their reasons, and its counters. Not the behaviour behind them. */

/** The part of a logger that the store uses (pino's loggers fit). */
export type StoreLog = {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
};

export type Retention = {
  /** Partitions whose day ended longer ago than this go. `off` keeps everything and accepts any time from 1970 on. */
  readonly ageMs: number | 'off';
  /** While the raw partitions are larger than this together, the oldest goes. */
  readonly bytesMax: number | 'off';
};

export type StoreLimits = {
  /** A generation of the write-ahead log closes at this age: what a start has to replay, and how long samples live in memory. */
  readonly generationAgeMs: number;
  /** ... or at this size. */
  readonly generationBytesMax: number;
  /** Frames that are durable but not yet decoded; above it appends wait. */
  readonly undecodedBytesMax: number;
  /** Most bytes of one synced commit: what arrives meanwhile waits for the next. */
  readonly commitBytesMax: number;
  /** Day databases open at a time. */
  readonly partitionsOpenMax: number;
  /** Frames kept because they could not be decoded; more are counted only. */
  readonly quarantineFramesMax: number;
  /** How often retention, ages of generations and merges are looked at. */
  readonly maintenanceMs: number;
  /** A window is merged this long after its end, when what comes late has mostly come. */
  readonly mergeAfterMs: number;
  /** Share of the time that cutting and merging may take of the loop while nothing presses. */
  readonly backgroundShare: number;
};

export const DEFAULT_LIMITS: StoreLimits = {
  generationAgeMs: 10 * 60 * 1000,
  generationBytesMax: 128 * 1024 * 1024,
  undecodedBytesMax: 32 * 1024 * 1024,
  commitBytesMax: 8 * 1024 * 1024,
  partitionsOpenMax: 8,
  quarantineFramesMax: 1000,
  maintenanceMs: 5000,
  mergeAfterMs: 15 * 60 * 1000,
  backgroundShare: 0.25,
};

export type StoreOptions = {
  /** Everything the store owns lies below it. */
  readonly directory: string;
  readonly retention: Retention;
  readonly nowMs: () => number;
  readonly log: StoreLog;
  readonly limits?: Partial<StoreLimits>;
  /** Calls `run` every `ms` until the returned function is called. Tests inject their own. */
  readonly every?: (ms: number, run: () => void) => () => void;
};

/** Everything that only rises. One object, passed to the parts that count. */
export type StoreCounters = {
  commits: number;
  commitMs: number;
  commitMsMax: number;
  commitFailures: number;
  framesAppended: number;
  framesDuplicate: number;
  bytesAppended: number;
  framesDecoded: number;
  framesOtherKind: number;
  framesQuarantined: number;
  samplesAppended: number;
  samplesDuplicate: number;
  samplesOverlap: number;
  samplesOutOfRetention: number;
  checksumFailures: number;
  lossesReported: number;
  generationsCut: number;
  cutTurns: number;
  cutTurnMsMax: number;
  cutFailures: number;
  chunksWritten: number;
  chunkBytesWritten: number;
  windowsMerged: number;
  chunksMerged: number;
  partitionsDropped: number;
};

export function newCounters(): StoreCounters {
  return {
    commits: 0,
    commitMs: 0,
    commitMsMax: 0,
    commitFailures: 0,
    framesAppended: 0,
    framesDuplicate: 0,
    bytesAppended: 0,
    framesDecoded: 0,
    framesOtherKind: 0,
    framesQuarantined: 0,
    samplesAppended: 0,
    samplesDuplicate: 0,
    samplesOverlap: 0,
    samplesOutOfRetention: 0,
    checksumFailures: 0,
    lossesReported: 0,
    generationsCut: 0,
    cutTurns: 0,
    cutTurnMsMax: 0,
    cutFailures: 0,
    chunksWritten: 0,
    chunkBytesWritten: 0,
    windowsMerged: 0,
    chunksMerged: 0,
    partitionsDropped: 0,
  };
}
