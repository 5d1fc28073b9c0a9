/**
 * What the line promises, held against what is really on the collector's disk: a model of every frame that was sealed. Knows the wire's words and no
 * code of either side; the decoding of samples is the protocol's.
 */
import { decodeSamples, FrameKind, payloadOf, readFrame } from '../../protocol/index.ts';
import type { GapRecord } from '../../collector/ingest/ledger.ts';
import { subtract, type Span } from '../../collector/model/coverage.ts';
import type { SealedFrame } from '../../agent/sealer.ts';
import { keyOf, type Disk, type DurableFrame } from './chaos-store.ts';

/** A frame as it was sealed, and what may have become of it. */
export type Sealed = {
  readonly key: string;
  readonly agent: number;
  readonly frame: SealedFrame;
  /** The call that gave it to the spool has returned. */
  returned: boolean;
  /** Durable at the agent. */
  synced: boolean;
  /** It was sealed on a live link: the collector knows this clock. */
  readonly isOnline: boolean;
  /** True time. */
  readonly sealedMs: number;
  sent: boolean;
  acked: boolean;
  /** What the law lets go with a crash: not yet synced at a power cut; on no disk when the disk was full. */
  mayBeGone: 'no' | 'power' | 'disk';
};

export type ModelAgent = {
  readonly index: number;
  readonly agentId: string;
  readonly name: string;
  /** Its clock never was wrong: times can be compared as they are. */
  clockIsRight: boolean;
  /** What its clock shows more than the true one; undefined once it was stepped. */
  clockOffsetMs: number | undefined;
};

export type Tally = {
  sealed: number;
  stored: number;
  samples: number;
  gaps: number;
  gone: number;
  claimedButArrived: number;
  claimedInWarmUp: number;
  startsLost: number;
  overlaps: number;
  acks: number;
};

export class Violation extends Error {
  readonly promise: string;
  constructor(promise: string, detail: string) {
    super(`${promise}: ${detail}`);
    this.promise = promise;
  }
}

const LIVE_MS = 200;
/** A handshake over the slowest line leaves this much open. */
const CLOCK_DOUBT_MS = 20_000;

/** The value of every series is a function of who, which and when: a wrong one shows. */
export function valueOf(agent: number, series: number, timeMs: number): number {
  return ((agent * 97 + series) % 1009) * 4096 + (Math.floor(timeMs / 1000) % 4096) / 2;
}

export class Promises {
  /** The first promise that was broken. */
  broken: Violation | undefined;
  readonly tally: Tally = {
    sealed: 0,
    stored: 0,
    samples: 0,
    gaps: 0,
    gone: 0,
    claimedButArrived: 0,
    claimedInWarmUp: 0,
    startsLost: 0,
    overlaps: 0,
    acks: 0,
  };
  readonly #disk: Disk;
  readonly #agents = new Map<string, ModelAgent>();
  readonly #sealed = new Map<string, Sealed>();
  readonly #byAgent = new Map<number, Sealed[]>();
  /** Newest first check of everything: host, series and time, once. */
  readonly #stored = new Map<string, Set<number>>();
  /** When a collector had started and its store had not yet told what it holds. */
  readonly warmUps: Span[] = [];
  readonly #corrections = new Map<string, number>();

  constructor(disk: Disk) {
    this.#disk = disk;
    disk.onFrame = (frame) => this.#durable(frame);
  }

  /** Remembered, since code under test may catch what is thrown through it. */
  broke(promise: string, detail: string): Violation {
    this.broken ??= new Violation(promise, detail);
    return this.broken;
  }

  addAgent(agent: ModelAgent): void {
    this.#agents.set(agent.agentId, agent);
  }

