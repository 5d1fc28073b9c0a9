/**
 * One host of a simulated world: the agent's own parts, wired as agent/main.ts does, over a disk in memory and a network of the world's; with a process
 * that can be killed at any operation and a machine that can lose its power. Its gatherer is a function of host, series and second.
 */
import { Batcher } from '../../agent/batcher.ts';
import { SegmentClock } from '../../agent/clock.ts';
import { Documents } from '../../agent/documents.ts';
import { Flusher } from '../../agent/flush.ts';
import type { Metric, SampleSink, Timers } from '../../agent/gather/gatherer.ts';
import { GapReporter } from '../../agent/link/gap-reporter.ts';
import { Link, type LinkIdentity } from '../../agent/link/link.ts';
import type { TransportHandlers } from '../../agent/link/transport.ts';
import { endOf, type RunState } from '../../agent/run-state.ts';
import { Sealer, type SealedFrame } from '../../agent/sealer.ts';
import { SpoolError } from '../../agent/spool/error.ts';
import type { Processes } from '../../agent/spool/lock.ts';
import { Spool } from '../../agent/spool/spool.ts';
import {
  agentIdOf,
  encodeEvents,
  FrameKind,
  keyPairFromSeed,
  Lane,
  signer,
  type AgentEvent,
  type EnrollToken,
} from '../../protocol/index.ts';
import { Crash, MemoryDisk, type Random } from '../agent/spool/memory-disk.ts';
import type { ChaosConnection } from './chaos-network.ts';
import { valueOf, Violation, type ModelAgent, type Promises } from './promises.ts';
import type { Event, VirtualTime } from './virtual-time.ts';

export type AgentHost = {
  readonly time: VirtualTime;
  readonly random: Random;
  readonly promises: Promises;
  note(what: string): void;
  connect(agent: ChaosAgent, handlers: TransportHandlers): ChaosConnection;
};

export type AgentTraits = {
  readonly index: number;
  readonly token: EnrollToken;
  /** What the machine's clock shows more than the true one. */
  clockOffsetMs: number;
  readonly laneBytesMax: number;
  readonly segmentBytes: number;
  readonly flushMs: number;
  readonly offlineFlushMs: number;
  readonly seriesMax: number;
  /** New series with each tick, so that the dictionary is worn out again and again. */
  readonly churn: number;
  /** Frames of the lower lanes per second, and their largest size. */
  readonly otherFrames: number;
  readonly otherBytesMax: number;
};

type Run = {
  readonly spool: Spool;
  readonly link: Link;
  readonly clock: SegmentClock;
  readonly sealer: Sealer;
  readonly batcher: Batcher;
  readonly flusher: Flusher;
  readonly documents: Documents;
  readonly reporter: GapReporter;
  readonly source: SampleSink;
  readonly offer: (frame: SealedFrame) => void;
};

const QUIET = { info: () => undefined, warn: () => undefined, error: () => undefined, debug: () => undefined };
const METRIC: Metric = { name: 'chaos_value', type: 'gauge', help: 'A function of host, series and second.' };
const RUN_STATE_MS = 60_000;
const STOP_WAIT_MS = 600;
/** A supervisor tries again. */
const RETRY_MS = 5000;

export class ChaosAgent {
  readonly model: ModelAgent;
  readonly traits: AgentTraits;
  readonly disk: MemoryDisk;
  readonly #host: AgentHost;
  readonly #identity: LinkIdentity;
  readonly #active = new Set<number>();
  readonly #timers = new Set<Event>();
  #life = 0;
  #boot = 1;
  #run: Run | undefined;
  #isStopping = false;
  #runState: RunState | undefined;
  /** How far the run before is known to have come. */
  #previousMs = 0;
  connection: ChaosConnection | undefined;
  /** The disk was full since the last sync that succeeded: the ledger may be in memory alone. */
  #isDiskInDoubt = false;
  isDiskFull = false;
  /** No more ticks: what is there goes out. */
  isQuiet = false;

  constructor(host: AgentHost, traits: AgentTraits) {
    this.#host = host;
    this.traits = traits;
    this.disk = new MemoryDisk(host.random);
    const keys = keyPairFromSeed(new Uint8Array(32).fill(traits.index + 1));
    const agentId = agentIdOf(keys.publicKey);
    const { token } = traits;
    const identity = {
      agentId,
      publicKey: keys.publicKey,
      sign: signer(keys.secretKey),
      fleetId: token.fleetId,
      machine: new Uint8Array(32).fill(traits.index),
      token,
      enrolment: undefined as LinkIdentity['enrolment'],
      enrol(enrolment: { collectorKey: Uint8Array }) {
        identity.enrolment = enrolment;
      },
    };
    this.#identity = identity;
    const name = `host-${traits.index}`;
    this.model = {
      index: traits.index,
      agentId: Buffer.from(agentId).toString('hex'),
      name,
      clockIsRight: traits.clockOffsetMs === 0,
      clockOffsetMs: traits.clockOffsetMs,
    };
    host.promises.addAgent(this.model);
  }

