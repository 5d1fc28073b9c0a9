/** The bytes of the gap ledger: one half of its file holds all gaps of one write. Pure; README.md has the layout. */
import assert from 'node:assert/strict';
import { crc32 } from 'node:zlib';
import { SpoolError } from './error.ts';
import { readUint64, writeUint64 } from './record.ts';

export const LEDGER_VERSION = 1;
/** Two halves, written in turn: the one that was synced last is never touched. */
export const LEDGER_BYTES = 64 * 1024;
export const HALF_BYTES = LEDGER_BYTES / 2;
/** Header and gaps are slots of one size, four to a sector. */
export const SLOT_BYTES = 128;
export const GAPS_MAX = HALF_BYTES / SLOT_BYTES - 1;
export const CAUSE_BYTES_MAX = 40;
const MAGIC = Buffer.from('PKTLEDGR', 'latin1');

export type Loss = {
  /** 32 hex digits; zeros if a damaged segment does not tell. */
  readonly epoch: string;
  readonly lane: number;
  /** `spool_full`, `spool_age`, `disk_full`, `disk_error`, `spool_corruption`, `power_loss`, `epochs_full`, `refused:<code>`, `several`. */
  readonly cause: string;
  /** Half-open. Holds `frames` lost frames; fewer than it spans if gaps were merged over what was not lost. */
  readonly fromSequence: number;
  readonly toSequence: number;
  readonly fromMs: number;
  readonly toMs: number;
  /** 0: an unknown number, `bytes` says how much of a file was damaged. */
  readonly frames: number;
  readonly samples: number;
  readonly bytes: number;
};

/** `id` names this state of the gap in this ledger: one that grows gets a new one, so that a late confirmation cannot swallow the growth. */
export type Gap = Loss & { readonly id: number };

export function encodeImage(gaps: readonly Gap[], generation: number, idNext: number): Buffer {
  assert(gaps.length <= GAPS_MAX, 'the ledger has as many slots as gaps');
  const bytes = Buffer.alloc(SLOT_BYTES * (1 + gaps.length));
  MAGIC.copy(bytes, 4);
  bytes.writeUInt32LE(LEDGER_VERSION, 12);
  writeUint64(bytes, generation, 16);
  writeUint64(bytes, idNext, 24);
  bytes.writeUInt32LE(gaps.length, 32);
  gaps.forEach((gap, index) => encodeSlot(bytes.subarray(SLOT_BYTES * (1 + index), SLOT_BYTES * (2 + index)), gap, generation));
  // Over all of them: slots of two attempts that were torn one after the other do not make a whole.
  bytes.writeUInt32LE(crc32(bytes.subarray(SLOT_BYTES)), 36);
  bytes.writeUInt32LE(crc32(bytes.subarray(4, SLOT_BYTES)), 0);
  return bytes;
}

/** The checksum is seeded with the generation, so that a slot of an older write is not taken for one of this. */
function encodeSlot(slot: Buffer, gap: Gap, generation: number): void {
  slot.writeUInt8(gap.lane, 4);
  slot.writeUInt8(gap.cause.length, 5);
  writeUint64(slot, gap.id, 8);
  slot.write(gap.epoch, 16, 'hex');
  writeUint64(slot, gap.fromSequence, 32);
  writeUint64(slot, gap.toSequence, 40);
  slot.writeDoubleLE(gap.fromMs, 48);
  slot.writeDoubleLE(gap.toMs, 56);
  writeUint64(slot, gap.frames, 64);
  writeUint64(slot, gap.samples, 72);
  writeUint64(slot, gap.bytes, 80);
  slot.write(gap.cause, 88, 'latin1');
  slot.writeUInt32LE(crc32(slot.subarray(4), generation % 0x1_0000_0000), 0);
}

export type ImageHeader = { readonly generation: number; readonly idNext: number; readonly count: number; readonly slotsCrc: number };

/** Undefined if it is damaged or was never written. */
export function decodeImageHeader(slot: Buffer, path: string): ImageHeader | undefined {
  if (slot.compare(MAGIC, 0, 8, 4, 12) !== 0 || crc32(slot.subarray(4)) !== slot.readUInt32LE(0)) return undefined;
  const version = slot.readUInt32LE(12);
  if (version > LEDGER_VERSION) {
    const message = `cannot read gap ledger ${path}: version ${version} is from a newer agent; run that one, or remove the file`;
    throw new SpoolError('spool_version', message);
  }
  return {
    generation: readUint64(slot, 16),
    idNext: readUint64(slot, 24),
    count: Math.min(slot.readUInt32LE(32), GAPS_MAX),
    slotsCrc: slot.readUInt32LE(36),
  };
}

/** The gaps out of the slots behind the header; not `whole` if any is damaged: the others may then be of different writes. */
export function decodeGaps(slots: Buffer, header: ImageHeader): { readonly gaps: Gap[]; readonly whole: boolean } {
  const gaps: Gap[] = [];
  for (let index = 0; index < header.count; index++) {
    const gap = decodeSlot(slots.subarray(SLOT_BYTES * index, SLOT_BYTES * (index + 1)), header.generation);
    if (gap !== undefined) gaps.push(gap);
  }
  return { gaps, whole: crc32(slots) === header.slotsCrc };
}

function decodeSlot(slot: Buffer, generation: number): Gap | undefined {
  if (slot.length < SLOT_BYTES) return undefined;
  if (crc32(slot.subarray(4), generation % 0x1_0000_0000) !== slot.readUInt32LE(0)) return undefined;
  return {
    id: readUint64(slot, 8),
    epoch: slot.toString('hex', 16, 32),
    lane: slot.readUInt8(4),
    cause: slot.toString('latin1', 88, 88 + Math.min(slot.readUInt8(5), CAUSE_BYTES_MAX)),
    fromSequence: readUint64(slot, 32),
    toSequence: readUint64(slot, 40),
    fromMs: slot.readDoubleLE(48),
    toMs: slot.readDoubleLE(56),
    frames: readUint64(slot, 64),
    samples: readUint64(slot, 72),
    bytes: readUint64(slot, 80),
  };
}
