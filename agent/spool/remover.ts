/** Unlinks segment files in the right order: the ledger's word first, dictionaries last. Does not decide what goes. */
import assert from 'node:assert/strict';
import type { DictionaryShelf } from './dictionary.ts';
import type { SpoolFs } from './disk.ts';
import type { Epoch } from './epoch.ts';
import { errnoOf, isFull } from './error.ts';
import type { Ledger } from './ledger.ts';
import type { Segment } from './segment.ts';

/** Files that are to be unlinked as soon as the disk takes it, or the ledger's word that their frames are gone. Tried each second. */
const LEFTOVERS_MAX = 64;

/** A segment file, and the epochs that have records in it. */
type Leftover = { readonly path: string; readonly epochs: readonly Epoch[] };

export class Remover {
  readonly #fs: SpoolFs;
  readonly #ledger: Ledger;
  readonly #shelf: DictionaryShelf;
  readonly #leftovers = new Set<Leftover>();

  constructor(fs: SpoolFs, ledger: Ledger, shelf: DictionaryShelf) {
    this.#fs = fs;
    this.#ledger = ledger;
    this.#shelf = shelf;
  }

  /** The file goes once the ledger, which may tell of its frames, is on the disk; until then it stays a while. */
  unlink(segment: Segment, current: Epoch | undefined): void {
    assert(segment.live === 0, 'a segment with held frames is not unlinked');
    // A ledger that could not even be made on a full disk gets its room from what is unlinked.
    const isTold = this.#ledger.writeNow() || isFull(this.#ledger.errno);
    const leftover = { path: segment.path, epochs: [...new Set(segment.runs.map((run) => run.epoch))] };
    if (isTold || this.#leftovers.size === LEFTOVERS_MAX) this.#remove(leftover, current);
    else this.#leftovers.add(leftover);
  }

  /** Tries again what could not be unlinked. The ledger is synced. */
  retry(current: Epoch): void {
    for (const leftover of this.#leftovers) this.#remove(leftover, current);
  }

  /** The file, and the dictionaries that nothing on the disk needs any more then. */
  #remove(leftover: Leftover, current: Epoch | undefined): void {
    try {
      this.#fs.remove(leftover.path);
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') {
        if (this.#leftovers.size < LEFTOVERS_MAX) this.#leftovers.add(leftover);
        return;
      }
    }
    this.#leftovers.delete(leftover);
    for (const epoch of leftover.epochs) {
      epoch.segments--;
      if (epoch.segments === 0 && epoch !== current) this.#shelf.remove(epoch.name);
    }
  }
}
