/** Frames that the disk did not take and that are on their way to the collector from memory. Their facts, not their bytes. */
import type { Epoch } from './epoch.ts';
import type { FrameFacts } from './segment.ts';

/** Far more than fits into the credit of a link. */
const AFLOAT_MAX = 4096;

/** `cause`: what the gap will say if the link is lost before the ack. */
export type AfloatFrame = { readonly epoch: Epoch; readonly lane: number; readonly facts: FrameFacts; readonly cause: string };

export class Afloat {
  #frames: AfloatFrame[] = [];

  get size(): number {
    return this.#frames.length;
  }

  all(): readonly AfloatFrame[] {
    return this.#frames;
  }

  /** False if there is no room. */
  add(frame: AfloatFrame): boolean {
    if (this.#frames.length === AFLOAT_MAX) return false;
    this.#frames.push(frame);
    return true;
  }

  /** Takes out what lies in the range. */
  take(epoch: Epoch, lane: number, from: number, to: number): AfloatFrame[] {
    if (this.#frames.length === 0) return [];
    const inRange = (frame: AfloatFrame): boolean =>
      frame.epoch === epoch && frame.lane === lane && frame.facts.sequence >= from && frame.facts.sequence < to;
    const taken = this.#frames.filter(inRange);
    if (taken.length > 0) this.#frames = this.#frames.filter((frame) => !inRange(frame));
    return taken;
  }

  takeAll(): AfloatFrame[] {
    const taken = this.#frames;
    this.#frames = [];
    return taken;
  }
}
