/** What the spool tells of itself: held epochs for hello, figures for the agent's own metrics. Types and pure functions over its parts. */
import type { Afloat } from './afloat.ts';
import type { Epoch, EpochTable } from './epoch.ts';
import type { Lane } from './lane.ts';
import type { Accounts, Drop } from './losses.ts';

/** `floor`: oldest sequence still held, or `next` if none. `oldestMs`: time of its first sample, 0 if none. */
export type HeldLane = {
  readonly lane: number;
  readonly floor: number;
  readonly next: number;
  readonly bytes: number;
  readonly frames: number;
  readonly oldestMs: number;
};
export type HeldEpoch = { readonly epoch: string; readonly lanes: readonly HeldLane[] };

export type LaneStats = {
  readonly lane: number;
  /** Of held frames. */
  readonly bytes: number;
  readonly frames: number;
  readonly leased: number;
  /** 0 if none is held. */
  readonly oldestMs: number;
  /** Of its files, acked frames and record headers included. */
  readonly diskBytes: number;
};

export type SpoolStats = {
  readonly lanes: readonly LaneStats[];
  readonly drops: readonly Drop[];
  /** found + appended = acked + refused + dropped + corrupt + held + afloat. */
  readonly accounts: Readonly<Accounts>;
  /** On their way to the collector from memory alone: appended with a lease while the disk did not take them. */
  readonly afloat: number;
  /**
   * Newest sample time in the first lane, of what was found at start (acked frames too, if still there) and appended since; 0 if there was none. Not that
   * of events or logs: what is newer in other lanes says nothing about how far a host's own series reach.
   */
  readonly newestMs: number;
  /** How long the last sync took. */
  readonly syncMs: number;
  readonly syncFailures: number;
  /** Damaged places found: in segments, dictionaries and the ledger. */
  readonly corruptions: number;
  /** Dictionary frames that neither disk nor memory had room for. */
  readonly dictionariesLost: number;
  /** Errno of the last write that failed, empty while the disk takes writes. */
  readonly diskError: string;
  /** In the ledger, not yet delivered. */
  readonly gaps: number;
  /** Memory of the frame index. */
  readonly indexBytes: number;
};

/** The oldest frame of a lane of an epoch. */
type First = { readonly sequence: number; readonly fromMs: number };

/** Oldest epoch first; lanes that never had a frame only for the current one. */
export function heldEpochs(epochs: EpochTable, current: Epoch, lanes: readonly Lane[], afloat: Afloat): HeldEpoch[] {
  const firsts = firstFrames(lanes, afloat);
  return [...epochs.all()].map((epoch) => ({
    epoch: epoch.name,
    lanes: epoch.lanes.flatMap(({ next, bytes, frames }, lane) => {
      if (next === 0 && epoch !== current) return [];
      const first = firsts.get(epoch)?.[lane];
      return [{ lane, floor: first?.sequence ?? next, next, bytes, frames, oldestMs: first?.fromMs ?? 0 }];
    }),
  }));
}

export function laneStats(lane: Lane, epochs: EpochTable): LaneStats {
  let bytes = 0;
  for (const epoch of epochs.all()) bytes += epoch.lanes[lane.number]?.bytes ?? 0;
  const { oldest, diskBytes } = lane;
  const run = oldest?.runs.find((candidate) => oldest.firstLive(candidate) < candidate.end);
  const oldestMs = oldest === undefined || run === undefined ? 0 : oldest.facts(oldest.firstLive(run)).fromMs;
  const frames = lane.segments.reduce((sum, segment) => sum + segment.live, 0);
  const leased = lane.segments.reduce((sum, segment) => sum + segment.leased, 0);
  return { lane: lane.number, bytes, frames, leased, oldestMs, diskBytes };
}

/** By epoch and lane. What is afloat is the agent's to send still, and counts. */
function firstFrames(lanes: readonly Lane[], afloat: Afloat): Map<Epoch, First[]> {
  const firsts = new Map<Epoch, First[]>();
  const offer = (epoch: Epoch, lane: number, sequence: number, fromMs: number): void => {
    let byLane = firsts.get(epoch);
    if (byLane === undefined) firsts.set(epoch, (byLane = []));
    const first = byLane[lane];
    if (first === undefined || sequence < first.sequence) byLane[lane] = { sequence, fromMs };
  };
  for (const lane of lanes) {
    for (const segment of lane.segments) {
      for (const run of segment.runs) {
        const index = segment.firstLive(run);
        if (index === run.end) continue;
        const { sequence, fromMs } = segment.facts(index);
        offer(run.epoch, lane.number, sequence, fromMs);
      }
    }
  }
  for (const { epoch, lane, facts } of afloat.all()) offer(epoch, lane, facts.sequence, facts.fromMs);
  return firsts;
}
