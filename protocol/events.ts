/** Event payloads: what happened at the agent that is not a sample. An array of maps, each with `type`; unknown types are kept as they are. */
import { fail, ok, type Result } from './errors.ts';
import { pack, unpack } from './msgpack.ts';

/** What the agent dropped or lost after sealing: an entry of its gap ledger. Sequences and times half-open and inclusive as named. */
export type GapEvent = {
  readonly type: 'gap';
  /** Number in the agent's ledger; a gap may be reported twice and is filed once. */
  readonly id: number;
  /** 32 hex digits. */
  readonly epoch: string;
  readonly lane: number;
  readonly cause: string;
  readonly fromSequence: number;
  /** One after the last. */
  readonly toSequence: number;
  readonly fromMs: number;
  readonly toMs: number;
  readonly frames: number;
  readonly samples: number;
  readonly bytes: number;
};

/** The first event of every epoch. */
export type StartEvent = {
  readonly type: 'start';
  readonly atMs: number;
  readonly version: string;
  readonly bootId: string;
  /** How the run before ended, as far as the agent can tell; absent on the first run ever. */
  readonly previous?: {
    readonly epoch: string;
    readonly end: 'stopped' | 'crashed' | 'rebooted';
    /** Newest sample time sealed by that run. */
    readonly lastMs: number;
  };
};

/** A clean stop: the last event of an epoch. */
export type StopEvent = { readonly type: 'stop'; readonly atMs: number };

/** A new clock segment began. */
export type ClockEvent = { readonly type: 'clock'; readonly atMs: number; readonly segment: number; readonly stepMs: number };

export type OtherEvent = { readonly type: 'other'; readonly value: Readonly<Record<string, unknown>> };

export type AgentEvent = GapEvent | StartEvent | StopEvent | ClockEvent;

/** Events per frame. */
const EVENTS_MAX = 4096;

export function encodeEvents(events: readonly AgentEvent[]): Uint8Array {
  return pack(events);
}

/** Decodes and checks; a known type with wrong fields refuses the frame, an unknown type is passed on as `other`. */
export function decodeEvents(payload: Uint8Array): Result<readonly (AgentEvent | OtherEvent)[]> {
  const unpacked = unpack(payload, 'payload_malformed');
  if (!unpacked.ok) return unpacked;
  const rows = unpacked.value;
  if (!Array.isArray(rows) || rows.length > EVENTS_MAX) return fail('payload_malformed', `events are an array of at most ${EVENTS_MAX}`);
  const events: (AgentEvent | OtherEvent)[] = [];
  for (const row of rows as unknown[]) {
    if (typeof row !== 'object' || row === null || Array.isArray(row)) return fail('payload_malformed', 'an event is a map');
    const event = readEvent(row as Record<string, unknown>);
    if (event === undefined) return fail('payload_malformed', 'an event lacks a field or has one of the wrong type');
    events.push(event);
  }
  return ok(events);
}

function readEvent(row: Record<string, unknown>): AgentEvent | OtherEvent | undefined {
  switch (row['type']) {
    case 'gap':
      return hasFields(row, GAP_NUMBERS, ['epoch', 'cause']) && isEpoch(row['epoch']) ? (row as GapEvent) : undefined;
    case 'start':
      return hasFields(row, ['atMs'], ['version', 'bootId']) && isPrevious(row['previous']) ? (row as StartEvent) : undefined;
    case 'stop':
      return hasFields(row, ['atMs'], []) ? (row as StopEvent) : undefined;
    case 'clock':
      return hasFields(row, ['atMs', 'segment', 'stepMs'], []) ? (row as ClockEvent) : undefined;
    default:
      return typeof row['type'] === 'string' ? { type: 'other', value: row } : undefined;
  }
}

const GAP_NUMBERS = ['id', 'lane', 'fromSequence', 'toSequence', 'fromMs', 'toMs', 'frames', 'samples', 'bytes'];
const TEXT_MAX = 256;

function hasFields(row: Record<string, unknown>, numbers: readonly string[], texts: readonly string[]): boolean {
  return (
    numbers.every((name) => Number.isSafeInteger(row[name])) &&
    texts.every((name) => {
      const text = row[name];
      return typeof text === 'string' && text.length <= TEXT_MAX;
    })
  );
}

function isPrevious(value: unknown): boolean {
  if (value === undefined) return true;
  if (typeof value !== 'object' || value === null) return false;
  const previous = value as Record<string, unknown>;
  return (
    hasFields(previous, ['lastMs'], ['epoch', 'end']) &&
    isEpoch(previous['epoch']) &&
    ['stopped', 'crashed', 'rebooted'].includes(previous['end'] as string)
  );
}

function isEpoch(value: unknown): boolean {
  return typeof value === 'string' && /^[0-9a-f]{32}$/.test(value);
}
