/**
 * What has been received and is durable: ranges of sequences per agent, epoch and lane, and dictionary lengths. Not the frames.
 * Kept per generation until that is cut, so that what a damaged write-ahead log turns out to have lost leaves the ranges again.
 */
import type { AgentId, Epoch, EpochReceived, SequenceRange } from '../model/ports.ts';
import { SequenceRanges } from '../model/ranges.ts';

/** Stands for "in the last cut or before" among generation numbers. */
const CUT = 0;
/** The pseudo-lane that counts dictionary entries. */
const ENTRIES = 'entries';

type LaneKey = number | typeof ENTRIES;

class LaneState {
  /** By generation; CUT holds what cuts have committed. */
  readonly byGeneration = new Map<number, SequenceRanges>();
  highest = -1;
  digest: Uint8Array = new Uint8Array();

  has(sequence: number): boolean {
    for (const ranges of this.byGeneration.values()) if (ranges.has(sequence)) return true;
    return false;
  }

  of(generation: number): SequenceRanges {
    let ranges = this.byGeneration.get(generation);
    if (ranges === undefined) this.byGeneration.set(generation, (ranges = new SequenceRanges()));
    return ranges;
  }

  /** All, or those of some generations only. */
  union(generations: Iterable<number> = this.byGeneration.keys()): SequenceRanges {
    const all = new SequenceRanges();
    for (const generation of generations) {
      for (const [from, to] of this.byGeneration.get(generation)?.toArray() ?? []) all.addRange(from, to);
    }
    return all;
  }

  commit(generation: number): void {
    if (!this.byGeneration.has(generation)) return;
    const cut = this.union([CUT, generation]);
    this.byGeneration.delete(generation);
    this.byGeneration.set(CUT, cut);
  }
}

type EpochState = { readonly lanes: Map<LaneKey, LaneState>; newestMs: number };

/** The form in which the ranges of an epoch are kept in the records database. */
type Persisted = {
  readonly lanes: readonly {
    readonly lane: LaneKey;
    readonly ranges: readonly SequenceRange[];
    readonly highest: number;
    readonly digest: string;
  }[];
  readonly newestMs: number;
};

export class Received {
  readonly #agents = new Map<AgentId, Map<Epoch, EpochState>>();

  has(agentId: AgentId, epoch: Epoch, lane: number, sequence: number): boolean {
    return this.#agents.get(agentId)?.get(epoch)?.lanes.get(lane)?.has(sequence) ?? false;
  }

  hasEpoch(agentId: AgentId, epoch: Epoch): boolean {
    return this.#agents.get(agentId)?.has(epoch) ?? false;
  }

  add(
    generation: number,
    frame: { agentId: AgentId; epoch: Epoch; lane: number; sequence: number; digest: Uint8Array; receivedMs: number },
  ): void {
    const epoch = this.#epoch(frame.agentId, frame.epoch);
    const lane = laneOf(epoch, frame.lane);
    lane.of(generation).add(frame.sequence);
    if (frame.sequence > lane.highest) {
      lane.highest = frame.sequence;
      lane.digest = frame.digest;
    }
    if (frame.receivedMs > epoch.newestMs) epoch.newestMs = frame.receivedMs;
  }