  get isRunning(): boolean {
    return this.#run !== undefined;
  }

  get spool(): Spool | undefined {
    return this.#run?.spool;
  }

  get isOnline(): boolean {
    return this.#run?.link.isOnline ?? false;
  }

  start(): void {
    if (this.#run !== undefined) return;
    this.#life++;
    this.#guard(() => this.#open())();
  }

  /** The process ends here and now; with `power` the machine too, and what was not synced may be gone. */
  die(how: 'kill' | 'power'): void {
    const { promises, note } = this.#host;
    note(`${this.model.name} dies: ${how}`);
    const afloat = this.#run === undefined ? 0 : this.#run.spool.stats().afloat;
    this.#end();
    this.connection?.agentDied(how);
    this.connection = undefined;
    for (const known of promises.framesOf(this.model.index)) {
      if (known.acked || known.mayBeGone !== 'no') continue;
      if (this.#isDiskInDoubt || afloat > 0) known.mayBeGone = 'disk';
      else if (how === 'power' && !known.synced) known.mayBeGone = 'power';
    }
    this.disk.restart(how);
    if (how === 'power') this.#boot++;
  }

  /** As SIGTERM does. */
  async stop(): Promise<void> {
    const run = this.#run;
    if (run === undefined || this.#isStopping) return;
    this.#host.note(`${this.model.name} stops`);
    this.#isStopping = true;
    const life = this.#life;
    try {
      run.flusher.stop();
      run.batcher.flush();
      run.documents.stop();
      await this.#sync(run);
      await run.link.stop(STOP_WAIT_MS);
      await run.spool.close();
    } catch (error) {
      if (life !== this.#life) return;
      if (!(error instanceof Crash)) throw error;
      this.die('kill');
      return;
    }
    if (life !== this.#life) return;
    this.#runState = { epoch: run.sealer.epochName, bootId: this.#bootId, lastMs: this.#lastMs(run), stopped: true };
    this.#end();
  }

  stepClock(ms: number): void {
    this.model.clockIsRight = false;
    this.model.clockOffsetMs = undefined;
    this.traits.clockOffsetMs += ms;
  }

  /** At every moment: what is held stays in its bounds. */
  check(): void {
    const run = this.#run;
    if (run === undefined || this.#isStopping) return;
    const { lanes, accounts, afloat, gaps } = run.spool.stats();
    for (const { lane, diskBytes } of lanes) {
      if (diskBytes > this.traits.laneBytesMax)
        throw new Violation(
          'memory is bounded',
          `${this.model.name} lane ${lane} has ${diskBytes} bytes on disk, may have ${this.traits.laneBytesMax}`,
        );
    }
    if (gaps > 1024) throw new Violation('memory is bounded', `${gaps} gaps in the ledger of ${this.model.name}`);
    const held = lanes.reduce((sum, { frames }) => sum + frames, 0) + afloat;
    const left = accounts.acked + accounts.refused + accounts.dropped + accounts.corrupt + held;
    if (accounts.found + accounts.appended !== left)
      throw new Violation('the books balance', `${this.model.name}: ${JSON.stringify({ accounts, held })}`);
  }

  #lastMs(run: Run): number {
    return Math.max(run.batcher.lastMs, this.#previousMs);
  }

  get #bootId(): string {
    return `boot-${this.#boot}`;
  }

  #end(): void {
    this.#life++;
    this.#run = undefined;
    this.#isStopping = false;
    for (const timer of this.#timers) this.#host.time.cancel(timer);
    this.#timers.clear();
  }

  /** Wraps whatever enters the process: a crash of the disk ends it, nothing enters a dead one. */
  #guard<A extends unknown[]>(call: (...args: A) => void): (...args: A) => void {
    const life = this.#life;
    return (...args) => {
      if (life !== this.#life) return;
      try {
        call(...args);
      } catch (error) {
        if (!(error instanceof Crash)) throw error;
        if (life === this.#life) this.die(this.#host.random() < 0.5 ? 'kill' : 'power');
      }
    };
  }

  #after(delayMs: number, call: () => void): Event {
    const timer = this.#host.time.after(
      delayMs,
      this.#guard(() => {
        this.#timers.delete(timer);
        call();
      }),
    );
    this.#timers.add(timer);
    return timer;
  }

  #randomBytes(size: number): Uint8Array {
    return Uint8Array.from({ length: size }, () => Math.floor(this.#host.random() * 256));
  }

  #open(): void {
    const { time, note } = this.#host;
    const { flushMs, offlineFlushMs } = this.traits;
    const identity = this.#identity;
    const bootedMs = time.nowMs - 1_000_000;
    const clock = new SegmentClock({ wallMs: () => time.nowMs + this.traits.clockOffsetMs, monotonicMs: () => time.nowMs - bootedMs });
    const sealer = new Sealer({
      agentId: identity.agentId,
      fleetId: identity.fleetId,
      sign: identity.sign,
      random: (size) => this.#randomBytes(size),
    });
    const spool = this.#openSpool(sealer.epochName, clock);
    if (spool === undefined) return;
    const previous = this.#runState === undefined ? undefined : endOf(this.#runState, this.#bootId, spool.stats().newestMs);
    note(
      `${this.model.name} starts, epoch ${sealer.epochName.slice(0, 8)}, holds ${spool
        .stats()
        .lanes.map((lane) => lane.frames)
        .join('+')}`,
    );
    const timers: Timers = {
      setTimer: (call, delayMs) => this.#after(delayMs, call),
      clearTimer: (timer) => {
        this.#timers.delete(timer as Event);
        time.cancel(timer as Event | undefined);
      },
    };
    const wallMs = (): number => clock.wallMs();
    const monotonicMs = (): number => clock.monotonicMs();
    const timing = { wallMs, monotonicMs, timers };
    const segment = () => clock.segment;
    const offer = (frame: SealedFrame): void => {
      const known = this.#host.promises.sealed(this.model, frame, link.isOnline, time.nowMs);
      link.offer(frame);
      known.returned = true;
    };
    const documents = new Documents({ sealer, segment, wallMs, bootId: this.#bootId, offer });
    const reporter = new GapReporter(spool, (events) => documents.gaps(events));
    const batcher: Batcher = new Batcher({
      sealer,
      segment,
      outlet: {
        dictionary(part) {
          spool.appendDictionary(part.epoch, part.from, part.to, part.bytes);
          link.announced(part.epoch, part.to);
        },
        frame: offer,
      },
      renew: () => documents.renew(batcher.lastMs),
    });
    const flusher = new Flusher({ ...timing, agentId: identity.agentId, flushMs, offlineFlushMs, flush: () => batcher.flush() });
    const link: Link = new Link({
      ...timing,
      transport: { connect: (handlers) => this.#connect(handlers) },
      identity,
      spool,
      listener: {
        online: () => flusher.setOnline(true),
        offline() {
          flusher.setOnline(false);
          reporter.forget();
        },
        acked: (epoch, lane, ranges) => reporter.acked(epoch, lane, ranges),
        refused: () => reporter.forget(),
        config(message) {
          flusher.live(message.liveMs);
          batcher.setHints(message.hints);
        },
      },
      name: this.model.name,
      bootId: this.#bootId,
      agentVersion: 'chaos',
      epoch: () => sealer.epoch,
      segment,
      random: this.#host.random,
      randomBytes: (size) => this.#randomBytes(size),
      log: {
        info: (fields, message) => note(`  ${this.model.name}: ${message} ${JSON.stringify(fields)}`),
        warn: (fields, message) => note(`  ${this.model.name}: ${message} ${JSON.stringify(fields)}`),
        debug: () => undefined,
      },
    });
    clock.onStep((begun, stepMs) => {
      batcher.flush();
      link.sendState();
      documents.clockStepped(begun, stepMs);
    });
    const run: Run = { spool, link, clock, sealer, batcher, flusher, documents, reporter, source: batcher.sourceOf('chaos'), offer };
    this.#run = run;
    this.#previousMs = previous?.lastMs ?? 0;
    this.#runState = { epoch: sealer.epochName, bootId: this.#bootId, lastMs: this.#previousMs, stopped: false };
    this.#recordEachMinute(run);
    documents.start(previous);
    link.start();
    this.#tickLater(run);
  }

  /** Undefined if the disk does not let it: it is tried again. */
  #openSpool(epoch: string, clock: SegmentClock): Spool | undefined {
    const pid = this.#life;
    const processes: Processes = { pid, lifeOf: (asked) => (asked === this.#life ? String(asked) : undefined) };
    const { laneBytesMax, segmentBytes } = this.traits;
    const bounds = { bytesMax: laneBytesMax, ageMsMax: 3_600_000 };
    try {
      return Spool.open({
        directory: '/spool',
        epoch,
        lanes: [bounds, bounds, bounds],
        segmentBytes,
        nowMs: () => clock.wallMs(),
        monotonicMs: () => clock.monotonicMs(),
        log: QUIET,
        fs: this.disk,
        processes,
      });
    } catch (error) {
      if (!(error instanceof SpoolError)) throw error;
      this.#host.note(`${this.model.name} cannot start: ${error.code}`);
      this.#after(RETRY_MS, () => this.start());
      return undefined;
    }
  }

  #connect(handlers: TransportHandlers): ChaosConnection {
    const connection = this.#host.connect(this, {
      opened: this.#guard(() => handlers.opened()),
      message: this.#guard((bytes) => handlers.message(bytes)),
      alive: this.#guard(() => handlers.alive()),
      drained: this.#guard(() => handlers.drained()),
      closed: this.#guard((reason) => handlers.closed(reason)),
    });
    this.connection = connection;
    return connection;
  }

  #recordEachMinute(run: Run): void {
    this.#after(RUN_STATE_MS, () => {
      this.#runState = { epoch: run.sealer.epochName, bootId: this.#bootId, lastMs: this.#lastMs(run), stopped: false };
      this.#recordEachMinute(run);
    });
  }

