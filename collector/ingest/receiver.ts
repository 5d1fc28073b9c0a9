/**
 * The hot path: a message of an open session becomes a checked frame, frames become one synced commit, commits become acks. Not the handshake.
 *
 *   bytes -> envelope -> duplicate? -> limits -> digest -> signature -> (documents: decode, file) -> batch -> append (durable) -> acks
 *
 * If the process dies before the commit nothing was acked and the agent sends again; after it, the frame is stored and the agent's resend is a duplicate.
 */
import {
  ACK_RANGES_MAX,
  decodeDictionary,
  decodeEvents,
  digestOf,
  encodeControl,
  EPOCHS_HELD_MAX,
  fail,
  FrameKind,
  FUTURE_MS_MAX,
  ok,
  payloadOf,
  readFrame,
  SEQUENCE_AHEAD_MAX,
  unpack,
  verifyFrame,
  type ErrorCode,
  type FrameHeader,
  type FrameView,
  type Result,
} from '../../protocol/index.ts';
import type { Labels } from '../model/labels.ts';
import type { AgentId, Appender, VerifiedFrame } from '../model/ports.ts';
import type { Agent } from './agents.ts';
import { countRefused, type IngestCounters } from './counters.ts';
import { epochOfBytes, type AgentState, type EpochState } from './lanes.ts';
import type { Ledger } from './ledger.ts';
import { labelProblem, type NameOwner } from './label-law.ts';

/** What the receiver needs of a session: the narrowest view of it. */
export interface FrameSource {
  readonly agent: Agent;
  readonly state: AgentState;
  /** Labels that this agent's own series get. */
  readonly source: Labels;
  send(message: Uint8Array): void;
  /** True if the base of the frame's clock segment is not durable yet: the session gives the frame again when it is. */
  awaitsBase(epoch: EpochState, header: FrameHeader, bytes: Uint8Array): boolean;
  /** All acks of a commit have been sent. */
  acked(): void;
  /** Ends the session; the agent comes back by itself. */
  end(code: ErrorCode | 'store_failed', detail: string): void;
  pause(): void;
  resume(): void;
}

type AckRange = { readonly epoch: EpochState; readonly lane: number; from: number; to: number };
type Batch = {
  frames: VerifiedFrame[];
  sources: Set<FrameSource>;
  acks: Map<FrameSource, AckRange[]>;
  documents: Promise<void>[];
  /** Called once its frames are durable. */
  after: (() => void)[];
  bytes: number;
};

export type Horizon = {
  /** Oldest sample time still taken, ms. */
  oldestMs(nowMs: number): number;
  /** Newest, ms. */
  newestMs(nowMs: number): number;
};

/** Bytes waiting for a commit before sockets are paused: what one commit can take in well under a second. */
const PENDING_BYTES_MAX = 64 * 1024 * 1024;
/** Commits begin at least this far apart: each costs a sync and some 0.2 ms whatever it holds, and a fleet's frames arrive one by one. */
const COMMIT_INTERVAL_MS = 8;
/** A frame whose first sample is older than this when it arrives came late: beyond any flush interval of a live agent. */
const LATE_MS = 30_000;
/** The end of the year 9999: what dates, folder names and people can still write. */
const ANY_TIME_MS_MAX = Date.UTC(9999, 11, 31);
/** Epochs of one agent that a session keeps apart: what it may name as held, and as many again. */
export const EPOCHS_MAX = 2 * EPOCHS_HELD_MAX;
/** Of events or an inventory, unpacked: they are decoded here and now, and everybody's commit waits for their filing. */
const DOCUMENT_BYTES_MAX = 1024 * 1024;
/** Dictionary entries of one agent, unpacked, at once and in each span of a generation: a full dictionary of series of usual length, twice. */
const NAMES_BYTES_MAX = 32 * 1024 * 1024;
const NAMES_REFILL_MS = 10 * 60 * 1000;
/** Refused frames in one session before it is ended: a peer that sends only garbage costs a signature check each. */
const REFUSED_PER_SESSION_MAX = 1000;

export class Receiver {
  readonly #appender: Appender;
  readonly #ledger: Ledger;
  readonly #names: NameOwner;
  readonly #counters: IngestCounters;
  readonly #horizon: Horizon;
  readonly #nowMs: () => number;
  readonly #paused = new Set<FrameSource>();
  /** What agents may still announce; one entry for each that is enrolled. */
  readonly #allowances = new Map<AgentId, { readonly left: number; readonly atMs: number }>();
  readonly #refusals = new WeakMap<FrameSource, number>();
  #batch: Batch = emptyBatch();
  #committing = false;
  #beganMs = -Infinity;

