/** Law 10: what is added to the times of a clock segment, fixed once and durable before the segment's first frame is acked. */
import type { AgentId, Epoch, RecordStore } from '../model/ports.ts';

/** An agent's clock within this of the collector's is taken as it is. */
const TRUSTED_OFFSET_MS = 2000;

type ClockRecord = { readonly offsetMs: number; readonly correctionMs: number; readonly fixedMs: number };

/**
 * How far a clock is off at least that showed `wallMs` at some moment between the two of ours: 0 if it may be right. A slow line must not make a right
 * clock wrong.
 */
export function offsetOf(wallMs: number, earliestMs: number, latestMs: number): number {
  if (wallMs < earliestMs) return wallMs - earliestMs;
  return wallMs > latestMs ? wallMs - latestMs : 0;
}

export class ClockSegments {
  readonly #records: RecordStore;
  readonly #nowMs: () => number;

  constructor(deps: { records: RecordStore; nowMs: () => number }) {
    this.#records = deps.records;
    this.#nowMs = deps.nowMs;
  }

  /** Corrections of all segments of an agent that have one, by epoch. A segment that never was on line has none: its own wall clock stands. */
  async load(agentId: AgentId): Promise<Map<Epoch, Map<number, number>>> {
    const byEpoch = new Map<Epoch, Map<number, number>>();
    for (const { id, value } of await this.#records.list<ClockRecord>('clock', { prefix: `${agentId}/` })) {
      const [, epoch = '', segment = ''] = id.split('/');
      const segments = byEpoch.get(epoch) ?? new Map<number, number>();
      byEpoch.set(epoch, segments.set(Number(segment), value.correctionMs));
    }
    return byEpoch;
  }

  /** Fixes the correction of the segment that an agent is in now, or gives the one fixed before. Whole seconds, so that ticks stay on them. */
  async fix(agentId: AgentId, epoch: Epoch, segment: number, offsetMs: number): Promise<number> {
    const id = `${agentId}/${epoch}/${segment}`;
    const nowMs = this.#nowMs();
    const correctionMs = Math.abs(offsetMs) <= TRUSTED_OFFSET_MS ? 0 : -Math.round(offsetMs / 1000) * 1000;
    if (await this.#records.putIfAbsent<ClockRecord>('clock', id, { offsetMs, correctionMs, fixedMs: nowMs })) return correctionMs;
    return (await this.#records.get<ClockRecord>('clock', id))?.value.correctionMs ?? correctionMs;
  }

  async forget(agentId: AgentId, epoch: Epoch): Promise<void> {
    for (const { id, version } of await this.#records.list('clock', { prefix: `${agentId}/${epoch}/` }))
      await this.#records.delete('clock', id, version);
  }
}
