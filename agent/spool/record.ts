/** The bytes of a segment: its header, one record per frame, and the walk over a file that may be damaged. Pure; README.md has the layout. */
import { crc32 } from 'node:zlib';

export const SEGMENT_VERSION = 1;
export const SEGMENT_HEADER_BYTES = 28;
export const RECORD_HEADER_BYTES = 60;
/** A frame in the spool; not below the wire's FRAME_BYTES_MAX (a test holds the two together). */
export const SPOOLED_BYTES_MAX = 1024 * 1024;

const SEGMENT_MAGIC = Buffer.from('PKTSPOOL', 'latin1');
/** 0xc1 is the one byte that msgpack never uses, so that frames seldom look like records. */
const RECORD_MAGIC = Buffer.from([0xc1, 0x50, 0x4b, 0x52]);
const RECORD_MAGIC_NUMBER = RECORD_MAGIC.readUInt32LE(0);
const TWO_TO_32 = 0x1_0000_0000;

export type SpooledFrame = {
  /** 32 lower-case hex digits. */
  readonly epoch: string;
  readonly lane: number;
  /** From 0, rising by 1 per epoch and lane. */
  readonly sequence: number;
  readonly bytes: Uint8Array;
  /** Time span of the samples, ms, both ends included. */
  readonly fromMs: number;
  readonly toMs: number;
  readonly samples: number;
};

export type RecordHeader = {
  readonly length: number;
  readonly payloadCrc: number;
  readonly epoch: string;
  readonly sequence: number;
  readonly fromMs: number;
  readonly toMs: number;
  readonly samples: number;
};

/** What a walk over a segment finds, in the file's order. */
export type Found =
  | { readonly kind: 'frame'; readonly position: number; readonly bytes: number; readonly header: RecordHeader }
  /** Its header is right, its payload is damaged or the file ends in it: what is lost is known. */
  | { readonly kind: 'damaged'; readonly position: number; readonly bytes: number; readonly header: RecordHeader; readonly cut: boolean }
  /** No header to be read: what is lost shows from the neighbours. */
  | { readonly kind: 'unreadable'; readonly position: number; readonly bytes: number; readonly cut: boolean };

export type SegmentHeader = { readonly version: number; readonly lane: number; readonly number: number };

export function encodeSegmentHeader(lane: number, number: number): Buffer {
  const bytes = Buffer.alloc(SEGMENT_HEADER_BYTES);
  SEGMENT_MAGIC.copy(bytes, 0);
  bytes.writeUInt32LE(SEGMENT_VERSION, 8);
  bytes.writeUInt32LE(lane, 12);
  writeUint64(bytes, number, 16);
  bytes.writeUInt32LE(crc32(bytes.subarray(0, 24)), 24);
  return bytes;
}

/** Undefined if it is cut short or damaged. */
export function decodeSegmentHeader(bytes: Buffer): SegmentHeader | undefined {
  if (bytes.length < SEGMENT_HEADER_BYTES || bytes.compare(SEGMENT_MAGIC, 0, 8, 0, 8) !== 0) return undefined;
  if (crc32(bytes.subarray(0, 24)) !== bytes.readUInt32LE(24)) return undefined;
  return { version: bytes.readUInt32LE(8), lane: bytes.readUInt32LE(12), number: readUint64(bytes, 16) };
}

/**
 * Writes the record of a frame into bytes of its size. The checksums are seeded with the segment's number: blocks of
 * another segment that a file system brings back after a power cut are not taken for this one's.
 */
