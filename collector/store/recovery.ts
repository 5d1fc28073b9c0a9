/**
 * What a start learns from the generations that were not cut: which frames are durable, and what is damaged. Not their samples: those are
 * decoded behind, while new frames are taken already.
 */
import { digestOf, Lane } from '../../protocol/index.ts';
import type { AgentId, Epoch, SequenceRange, StoreLoss } from '../model/ports.ts';
import type { Received } from './received.ts';
import type { WalEntry, WalFrame, WalGeneration, WalIdentity } from './wal.ts';
import { countEntries } from './writer.ts';

type LaneSeen = { sequence: number; commit: number; receivedMs: number };

export type Recovered = {
  readonly lastCommit: number;
  readonly losses: readonly StoreLoss[];
  /** Dictionary frames by agent and epoch, in order. */
  readonly dictionaries: Map<string, Uint8Array[]>;
  readonly forgotten: readonly { readonly generation: number; readonly agentId: AgentId; readonly epoch: Epoch }[];
};

/** Scans generations in order. What they hold goes into `received`; notes are obeyed. */
export class Recovery {
  readonly #received: Received;
  readonly #losses: StoreLoss[] = [];
  readonly #forgotten: { generation: number; agentId: AgentId; epoch: Epoch }[] = [];
  readonly #dictionaries = new Map<string, Uint8Array[]>();
  readonly #lanes = new Map<string, LaneSeen>();
  /** Highest frame of each lane, whose digest the next one must name. */
  readonly #highest = new Map<string, WalFrame>();
  #commit: number | undefined;
  #expected = 0;
  #seen = 0;
  /** The newest commit that has a hole at or before it; a jump of sequences across it is a loss. */
  #holeAt = -1;
  #lastReceivedMs: number | undefined;
  #pendingHole: { fromMs: number | undefined; detail: string } | undefined;

  constructor(received: Received) {
    this.#received = received;
  }

  async scan(generation: WalGeneration): Promise<void> {
    for await (const entries of generation.scan()) {
      for (const entry of entries) {
        generation.bytes += entry.kind === 'frame' ? entry.frame.bytes.length : 0;
        this.#enter(generation.number, entry);
      }
    }
  }

  finish(): Recovered {
    this.#endCommit();
    for (const frame of this.#highest.values()) {
      this.#received.setDigest(frame.agentId, frame.epoch, frame.lane, frame.sequence, digestOf(frame.bytes));
    }
    return { lastCommit: this.#commit ?? 0, losses: this.#losses, dictionaries: this.#dictionaries, forgotten: this.#forgotten };
  }

  #enter(generation: number, entry: WalEntry): void {
    if (entry.commit < 0)
      return this.#lose(undefined, entry.kind === 'damaged' ? entry.bytes : 0, 'a key of the write-ahead log is damaged');
    if (entry.commit !== this.#commit) this.#beginCommit(entry);
    this.#seen++;
    switch (entry.kind) {
      case 'damaged':
        if (entry.identity !== undefined) this.#damaged(entry.identity, entry.bytes);
        return;
      case 'note':
        this.#expected = entry.entries;
        if (entry.note.kind === 'collapse')
          this.#received.collapse(entry.note.agentId, entry.note.epoch, entry.note.lane, entry.note.floor);
        if (entry.note.kind === 'forget') {
          this.#received.forget(entry.note.agentId, entry.note.epoch);
          this.#forgotten.push({ generation, agentId: entry.note.agentId, epoch: entry.note.epoch });
        }
        return;
      case 'frame':
        this.#expected = entry.entries;
        this.#frame(generation, entry.commit, entry.frame);
        return;
      default:
        entry satisfies never;
    }
  }

  #beginCommit(entry: WalEntry): void {
    this.#endCommit();
    // A generation's first commit says itself which one was the last before it: one that failed may have left its entries, or none.
    const previous = entry.kind === 'note' && entry.note.kind === 'opened' ? entry.note.previousCommit : entry.commit - 1;
    const last = this.#commit;
    if (last !== undefined && previous > last) this.#hole(entry.commit, `commits ${last + 1} to ${previous}`);
    this.#commit = entry.commit;
    this.#expected = 0;
    this.#seen = 0;
  }

  #endCommit(): void {
    if (this.#commit === undefined || this.#seen >= this.#expected) return;
    this.#hole(this.#commit, `${this.#expected - this.#seen} of ${this.#expected} entries of commit ${this.#commit}`);
  }

  #hole(commit: number, what: string): void {
    this.#holeAt = commit;
    this.#pendingHole ??= { fromMs: this.#lastReceivedMs, detail: `missing from the write-ahead log: ${what}` };
  }

  #frame(generation: number, commit: number, frame: WalFrame): void {
    const { agentId, epoch, lane, sequence, receivedMs } = frame;
    this.#lastReceivedMs = receivedMs;
    const name = `${agentId}${epoch}${lane}`;
    const seen = this.#lanes.get(name);
    const jumped = seen !== undefined && sequence > seen.sequence + 1 && this.#holeAt > seen.commit && this.#holeAt <= commit;
    if (jumped)
      this.#lose(
        { agentId, epoch, lane, ranges: [[seen.sequence + 1, sequence]], fromMs: seen.receivedMs, toMs: receivedMs },
        0,
        'missing from the write-ahead log',
      );
    if (seen === undefined || sequence > seen.sequence) this.#lanes.set(name, { sequence, commit, receivedMs });
    if (this.#pendingHole !== undefined) {
      const { fromMs, detail } = this.#pendingHole;
      this.#pendingHole = undefined;
      if (!jumped) this.#lose({ fromMs, toMs: receivedMs }, 0, detail);
    }
    const highest = this.#highest.get(name);
    if (highest === undefined || sequence > highest.sequence) this.#highest.set(name, frame);
    this.#received.add(generation, { agentId, epoch, lane, sequence, digest: new Uint8Array(), receivedMs });
    if (lane === Lane.dictionary) {
      countEntries(this.#received, generation, frame);
      const frames = this.#dictionaries.get(agentId + epoch);
      if (frames === undefined) this.#dictionaries.set(agentId + epoch, [frame.bytes]);
      else frames.push(frame.bytes);
    }
  }

  #damaged(identity: WalIdentity, bytes: number): void {
    const { agentId, epoch, lane, sequence } = identity;
    this.#lose({ agentId, epoch, lane, ranges: [[sequence, sequence + 1]] }, bytes, 'a frame in the write-ahead log fails its checksum');
  }

  #lose(
    known:
      | { agentId?: string; epoch?: string; lane?: number; ranges?: readonly SequenceRange[]; fromMs?: number | undefined; toMs?: number }
      | undefined,
    bytes: number,
    detail: string,
  ): void {
    this.#losses.push({
      cause: 'store_corruption',
      agentId: known?.agentId,
      epoch: known?.epoch,
      lane: known?.lane,
      ranges: known?.ranges ?? [],
      fromMs: known?.fromMs,
      toMs: known?.toMs,
      bytes,
      detail,
    });
  }
}
