/** Tells the collector of what this agent lost: gaps of the ledger as events, and the ledger that they have arrived. Seals nothing itself. */
import type { GapEvent } from '../../protocol/index.ts';
import { Lane } from '../../protocol/index.ts';
import type { Spool } from '../spool/spool.ts';

export type GapSpool = Pick<Spool, 'gaps' | 'gapsDelivered'>;

/** Seals events into a frame of lane `now` and offers it; says which frame it became. */
export type SealGaps = (events: readonly GapEvent[]) => { readonly epoch: string; readonly sequence: number };

/** Gaps of one frame; a full ledger is a few frames. */
const GAPS_PER_FRAME_MAX = 128;
/** A report that has no answer after so many seconds was itself dropped from the spool. */
const REPORT_SECONDS_MAX = 120;

export class GapReporter {
  readonly #spool: GapSpool;
  readonly #seal: SealGaps;
  /** The report that is under way: one at a time, so that a lost one is repeated before others follow. */
  #pending: { readonly epoch: string; readonly sequence: number; readonly ids: readonly number[] } | undefined;
  /** Calls since it was made. */
  #waited = 0;

  constructor(spool: GapSpool, seal: SealGaps) {
    this.#spool = spool;
    this.#seal = seal;
  }

  /** While on line, each second. Off line nothing is reported: each report would be another frame in a spool that drops frames. */
  report(): void {
    if (this.#pending !== undefined && ++this.#waited < REPORT_SECONDS_MAX) return;
    const gaps = this.#spool.gaps().slice(0, GAPS_PER_FRAME_MAX);
    this.#pending = undefined;
    this.#waited = 0;
    if (gaps.length === 0) return;
    const ids = gaps.map((gap) => gap.id);
    const { epoch, sequence } = this.#seal(gaps.map(gapEvent));
    this.#pending = { epoch, sequence, ids };
  }

  acked(epoch: string, lane: number, ranges: readonly (readonly [number, number])[]): void {
    const pending = this.#pending;
    if (pending === undefined || lane !== Lane.now || epoch !== pending.epoch) return;
    if (!ranges.some(([from, to]) => from <= pending.sequence && pending.sequence < to)) return;
    this.#pending = undefined;
    this.#spool.gapsDelivered(pending.ids);
  }

  /** The link is gone, or the report was refused or dropped: it is made again. A gap that arrives twice is filed once. */
  forget(): void {
    this.#pending = undefined;
  }
}

function gapEvent(gap: ReturnType<GapSpool['gaps']>[number]): GapEvent {
  const { id, epoch, lane, cause, fromSequence, toSequence, fromMs, toMs, frames, samples, bytes } = gap;
  return {
    type: 'gap',
    id,
    epoch,
    lane,
    cause,
    fromSequence,
    toSequence,
    fromMs: Math.floor(fromMs),
    toMs: Math.ceil(toMs),
    frames,
    samples,
    bytes,
  };
}