  addEntries(generation: number, agentId: AgentId, epoch: Epoch, from: number, to: number): void {
    laneOf(this.#epoch(agentId, epoch), ENTRIES).of(generation).addRange(from, to);
  }

  /** Everything below the floor counts as settled: it was received, or the agent no longer has it. */
  collapse(agentId: AgentId, epoch: Epoch, lane: number, floor: number): void {
    laneOf(this.#epoch(agentId, epoch), lane).of(CUT).addRange(0, floor);
  }

  forget(agentId: AgentId, epoch: Epoch): void {
    const epochs = this.#agents.get(agentId);
    epochs?.delete(epoch);
    if (epochs?.size === 0) this.#agents.delete(agentId);
  }

  dictionaryLength(agentId: AgentId, epoch: Epoch): number {
    const lane = this.#agents.get(agentId)?.get(epoch)?.lanes.get(ENTRIES);
    const first = lane?.union().toArray()[0];
    return first !== undefined && first[0] === 0 ? first[1] : 0;
  }

  of(agentId: AgentId): EpochReceived[] {
    const answers: EpochReceived[] = [];
    for (const [epoch, state] of this.#agents.get(agentId) ?? []) {
      const lanes = [];
      for (const [lane, of] of state.lanes) {
        if (typeof lane === 'number') lanes.push({ lane, ranges: of.union().toArray(), lastDigest: of.digest });
      }
      lanes.sort((a, b) => a.lane - b.lane);
      answers.push({ epoch, lanes, dictionaryLength: this.dictionaryLength(agentId, epoch) });
    }
    return answers;
  }

  /** The states to store in the commit that cuts a generation: what is committed already and what came in it. */
  statesOfCut(generation: number): Map<string, Buffer> {
    const states = new Map<string, Buffer>();
    for (const [agentId, epochs] of this.#agents) {
      for (const [epoch, state] of epochs) {
        const touched = state.lanes.values().some((lane) => lane.byGeneration.has(generation));
        if (touched) states.set(stateName(agentId, epoch), persisted(state, generation));
      }
    }
    return states;
  }

  /** After that commit: the generation's ranges are committed ones. */
  commitCut(generation: number): void {
    for (const epochs of this.#agents.values()) {
      for (const state of epochs.values()) for (const lane of state.lanes.values()) lane.commit(generation);
    }
  }

  /** Reads back what `commitCut` gave. */
  restore(name: string, payload: Buffer): void {
    const [agentId, epoch] = name.slice(STATE_PREFIX.length).split('/') as [AgentId, Epoch];
    const stored = JSON.parse(payload.toString('utf8')) as Persisted;
    const state = this.#epoch(agentId, epoch);
    state.newestMs = stored.newestMs;
    for (const { lane, ranges, highest, digest } of stored.lanes) {
      const into = laneOf(state, lane);
      for (const [from, to] of ranges) into.of(CUT).addRange(from, to);
      into.highest = highest;
      into.digest = Buffer.from(digest, 'hex');
    }
  }

  /** Epochs of which nothing was received since `beforeMs`. */
  idle(beforeMs: number): [AgentId, Epoch][] {
    const found: [AgentId, Epoch][] = [];
    for (const [agentId, epochs] of this.#agents) {
      for (const [epoch, state] of epochs) if (state.newestMs < beforeMs) found.push([agentId, epoch]);
    }
    return found;
  }

  #epoch(agentId: AgentId, epoch: Epoch): EpochState {
    let epochs = this.#agents.get(agentId);
    if (epochs === undefined) this.#agents.set(agentId, (epochs = new Map()));
    let state = epochs.get(epoch);
    if (state === undefined) epochs.set(epoch, (state = { lanes: new Map(), newestMs: 0 }));
    return state;
  }
}

export const STATE_PREFIX = 'received/';

export function stateName(agentId: AgentId, epoch: Epoch): string {
  return `${STATE_PREFIX}${agentId}/${epoch}`;
}

function laneOf(state: EpochState, lane: LaneKey): LaneState {
  let found = state.lanes.get(lane);
  if (found === undefined) state.lanes.set(lane, (found = new LaneState()));
  return found;
}

/** Only what is then committed: the rest is told by the generations that are not cut yet. */
function persisted(state: EpochState, generation: number): Buffer {
  const lanes = [...state.lanes].map(([lane, of]) => ({
    lane,
    ranges: of.union([CUT, generation]).toArray(),
    highest: of.highest,
    digest: Buffer.from(of.digest).toString('hex'),
  }));
  return Buffer.from(JSON.stringify({ lanes, newestMs: state.newestMs } satisfies Persisted));
}
