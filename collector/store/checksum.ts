/** The CRC-32 over key and value that ends every value of the store. Not a signature: it finds flipped bits, not forgers. */
import { crc32 } from 'node:zlib';

/** Bytes that the checksum adds to a value. */
export const CHECKSUM_BYTES = 4;

/** Writes the checksum into the last four bytes of a value that was allocated with room for it. */
export function seal(key: Uint8Array, value: Buffer): void {
  const end = value.length - CHECKSUM_BYTES;
  value.writeUInt32LE(crc32(value.subarray(0, end), crc32(key)), end);
}

/** A copy of `payload` with its checksum. */
export function sealed(key: Uint8Array, payload: Uint8Array): Buffer {
  const value = Buffer.allocUnsafe(payload.length + CHECKSUM_BYTES);
  value.set(payload);
  seal(key, value);
  return value;
}

/** The payload without its checksum, or undefined if key and value do not belong together. A view, not a copy. */
export function checked(key: Uint8Array, value: Buffer): Buffer | undefined {
  const end = value.length - CHECKSUM_BYTES;
  if (end < 0) return undefined;
  const payload = value.subarray(0, end);
  return value.readUInt32LE(end) === crc32(payload, crc32(key)) ? payload : undefined;
}
