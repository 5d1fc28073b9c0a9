/** The books of the spool: where every frame went, and each loss in the ledger with its cause. Decides nothing. */
import type { Epoch } from './epoch.ts';
import type { Ledger } from './ledger.ts';
import type { Loss } from './ledger-image.ts';
import type { FrameFacts } from './segment.ts';

/** Of frames, since the start. */
export type Accounts = {
  /** In the files at start, those included that turned out to be damaged. */
  found: number;
  appended: number;
  acked: number;
  refused: number;
  dropped: number;
  corrupt: number;
};

/** What was dropped, refused or found damaged since the start. */
export type Drop = { readonly lane: number; readonly cause: string; readonly frames: number; readonly bytes: number };

export class Losses {
  readonly accounts: Accounts = { found: 0, appended: 0, acked: 0, refused: 0, dropped: 0, corrupt: 0 };
  readonly #ledger: Ledger;
  readonly #drops = new Map<string, Drop>();

  constructor(ledger: Ledger) {
    this.#ledger = ledger;
  }

  drops(): readonly Drop[] {
    return [...this.#drops.values()];
  }

  /** One frame is lost, for `cause`; it leaves the books by `account`. */
  frame(epoch: Epoch, lane: number, facts: FrameFacts, cause: string, account: 'refused' | 'dropped' | 'corrupt'): void {
    const { sequence, fromMs, toMs, samples, length } = facts;
    const span = { fromSequence: sequence, toSequence: sequence + 1, fromMs, toMs };
    this.accounts[account]++;
    this.#enter({ epoch: epoch.name, lane, cause, ...span, frames: 1, samples, bytes: length });
  }

  /** What was found missing at start, unless an earlier start has entered it already. */
  found(loss: Loss): void {
    if (this.#ledger.covers(loss.epoch, loss.lane, loss.fromSequence, loss.toSequence)) return;
    this.accounts.found += loss.frames;
    this.accounts.corrupt += loss.frames;
    this.#enter(loss);
  }

  #enter(loss: Loss): void {
    const key = `${loss.lane} ${loss.cause}`;
    const drop = this.#drops.get(key) ?? { lane: loss.lane, cause: loss.cause, frames: 0, bytes: 0 };
    this.#drops.set(key, { ...drop, frames: drop.frames + loss.frames, bytes: drop.bytes + loss.bytes });
    this.#ledger.add(loss);
  }
}
