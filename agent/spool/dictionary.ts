/** The dictionary frames of each epoch, one file per epoch beside the lanes. Outside the drop policy; opaque bytes. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import type { SpoolFs } from './disk.ts';
import { DurableFile } from './durable-file.ts';
import { errnoOf } from './error.ts';
import { SPOOLED_BYTES_MAX } from './record.ts';

export const DICTIONARY_VERSION = 1;
const FILE_HEADER = Buffer.from('PKTDICTS\u0001\0\0\0', 'latin1');
const RECORD_HEADER_BYTES = 16;
/** Frames that wait in memory for a disk that takes writes again: several times the dictionary of a very busy host. */
const PENDING_BYTES_MAX = 16 * 1024 * 1024;

type Entry = { readonly from: number; readonly to: number; readonly bytes: Uint8Array };

export class DictionaryShelf {
  readonly #fs: SpoolFs;
  readonly #directory: string;
  #epoch = '';
  /** The current epoch's file; undefined until its first write succeeded. */
  #file: DurableFile | undefined;
  #sizeBytes = 0;
  #pending: Entry[] = [];
  #pendingBytes = 0;
  #namesDirty = false;

  constructor(fs: SpoolFs, directory: string) {
    this.#fs = fs;
    this.#directory = directory;
  }

  /** Names of all files: epochs, and what an interrupted renewal left. */
  list(): string[] {
    try {
      return this.#fs.list(this.#directory);
    } catch (error) {
      errnoOf(error);
      return [];
    }
  }

  /** The epoch that frames are appended to from now on. What the one before still had in memory is lost to the disk; the number of frames. */
  begin(epoch: string): number {
    const lost = this.#pending.length;
    this.#file?.close();
    this.#file = undefined;
    this.#epoch = epoch;
    this.#sizeBytes = 0;
    this.#pending = [];
    this.#pendingBytes = 0;
    return lost;
  }

