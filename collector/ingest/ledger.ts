/**
 * The gap ledger: what is missing of each host and why, and what came late. Fed by agents' events, by sequences, by the store's losses; read as
 * coverage. Everything is durable in the record store before the frame that says it is acked, except late spans, which follow within seconds.
 */
import { createHash } from 'node:crypto';
import type { AgentEvent, OtherEvent } from '../../protocol/index.ts';
import { addSpan, clip, subtract, type Coverage, type CoverageGap, type Span } from '../model/coverage.ts';
import type { AgentId, Appender, Epoch, RecordStore, SequenceRange, StoreLoss } from '../model/ports.ts';
import { SequenceRanges } from '../model/ranges.ts';
import type { Agent } from './agents.ts';

export type GapRecord = {
  readonly cause: string;
  readonly detail: string;
  readonly lane: number;
  readonly epoch: Epoch;
  readonly fromSequence: number;
  readonly toSequence: number;
  readonly fromMs: number;
  readonly toMs: number;
  readonly frames: number;
  readonly samples: number;
  readonly bytes: number;
  readonly filedMs: number;
};

/** What the ledger asks of presence: how far a host's data reaches, and what its agent still holds. */
export interface Reach {
  /** Newest sample time of the host readable or known, ms; undefined if there never was one. */
  newestMs(agentId: AgentId): number | undefined;
  /** Time from which samples of the host are still to come, or undefined if nothing is outstanding. */
  waitingFrom(agentId: AgentId, nowMs: number): { fromMs: number; detail: string } | undefined;
}

export type HostName = { readonly agentId: AgentId; readonly name: string; readonly enrolledMs: number };

const LATE_SPANS_MAX = 1000;
/** Late frames of one backlog are neighbours: the span of one off-line frame. */
const LATE_JOIN_MS = 70_000;
const GAPS_PER_AGENT_MAX = 5000;
/** Oldest of them that go when there are more. */
const GAPS_FORGOTTEN = 500;
/** Of all agents. What has no place is asked for again when its agent next connects. */
const UNEXPLAINED_MAX = 5000;
/** Under whom losses are filed that may be of any host: they are gaps of all. */
const EVERYBODY: AgentId = '0'.repeat(32);
const COVERAGE_GAPS_MAX = 10_000;
const WRITE_LATE_MS = 5000;
const INVENTORY_BYTES_MAX = 256 * 1024;
/** Missing sequences are filed as unexplained only if the agent's own ledger has not named them by then: two of its state messages. */
const EXPLAIN_MS = 130_000;

type Late = { readonly spans: Span[]; dirty: boolean };
type Unexplained = {
  readonly agent: HostName;
  readonly epoch: Epoch;
  readonly lane: number;
  readonly range: SequenceRange;
  readonly dueMs: number;
  readonly fromMs: number;
  readonly toMs: number;
};

export class Ledger {
  readonly #records: RecordStore;
  readonly #reach: Reach;
  readonly #nowMs: () => number;
  readonly #gaps = new Map<AgentId, Map<string, GapRecord>>();
  readonly #late = new Map<AgentId, Late>();
  readonly #began = new Map<AgentId, { readonly epoch: Epoch; readonly newestMs: number }>();
  /** By what it names, so that an agent that connects again and again is asked once. */
  readonly #unexplained = new Map<string, Unexplained>();
  readonly #appender: Pick<Appender, 'received'>;
  #timer: NodeJS.Timeout | undefined;
  dropped = 0;
  /** Turns in which the store did not take what was to be written; it is written in a later one. */
  writeFailures = 0;

  private constructor(records: RecordStore, appender: Pick<Appender, 'received'>, reach: Reach, nowMs: () => number) {
    this.#records = records;
    this.#appender = appender;
    this.#reach = reach;
    this.#nowMs = nowMs;
  }

  static async open(deps: {
    records: RecordStore;
    appender: Pick<Appender, 'received'>;
    reach: Reach;
    nowMs: () => number;
  }): Promise<Ledger> {
    const ledger = new Ledger(deps.records, deps.appender, deps.reach, deps.nowMs);
    for (const { id, value } of await deps.records.list<GapRecord>('gap')) ledger.#gapsOf(id.slice(0, 32)).set(id, value);
    for (const { id, value } of await deps.records.list<{ late: Span[] }>('delivery'))
      ledger.#late.set(id, { spans: [...value.late], dirty: false });
    ledger.#timer = setInterval(() => ledger.#tick().catch(() => ledger.writeFailures++), WRITE_LATE_MS);
    ledger.#timer.unref();
    return ledger;
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#writeLate();
  }

