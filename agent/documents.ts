/** What the agent says that is no sample: starts and stops, clock steps, gaps, the inventory. Each is sealed and offered at once, in lane `now`. */
import { encodeEvents, FrameKind, Lane, pack, type AgentEvent, type GapEvent, type StartEvent } from '../protocol/index.ts';
import type { ClockSegment } from './clock.ts';
import type { Inventory } from './inventory.ts';
import type { SealedFrame, Sealer } from './sealer.ts';
import { AGENT_VERSION } from './version.ts';

export type DocumentsOptions = {
  readonly sealer: Sealer;
  readonly segment: () => ClockSegment;
  readonly wallMs: () => number;
  readonly bootId: string;
  readonly offer: (frame: SealedFrame) => void;
};

export class Documents {
  readonly #options: DocumentsOptions;

  constructor(options: DocumentsOptions) {
    this.#options = options;
  }

  /** The first frame of an epoch. */
  start(previous: StartEvent['previous']): void {
    const told = previous === undefined ? {} : { previous };
    this.#event({ type: 'start', atMs: this.#nowMs(), version: AGENT_VERSION, bootId: this.#options.bootId, ...told });
  }

  /** The last frame of an epoch. */
  stop(): void {
    this.#event({ type: 'stop', atMs: this.#nowMs() });
  }

  /** The dictionary is worn out: one epoch ends as if the agent had stopped, the next begins as if it had started. */
  renew(lastMs: number): void {
    const { sealer } = this.#options;
    const epoch = sealer.epochName;
    this.stop();
    sealer.renew();
    this.start({ epoch, end: 'stopped', lastMs });
  }

  clockStepped(segment: ClockSegment, stepMs: number): void {
    this.#event({ type: 'clock', atMs: this.#nowMs(), segment: segment.number, stepMs });
  }

  gaps(events: readonly GapEvent[]): SealedFrame {
    return this.#seal(FrameKind.events, encodeEvents(events));
  }

  inventory(inventory: Inventory): void {
    this.#seal(FrameKind.inventory, pack(inventory));
  }

  #event(event: AgentEvent): void {
    this.#seal(FrameKind.events, encodeEvents([event]));
  }

  #seal(kind: typeof FrameKind.events | typeof FrameKind.inventory, bytes: Uint8Array): SealedFrame {
    const { sealer, segment, offer } = this.#options;
    const atMs = this.#nowMs();
    const about = { dictionaryLength: 0, segment: segment(), fromMs: atMs, toMs: atMs, samples: 0 };
    const frame = sealer.seal({ kind, lane: Lane.now, bytes, ...about });
    offer(frame);
    return frame;
  }

  #nowMs(): number {
    return Math.floor(this.#options.wallMs());
  }
}