  /** It came at once over the link on which it was sealed: a process that was killed does not come back so soon. */
  #isLive(key: string, receivedMs: number): boolean {
    const known = this.#sealed.get(key);
    return known?.isOnline === true && receivedMs - known.sealedMs < LIVE_MS;
  }

  sealed(agent: ModelAgent, frame: SealedFrame, isOnline: boolean, sealedMs: number): Sealed {
    const key = keyOf(agent.agentId, frame.epoch, frame.lane, frame.sequence);
    if (this.#sealed.has(key)) throw this.broke('a sequence is used once', `${key} was sealed twice`);
    const known: Sealed = {
      key,
      agent: agent.index,
      frame,
      isOnline,
      sealedMs,
      returned: false,
      synced: false,
      sent: false,
      acked: false,
      mayBeGone: 'no',
    };
    this.#sealed.set(key, known);
    this.#framesOf(agent.index).push(known);
    this.tally.sealed++;
    return known;
  }

  of(agentId: string, epoch: string, lane: number, sequence: number): Sealed | undefined {
    return this.#sealed.get(keyOf(agentId, epoch, lane, sequence));
  }

  framesOf(agent: number): readonly Sealed[] {
    return this.#framesOf(agent);
  }

  #framesOf(agent: number): Sealed[] {
    let frames = this.#byAgent.get(agent);
    if (frames === undefined) this.#byAgent.set(agent, (frames = []));
    return frames;
  }

  /** The collector says that it has them: it must, with the very bytes, and with all that they need to be read. */
  ack(agentId: string, epoch: string, lane: number, ranges: readonly (readonly [number, number])[]): void {
    for (const [from, to] of ranges) {
      for (let sequence = from; sequence < to; sequence++) {
        this.tally.acks++;
        const key = keyOf(agentId, epoch, lane, sequence);
        const stored = this.#disk.frames.get(key);
        if (stored === undefined) throw this.broke('acked is durable', `${key} was acked and is not on the disk`);
        const needed = stored.header.dictionaryLength;
        const entries = this.#disk.dictionary(agentId, epoch).length;
        if (lane !== 3 && needed > entries) throw this.broke('acked can be read', `${key} needs ${needed} entries, ${entries} are durable`);
      }
    }
  }

  /** Called once for each frame that reaches the disk; gives the time of its newest sample as the store reads it. */
  #durable(stored: DurableFrame): number {
    const agent = this.#agents.get(stored.agentId);
    // The collector's own series have no model.
    if (agent === undefined || stored.header.kind === FrameKind.dictionary) return 0;
    const sealed = this.#sealed.get(stored.key);
    if (sealed === undefined) throw this.broke('only what was sealed is stored', `${stored.key} was never sealed`);
    if (Buffer.compare(sealed.frame.bytes, stored.bytes) !== 0)
      throw this.broke('the very bytes are stored', `${stored.key} has other bytes`);
    this.tally.stored++;
    if (stored.header.kind !== FrameKind.samples) return 0;
    return this.#samples(agent, stored);
  }

  #samples(agent: ModelAgent, stored: DurableFrame): number {
    const { header, correctionMs } = stored;
    this.#checkCorrection(agent, stored);
    const view = readFrame(stored.bytes);
    const payload = view.ok ? payloadOf(view.value) : view;
    const groups = payload.ok ? decodeSamples(payload.value, header.dictionaryLength) : payload;
    if (!groups.ok) throw this.broke('acked can be read', `${stored.key}: ${groups.detail}`);
    const dictionary = this.#disk.dictionary(stored.agentId, stored.epoch);
    let newestMs = 0;
    for (const { times, refs, values } of groups.value) {
      for (const [row, ref] of refs.entries()) {
        const entry = dictionary[ref];
        if (entry === undefined)
          throw this.broke('acked can be read', `${stored.key} names entry ${ref}, ${dictionary.length} are durable`);
        const series = Number(entry.labels[1]);
        const into = this.#timesOf(agent, series);
        for (const [column, offsetMs] of times.entries()) {
          const timeMs = header.timeMs + offsetMs;
          const value = values[row * times.length + column] as number;
          // A series that ended has the staleness marker.
          if (!Number.isNaN(value) && value !== valueOf(agent.index, series, timeMs))
            throw this.broke('values are right', `${stored.key} series ${series} at ${timeMs}: ${value}`);
          this.tally.samples++;
          newestMs = Math.max(newestMs, timeMs + correctionMs);
          if (!into.has(timeMs + correctionMs)) into.add(timeMs + correctionMs);
          else if (agent.clockIsRight)
            throw this.broke('nothing is doubled', `${agent.name} series ${series} at ${timeMs} is stored twice`);
          else this.tally.overlaps++;
        }
      }
    }
    return newestMs;
  }

  #timesOf(agent: ModelAgent, series: number): Set<number> {
    const name = `${agent.index}/${series}`;
    let times = this.#stored.get(name);
    if (times === undefined) this.#stored.set(name, (times = new Set()));
    return times;
  }

  /** Law 10: a segment's base is fixed once, and durable before a frame of it is acked. */
  #checkCorrection(agent: ModelAgent, { key, epoch, header, correctionMs, agentId, receivedMs }: DurableFrame): void {
    const name = `${agentId}/${epoch}/${header.clockSegment}`;
    const before = this.#corrections.get(name);
    this.#corrections.set(name, correctionMs);
    if (before !== undefined && before !== correctionMs)
      throw this.broke(
        'a clock segment has one base',
        `${key}: corrected by ${correctionMs} ms, earlier frames of the segment by ${before}`,
      );
    const fixed = this.#disk.kind('clock').get(name)?.value as { correctionMs: number } | undefined;
    if (fixed !== undefined && fixed.correctionMs !== correctionMs)
      throw this.broke('a clock segment has one base', `${key}: corrected by ${correctionMs} ms, its record says ${fixed.correctionMs}`);
    const { clockOffsetMs } = agent;
    if (clockOffsetMs !== undefined && this.#isLive(key, receivedMs) && Math.abs(correctionMs + clockOffsetMs) > CLOCK_DOUBT_MS)
      throw this.broke('values are right', `${key}: the clock is off by ${clockOffsetMs} and corrected by ${correctionMs}`);
    if (agent.clockIsRight && correctionMs !== 0)
      throw this.broke('values are right', `${key}: the clock was right and is corrected by ${correctionMs}`);
  }

  /** At the end, when nothing is under way any more. */
  settle(): void {
    for (const agent of this.#agents.values()) {
      const gaps = [...this.#disk.kind('gap')].filter(([id]) => id.startsWith(agent.agentId)).map(([, { value }]) => value as GapRecord);
      this.tally.gaps += gaps.length;
      for (const known of this.framesOf(agent.index)) this.#account(agent, known, gaps);
      this.#checkGaps(agent, gaps);
    }
  }

  #account(agent: ModelAgent, { key, frame, returned, mayBeGone, acked }: Sealed, gaps: readonly GapRecord[]): void {
    if (this.#disk.frames.has(key)) return;
    if (acked) throw this.broke('acked is durable', `${key} was acked and is not on the disk`);
    if (!returned) return;
    if (gaps.some((gap) => isIn(frame, gap))) return;
    if (mayBeGone === 'disk') {
      this.tally.gone++;
      return;
    }
    if (mayBeGone === 'power' && this.#isInDowntime(agent, frame, gaps)) {
      this.tally.gone++;
      return;
    }
    // A start tells how the run before ended; where a small spool dropped the start itself, nobody tells. Counted: it should be a gap of the ledger.
    if (mayBeGone === 'power' && this.#hasLostStart(agent)) {
      this.tally.startsLost++;
      return;
    }
    const known = gaps.map(
      (gap) =>
        `${gap.cause} ${gap.epoch.slice(0, 8)}/${gap.lane}/${gap.fromSequence}-${gap.toSequence} ${text(gap.fromMs)}..${text(gap.toMs)}`,
    );
    const what = `${key} (${frame.samples} samples of ${text(frame.fromMs)}, ${mayBeGone})`;
    throw this.broke(
      'nothing is lost in silence',
      `${what} is not stored and none of the gaps of ${agent.name} names it: ${known.join('; ')}`,
    );
  }

  #hasLostStart(agent: ModelAgent): boolean {
    return this.framesOf(agent.index).some(({ frame, key }) => frame.lane === 0 && frame.sequence === 0 && !this.#disk.frames.has(key));
  }

  /** What a power cut took was never synced; it lies in the time that the next start reports. */
  #isInDowntime(agent: ModelAgent, frame: SealedFrame, gaps: readonly GapRecord[]): boolean {
    const downtime = gaps.filter((gap) => DOWNTIME.has(gap.cause));
    if (!agent.clockIsRight) return downtime.length > 0;
    return (
      subtract(
        [frame.fromMs, frame.toMs + 1],
        downtime.map((gap): Span => [gap.fromMs - 1000, gap.toMs + 1000]),
      ).length === 0
    );
  }

  #checkGaps(agent: ModelAgent, gaps: readonly GapRecord[]): void {
    for (const gap of gaps) {
      if (DOWNTIME.has(gap.cause)) this.#checkDowntime(agent, gap);
      else this.#checkRange(agent, gap, gaps);
    }
  }

  #checkRange(agent: ModelAgent, gap: GapRecord, gaps: readonly GapRecord[]): void {
    // A gap that joins several may span what came.
    if (gap.frames !== gap.toSequence - gap.fromSequence) return;
    for (let sequence = gap.fromSequence; sequence < gap.toSequence; sequence++) {
      const key = keyOf(agent.agentId, gap.epoch, gap.lane, sequence);
      if (!this.#disk.frames.has(key)) continue;
      const isAgentsOwn = gap.cause !== 'lost_at_agent';
      // A frame under way that is dropped counts as lost, and may arrive all the same; so may one that the collector counted out for the same reason.
      const named = gaps.some(
        (other) =>
          other.cause !== 'lost_at_agent' &&
          other.epoch === gap.epoch &&
          other.lane === gap.lane &&
          other.fromSequence <= sequence &&
          sequence < other.toSequence,
      );
      if (!isAgentsOwn && !named) throw this.broke('what arrives is not missing', `${key} is stored, and counted as ${gap.cause}`);
      if (this.#sealed.get(key)?.sent !== true)
        throw this.broke('no gap without a loss', `${key} is stored and a gap of ${gap.cause}, and never was under way`);
      this.tally.claimedButArrived++;
    }
  }

  #checkDowntime(agent: ModelAgent, gap: GapRecord): void {
    if (!agent.clockIsRight) return;
    for (const [name, times] of this.#stored) {
      if (!name.startsWith(`${agent.index}/`)) continue;
      for (const timeMs of times) {
        if (timeMs <= gap.fromMs || timeMs >= gap.toMs) continue;
        // How far the data reaches is not known before the store has read itself.
        if (!this.warmUps.some(([from, to]) => from <= gap.filedMs && gap.filedMs <= to))
          throw this.broke('no gap without a loss', claim(agent, gap, timeMs));
        this.tally.claimedInWarmUp++;
      }
    }
  }
}

const DOWNTIME = new Set(['agent_stopped', 'agent_crashed', 'host_rebooted']);

function text(ms: number): string {
  return new Date(ms).toISOString().slice(11, 23);
}

function claim(agent: ModelAgent, gap: GapRecord, timeMs: number): string {
  const [at, from, to] = [timeMs, gap.fromMs, gap.toMs].map((ms) => text(ms));
  return `${agent.name} has samples of ${at} inside ${gap.cause} ${from} to ${to}, filed ${text(gap.filedMs)}`;
}

function isIn(frame: SealedFrame, gap: GapRecord): boolean {
  if (gap.epoch !== frame.epoch || gap.lane !== frame.lane || frame.sequence < gap.fromSequence) return false;
  // A torn end of a file does not tell how many frames were in it: none given is from there on.
  return frame.sequence < gap.toSequence || (gap.frames === 0 && gap.fromSequence === gap.toSequence);
}