export function encodeRecord(into: Buffer, frame: SpooledFrame, epoch: Uint8Array, segment: number): void {
  into.writeUInt32LE(RECORD_MAGIC_NUMBER, 0);
  into.writeUInt32LE(crc32(frame.bytes, segment % TWO_TO_32), 8);
  into.writeUInt32LE(frame.bytes.length, 12);
  into.set(epoch, 16);
  writeUint64(into, frame.sequence, 32);
  into.writeDoubleLE(frame.fromMs, 40);
  into.writeDoubleLE(frame.toMs, 48);
  into.writeUInt32LE(frame.samples, 56);
  into.writeUInt32LE(crc32(into.subarray(8, RECORD_HEADER_BYTES), segment % TWO_TO_32), 4);
  into.set(frame.bytes, RECORD_HEADER_BYTES);
}

/** Undefined if there is no whole, right header at `position`. */
export function decodeRecordHeader(bytes: Buffer, position: number, segment: number): RecordHeader | undefined {
  if (position + RECORD_HEADER_BYTES > bytes.length || bytes.readUInt32LE(position) !== RECORD_MAGIC_NUMBER) return undefined;
  const crc = crc32(bytes.subarray(position + 8, position + RECORD_HEADER_BYTES), segment % TWO_TO_32);
  const length = bytes.readUInt32LE(position + 12);
  if (crc !== bytes.readUInt32LE(position + 4) || length === 0 || length > SPOOLED_BYTES_MAX) return undefined;
  return {
    length,
    payloadCrc: bytes.readUInt32LE(position + 8),
    epoch: bytes.toString('hex', position + 16, position + 32),
    sequence: readUint64(bytes, position + 32),
    fromMs: bytes.readDoubleLE(position + 40),
    toMs: bytes.readDoubleLE(position + 48),
    samples: bytes.readUInt32LE(position + 56),
  };
}

/** The payload at `position` if it is whole and right; a view into `bytes`. */
export function payloadAt(bytes: Buffer, position: number, header: RecordHeader, segment: number): Buffer | undefined {
  const from = position + RECORD_HEADER_BYTES;
  const payload = bytes.subarray(from, from + header.length);
  return payload.length === header.length && crc32(payload, segment % TWO_TO_32) === header.payloadCrc ? payload : undefined;
}

/** Walks the records after the segment header. A wrong one is stepped over by its length if that is sure, else by searching the next right header. */
export function* walk(bytes: Buffer, segment: number): Generator<Found, void, undefined> {
  let position = SEGMENT_HEADER_BYTES;
  while (position < bytes.length) {
    const header = decodeRecordHeader(bytes, position, segment);
    if (header === undefined) {
      const next = nextHeader(bytes, position + 1, segment);
      yield { kind: 'unreadable', position, bytes: next - position, cut: next === bytes.length && isTorn(bytes, position) };
      position = next;
      continue;
    }
    const end = position + RECORD_HEADER_BYTES + header.length;
    const cut = end > bytes.length;
    if (payloadAt(bytes, position, header, segment) !== undefined) yield { kind: 'frame', position, bytes: end - position, header };
    else yield { kind: 'damaged', position, bytes: Math.min(end, bytes.length) - position, header, cut };
    position = end;
  }
}

/** Position of the next right header, or the end. */
function nextHeader(bytes: Buffer, from: number, segment: number): number {
  let position = bytes.indexOf(RECORD_MAGIC, from);
  while (position >= 0) {
    if (decodeRecordHeader(bytes, position, segment) !== undefined) return position;
    position = bytes.indexOf(RECORD_MAGIC, position + 1);
  }
  return bytes.length;
}

/** What a write that never ended leaves behind: less than a header, or blocks that were given to the file and not yet written. */
function isTorn(bytes: Buffer, from: number): boolean {
  return bytes.length - from < RECORD_HEADER_BYTES || bytes.subarray(from).every((byte) => byte === 0);
}

export function writeUint64(into: Buffer, value: number, position: number): void {
  into.writeUInt32LE(value % TWO_TO_32, position);
  into.writeUInt32LE(Math.floor(value / TWO_TO_32), position + 4);
}

export function readUint64(bytes: Buffer, position: number): number {
  return bytes.readUInt32LE(position) + bytes.readUInt32LE(position + 4) * TWO_TO_32;
}
