/** One open file that knows whether its bytes have reached the disk. No format: segments, dictionaries and the ledger lie on top. */
import assert from 'node:assert/strict';
import type { OpenMode, SpoolFs } from './disk.ts';

export class DurableFile {
  readonly path: string;
  readonly #fs: SpoolFs;
  readonly #fd: number;
  #dirty: boolean;
  #suspect = false;
  #syncing = 0;
  #closed = false;

  private constructor(fs: SpoolFs, path: string, mode: OpenMode) {
    this.#fs = fs;
    this.path = path;
    this.#fd = fs.open(path, mode);
    // What an earlier process wrote may still be in the kernel alone.
    this.#dirty = mode !== 'read';
  }

  static open(fs: SpoolFs, path: string, mode: OpenMode): DurableFile {
    return new DurableFile(fs, path, mode);
  }

  /** Something was written that no sync has covered yet. */
  get dirty(): boolean {
    return this.#dirty;
  }

  /** A sync failed once. The kernel then forgets what it could not write, so that a later success says nothing: this file is never durable again. */
  get suspect(): boolean {
    return this.#suspect;
  }

  get closed(): boolean {
    return this.#closed;
  }

  size(): number {
    return this.#fs.size(this.#fd);
  }

  /** Writes all or throws; what was written before an error stays and is the caller's to cut. */
  write(bytes: Uint8Array, position: number): void {
    assert(!this.#closed, 'a closed spool file is not written to');
    this.#dirty = true;
    let done = this.#fs.write(this.#fd, bytes, position);
    while (done < bytes.length) {
      const count = this.#fs.write(this.#fd, bytes.subarray(done), position + done);
      assert(count > 0, 'a write of something writes something or fails');
      done += count;
    }
  }

  /** Fills `into` from `position`; the number of bytes there were. */
  read(into: Uint8Array, position: number): number {
    let done = 0;
    while (done < into.length) {
      const count = this.#fs.read(this.#fd, into.subarray(done), position + done);
      if (count === 0) break;
      done += count;
    }
    return done;
  }

  truncate(sizeBytes: number): void {
    this.#dirty = true;
    this.#fs.truncate(this.#fd, sizeBytes);
  }

  async sync(): Promise<void> {
    if (!this.#dirty) return;
    this.#dirty = false;
    this.#syncing++;
    try {
      await this.#fs.sync(this.#fd);
    } catch (error) {
      this.#suspect = true;
      throw error;
    } finally {
      this.#syncing--;
      if (this.#closed && this.#syncing === 0) this.#fs.close(this.#fd);
    }
  }

  /** Blocks; for the rare step that must not begin before (unlinking a segment whose loss the ledger tells). */
  syncNow(): void {
    if (!this.#dirty) return;
    this.#dirty = false;
    try {
      this.#fs.syncNow(this.#fd);
    } catch (error) {
      this.#suspect = true;
      throw error;
    }
  }

  /** Put off until a running sync has returned: the descriptor's number must not become another file's under it. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#syncing === 0) this.#fs.close(this.#fd);
  }
}