  constructor(deps: {
    appender: Appender;
    ledger: Ledger;
    names: NameOwner;
    counters: IngestCounters;
    horizon: Horizon;
    nowMs: () => number;
  }) {
    this.#appender = deps.appender;
    this.#ledger = deps.ledger;
    this.#names = deps.names;
    this.#counters = deps.counters;
    this.#horizon = deps.horizon;
    this.#nowMs = deps.nowMs;
  }

  /** Takes one frame of a session. Every outcome is an ack later, a control message now, or the end of the session. */
  receive(from: FrameSource, bytes: Uint8Array): void {
    this.#counters.frames++;
    this.#counters.bytes += bytes.length;
    const read = readFrame(bytes);
    if (!read.ok) {
      // Without a readable header there is nothing to refuse by number: the peer does not speak the protocol.
      from.end(read.code, read.detail);
      return;
    }
    const view = read.value;
    const taken = this.#take(from, view);
    if (taken.ok) return;
    this.#refuse(from, view, taken.code, taken.detail);
  }

  #take(from: FrameSource, view: FrameView): Result<void> {
    const { header } = view;
    if (Buffer.compare(header.agentId, from.agent.agentIdBytes) !== 0) return fail('frame_agent', 'this frame is of another agent');
    if (Buffer.compare(header.fleetId, this.#names.fleetId) !== 0) return fail('frame_fleet', 'this frame is of another fleet');
    const digest = digestOf(view.bytes);
    if (!verifyFrame(view, digest, from.agent.verify)) return fail('signature_invalid', 'the signature does not fit this frame and key');
    const epoch = epochOfBytes(from.state, header.epoch);
    if (from.state.epochs.size > EPOCHS_MAX) return fail('frame_epoch', `this session has had frames of ${EPOCHS_MAX} epochs`);
    if (header.kind === FrameKind.dictionary) return this.#takeDictionary(from, epoch, view, digest);
    const lane = epoch.lanes[header.lane as 0 | 1 | 2];
    const { sequence } = header;
    if (sequence > Math.max(lane.lastSequence, lane.floor) + SEQUENCE_AHEAD_MAX)
      return fail('sequence_far', `sequence ${sequence} lies too far ahead`);
    if (sequence < lane.floor || lane.ranges.has(sequence)) {
      // Stored already, or a commit under way holds it: acked with the next commit, which ends after that one.
      this.#counters.duplicates++;
      this.#queueAck(from, epoch, header.lane, sequence);
      this.#commitSoon();
      return ok(undefined);
    }
    if (header.dictionaryLength > epoch.dictionaryLength) {
      countRefused(this.#counters, 'dictionary_missing');
      from.send(encodeControl({ kind: 'need', epoch: epoch.bytes, from: epoch.dictionaryLength }));
      return ok(undefined);
    }
    if (from.awaitsBase(epoch, header, view.bytes)) return ok(undefined);
    const nowMs = this.#nowMs();
    const correctionMs = epoch.corrections.get(header.clockSegment) ?? 0;
    const timeMs = header.timeMs + correctionMs;
    if (timeMs > this.#horizon.newestMs(nowMs)) return fail('time_range', `samples of ${timeMs} ms since 1970 lie in the future`);
    if (timeMs < this.#horizon.oldestMs(nowMs)) return fail('time_range', 'the samples are older than what is kept');
    const filed = this.#fileDocument(from, view, correctionMs, nowMs);
    if (!filed.ok) return filed;
    if (sequence === lane.lastSequence + 1 && sequence > 0 && Buffer.compare(header.previous, lane.lastDigest) !== 0)
      this.#counters.chainBreaks++;
    lane.ranges.add(sequence);
    if (sequence > lane.lastSequence) {
      lane.lastSequence = sequence;
      lane.lastDigest = digest;
    }
    if (header.kind === FrameKind.samples && nowMs - timeMs > LATE_MS) {
      this.#counters.lateFrames++;
      this.#ledger.late(from.agent.agentId, timeMs);
    }
    this.#queueAck(from, epoch, header.lane, sequence);
    this.#queue(from, epoch, view, digest, correctionMs, nowMs);
    return ok(undefined);
  }

  #takeDictionary(from: FrameSource, epoch: EpochState, view: FrameView, digest: Uint8Array): Result<void> {
    const payload = payloadOf(view);
    if (!payload.ok) return payload;
    if (!this.#mayName(from.agent.agentId, payload.value.length))
      return fail('limit_rate', `more than ${NAMES_BYTES_MAX} bytes of series names within ${NAMES_REFILL_MS / 60_000} minutes`);
    const decoded = decodeDictionary(payload.value);
    if (!decoded.ok) return decoded;
    const part = decoded.value;
    if (part.from > epoch.dictionaryLength) {
      from.send(encodeControl({ kind: 'need', epoch: epoch.bytes, from: epoch.dictionaryLength }));
      return ok(undefined);
    }
    const end = part.from + part.entries.length;
    if (end <= epoch.dictionaryLength) return ok(undefined);
    if (part.from !== epoch.dictionaryLength || view.header.dictionaryLength !== part.from) {
      return fail('dictionary_mismatch', `the dictionary goes on at ${epoch.dictionaryLength}, not at ${part.from}`);
    }
    for (const entry of part.entries) {
      const problem = labelProblem(entry, from.agent, this.#names);
      if (problem !== undefined) return fail('label_reserved', problem);
    }
    epoch.dictionaryLength = end;
    this.#queue(from, epoch, view, digest, 0, this.#nowMs());
    return ok(undefined);
  }

  /** Names compress a thousand times better on the wire than in the memory that holds them until their generation is cut. */
  #mayName(agentId: AgentId, bytes: number): boolean {
    const nowMs = performance.now();
    const known = this.#allowances.get(agentId);
    const left = known === undefined ? NAMES_BYTES_MAX : known.left + ((nowMs - known.atMs) / NAMES_REFILL_MS) * NAMES_BYTES_MAX;
    const isEnough = bytes <= left;
    this.#allowances.set(agentId, { left: Math.min(NAMES_BYTES_MAX, left) - (isEnough ? bytes : 0), atMs: nowMs });
    return isEnough;
  }

  /** Events and inventory are decoded before the ack, and filed before the commit that acks them: dying between the two only files them twice, by id. */
  #fileDocument(from: FrameSource, view: FrameView, correctionMs: number, nowMs: number): Result<void> {
    const { kind } = view.header;
    if (kind === FrameKind.samples) return ok(undefined);
    if (kind !== FrameKind.events && kind !== FrameKind.inventory)
      return fail('frame_kind', `frames of kind ${kind} are not taken by this collector yet`);
    const payload = payloadOf(view, DOCUMENT_BYTES_MAX);
    if (!payload.ok) return payload;
    if (kind === FrameKind.events) {
      const events = decodeEvents(payload.value);
      if (!events.ok) return events;
      const epoch = Buffer.from(view.header.epoch).toString('hex');
      this.#await(from, this.#ledger.events(from.agent, epoch, events.value, correctionMs, nowMs));
      return ok(undefined);
    }
    const inventory = unpack(payload.value, 'payload_malformed');
    if (!inventory.ok) return inventory;
    this.#await(from, this.#ledger.inventory(from.agent, inventory.value, nowMs));
    return ok(undefined);
  }

  /**
   * The batch waits for it, and its source with it, so that nobody files more at a time than one reading of a socket brings. It may fail while another
   * batch is committed, or its batch be given up: that must not end the process.
   */
  #await(from: FrameSource, document: Promise<void>): void {
    document.catch(() => undefined);
    this.#batch.documents.push(document);
    this.#pause(from);
  }

  #pause(from: FrameSource): void {
    from.pause();
    this.#paused.add(from);
  }

  #queue(from: FrameSource, epoch: EpochState, view: FrameView, digest: Uint8Array, correctionMs: number, receivedMs: number): void {
    this.#batch.frames.push({
      agentId: from.agent.agentId,
      epoch: epoch.epoch,
      header: view.header,
      digest,
      bytes: view.bytes,
      source: from.source,
      correctionMs,
      receivedMs,
    });
    this.#batch.sources.add(from);
    this.#batch.bytes += view.bytes.length;
    if (this.#batch.bytes > PENDING_BYTES_MAX) this.#pause(from);
    this.#commitSoon();
  }

  #queueAck(from: FrameSource, epoch: EpochState, lane: number, sequence: number): void {
    let ranges = this.#batch.acks.get(from);
    if (ranges === undefined) this.#batch.acks.set(from, (ranges = []));
    const last = ranges[ranges.length - 1];
    if (last !== undefined && last.epoch === epoch && last.lane === lane && last.to === sequence) last.to++;
    else ranges.push({ epoch, lane, from: sequence, to: sequence + 1 });
  }

  /** Calls when all that was taken so far is durable; not at all if the store does not take it. */
  whenStored(call: () => void): void {
    if (this.#committing) this.#batch.after.push(call);
    else call();
  }

  #commitSoon(): void {
    if (this.#committing) return;
    this.#committing = true;
    const waitMs = this.#beganMs + COMMIT_INTERVAL_MS - performance.now();
    // A first frame goes at once, after the socket's other messages of this turn; those right behind a commit share the next one.
    if (waitMs > 1) setTimeout(() => void this.#commit(), waitMs);
    else setImmediate(() => void this.#commit());
  }

  /** One commit at a time; what arrives meanwhile is the next one. */
  async #commit(): Promise<void> {
    const batch = this.#batch;
    this.#batch = emptyBatch();
    const began = performance.now();
    this.#beganMs = began;
    try {
      if (batch.documents.length > 0) await Promise.all(batch.documents);
      if (batch.frames.length > 0) await this.#appender.append(batch.frames);
      this.#counters.commits++;
      this.#counters.commitMs += performance.now() - began;
      for (const call of batch.after) call();
      for (const [source, ranges] of batch.acks) this.#sendAcks(source, ranges);
      for (const source of batch.acks.keys()) source.acked();
    } catch (cause) {
      this.#counters.commitFailures++;
      this.#dropAll(batch, `cannot store: ${(cause as Error).message}`);
    }
    for (const source of this.#paused) source.resume();
    this.#paused.clear();
    this.#committing = false;
    const { frames, acks, after } = this.#batch;
    if (frames.length > 0 || acks.size > 0 || after.length > 0) this.#commitSoon();
  }

  /** What memory says is received no longer is: sessions begin anew from what the store says. */
  #dropAll(failed: Batch, detail: string): void {
    for (const { sources, acks } of [failed, this.#batch]) {
      // Also who sent a dictionary alone, which is never acked: its session would go on as if the store had it.
      for (const source of new Set([...sources, ...acks.keys()])) source.end('store_failed', detail);
    }
    this.#batch = emptyBatch();
  }

  #sendAcks(source: FrameSource, ranges: readonly AckRange[]): void {
    let at = 0;
    while (at < ranges.length) {
      const { epoch, lane } = ranges[at] as AckRange;
      const run: [number, number][] = [];
      for (; at < ranges.length; at++) {
        const range = ranges[at] as AckRange;
        if (range.epoch !== epoch || range.lane !== lane || range.from < (run.at(-1)?.[1] ?? 0) || run.length === ACK_RANGES_MAX) break;
        run.push([range.from, range.to]);
        this.#counters.ackedFrames += range.to - range.from;
      }
      source.send(encodeControl({ kind: 'ack', epoch: epoch.bytes, lane, ranges: run }));
    }
  }

  #refuse(from: FrameSource, view: FrameView, code: ErrorCode, detail: string): void {
    const refusals = (this.#refusals.get(from) ?? 0) + 1;
    this.#refusals.set(from, refusals);
    const { header } = view;
    // A dictionary that is refused leaves nothing of the epoch decodable: there is no frame to move on to. Epochs begin anew with a hello.
    if (header.kind === FrameKind.dictionary || code === 'frame_epoch' || refusals > REFUSED_PER_SESSION_MAX) {
      from.end(code, detail);
      return;
    }
    countRefused(this.#counters, code);
    from.send(encodeControl({ kind: 'refuse', epoch: header.epoch, lane: header.lane, sequence: header.sequence, code }));
  }
}

/** The horizon of a collector that keeps `ageMs` (undefined: everything, any time from 1970 on is taken). */
export function horizonOf(ageMs: number | undefined): Horizon {
  if (ageMs === undefined) return { oldestMs: () => 0, newestMs: () => ANY_TIME_MS_MAX };
  return { oldestMs: (nowMs) => nowMs - ageMs, newestMs: (nowMs) => nowMs + FUTURE_MS_MAX };
}

function emptyBatch(): Batch {
  return { frames: [], sources: new Set(), acks: new Map(), documents: [], after: [], bytes: 0 };
}
