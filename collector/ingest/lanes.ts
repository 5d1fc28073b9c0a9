/** What has been received of one connected agent: epochs, lanes, dictionaries, clock segments. In memory while the agent is connected; the store is the truth. */
import { DIGEST_BYTES } from '../../protocol/index.ts';
import type { AgentId, Epoch, EpochReceived, SequenceRange } from '../model/ports.ts';
import { SequenceRanges } from '../model/ranges.ts';

export type LaneState = {
  /** Accepted: durable, or in a commit under way. A failed commit drops the whole state, so that this never claims too much for long. */
  ranges: SequenceRanges;
  lastSequence: number;
  lastDigest: Uint8Array;
  /** As the agent stated it: everything below came or never will. */
  floor: number;
  /** Below the floor, never came, and no gap in the ledger names it yet. */
  missing: SequenceRange[];
  /** Up to where the store's ranges are closed. */
  collapsed: number;
};

export type EpochState = {
  readonly epoch: Epoch;
  readonly bytes: Uint8Array;
  readonly lanes: readonly [LaneState, LaneState, LaneState];
  dictionaryLength: number;
  /** Clock segment -> what is added to its times, ms. */
  readonly corrections: Map<number, number>;
};

export type AgentState = {
  readonly agentId: AgentId;
  readonly epochs: Map<Epoch, EpochState>;
  /** Most frames in a row are of one epoch: its bytes are compared before anything is looked up. */
  latest: EpochState | undefined;
};

export function newAgentState(agentId: AgentId, received: readonly EpochReceived[]): AgentState {
  const state: AgentState = { agentId, epochs: new Map(), latest: undefined };
  for (const known of received) {
    const epoch = epochOf(state, known.epoch);
    epoch.dictionaryLength = known.dictionaryLength;
    for (const lane of known.lanes) {
      const into = epoch.lanes[lane.lane];
      if (into === undefined) continue;
      into.ranges = SequenceRanges.of(lane.ranges);
      into.lastSequence = into.ranges.end - 1;
      into.lastDigest = lane.lastDigest;
    }
  }
  return state;
}

export function epochOf(state: AgentState, epoch: Epoch): EpochState {
  let found = state.epochs.get(epoch);
  if (found === undefined) {
    found = {
      epoch,
      bytes: Buffer.from(epoch, 'hex'),
      lanes: [newLane(), newLane(), newLane()],
      dictionaryLength: 0,
      corrections: new Map(),
    };
    state.epochs.set(epoch, found);
  }
  return found;
}

/** The epoch of a frame, from its 16 bytes. */
export function epochOfBytes(state: AgentState, bytes: Uint8Array): EpochState {
  const latest = state.latest;
  if (latest !== undefined && Buffer.compare(latest.bytes, bytes) === 0) return latest;
  const epoch = epochOf(state, Buffer.from(bytes).toString('hex'));
  state.latest = epoch;
  return epoch;
}

function newLane(): LaneState {
  return { ranges: new SequenceRanges(), lastSequence: -1, lastDigest: new Uint8Array(DIGEST_BYTES), floor: 0, missing: [], collapsed: 0 };
}