  #tickLater(run: Run): void {
    this.#after(1000 - (Math.floor(run.clock.wallMs()) % 1000), () => {
      if (this.#isStopping) return;
      this.#tickLater(run);
      this.#tick(run);
    });
  }

  #tick(run: Run): void {
    run.clock.check();
    if (!this.isQuiet) this.#gather(run);
    if (run.link.isOnline) run.reporter.report();
    void this.#sync(run);
  }

  #gather(run: Run): void {
    const { random } = this.#host;
    const { index, seriesMax } = this.traits;
    const timeMs = Math.floor(run.clock.wallMs() / 1000) * 1000;
    if (random() < 0.1) {
      const series = Math.floor(random() * seriesMax);
      if (!this.#active.delete(series)) this.#active.add(series);
    }
    for (const series of this.#active)
      run.source.set(run.source.series(METRIC, { series: String(series) }), valueOf(index, series, timeMs));
    for (let i = 0; i < this.traits.churn; i++) {
      const series = 1000 + ((timeMs / 1000) % 100_000) * this.traits.churn + i;
      run.source.set(run.source.series(METRIC, { series: String(series) }), valueOf(index, series, timeMs));
    }
    run.batcher.endTick({ timeMs, monotonicMs: run.clock.monotonicMs() } as { timeMs: number }, [{ name: 'chaos' }]);
    run.flusher.tickDone(random() < 0.02);
    if (random() < this.traits.otherFrames) this.#other(run);
  }

  /** A frame of a lower lane, of any size. */
  #other(run: Run): void {
    const { random } = this.#host;
    const atMs = Math.floor(run.clock.wallMs());
    const padding = Buffer.from(this.#randomBytes(Math.floor(random() * this.traits.otherBytesMax))).toString('latin1');
    const event = { type: 'chaos', padding } as unknown as AgentEvent;
    const lane = random() < 0.5 ? Lane.logs : Lane.bulk;
    const about = { dictionaryLength: 0, segment: run.clock.segment, fromMs: atMs, toMs: atMs, samples: 0 };
    run.offer(run.sealer.seal({ kind: FrameKind.events, lane, bytes: encodeEvents([event]), ...about }));
  }

  async #sync(run: Run): Promise<void> {
    const life = this.#life;
    if (this.isDiskFull) this.#isDiskInDoubt = true;
    const sealed = [...this.#host.promises.framesOf(this.model.index)].filter((known) => known.returned && !known.synced && !known.acked);
    const afloat = run.spool.stats().afloat;
    try {
      await run.spool.sync();
    } catch (error) {
      // What a dead process still wanted of its disk is nobody's.
      if (life !== this.#life || error instanceof SpoolError) return;
      if (!(error instanceof Crash)) throw error;
      this.die(this.#host.random() < 0.5 ? 'kill' : 'power');
      return;
    }
    if (life !== this.#life) return;
    if (!this.isDiskFull && afloat === 0) this.#isDiskInDoubt = false;
    if (afloat === 0) for (const known of sealed) known.synced = true;
  }
}
