/**
 * What an agent's floors say about what will never come. What is missing and gone is the ledger's to explain; only when that is done, durably, are the
 * ranges closed over it: a collector that dies in between asks again. Not the ledger itself, no I/O of its own.
 */
import type { HeldEpoch } from '../../protocol/index.ts';
import type { Appender, SequenceRange } from '../model/ports.ts';
import { epochOf, type AgentState, type EpochState } from './lanes.ts';
import type { HostName, Ledger } from './ledger.ts';

export type SettlementDeps = {
  readonly appender: Appender;
  /** Calls when all that has been taken so far is durable: a range that is closed over a frame on its way would turn that away as known. */
  readonly whenStored: (call: () => void) => void;
  readonly ledger: Ledger;
  readonly agent: HostName;
  readonly state: AgentState;
  /** Newest sample time known of the host. */
  readonly newestMs: number;
  readonly nowMs: number;
};

/** Below a floor nothing comes any more. For hello and every state of the agent. */
export function settleFloors(deps: SettlementDeps, held: readonly HeldEpoch[]): void {
  for (const { epoch: bytes, lanes } of held) {
    const epoch = epochOf(deps.state, Buffer.from(bytes).toString('hex'));
    for (const { lane, floor, oldestMs } of lanes) {
      const into = epoch.lanes[lane as 0 | 1 | 2];
      if (floor > into.floor) {
        into.missing.push(...into.ranges.missing(into.floor, floor));
        into.floor = floor;
        into.ranges.addRange(0, floor);
        into.lastSequence = Math.max(into.lastSequence, floor - 1);
      }
      if (into.collapsed === into.floor) continue;
      into.missing = unexplained(deps, epoch, lane, into.missing, oldestMs > 0 ? oldestMs : deps.nowMs);
      if (into.missing.length > 0) continue;
      into.collapsed = into.floor;
      deps.whenStored(() => deps.appender.collapse(deps.state.agentId, epoch.epoch, lane, floor));
    }
  }
}

/**
 * At hello: of epochs that are over the agent holds all that can still come. What is missing above that went with a power cut, overtaken by frames
 * that were sent at once. True if the epoch can be forgotten: the agent holds nothing of it and nothing waits for an explanation.
 */
export function settleEnded(deps: SettlementDeps, epoch: EpochState, held: HeldEpoch | undefined): boolean {
  let isSettled = true;
  for (const [lane, { ranges, floor, missing }] of epoch.lanes.entries()) {
    const next = held?.lanes.find((candidate) => candidate.lane === lane)?.next ?? 0;
    const lost = ranges.missing(Math.max(next, floor), ranges.end);
    if (unexplained(deps, epoch, lane, lost, deps.newestMs).length > 0 || missing.length > 0) isSettled = false;
  }
  return isSettled && held === undefined;
}

/** Hands over what no gap names yet, and gives it back. */
function unexplained(
  deps: SettlementDeps,
  epoch: EpochState,
  lane: number,
  missing: readonly SequenceRange[],
  toMs: number,
): SequenceRange[] {
  const { ledger, agent, newestMs } = deps;
  const open = missing.filter((range) => !ledger.isExplained(agent.agentId, epoch.epoch, lane, range));
  if (open.length > 0) ledger.missing(agent, epoch.epoch, lane, open, Math.min(newestMs, toMs), toMs);
  return open;
}
