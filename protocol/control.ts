/**
 * Control messages: what the two sides say to each other beside frames, once the handshake is done. `[kind, body]` in msgpack; a frame begins with
 * another byte, so the first byte of a message tells the two apart. Handshake messages are in handshake.ts.
 */
import { asBytes, asCount, asFields, asInteger, asList, asText, type Fields } from './check.ts';
import { ERROR_CODES, fail, ok, type ErrorCode, type Result } from './errors.ts';
import { ACK_RANGES_MAX, CONTROL_BYTES_MAX, EPOCHS_HELD_MAX, HINTS_MAX, LABELS_PER_SERIES_MAX, METRIC_NAME_BYTES_MAX } from './limits.ts';
import { pack, unpack } from './msgpack.ts';
import { ID_BYTES, Purpose, sha256, SIGNATURE_BYTES, type Signer, type Verifier } from './sign.ts';

export const ControlKind = {
  challenge: 1,
  hello: 2,
  welcome: 3,
  rejected: 4,
  ack: 5,
  need: 6,
  refuse: 7,
  credit: 8,
  config: 9,
  state: 10,
} as const;
export type ControlKind = (typeof ControlKind)[keyof typeof ControlKind];

/** One lane of one epoch as the agent holds it: everything below `floor` is gone from it, `next` is the sequence it will seal next. */
export type HeldLane = {
  readonly lane: number;
  readonly floor: number;
  readonly next: number;
  readonly bytes: number;
  /** Oldest sample time held, or 0. */
  readonly oldestMs: number;
};
export type HeldEpoch = { readonly epoch: Uint8Array; readonly lanes: readonly HeldLane[] };

/** Stored for good: the agent frees these. Ranges half-open. */
export type Ack = {
  readonly kind: 'ack';
  readonly epoch: Uint8Array;
  readonly lane: number;
  readonly ranges: readonly (readonly [number, number])[];
};
/** The dictionary of the epoch is not known from entry `from` on; frames that need it are answered again after it came. */
export type Need = { readonly kind: 'need'; readonly epoch: Uint8Array; readonly from: number };
/** Never to be stored: the agent moves on and the span is a gap with this code. */
export type Refuse = {
  readonly kind: 'refuse';
  readonly epoch: Uint8Array;
  readonly lane: number;
  readonly sequence: number;
  readonly code: ErrorCode;
};
/** Bytes of unacked frames that the agent may have under way, per lane 0..2. 0 stops the lane. */
export type Credit = { readonly kind: 'credit'; readonly lanes: readonly [number, number, number] };
/** Each minute from the agent: its clock and what it holds. */
export type State = {
  readonly kind: 'state';
  readonly wallMs: number;
  readonly clockSegment: number;
  readonly clockBaseMs: number;
  readonly held: readonly HeldEpoch[];
};

export const HINT_OPERATORS = ['>', '>=', '<', '<=', '==', '!='] as const;
/** A tick in which a matching series crosses the comparison is flushed at once. */
export type Hint = {
  readonly metric: string;
  /** Flat name, value, ...; all must be equal. */
  readonly labels: readonly string[];
  readonly operator: (typeof HINT_OPERATORS)[number];
  readonly threshold: number;
};

/** All that a collector may ask of an agent: a closed list, signed. */
export type AgentConfigMessage = {
  readonly kind: 'config';
  /** Rises with each message to this agent; an older one is ignored (replay). */
  readonly revision: number;
  /** Flush each second for this long from receipt; 0 ends it. */
  readonly liveMs: number;
  readonly hints: readonly Hint[];
};

/** A config message as it travels: the signed bytes. */
export type SealedConfig = { readonly kind: 'sealedConfig'; readonly body: Uint8Array; readonly signature: Uint8Array };

export type ControlMessage = Ack | Need | Refuse | Credit | State | SealedConfig;

/** A live watch is renewed more often than this; one that is not ends by itself. */
const LIVE_MS_MAX = 5 * 60 * 1000;
const ERROR_CODE_SET = new Set<string>(ERROR_CODES);

/** True for a message that is not a frame. */
export function isControl(bytes: Uint8Array): boolean {
  return bytes[0] === 0x92;
}

