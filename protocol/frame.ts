/**
 * The envelope: sealing a payload into a frame, reading a frame's header without any decoder, checking its signature. Not what payloads mean.
 * A frame is a msgpack array of 15 elements, all but the payload of fixed width, so that every offset is a constant; README.md has the table.
 */
import { createHash } from 'node:crypto';
import { constants as zlib, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { fail, ok, type Result } from './errors.ts';
import { FRAME_BYTES_MAX, PAYLOAD_BYTES_MAX, PROTOCOL_VERSION } from './limits.ts';
import { DIGEST_BYTES, ID_BYTES, Purpose, SIGNATURE_BYTES, type Signer, type Verifier } from './sign.ts';

export const FrameKind = { dictionary: 1, samples: 2, entries: 3, checks: 4, events: 5, inventory: 6 } as const;
export type FrameKind = (typeof FrameKind)[keyof typeof FrameKind];

/** `now` first, then `logs`, then `bulk`. Dictionary frames have a sequence of their own and stand outside the drop policy. */
export const Lane = { now: 0, logs: 1, bulk: 2, dictionary: 3 } as const;
export type Lane = (typeof Lane)[keyof typeof Lane];
export const LANES = [Lane.now, Lane.logs, Lane.bulk] as const;
export const LANE_NAMES = ['now', 'logs', 'bulk', 'dictionary'] as const;

/** Bits of the flags element. */
export const FLAG_ZSTD = 1;
/** Sealed a second time in a new epoch after a rollback: samples are stored once per series and time, entries once per stream, time and line. */
export const FLAG_RESEALED = 2;
const FLAGS_KNOWN = FLAG_ZSTD | FLAG_RESEALED;

/** Everything in the envelope but payload and signature. Byte fields are views of the frame. */
export type FrameHeader = {
  readonly kind: FrameKind;
  readonly lane: Lane;
  readonly flags: number;
  /** 16 bytes: agentIdOf(publicKey). */
  readonly agentId: Uint8Array;
  /** 16 random bytes drawn when the collector was set up. */
  readonly fleetId: Uint8Array;
  /** 16 random bytes drawn at each start of the agent process. */
  readonly epoch: Uint8Array;
  /** From 0, by 1, per epoch and lane. */
  readonly sequence: number;
  /** Digest of the frame before it in this epoch and lane; 32 zero bytes for sequence 0. */
  readonly previous: Uint8Array;
  /** Entries that the epoch's dictionary must have for this frame to decode. For a dictionary frame: entries before it. */
  readonly dictionaryLength: number;
  /** Rises within an epoch when wall minus monotonic time moves by more than 100 ms. */
  readonly clockSegment: number;
  /** Ms since 1970 on the agent's scale of this segment; the payload's times are offsets from it. */
  readonly timeMs: number;
  /** Wall minus monotonic time (ms) that the agent fixed for this segment. timeMs - clockBaseMs is monotonic time. */
  readonly clockBaseMs: number;
};

/** A frame that has a valid shape; nothing in it is trusted yet. */
export type FrameView = {
  readonly header: FrameHeader;
  readonly payload: Uint8Array;
  readonly signature: Uint8Array;
  readonly bytes: Uint8Array;
};

const ARRAY_15 = 0x9f;
const BIN8 = 0xc4;
const BIN32 = 0xc6;
const UINT32 = 0xce;
const UINT64 = 0xcf;
const INT64 = 0xd3;

// Offsets of the values (not of their type bytes); see the table in README.md.
const OFFSET_VERSION = 1;
const OFFSET_KIND = 2;
const OFFSET_LANE = 3;
const OFFSET_FLAGS = 4;
const OFFSET_AGENT = 7;
const OFFSET_FLEET = OFFSET_AGENT + ID_BYTES + 2;
const OFFSET_EPOCH = OFFSET_FLEET + ID_BYTES + 2;
const OFFSET_SEQUENCE = OFFSET_EPOCH + ID_BYTES + 1;
const OFFSET_PREVIOUS = OFFSET_SEQUENCE + 8 + 2;
const OFFSET_DICTIONARY = OFFSET_PREVIOUS + DIGEST_BYTES + 1;
const OFFSET_SEGMENT = OFFSET_DICTIONARY + 4 + 1;
const OFFSET_TIME = OFFSET_SEGMENT + 4 + 1;
const OFFSET_BASE = OFFSET_TIME + 8 + 1;
const OFFSET_PAYLOAD = OFFSET_BASE + 8 + 5;
const TRAILER_BYTES = 2 + SIGNATURE_BYTES;
/** Bytes of a frame around its payload. */
export const ENVELOPE_BYTES = OFFSET_PAYLOAD + TRAILER_BYTES;

/** Payloads smaller than this are not worth a compressor's start-up. */
const COMPRESS_BYTES_MIN = 512;
/** A compressed payload is used only if it saves at least this share; below it the collector's time to decompress is worth more. */
const COMPRESS_GAIN_MIN = 0.1;

export type SealOptions = Omit<FrameHeader, 'flags'> & { readonly resealed?: boolean; readonly compress?: boolean };

/** Seals a payload: compresses it if that pays, writes the envelope, signs. Returns a new buffer and its digest. */
export function seal(options: SealOptions, payload: Uint8Array, sign: Signer): { bytes: Uint8Array; digest: Uint8Array } {
  if (payload.length > PAYLOAD_BYTES_MAX)
    throw new RangeError(`payload: expected at most ${PAYLOAD_BYTES_MAX} bytes, got ${payload.length}`);
  let flags = options.resealed === true ? FLAG_RESEALED : 0;
  let body = payload;
  if (options.compress !== false && payload.length >= COMPRESS_BYTES_MIN) {
    const compressed = zstdCompressSync(payload, { params: { [zlib.ZSTD_c_compressionLevel]: 1 } });
    if (compressed.length <= payload.length * (1 - COMPRESS_GAIN_MIN)) {
      body = compressed;
      flags |= FLAG_ZSTD;
    }
  }
  const length = ENVELOPE_BYTES + body.length;
  if (length > FRAME_BYTES_MAX) throw new RangeError(`frame: expected at most ${FRAME_BYTES_MAX} bytes, got ${length}`);
  const bytes = Buffer.allocUnsafeSlow(length);
  writeHeader(bytes, options, flags, body.length);
  bytes.set(body, OFFSET_PAYLOAD);
  const digest = digestOf(bytes);
  const end = length - TRAILER_BYTES;
  bytes[end] = BIN8;
  bytes[end + 1] = SIGNATURE_BYTES;
  bytes.set(sign(Purpose.frame, digest), end + 2);
  return { bytes, digest };
}

/** SHA-256 of all of a frame but its signature element: what is signed, and what the next frame of the lane names. */
export function digestOf(frame: Uint8Array): Uint8Array {
  return createHash('sha256')
    .update(frame.subarray(0, frame.length - TRAILER_BYTES))
    .digest();
}

/** Reads a frame's envelope. Checks shape, version, kinds and lengths; no signature. Hostile bytes never throw. */
export function readFrame(bytes: Uint8Array): Result<FrameView> {
  if (bytes.length > FRAME_BYTES_MAX) return fail('frame_oversized', `a frame has at most ${FRAME_BYTES_MAX} bytes, got ${bytes.length}`);
  if (bytes.length < ENVELOPE_BYTES) return fail('frame_truncated', `a frame has at least ${ENVELOPE_BYTES} bytes, got ${bytes.length}`);
  if (bytes[0] !== ARRAY_15) return fail('frame_malformed', 'a frame is a msgpack array of 15 elements');
  if (bytes[OFFSET_VERSION] !== PROTOCOL_VERSION)
    return fail('frame_version', `protocol version ${bytes[OFFSET_VERSION]} is not ${PROTOCOL_VERSION}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (!hasFixedTypes(bytes)) return fail('frame_malformed', 'an element of the envelope has the wrong type or width');
  const kind = bytes[OFFSET_KIND] as number;
  const lane = bytes[OFFSET_LANE] as number;
  const flags = bytes[OFFSET_FLAGS] as number;
  if (kind < FrameKind.dictionary || kind > FrameKind.inventory) return fail('frame_kind', `frame kind ${kind} is unknown`);
  if (lane > Lane.dictionary || (lane === Lane.dictionary) !== (kind === FrameKind.dictionary)) {
    return fail('frame_malformed', `a frame of kind ${kind} cannot travel in lane ${lane}`);
  }
  if ((flags & ~FLAGS_KNOWN) !== 0) return fail('frame_malformed', `flags ${flags} are unknown`);
  const payloadLength = view.getUint32(OFFSET_PAYLOAD - 4);
  if (payloadLength !== bytes.length - ENVELOPE_BYTES) {
    return fail('frame_truncated', `payload of ${payloadLength} bytes announced, ${bytes.length - ENVELOPE_BYTES} there`);
  }
  const end = OFFSET_PAYLOAD + payloadLength;
  if (bytes[end] !== BIN8 || bytes[end + 1] !== SIGNATURE_BYTES) return fail('frame_malformed', 'the signature must be a bin of 64 bytes');
  const sequence = readUint64(view, OFFSET_SEQUENCE);
  const timeMs = readInt64(view, OFFSET_TIME);
  const clockBaseMs = readInt64(view, OFFSET_BASE);
  if (!Number.isSafeInteger(sequence) || !Number.isSafeInteger(timeMs) || !Number.isSafeInteger(clockBaseMs)) {
    return fail('frame_malformed', 'sequence and times must be below 2^53');
  }
  const header: FrameHeader = {
    kind: kind as FrameKind,
    lane: lane as Lane,
    flags,
    agentId: bytes.subarray(OFFSET_AGENT, OFFSET_AGENT + ID_BYTES),
    fleetId: bytes.subarray(OFFSET_FLEET, OFFSET_FLEET + ID_BYTES),
    epoch: bytes.subarray(OFFSET_EPOCH, OFFSET_EPOCH + ID_BYTES),
    sequence,
    previous: bytes.subarray(OFFSET_PREVIOUS, OFFSET_PREVIOUS + DIGEST_BYTES),
    dictionaryLength: view.getUint32(OFFSET_DICTIONARY),
    clockSegment: view.getUint32(OFFSET_SEGMENT),
    timeMs,
    clockBaseMs,
  };
  return ok({ header, payload: bytes.subarray(OFFSET_PAYLOAD, end), signature: bytes.subarray(end + 2), bytes });
}

/** True if the signature is the agent's over these bytes. `digest` is digestOf(bytes), computed once by the caller. */
export function verifyFrame(view: FrameView, digest: Uint8Array, verify: Verifier): boolean {
  return verify(Purpose.frame, digest, view.signature);
}

/** The payload, decompressed within bounds, which may be narrower than the wire's. Call only on frames whose signature has been checked (law 3). */
export function payloadOf(view: FrameView, bytesMax: number = PAYLOAD_BYTES_MAX): Result<Uint8Array> {
  if ((view.header.flags & FLAG_ZSTD) === 0) return ok(view.payload);
  const declared = zstdContentSize(view.payload);
  if (declared === undefined || declared > bytesMax) {
    return fail('payload_bomb', `a compressed payload must declare its size, at most ${bytesMax} bytes`);
  }
  try {
    // The actual size is bounded too: a declared size may lie.
    const payload = zstdDecompressSync(view.payload, { maxOutputLength: Math.max(declared, 1) });
    return payload.length === declared ? ok(payload) : fail('payload_bomb', 'the payload does not have the size it declares');
  } catch (cause) {
    return fail('payload_bomb', `cannot decompress the payload: ${(cause as Error).message}`);
  }
}

/** Frame_Content_Size of a zstd frame header (RFC 8878 section 3.1.1.1), or undefined if absent, malformed or above 2^32. */
function zstdContentSize(bytes: Uint8Array): number | undefined {
  if (bytes.length < 6) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0, true) !== 0xfd2fb528) return undefined;
  const descriptor = bytes[4] as number;
  const sizeFlag = descriptor >> 6;
  const single = (descriptor & 0x20) !== 0;
  const dictionaryIdBytes = [0, 1, 2, 4][descriptor & 3] as number;
  const offset = 5 + (single ? 0 : 1) + dictionaryIdBytes;
  const width = sizeFlag === 0 ? (single ? 1 : 0) : 1 << sizeFlag;
  if (width === 0 || offset + width > bytes.length) return undefined;
  if (width === 1) return bytes[offset];
  if (width === 2) return view.getUint16(offset, true) + 256;
  if (width === 4) return view.getUint32(offset, true);
  return view.getUint32(offset + 4, true) === 0 ? view.getUint32(offset, true) : undefined;
}

function writeHeader(bytes: Uint8Array, header: SealOptions, flags: number, payloadLength: number): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  bytes[0] = ARRAY_15;
  bytes[OFFSET_VERSION] = PROTOCOL_VERSION;
  bytes[OFFSET_KIND] = header.kind;
  bytes[OFFSET_LANE] = header.lane;
  bytes[OFFSET_FLAGS] = flags;
  writeBin8(bytes, OFFSET_AGENT, header.agentId, ID_BYTES, 'agentId');
  writeBin8(bytes, OFFSET_FLEET, header.fleetId, ID_BYTES, 'fleetId');
  writeBin8(bytes, OFFSET_EPOCH, header.epoch, ID_BYTES, 'epoch');
  bytes[OFFSET_SEQUENCE - 1] = UINT64;
  writeInt64(view, OFFSET_SEQUENCE, header.sequence);
  writeBin8(bytes, OFFSET_PREVIOUS, header.previous, DIGEST_BYTES, 'previous');
  bytes[OFFSET_DICTIONARY - 1] = UINT32;
  view.setUint32(OFFSET_DICTIONARY, header.dictionaryLength);
  bytes[OFFSET_SEGMENT - 1] = UINT32;
  view.setUint32(OFFSET_SEGMENT, header.clockSegment);
  bytes[OFFSET_TIME - 1] = INT64;
  writeInt64(view, OFFSET_TIME, header.timeMs);
  bytes[OFFSET_BASE - 1] = INT64;
  writeInt64(view, OFFSET_BASE, header.clockBaseMs);
  bytes[OFFSET_PAYLOAD - 5] = BIN32;
  view.setUint32(OFFSET_PAYLOAD - 4, payloadLength);
}

function writeBin8(bytes: Uint8Array, offset: number, value: Uint8Array, length: number, name: string): void {
  if (value.length !== length) throw new RangeError(`${name}: expected ${length} bytes, got ${value.length}`);
  bytes[offset - 2] = BIN8;
  bytes[offset - 1] = length;
  bytes.set(value, offset);
}

function hasFixedTypes(bytes: Uint8Array): boolean {
  return (
    bytes[OFFSET_AGENT - 2] === BIN8 &&
    bytes[OFFSET_AGENT - 1] === ID_BYTES &&
    bytes[OFFSET_FLEET - 2] === BIN8 &&
    bytes[OFFSET_FLEET - 1] === ID_BYTES &&
    bytes[OFFSET_EPOCH - 2] === BIN8 &&
    bytes[OFFSET_EPOCH - 1] === ID_BYTES &&
    bytes[OFFSET_SEQUENCE - 1] === UINT64 &&
    bytes[OFFSET_PREVIOUS - 2] === BIN8 &&
    bytes[OFFSET_PREVIOUS - 1] === DIGEST_BYTES &&
    bytes[OFFSET_DICTIONARY - 1] === UINT32 &&
    bytes[OFFSET_SEGMENT - 1] === UINT32 &&
    bytes[OFFSET_TIME - 1] === INT64 &&
    bytes[OFFSET_BASE - 1] === INT64 &&
    bytes[OFFSET_PAYLOAD - 5] === BIN32
  );
}

const TWO_32 = 4294967296;

function readUint64(view: DataView, offset: number): number {
  return view.getUint32(offset) * TWO_32 + view.getUint32(offset + 4);
}

function readInt64(view: DataView, offset: number): number {
  return view.getInt32(offset) * TWO_32 + view.getUint32(offset + 4);
}

function writeInt64(view: DataView, offset: number, value: number): void {
  if (!Number.isSafeInteger(value)) throw new RangeError(`expected an integer below 2^53, got ${value}`);
  view.setInt32(offset, Math.floor(value / TWO_32));
  view.setUint32(offset + 4, value >>> 0);
}
