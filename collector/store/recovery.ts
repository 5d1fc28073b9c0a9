/**
 * What a start learns from the generations that were not cut: which frames are durable, and what is damaged. Not their samples: those are
 * decoded behind, while new frames are taken already.
 */
import { Lane } from '../../protocol/index.ts';
import type { AgentId, Epoch, SequenceRange, StoreLoss } from '../model/ports.ts';
import type { Received } from './received.ts';
import type { Note, WalFrame, WalGeneration, WalPart } from './wal.ts';
import { countEntries } from './writer.ts';

type LaneSeen = { sequence: number; commit: number; receivedMs: number };
type Known = {
  agentId?: AgentId;
  epoch?: Epoch;
  lane?: number;
  ranges?: readonly SequenceRange[];
  fromMs?: number | undefined;
  toMs?: number;
};

export type Recovered = {
  readonly lastCommit: number;
  readonly losses: readonly StoreLoss[];
  /** Dictionary frames by agent and epoch, in order. */
  readonly dictionaries: Map<string, Uint8Array[]>;
  readonly forgotten: readonly { readonly generation: number; readonly agentId: AgentId; readonly epoch: Epoch }[];
};

/** Scans generations in order. What they hold goes into `received`; notes are obeyed; what should be there and is not becomes a loss. */
export class Recovery {
  readonly #received: Received;
  readonly #losses: StoreLoss[] = [];
  readonly #forgotten: { generation: number; agentId: AgentId; epoch: Epoch }[] = [];
  readonly #dictionaries = new Map<string, Uint8Array[]>();
  readonly #lanes = new Map<string, LaneSeen>();
  #commit: number | undefined;
  #partsExpected = 0;
  #partsSeen = 0;
  /** The newest commit at or before which something is missing: a jump of sequences across it is a loss. */
  #holeAt = -1;
  #hole: { readonly fromMs: number | undefined; readonly detail: string } | undefined;
  #lastReceivedMs: number | undefined;

  constructor(received: Received) {
    this.#received = received;
  }

  async scan(generation: WalGeneration): Promise<void> {
    for await (const part of generation.scan()) {
      generation.bytes += part.bytes;
      this.#enter(generation.number, part);
    }
  }

  /** `end` is the last commit that was known to be durable, if any. */
  finish(end: number): Recovered {
    this.#endCommit();
    if (this.#commit !== undefined && this.#commit < end) this.#missing(end, `commits ${this.#commit + 1} to ${end}`);
    if (this.#hole !== undefined) this.#lose({ fromMs: this.#hole.fromMs }, 0, this.#hole.detail);
    return {
      lastCommit: Math.max(this.#commit ?? 0, end),
      losses: this.#losses,
      dictionaries: this.#dictionaries,
      forgotten: this.#forgotten,
    };
  }

  #enter(generation: number, part: WalPart): void {
    if (part.commit !== this.#commit) this.#beginCommit(part);
    if (part.parts === 0) return this.#missing(part.commit, `part ${part.part} of commit ${part.commit} (${part.bytes} bytes)`);
    this.#partsExpected = part.parts;
    this.#partsSeen++;
    for (const note of part.notes) this.#obey(generation, note);
    for (const frame of part.frames) this.#frame(generation, part.commit, frame);
    for (const { agentId, epoch, lane, sequence, receivedMs, bytes } of part.damaged) {
      const known = { agentId, epoch, lane, ranges: [[sequence, sequence + 1]] as const, fromMs: receivedMs, toMs: receivedMs };
      this.#lose(known, bytes.length, 'a frame in the write-ahead log is damaged');
    }
  }

  #beginCommit(part: WalPart): void {
    this.#endCommit();
    // A generation's first commit says itself which one was the last before it: one that failed may have left its values, or none.
    const opened = part.notes.find((note) => note.kind === 'opened');
    const previous = opened?.previousCommit ?? part.commit - 1;
    const last = this.#commit;
    if (last !== undefined && previous > last) this.#missing(part.commit, `commits ${last + 1} to ${previous}`);
    this.#commit = part.commit;
    this.#partsExpected = 0;
    this.#partsSeen = 0;
  }

  #endCommit(): void {
    if (this.#commit === undefined || this.#partsSeen >= this.#partsExpected) return;
    this.#missing(this.#commit, `${this.#partsExpected - this.#partsSeen} of ${this.#partsExpected} parts of commit ${this.#commit}`);
  }

  #obey(generation: number, note: Note): void {
    switch (note.kind) {
      case 'opened':
        return;
      case 'collapse':
        return this.#received.collapse(note.agentId, note.epoch, note.lane, note.floor);
      case 'forget':
        this.#received.forget(note.agentId, note.epoch);
        this.#forgotten.push({ generation, agentId: note.agentId, epoch: note.epoch });
        return;
      default:
        note satisfies never;
    }
  }

  #missing(commit: number, what: string): void {
    this.#holeAt = commit;
    this.#hole ??= { fromMs: this.#lastReceivedMs, detail: `missing from the write-ahead log: ${what}` };
  }

  #frame(generation: number, commit: number, frame: WalFrame): void {
    const { agentId, epoch, lane, sequence, receivedMs, digest } = frame;
    this.#lastReceivedMs = receivedMs;
    const name = `${agentId}${epoch}${lane}`;
    const seen = this.#lanes.get(name);
    // Only what was lost between two frames of a lane can be named; the ranges tell the rest when the agent states its floor.
    const jumped = seen !== undefined && sequence > seen.sequence + 1 && this.#holeAt >= seen.commit && this.#holeAt <= commit;
    const detail = this.#hole?.detail ?? 'missing from the write-ahead log';
    if (jumped)
      this.#lose({ agentId, epoch, lane, ranges: [[seen.sequence + 1, sequence]], fromMs: seen.receivedMs, toMs: receivedMs }, 0, detail);
    else if (this.#hole !== undefined) this.#lose({ fromMs: this.#hole.fromMs, toMs: receivedMs }, 0, detail);
    this.#hole = undefined;
    if (seen === undefined || sequence > seen.sequence) this.#lanes.set(name, { sequence, commit, receivedMs });
    this.#received.add(generation, { agentId, epoch, lane, sequence, digest, receivedMs });
    if (lane !== Lane.dictionary) return;
    countEntries(this.#received, generation, frame);
    const frames = this.#dictionaries.get(agentId + epoch);
    if (frames === undefined) this.#dictionaries.set(agentId + epoch, [frame.bytes]);
    else frames.push(frame.bytes);
  }

  #lose(known: Known, bytes: number, detail: string): void {
    this.#losses.push({
      cause: 'store_corruption',
      agentId: known.agentId,
      epoch: known.epoch,
      lane: known.lane,
      ranges: known.ranges ?? [],
      fromMs: known.fromMs,
      toMs: known.toMs,
      bytes,
      detail,
    });
  }
}