export function encodeControl(message: Ack | Need | Refuse | Credit | State | SealedConfig): Uint8Array {
  switch (message.kind) {
    case 'ack':
      return pack([ControlKind.ack, { epoch: message.epoch, lane: message.lane, ranges: message.ranges.flat() }]);
    case 'need':
      return pack([ControlKind.need, { epoch: message.epoch, from: message.from }]);
    case 'refuse':
      return pack([ControlKind.refuse, { epoch: message.epoch, lane: message.lane, sequence: message.sequence, code: message.code }]);
    case 'credit':
      return pack([ControlKind.credit, { lanes: message.lanes }]);
    case 'state': {
      const { wallMs, clockSegment, clockBaseMs, held } = message;
      return pack([ControlKind.state, { wallMs, clockSegment, clockBaseMs, held }]);
    }
    case 'sealedConfig':
      return pack([ControlKind.config, { body: message.body, signature: message.signature }]);
    default:
      return message satisfies never;
  }
}

/** Kind and body of any control message, the handshake's included. */
export function readControl(bytes: Uint8Array): Result<{ kind: number; body: Fields }> {
  if (bytes.length > CONTROL_BYTES_MAX) return fail('control_malformed', `a control message has at most ${CONTROL_BYTES_MAX} bytes`);
  const unpacked = unpack(bytes, 'control_malformed');
  if (!unpacked.ok) return unpacked;
  const value = unpacked.value;
  if (!Array.isArray(value) || value.length !== 2) return fail('control_malformed', 'a control message is [kind, body]');
  const kind = asCount(value[0]);
  const body = asFields(value[1]);
  return kind === undefined || body === undefined ? fail('control_malformed', 'a control message is [kind, body]') : ok({ kind, body });
}

/** Decodes a control message that may come after the handshake. */
export function decodeControl(bytes: Uint8Array): Result<ControlMessage> {
  const read = readControl(bytes);
  if (!read.ok) return read;
  const { kind, body } = read.value;
  const message = decodeBody(kind, body);
  if (message === 'unknown') return fail('control_unknown', `control message of kind ${kind} is unknown here`);
  return message === undefined
    ? fail('control_malformed', `a field of a control message of kind ${kind} is missing or wrong`)
    : ok(message);
}

function decodeBody(kind: number, body: Fields): ControlMessage | 'unknown' | undefined {
  switch (kind) {
    case ControlKind.ack: {
      const named = readEpochLane(body);
      const ranges = readRanges(body['ranges'], ACK_RANGES_MAX);
      return named === undefined || ranges === undefined ? undefined : { kind: 'ack', ...named, ranges };
    }
    case ControlKind.need: {
      const epoch = asBytes(body['epoch'], ID_BYTES);
      const from = asCount(body['from']);
      return epoch === undefined || from === undefined ? undefined : { kind: 'need', epoch, from };
    }
    case ControlKind.refuse: {
      const named = readEpochLane(body);
      const sequence = asCount(body['sequence']);
      const code = readErrorCode(body['code']);
      return named === undefined || sequence === undefined || code === undefined ? undefined : { kind: 'refuse', ...named, sequence, code };
    }
    case ControlKind.credit: {
      const lanes = asList(body['lanes'], 3, asCount);
      return lanes?.length === 3 ? { kind: 'credit', lanes: lanes as [number, number, number] } : undefined;
    }
    case ControlKind.config: {
      const signature = asBytes(body['signature'], SIGNATURE_BYTES);
      const inner = body['body'];
      return signature === undefined || !(inner instanceof Uint8Array) ? undefined : { kind: 'sealedConfig', body: inner, signature };
    }
    case ControlKind.state: {
      const wallMs = asInteger(body['wallMs']);
      const clockSegment = asCount(body['clockSegment']);
      const clockBaseMs = asInteger(body['clockBaseMs']);
      const held = readHeld(body['held']);
      if (wallMs === undefined || clockSegment === undefined || clockBaseMs === undefined || held === undefined) return undefined;
      return { kind: 'state', wallMs, clockSegment, clockBaseMs, held };
    }
    default:
      return 'unknown';
  }
}

