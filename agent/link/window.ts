/**
 * What is under way: which frames were sent and not answered, what the collector's credit still allows, which dictionary entries it knows. Sends live
 * frames from memory and the backlog from the spool. Not the connection's life (link.ts).
 */
import { LANES, readFrame, type Ack, type Need, type Refuse, type WelcomeEpoch } from '../../protocol/index.ts';
import type { SealedFrame } from '../sealer.ts';
import type { Spool } from '../spool/spool.ts';
import type { Connection } from './transport.ts';
import { LaneShare } from './share.ts';

export type WindowSpool = Pick<Spool, 'append' | 'dictionary' | 'lease' | 'ack' | 'refuse' | 'release'>;

export type WindowOptions = {
  readonly spool: WindowSpool;
  readonly monotonicMs: () => number;
  /** Frames that the collector now has. */
  readonly onAcked: (epoch: string, lane: number, ranges: Ack['ranges']) => void;
};

export type WindowStats = { sentFrames: number; sentBytes: number; acks: number; needs: number; refusals: number };

type Flight = { readonly lane: number; readonly bytes: number; readonly sentMs: number };

/** Bytes that may wait unsent in the socket: what is there cannot be overtaken by something more urgent. */
const UNSENT_BYTES_MAX = 64 * 1024;
/** Frames read from the spool at a time. */
const LEASE_FRAMES_MAX = 64;
/** Frames under way; the collector's credit is in bytes, and small frames must not fill the memory. */
const FLIGHTS_MAX = 8192;
/** The part of the credit that the backlog leaves to live frames. */
const LIVE_SHARE = 0.25;
/** The collector answers every frame that waits for a dictionary with a need; those sent before the dictionary came are all answered once. */
const NEED_REPEAT_MS = 5000;

export class Window {
  readonly stats: WindowStats = { sentFrames: 0, sentBytes: 0, acks: 0, needs: 0, refusals: 0 };
  readonly #options: WindowOptions;
  readonly #share = new LaneShare();
  /** In the order in which they were sent. */
  readonly #flights = new Map<string, Flight>();
  readonly #flightBytes = LANES.map(() => 0);
  #credit: readonly number[] = LANES.map(() => 0);
  /** By epoch: entries that the collector has or that were sent to it on this connection; Infinity when all were. */
  readonly #known = new Map<string, number>();
  /** Entries of the running epoch so far. */
  #announced: { readonly epoch: string; readonly length: number } | undefined;
  readonly #needs = new Map<string, { readonly from: number; readonly atMs: number }>();
  #connection: Connection | undefined;

  constructor(options: WindowOptions) {
    this.#options = options;
  }

  /** Nothing is under way and nothing that could be sent waits. */
  get idle(): boolean {
    return this.#flights.size === 0 && this.#share.next(() => true) === undefined;
  }