  /** Written by `flush`. False if there is no room to wait: what needs these entries will be refused. */
  append(from: number, to: number, bytes: Uint8Array): boolean {
    if (this.#pendingBytes + bytes.length > PENDING_BYTES_MAX) return false;
    this.#pending.push({ from, to, bytes });
    this.#pendingBytes += bytes.length;
    return true;
  }

  /** Writes what waits. The errno if the disk does not take it; it waits on. */
  flush(): string | undefined {
    try {
      for (let entry = this.#pending[0]; entry !== undefined; entry = this.#pending[0]) {
        if (this.#file === undefined) {
          this.#file = this.#create(this.#path(this.#epoch));
          this.#sizeBytes = FILE_HEADER.length;
        }
        const record = encodeEntry(entry);
        this.#file.write(record, this.#sizeBytes);
        this.#sizeBytes += record.length;
        this.#pending.shift();
        this.#pendingBytes -= entry.bytes.length;
      }
      return undefined;
    } catch (error) {
      return errnoOf(error);
    }
  }

  /** Frames that lead from `fromEntry` to the end, in order and without a hole; none if the first of them is not there any more. */
  read(epoch: string, fromEntry: number): { readonly frames: Uint8Array[]; readonly damaged: boolean } {
    const { entries, damaged } = this.#entries(epoch, fromEntry);
    const frames: Uint8Array[] = [];
    let at = fromEntry;
    for (const entry of epoch === this.#epoch ? [...entries, ...this.#pending] : entries) {
      if (entry.to <= at) continue;
      if (entry.from > at) break;
      frames.push(entry.bytes);
      at = entry.to;
    }
    return { frames, damaged };
  }

  remove(name: string): void {
    assert(name !== this.#epoch, 'the dictionary of the current epoch stays');
    try {
      this.#fs.remove(this.#path(name));
    } catch (error) {
      errnoOf(error);
    }
  }

  /** False if the disk did not take all of it. */
  async sync(): Promise<boolean> {
    if (this.#file?.suspect === true && !this.#renew(this.#file)) return false;
    if (this.flush() !== undefined) return false;
    try {
      await this.#file?.sync();
      if (this.#namesDirty) {
        this.#namesDirty = false;
        await this.#fs.syncDirectory(this.#directory);
      }
      return true;
    } catch (error) {
      errnoOf(error);
      this.#namesDirty = true;
      return false;
    }
  }

  close(): void {
    this.#file?.close();
    this.#file = undefined;
  }

  #path(epoch: string): string {
    return join(this.#directory, epoch);
  }

  #create(path: string): DurableFile {
    let file: DurableFile;
    try {
      file = DurableFile.open(this.#fs, path, 'create');
    } catch (error) {
      const errno = errnoOf(error);
      if (errno === 'ENOENT') this.#fs.makeDirectory(this.#directory);
      // Left by an attempt that ended in an error.
      else if (errno === 'EEXIST') this.#fs.remove(path);
      else throw error;
      file = DurableFile.open(this.#fs, path, 'create');
    }
    this.#namesDirty = true;
    try {
      file.write(FILE_HEADER, 0);
    } catch (error) {
      file.close();
      throw error;
    }
    return file;
  }

  /** After a failed sync nothing written to the file counts: all of it goes to a new file, which then takes the place of the old. False if it cannot. */
  #renew(file: DurableFile): boolean {
    const { entries, damaged } = this.#entries(this.#epoch, 0);
    if (damaged) return false;
    const path = `${file.path}.new`;
    let renewed: DurableFile | undefined;
    try {
      renewed = this.#create(path);
      let position = FILE_HEADER.length;
      for (const record of entries.map(encodeEntry)) {
        renewed.write(record, position);
        position += record.length;
      }
      // Before the rename: that may be durable at any moment, and must then not name an empty file. Blocks; dictionaries are small and this is rare.
      renewed.syncNow();
      this.#fs.rename(path, file.path);
      file.close();
      this.#file = renewed;
      this.#sizeBytes = position;
      return true;
    } catch (error) {
      renewed?.close();
      errnoOf(error);
      return false;
    }
  }

  /** The file's entries that end behind `fromEntry`, up to the first damaged one. */
  #entries(epoch: string, fromEntry: number): { entries: Entry[]; damaged: boolean } {
    const entries: Entry[] = [];
    let file: DurableFile;
    try {
      file = DurableFile.open(this.#fs, this.#path(epoch), 'read');
    } catch (error) {
      return { entries, damaged: errnoOf(error) !== 'ENOENT' };
    }
    try {
      // Behind the current epoch's size may lie a write that failed.
      const end = epoch === this.#epoch && this.#file !== undefined ? this.#sizeBytes : file.size();
      return { entries, damaged: !readEntries(file, end, fromEntry, entries) };
    } catch (error) {
      errnoOf(error);
      return { entries, damaged: true };
    } finally {
      file.close();
    }
  }
}

function encodeEntry(entry: Entry): Buffer {
  const record = Buffer.alloc(RECORD_HEADER_BYTES + entry.bytes.length);
  record.writeUInt32LE(entry.bytes.length, 4);
  record.writeUInt32LE(entry.from, 8);
  record.writeUInt32LE(entry.to, 12);
  record.set(entry.bytes, RECORD_HEADER_BYTES);
  record.writeUInt32LE(crc32(record.subarray(4)), 0);
  return record;
}

/** False if it met a damaged record or a file that is not ours. */
function readEntries(file: DurableFile, end: number, fromEntry: number, entries: Entry[]): boolean {
  const fileHeader = Buffer.alloc(FILE_HEADER.length);
  if (file.read(fileHeader, 0) < fileHeader.length || !fileHeader.equals(FILE_HEADER)) return false;
  let position = FILE_HEADER.length;
  const header = Buffer.alloc(RECORD_HEADER_BYTES);
  while (position < end) {
    if (file.read(header, position) < RECORD_HEADER_BYTES) return false;
    const length = header.readUInt32LE(4);
    if (length > SPOOLED_BYTES_MAX) return false;
    const [from, to] = [header.readUInt32LE(8), header.readUInt32LE(12)];
    const record = Buffer.alloc(RECORD_HEADER_BYTES + length);
    if (file.read(record, position) < record.length || crc32(record.subarray(4)) !== record.readUInt32LE(0)) return false;
    if (to > fromEntry) entries.push({ from, to, bytes: record.subarray(RECORD_HEADER_BYTES) });
    position += record.length;
  }
  return true;
}