/** Signs a configuration for one agent. */
export function sealConfig(fleetId: Uint8Array, agentId: Uint8Array, config: Omit<AgentConfigMessage, 'kind'>, sign: Signer): SealedConfig {
  const body = pack(config);
  return { kind: 'sealedConfig', body, signature: sign(Purpose.config, sha256(fleetId, agentId, body)) };
}

/** Checks the signature, then decodes. */
export function openConfig(fleetId: Uint8Array, agentId: Uint8Array, sealed: SealedConfig, verify: Verifier): Result<AgentConfigMessage> {
  if (!verify(Purpose.config, sha256(fleetId, agentId, sealed.body), sealed.signature)) {
    return fail('signature_invalid', 'the configuration is not signed by the collector for this agent');
  }
  const unpacked = unpack(sealed.body, 'control_malformed');
  if (!unpacked.ok) return unpacked;
  const fields = asFields(unpacked.value);
  const revision = asCount(fields?.['revision']);
  const liveMs = asCount(fields?.['liveMs']);
  const hints = asList(fields?.['hints'], HINTS_MAX, readHint);
  if (revision === undefined || liveMs === undefined || liveMs > LIVE_MS_MAX || hints === undefined) {
    return fail('control_malformed', 'a configuration needs revision, liveMs of at most five minutes, and hints within the limit');
  }
  return ok({ kind: 'config', revision, liveMs, hints });
}

function readHint(value: unknown): Hint | undefined {
  const fields = asFields(value);
  if (fields === undefined) return undefined;
  const metric = asText(fields['metric'], METRIC_NAME_BYTES_MAX);
  const labels = asList(fields['labels'], LABELS_PER_SERIES_MAX * 2, (text) => asText(text, 2048));
  const operator = HINT_OPERATORS.find((known) => known === fields['operator']);
  const threshold = fields['threshold'];
  if (metric === undefined || labels === undefined || operator === undefined || typeof threshold !== 'number') return undefined;
  return { metric, labels, operator, threshold };
}

/** Held epochs of hello and state. */
export function readHeld(value: unknown): HeldEpoch[] | undefined {
  return asList(value, EPOCHS_HELD_MAX, (item) => {
    const fields = asFields(item);
    const epoch = asBytes(fields?.['epoch'], ID_BYTES);
    const lanes = asList(fields?.['lanes'], 3, readHeldLane);
    return epoch === undefined || lanes === undefined ? undefined : { epoch, lanes };
  });
}

function readHeldLane(value: unknown): HeldLane | undefined {
  const fields = asFields(value);
  const lane = asCount(fields?.['lane']);
  const floor = asCount(fields?.['floor']);
  const next = asCount(fields?.['next']);
  const bytes = asCount(fields?.['bytes']);
  const oldestMs = asInteger(fields?.['oldestMs']);
  if (lane === undefined || lane > 2 || floor === undefined || next === undefined || bytes === undefined || oldestMs === undefined)
    return undefined;
  return floor > next ? undefined : { lane, floor, next, bytes, oldestMs };
}

function readEpochLane(body: Fields): { epoch: Uint8Array; lane: number } | undefined {
  const epoch = asBytes(body['epoch'], ID_BYTES);
  const lane = asCount(body['lane']);
  return epoch === undefined || lane === undefined || lane > 2 ? undefined : { epoch, lane };
}

/** Flat [from, to, from, to, ...], each from < to, rising. */
export function readRanges(value: unknown, countMax: number): [number, number][] | undefined {
  const flat = asList(value, countMax * 2, asCount);
  if (flat === undefined || flat.length % 2 !== 0) return undefined;
  const ranges: [number, number][] = [];
  for (let i = 0; i < flat.length; i += 2) {
    const from = flat[i] as number;
    const to = flat[i + 1] as number;
    if (from >= to || (i > 0 && from < (flat[i - 1] as number))) return undefined;
    ranges.push([from, to]);
  }
  return ranges;
}

export function readErrorCode(value: unknown): ErrorCode | undefined {
  return typeof value === 'string' && ERROR_CODE_SET.has(value) ? (value as ErrorCode) : undefined;
}