  /** When the frame was sent that has waited longest for an answer; undefined if none waits. */
  get oldestSentMs(): number | undefined {
    for (const flight of this.#flights.values()) return flight.sentMs;
    return undefined;
  }

  /** The connection is welcome; `received` is what the collector has. Call `pump` when live frames have been offered. */
  open(connection: Connection, credit: readonly number[], received: readonly WelcomeEpoch[]): void {
    this.#connection = connection;
    this.#credit = credit;
    this.#known.clear();
    this.#needs.clear();
    for (const { epoch, dictionaryLength, lanes } of received) {
      const name = hex(epoch);
      this.#known.set(name, dictionaryLength);
      for (const { lane, ranges } of lanes) if (ranges.length > 0) this.#settle(name, lane, ranges);
    }
    for (const lane of LANES) this.#share.wake(lane);
  }

  /** The connection is gone: what was under way will be sent again. */
  close(): void {
    if (this.#connection === undefined) return;
    this.#connection = undefined;
    this.#landAll();
  }

  /** The dictionary of the running epoch has grown. */
  announced(epoch: string, length: number): void {
    this.#announced = { epoch, length };
  }

  /** Takes a frame that was just sealed: into the spool, and to the collector at once if there is room; it may overtake the backlog. */
  offer(frame: SealedFrame): void {
    const atOnce = this.#connection !== undefined && this.#hasRoom(frame.lane, frame.bytes.length, 0) && !this.#isClogged();
    this.#options.spool.append(frame, { lease: atOnce });
    if (atOnce) this.#send(frame);
    else this.#share.wake(frame.lane);
  }

  /** Sends of the backlog what credit and socket allow. */
  pump(): void {
    while (this.#connection !== undefined && !this.#isClogged()) {
      const lane = this.#share.next((candidate) => this.#hasRoom(candidate, 0, LIVE_SHARE));
      if (lane === undefined) return;
      const turnBytes = Math.min(this.#room(lane, LIVE_SHARE), UNSENT_BYTES_MAX * this.#share.portion(lane));
      const frames = this.#options.spool.lease(lane, Math.max(1, turnBytes), LEASE_FRAMES_MAX);
      if (frames.length === 0) this.#share.rest(lane);
      for (const frame of frames) this.#send(frame as SealedFrame);
    }
  }

  acked(message: Ack): void {
    this.stats.acks++;
    this.#settle(hex(message.epoch), message.lane, message.ranges);
    this.pump();
  }

  /** Everything under way is sent again behind the dictionary: a frame sent twice is stored once. */
  needed(message: Need): void {
    const epoch = hex(message.epoch);
    const known = this.#known.get(epoch);
    if (known === undefined) return;
    this.stats.needs++;
    const nowMs = this.#options.monotonicMs();
    const before = this.#needs.get(epoch);
    if (before !== undefined && message.from >= before.from && nowMs - before.atMs < NEED_REPEAT_MS) return;
    this.#needs.set(epoch, { from: message.from, atMs: nowMs });
    this.#known.set(epoch, Math.min(known, message.from));
    this.#landAll();
    this.pump();
  }

  refused(message: Refuse): void {
    const epoch = hex(message.epoch);
    this.stats.refusals++;
    this.#land(keyOf(epoch, message.lane, message.sequence));
    this.#options.spool.refuse(epoch, message.lane, message.sequence, message.code);
    this.pump();
  }

  setCredit(credit: readonly number[]): void {
    this.#credit = credit;
    this.pump();
  }

  #isClogged(): boolean {
    return (this.#connection?.unsentBytes ?? 0) >= UNSENT_BYTES_MAX || this.#flights.size >= FLIGHTS_MAX;
  }

  /** Bytes that the lane may send now if a share of the credit is left alone. */
  #room(lane: number, reserved: number): number {
    return (this.#credit[lane] as number) * (1 - reserved) - (this.#flightBytes[lane] as number);
  }

  /** Any credit at all lets one frame through when nothing is under way, however large the frame. */
  #hasRoom(lane: number, bytes: number, reserved: number): boolean {
    const room = this.#room(lane, reserved);
    return room > 0 && (bytes <= room || this.#flightBytes[lane] === 0);
  }

  #send(frame: SealedFrame): void {
    const connection = this.#connection as Connection;
    const { epoch, lane, sequence, bytes } = frame;
    if (!this.#sendDictionary(frame, connection)) {
      this.#options.spool.refuse(epoch, lane, sequence, 'dictionary_missing');
      return;
    }
    connection.send(bytes);
    this.#flights.set(keyOf(epoch, lane, sequence), { lane, bytes: bytes.length, sentMs: this.#options.monotonicMs() });
    this.#flightBytes[lane] = (this.#flightBytes[lane] as number) + bytes.length;
    this.#share.sent(lane, bytes.length);
    this.stats.sentFrames++;
    this.stats.sentBytes += bytes.length;
  }

  /** False if entries that the frame needs are lost: no collector could ever decode it. */
  #sendDictionary({ epoch, bytes }: SealedFrame, connection: Connection): boolean {
    const read = readFrame(bytes);
    const known = this.#known.get(epoch) ?? 0;
    if (!this.#known.has(epoch)) this.#known.set(epoch, 0);
    if (!read.ok || read.value.header.dictionaryLength <= known) return read.ok;
    const parts = this.#options.spool.dictionary(epoch, known);
    if (parts.length === 0) return false;
    for (const part of parts) {
      connection.send(part);
      this.stats.sentBytes += part.length;
    }
    // An epoch that is over has no more entries than the spool gave.
    this.#known.set(epoch, this.#announced?.epoch === epoch ? this.#announced.length : Infinity);
    return true;
  }

  #settle(epoch: string, lane: number, ranges: Ack['ranges']): void {
    for (const [from, to] of ranges) {
      if (to - from <= this.#flights.size) {
        for (let sequence = from; sequence < to; sequence++) this.#land(keyOf(epoch, lane, sequence));
        continue;
      }
      const prefix = keyOf(epoch, lane, '');
      for (const key of this.#flights.keys()) {
        const sequence = key.startsWith(prefix) ? Number(key.slice(prefix.length)) : -1;
        if (sequence >= from && sequence < to) this.#land(key);
      }
    }
    this.#options.spool.ack(epoch, lane, ranges);
    this.#options.onAcked(epoch, lane, ranges);
  }

  #land(key: string): void {
    const flight = this.#flights.get(key);
    if (flight === undefined) return;
    this.#flights.delete(key);
    this.#flightBytes[flight.lane] = (this.#flightBytes[flight.lane] as number) - flight.bytes;
  }

  #landAll(): void {
    this.#flights.clear();
    this.#flightBytes.fill(0);
    this.#options.spool.release();
    for (const lane of LANES) this.#share.wake(lane);
  }
}

function keyOf(epoch: string, lane: number, sequence: number | ''): string {
  return `${epoch} ${lane} ${sequence}`;
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
