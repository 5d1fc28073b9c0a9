/**
 * The floors that were stated to the collector, so that a restart does not take one back: acks themselves are not written down.
 * Replaced as a whole, about once a minute. Losing it costs resends only.
 */
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import type { SpoolFs } from './disk.ts';
import { DurableFile } from './durable-file.ts';
import { errnoOf } from './error.ts';
import { readUint64, writeUint64 } from './record.ts';

const MAGIC = Buffer.from('PKTFLOOR\u0001\0\0\0', 'latin1');
const HEADER_BYTES = 20;
const ENTRY_BYTES = 28;
/** Every epoch that is ever held, with every lane, several times over. */
const ENTRIES_MAX = 16_384;

/** Everything of this lane of this epoch below `floor` is acked, or a gap in the ledger. */
export type Floor = { readonly epoch: string; readonly lane: number; readonly floor: number };

export class FloorsFile {
  readonly #fs: SpoolFs;
  readonly #path: string;
  #file: DurableFile | undefined;
  #written: Buffer | undefined;

  constructor(fs: SpoolFs, directory: string) {
    this.#fs = fs;
    this.#path = join(directory, 'floors');
  }

  /** None if it is missing or damaged. */
  read(): Floor[] {
    try {
      const file = DurableFile.open(this.#fs, this.#path, 'read');
      try {
        const bytes = Buffer.alloc(Math.min(file.size(), HEADER_BYTES + ENTRIES_MAX * ENTRY_BYTES));
        return file.read(bytes, 0) === bytes.length ? decode(bytes) : [];
      } finally {
        file.close();
      }
    } catch (error) {
      errnoOf(error);
      return [];
    }
  }

  /** Puts the floors in the place of those before. A disk that does not take them keeps the older ones, which are as true. */
  write(floors: readonly Floor[]): void {
    const bytes = encode(floors.slice(0, ENTRIES_MAX));
    if (this.#written?.equals(bytes) === true) return;
    const aside = `${this.#path}.new`;
    try {
      const file = this.#create(aside);
      this.close();
      this.#file = file;
      file.write(bytes, 0);
      this.#fs.rename(aside, this.#path);
      this.#written = bytes;
    } catch (error) {
      errnoOf(error);
    }
  }

  async sync(): Promise<void> {
    try {
      await this.#file?.sync();
    } catch (error) {
      errnoOf(error);
    }
    this.close();
  }

  close(): void {
    this.#file?.close();
    this.#file = undefined;
  }

  #create(path: string): DurableFile {
    try {
      return DurableFile.open(this.#fs, path, 'create');
    } catch (error) {
      if (errnoOf(error) !== 'EEXIST') throw error;
      this.#fs.remove(path);
      return DurableFile.open(this.#fs, path, 'create');
    }
  }
}

function encode(floors: readonly Floor[]): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES + floors.length * ENTRY_BYTES);
  MAGIC.copy(bytes, 0);
  bytes.writeUInt32LE(floors.length, 12);
  floors.forEach(({ epoch, lane, floor }, index) => {
    const position = HEADER_BYTES + index * ENTRY_BYTES;
    bytes.write(epoch, position, 'hex');
    bytes.writeUInt32LE(lane, position + 16);
    writeUint64(bytes, floor, position + 20);
  });
  bytes.writeUInt32LE(crc32(bytes.subarray(HEADER_BYTES)), 16);
  return bytes;
}

function decode(bytes: Buffer): Floor[] {
  if (bytes.length < HEADER_BYTES || !bytes.subarray(0, MAGIC.length).equals(MAGIC)) return [];
  const count = bytes.readUInt32LE(12);
  if (bytes.length !== HEADER_BYTES + count * ENTRY_BYTES || crc32(bytes.subarray(HEADER_BYTES)) !== bytes.readUInt32LE(16)) return [];
  return Array.from({ length: count }, (_, index) => {
    const position = HEADER_BYTES + index * ENTRY_BYTES;
    return {
      epoch: bytes.toString('hex', position, position + 16),
      lane: bytes.readUInt32LE(position + 16),
      floor: readUint64(bytes, position + 20),
    };
  });
}
