/** What ingest counts: everything refused, by code, and everything taken. Read by /metrics; one object, made in main.ts. */
import type { ErrorCode } from '../../protocol/index.ts';

export type IngestCounters = {
  frames: number;
  bytes: number;
  duplicates: number;
  lateFrames: number;
  chainBreaks: number;
  commits: number;
  commitMs: number;
  commitFailures: number;
  ackedFrames: number;
  sessionsOpened: number;
  sessionsClosed: number;
  handshakeFailures: number;
  enrolled: number;
  /** Refused frames, messages and handshakes by code. */
  readonly refused: Map<ErrorCode, number>;
};

export function newIngestCounters(): IngestCounters {
  return {
    frames: 0,
    bytes: 0,
    duplicates: 0,
    lateFrames: 0,
    chainBreaks: 0,
    commits: 0,
    commitMs: 0,
    commitFailures: 0,
    ackedFrames: 0,
    sessionsOpened: 0,
    sessionsClosed: 0,
    handshakeFailures: 0,
    enrolled: 0,
    refused: new Map(),
  };
}

export function countRefused(counters: IngestCounters, code: ErrorCode): void {
  counters.refused.set(code, (counters.refused.get(code) ?? 0) + 1);
}