  /** A samples frame came late. Its span ends at latest where its successor's begins, which is not known: one off-line flush is joined. */
  late(agentId: AgentId, timeMs: number): void {
    let late = this.#late.get(agentId);
    if (late === undefined) this.#late.set(agentId, (late = { spans: [], dirty: false }));
    addSpan(late.spans, timeMs, timeMs + 1000, LATE_JOIN_MS, LATE_SPANS_MAX);
    late.dirty = true;
  }

  /** Files what an agent says happened. Safe to repeat. */
  async events(
    agent: Agent,
    epoch: Epoch,
    events: readonly (AgentEvent | OtherEvent)[],
    correctionMs: number,
    nowMs: number,
  ): Promise<void> {
    const filed = new Map<string, GapRecord>();
    for (const event of events) {
      if (event.type === 'gap') {
        const { cause, lane, fromSequence, toSequence, frames, samples, bytes } = event;
        const fromMs = event.fromMs + correctionMs;
        const toMs = event.toMs + correctionMs;
        const gap = {
          cause,
          detail: `${frames} frames`,
          lane,
          epoch: event.epoch,
          fromSequence,
          toSequence,
          fromMs,
          toMs,
          frames,
          samples,
          bytes,
          filedMs: nowMs,
        };
        filed.set(`agent:${event.epoch}:${event.id}`, gap);
      } else if (event.type === 'start' && event.previous !== undefined) {
        await this.#fileDowntime(agent, epoch, event.previous, event.atMs + correctionMs, correctionMs, nowMs);
      }
    }
    // All at once: they share a synced write, and a frame of thousands takes no longer than one of a few.
    await Promise.all([...filed].map(([key, gap]) => this.#file(agent.agentId, key, gap)));
  }

  async #fileDowntime(
    agent: Agent,
    epoch: Epoch,
    previous: { epoch: string; end: string; lastMs: number },
    startMs: number,
    correctionMs: number,
    nowMs: number,
  ): Promise<void> {
    const cause = { stopped: 'agent_stopped', crashed: 'agent_crashed', rebooted: 'host_rebooted' }[previous.end] ?? 'agent_crashed';
    // The agent may remember less than arrived here: its note of the last sealed time is a minute old at worst. Samples of the new run may have
    // overtaken this event, then what was known at its first hello counts.
    const reached = this.#reach.newestMs(agent.agentId) ?? 0;
    const newest = [reached, this.#began.get(agent.agentId)?.newestMs ?? 0].find((ms) => ms < startMs) ?? 0;
    const filed = this.#gapsOf(agent.agentId).get(gapId(agent.agentId, `start:${epoch}`));
    // Neither may know how far the host's data reaches: then the gap is not since 1970. Told again, it does not grow: more was known before.
    const known = previous.lastMs > 0 || newest > 0 ? Math.max(previous.lastMs + correctionMs, newest) : agent.enrolledMs;
    const fromMs = Math.max(known, filed?.fromMs ?? 0);
    if (fromMs >= startMs) return;
    const gap = {
      cause,
      detail: '',
      lane: 0,
      epoch,
      fromSequence: 0,
      toSequence: 0,
      fromMs,
      toMs: startMs,
      frames: 0,
      samples: 0,
      bytes: 0,
      filedMs: nowMs,
    };
    await this.#file(agent.agentId, `start:${epoch}`, gap);
  }

  /** A hello of this epoch, before any of its frames: how far the host's data reached when it was heard of first. */
  began(agentId: AgentId, epoch: Epoch): void {
    if (this.#began.get(agentId)?.epoch === epoch) return;
    this.#began.set(agentId, { epoch, newestMs: this.#reach.newestMs(agentId) ?? 0 });
  }

  /** Everything of the epoch has come or is named: what was asked about it is answered. */
  over(agentId: AgentId, epoch: Epoch): void {
    const prefix = `${agentId}/${epoch}/`;
    for (const key of this.#unexplained.keys()) if (key.startsWith(prefix)) this.#unexplained.delete(key);
  }

  /** Sequences below the agent's floor that never came. The agent's own ledger may still explain them. */
  missing(agent: HostName, epoch: Epoch, lane: number, ranges: readonly SequenceRange[], fromMs: number, toMs: number): void {
    for (const range of ranges) {
      const key = `${agent.agentId}/${epoch}/${lane}/${range[0]}-${range[1]}`;
      if (this.#unexplained.has(key)) continue;
      if (this.#unexplained.size >= UNEXPLAINED_MAX) this.dropped++;
      else this.#unexplained.set(key, { agent, epoch, lane, range, dueMs: this.#nowMs() + EXPLAIN_MS, fromMs, toMs });
    }
  }

  /** Something that was stored is gone or cannot be read. */
  async loss(loss: StoreLoss): Promise<void> {
    const nowMs = this.#nowMs();
    const range = loss.ranges[0] ?? [0, 0];
    const toMs = loss.toMs ?? nowMs;
    // What names no frame is told apart by its place and time.
    const what = loss.ranges.length > 0 ? `${loss.epoch}:${loss.lane}:${range[0]}:${range[1]}` : `${loss.fromMs}:${loss.detail}`;
    await this.#file(loss.agentId ?? EVERYBODY, `loss:${loss.cause}:${what}`, {
      cause: loss.cause,
      detail: loss.detail,
      lane: loss.lane ?? 0,
      epoch: loss.epoch ?? '',
      fromSequence: range[0],
      toSequence: range[1],
      fromMs: loss.fromMs ?? toMs,
      toMs,
      frames: range[1] - range[0],
      samples: 0,
      bytes: loss.bytes,
      filedMs: nowMs,
    });
  }

  async inventory(agent: Agent, document: unknown, nowMs: number): Promise<void> {
    const text = JSON.stringify(document);
    const value = text.length <= INVENTORY_BYTES_MAX ? { receivedMs: nowMs, document } : { receivedMs: nowMs, document: null };
    const stored = await this.#records.get('inventory', agent.agentId);
    if (stored === undefined) await this.#records.putIfAbsent('inventory', agent.agentId, value);
    else await this.#records.compareAndSet('inventory', agent.agentId, stored.version, value);
    this.onInventory?.(agent.agentId, value.document);
  }

  /** Told of each inventory that was filed; set by main. */
  onInventory: ((agentId: AgentId, document: unknown) => void) | undefined;

  gapsOf(agentId: AgentId): GapRecord[] {
    return [...(this.#gaps.get(agentId)?.values() ?? [])].toSorted((a, b) => a.fromMs - b.fromMs);
  }

  /** Coverage of hosts over a range. Live is what is neither late nor missing, from enrolment to the newest sample. */
  coverage(hosts: readonly HostName[], fromMs: number, toMs: number): Coverage {
    const live: Span[] = [];
    const late: Span[] = [];
    const gaps: CoverageGap[] = [];
    for (const host of hosts) {
      const hostGaps = this.#hostGaps(host, fromMs, toMs);
      if (gaps.length < COVERAGE_GAPS_MAX) gaps.push(...hostGaps);
      const lateSpans = clip(this.#late.get(host.agentId)?.spans ?? [], fromMs, toMs);
      for (const [from, to] of lateSpans) addSpan(late, from, to, 0, LATE_SPANS_MAX);
      const newest = this.#reach.newestMs(host.agentId);
      if (newest === undefined) continue;
      const whole: Span = [Math.max(fromMs, host.enrolledMs), Math.min(toMs, newest)];
      const holes: Span[] = [...lateSpans, ...hostGaps.map((gap): Span => [gap.fromMs, gap.toMs])];
      if (whole[0] < whole[1]) for (const [from, to] of subtract(whole, holes)) addSpan(live, from, to, 0, LATE_SPANS_MAX);
    }
    return { live, late, gaps: gaps.toSorted((a, b) => a.fromMs - b.fromMs) };
  }

  #hostGaps(host: HostName, fromMs: number, toMs: number): CoverageGap[] {
    const gaps: CoverageGap[] = [];
    for (const gap of [...(this.#gaps.get(host.agentId)?.values() ?? []), ...(this.#gaps.get(EVERYBODY)?.values() ?? [])]) {
      // A gap of logs or relayed metrics is no hole in the host's own charts.
      if (gap.lane !== 0 || gap.toMs <= fromMs || gap.fromMs >= toMs) continue;
      gaps.push({
        fromMs: Math.max(gap.fromMs, fromMs),
        toMs: Math.min(gap.toMs, toMs),
        cause: gap.cause,
        detail: gap.detail,
        host: host.name,
      });
    }
    const waiting = this.#reach.waitingFrom(host.agentId, this.#nowMs());
    if (waiting !== undefined && waiting.fromMs < toMs) {
      const known: Span[] = [...gaps.map((gap): Span => [gap.fromMs, gap.toMs]), ...(this.#late.get(host.agentId)?.spans ?? [])];
      const until = Math.min(toMs, this.#nowMs());
      for (const [from, to] of subtract([Math.max(fromMs, waiting.fromMs), until], known)) {
        if (from < to) gaps.push({ fromMs: from, toMs: to, cause: 'not_received', detail: waiting.detail, host: host.name });
      }
    }
    return gaps;
  }

  async #file(agentId: AgentId, key: string, gap: GapRecord): Promise<void> {
    const id = gapId(agentId, key);
    const gaps = this.#gapsOf(agentId);
    const known = gaps.get(id);
    if (known !== undefined && known.toMs === gap.toMs && known.frames === gap.frames && known.fromMs === gap.fromMs) return;
    const stored = known === undefined ? undefined : await this.#records.get('gap', id);
    if (stored === undefined) await this.#records.putIfAbsent('gap', id, gap);
    else await this.#records.compareAndSet('gap', id, stored.version, gap);
    gaps.set(id, gap);
    if (gaps.size > GAPS_PER_AGENT_MAX) await this.#forgetOldest(gaps);
  }

  /** Many at a time: looking for the oldest costs as much for one as for all. */
  async #forgetOldest(gaps: Map<string, GapRecord>): Promise<void> {
    const oldest = [...gaps].toSorted(([, a], [, b]) => a.toMs - b.toMs).slice(0, GAPS_FORGOTTEN);
    for (const [id] of oldest) gaps.delete(id);
    this.dropped += oldest.length;
    await Promise.all(
      oldest.map(async ([id]) => {
        const stored = await this.#records.get('gap', id);
        if (stored !== undefined) await this.#records.delete('gap', id, stored.version);
      }),
    );
  }

  #gapsOf(agentId: AgentId): Map<string, GapRecord> {
    let gaps = this.#gaps.get(agentId);
    if (gaps === undefined) this.#gaps.set(agentId, (gaps = new Map()));
    return gaps;
  }

  async #tick(): Promise<void> {
    await this.#writeLate();
    const nowMs = this.#nowMs();
    for (const [key, hole] of this.#unexplained) {
      if (hole.dueMs > nowMs) continue;
      const { agent, epoch, lane, range } = hole;
      if (!this.isExplained(agent.agentId, epoch, lane, range)) {
        for (const missing of await this.#stillMissing(hole)) await this.#fileUnexplained({ ...hole, range: missing }, nowMs);
      }
      this.#unexplained.delete(key);
    }
  }

  /** Whether gaps in the ledger name all of it. */
  isExplained(agentId: AgentId, epoch: Epoch, lane: number, [from, to]: SequenceRange): boolean {
    const named: Span[] = [];
    for (const gap of this.#gaps.get(agentId)?.values() ?? []) {
      if (gap.epoch === epoch && gap.lane === lane) named.push([gap.fromSequence, gap.toSequence]);
    }
    return subtract([from, to], named).length === 0;
  }

  /** A commit that was under way when it was asked about may have brought it since. */
  async #stillMissing({ agent, epoch, lane, range }: Unexplained): Promise<readonly SequenceRange[]> {
    const known = (await this.#appender.received(agent.agentId)).find((candidate) => candidate.epoch === epoch);
    const ranges = known?.lanes.find((candidate) => candidate.lane === lane)?.ranges ?? [];
    return SequenceRanges.of(ranges).missing(range[0], range[1]);
  }

  async #fileUnexplained(hole: Unexplained, nowMs: number): Promise<void> {
    const { agent, epoch, lane, range, fromMs, toMs } = hole;
    await this.#file(agent.agentId, `missing:${epoch}:${lane}:${range[0]}`, {
      cause: 'lost_at_agent',
      detail: 'the agent no longer holds these frames and does not say why',
      lane,
      epoch,
      fromSequence: range[0],
      toSequence: range[1],
      fromMs,
      toMs,
      frames: range[1] - range[0],
      samples: 0,
      bytes: 0,
      filedMs: nowMs,
    });
  }

  async #writeLate(): Promise<void> {
    for (const [agentId, late] of this.#late) {
      if (!late.dirty) continue;
      late.dirty = false;
      try {
        const stored = await this.#records.get('delivery', agentId);
        const value = { late: late.spans };
        if (stored === undefined) await this.#records.putIfAbsent('delivery', agentId, value);
        else await this.#records.compareAndSet('delivery', agentId, stored.version, value);
      } catch (cause) {
        late.dirty = true;
        throw cause;
      }
    }
  }
}

/** Sorts by agent and is the same for the same happening, so that filing twice is filing once. */
function gapId(agentId: AgentId, key: string): string {
  return `${agentId}/${createHash('sha256').update(key).digest('hex').slice(0, 24)}`;
}
