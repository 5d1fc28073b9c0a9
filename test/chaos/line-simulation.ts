/**
 * The whole line in one process and on virtual time: agents, a bad network and a collector whose store fails, everything drawn from one seed. Both
 * sides' own code runs; disk, network, clock and store are the world's. Breaks things for a while, then lets all heal, and holds the promises all along.
 */
import { openIngest, type Ingest } from '../../collector/ingest/index.ts';
import type { Peer } from '../../collector/ingest/session.ts';
import { decodeControl, decodeToken, encodeControl, isControl, readFrame, type EnrollToken } from '../../protocol/index.ts';
import type { TransportHandlers } from '../../agent/link/transport.ts';
import { seeded, type Random } from '../agent/spool/memory-disk.ts';
import { ChaosAgent } from './chaos-agent.ts';
import { ChaosConnection, type Route, type ServerEnd } from './chaos-network.ts';
import { ChaosStore, Disk } from './chaos-store.ts';
import { CreditWatch } from './credit-watch.ts';
import { Promises, Violation, type Tally } from './promises.ts';
import { VirtualTime } from './virtual-time.ts';

export const FAULTS = [
  'agentKill',
  'agentPower',
  'agentStop',
  'agentCrashesInDisk',
  'agentDiskFull',
  'agentClockStep',
  'collectorKill',
  'collectorPower',
  'collectorStop',
  'collectorCrashesAtPoint',
  'commitsFail',
  'commitsSlow',
  'cut',
  'halfOpen',
  'noRoute',
  'slowRoute',
  'duplicates',
  'creditZero',
  'creditSmall',
  'watched',
] as const;
export type Fault = (typeof FAULTS)[number];

export type RunResult = {
  readonly seed: number;
  readonly virtualMs: number;
  readonly events: number;
  readonly faults: Record<Fault, number>;
  readonly tally: Tally;
};

const START_MS = Date.UTC(2026, 0, 1);
/** An event that came while the store warmed up is filed this much later at most, by what was known then. */
const SLOW_EVENT_MS = 60_000;
/** Until every spool is empty and every gap told, once nothing fails any more: the longest back-off and a slow rejection, twice. */
const DRAIN_MS_MAX = 300_000;
/** Until the collector has given up on explanations: ledger.ts waits 130 s from the state after next. */
const EXPLAIN_MS = 270_000;
/** Lines of what happened that a failure prints; all of them with a larger CHAOS_HISTORY. */
const HISTORY_LINES = Number(process.env['CHAOS_HISTORY'] ?? 60);

/** Runs one seed; rejects with an error that says the seed, the moment, what came before, and the promise. */
export async function simulate(seed: number, dataDir: string): Promise<RunResult> {
  const world = new World(seed, dataDir);
  return world.run();
}

type Collector = { readonly store: ChaosStore; ingest: Ingest | undefined; readonly connections: Set<ChaosConnection> };

class World {
  readonly #seed: number;
  readonly #dataDir: string;
  readonly #random: Random;
  readonly #time = new VirtualTime(START_MS);
  readonly #disk = new Disk();
  readonly #promises: Promises;
  readonly #agents: ChaosAgent[] = [];
  readonly #routes: Route[] = [];
  readonly #history: string[] = [];
  readonly #faults = Object.fromEntries(FAULTS.map((fault) => [fault, 0])) as Record<Fault, number>;
  readonly #rates: { readonly fault: Fault; readonly perSecond: number }[] = [];
  #collector: Collector | undefined;
  #isFaulty = false;
  #commitsFail = false;
  #commitMs = 3;
  #crashPoint = 0;
  #unhandled: unknown;

  constructor(seed: number, dataDir: string) {
    this.#seed = seed;
    this.#dataDir = dataDir;
    this.#random = seeded(seed);
    this.#promises = new Promises(this.#disk);
  }

  async run(): Promise<RunResult> {
    const onUnhandled = (error: unknown): void => {
      this.#unhandled ??= error;
    };
    process.on('unhandledRejection', onUnhandled);
    this.#time.install();
    try {
      await this.#live();
    } catch (error) {
      const at = `${((this.#time.nowMs - START_MS) / 1000).toFixed(3)} s`;
      const story = this.#history.map((line) => `  ${line}`).join('\n');
      throw new Error(`seed ${this.#seed}, at ${at}, event ${this.#time.events}:\n${story}\n${(error as Error).message}`, { cause: error });
    } finally {
      this.#time.restore();
      process.off('unhandledRejection', onUnhandled);
    }
    const { nowMs, events } = this.#time;
    return { seed: this.#seed, virtualMs: nowMs - START_MS, events, faults: this.#faults, tally: this.#promises.tally };
  }

  async #live(): Promise<void> {
    this.#startCollector();
    await this.#pass(100);
    const made = this.#collector?.ingest?.tokens.create({ uses: 1000, ttlMs: 86_400_000 });
    await this.#pass(100);
    const token = decodeToken((await made)?.token ?? '');
    if (!token.ok) throw new Error(token.detail);
    this.#people(token.value);
    this.#drawRates();
    const faultSeconds = 60 + this.#below(300);
    this.#isFaulty = true;
    for (let second = 0; second < faultSeconds; second++) {
      this.#breakThings();
      await this.#second();
    }
    await this.#heal();
  }

  #people(token: EnrollToken): void {
    const host = {
      time: this.#time,
      random: this.#random,
      promises: this.#promises,
      note: (what: string) => this.#note(what),
      connect: (agent: ChaosAgent, handlers: TransportHandlers) => this.#connect(agent, handlers),
    };
    const count = 2 + this.#below(3);
    const wrongClock = this.#random() < 0.5 ? this.#below(count) : -1;
    for (let index = 0; index < count; index++) {
      this.#routes.push({ latencyMs: 5 + this.#below(60), bytesPerSecond: Infinity, duplicates: 0, mode: 'up' });
      const isSmall = this.#random() < 0.5;
      const agent = new ChaosAgent(host, {
        index,
        token,
        clockOffsetMs: index === wrongClock ? (this.#random() < 0.5 ? -1 : 1) * (3000 + this.#below(400_000)) : 0,
        laneBytesMax: isSmall ? 6_000 + this.#below(10_000) : 400_000,
        segmentBytes: 1500 + this.#below(4000),
        flushMs: this.#random() < 0.3 ? 1000 : 5000,
        offlineFlushMs: this.#random() < 0.5 ? 60_000 : 5000,
        // Drawn from no dice, so that older seeds keep their stories.
        churn: this.#seed % 5 === 3 && index === Math.max(wrongClock, 0) ? 40 : 0,
        seriesMax: 3 + this.#below(12),
        otherFrames: this.#random() * 0.6,
        otherBytesMax: 50 + this.#below(900),
      });
      this.#agents.push(agent);
      agent.start();
    }
  }

  /** Some seeds are rough in everything, some in one thing only. */
  #drawRates(): void {
    const intensity = 0.2 + this.#random() * 1.5;
    for (const fault of FAULTS) {
      if (this.#random() < 0.45) continue;
      this.#rates.push({ fault, perSecond: (intensity * this.#random() * 2) / 60 });
    }
  }

  async #second(): Promise<void> {
    await this.#pass(1000);
    for (const agent of this.#agents) agent.check();
    const sessions = this.#collector?.ingest?.sessions.count ?? 0;
    if (sessions > this.#agents.length) throw new Violation('memory is bounded', `${sessions} sessions of ${this.#agents.length} agents`);
  }

  async #pass(ms: number): Promise<void> {
    await this.#time.runUntil(this.#time.nowMs + ms, () => this.#verify());
  }

  #verify(): void {
    if (this.#promises.broken !== undefined) throw this.#promises.broken;
    if (this.#unhandled === undefined) return;
    throw new Violation(
      'no process dies of a rejection that nobody handles',
      this.#unhandled instanceof Error ? (this.#unhandled.stack ?? '') : 'not an error',
    );
  }

  readonly #log = {
    info: (fields: object, message: string): void => this.#note(`  ${message} ${JSON.stringify(fields)}`),
    warn: (fields: object, message: string): void => this.#note(`  ${message} ${JSON.stringify(fields)}`),
  };

  #note(what: string): void {
    this.#history.push(`${((this.#time.nowMs - START_MS) / 1000).toFixed(3)} ${what}`);
    if (this.#history.length > HISTORY_LINES) this.#history.shift();
  }

  // --- the collector

  #startCollector(): void {
    const store: ChaosStore = new ChaosStore(this.#disk, {
      random: this.#random,
      after: (delayMs, run) => this.#time.after(delayMs, run),
      commitMs: () => this.#commitMs * (0.2 + this.#random()),
      fails: () => this.#commitsFail,
      crash: (point) => this.#crash(store, point),
    });
    const collector: Collector = { store, ingest: undefined, connections: new Set() };
    this.#collector = collector;
    this.#note('collector starts');
    const warmUpMs = this.#random() < 0.5 ? 5 : this.#below(10_000);
    store.warmUp(warmUpMs);
    this.#promises.warmUps.push([this.#time.nowMs, this.#time.nowMs + warmUpMs + SLOW_EVENT_MS]);
    openIngest({
      dataDir: this.#dataDir,
      store,
      records: store.records,
      retentionMs: 7 * 86_400_000,
      nowMs: () => this.#time.nowMs,
      log: this.#log,
    }).then(
      (ingest) => {
        this.#note('collector is open');
        if (this.#collector === collector) collector.ingest = ingest;
      },
      (error: unknown) => {
        // A start that fails is tried again by the supervisor.
        this.#note(`collector cannot start: ${String(error)}`);
        if (this.#collector === collector) this.#endCollector('kill');
        this.#restartCollector();
      },
    );
  }

  #endCollector(how: 'kill' | 'power'): void {
    const collector = this.#collector;
    if (collector === undefined) return;
    this.#note(`collector dies: ${how}`);
    this.#collector = undefined;
    collector.store.die();
    for (const connection of collector.connections) connection.collectorDied(how);
    this.#time.forgetProcessTimers();
  }

  #restartCollector(): void {
    const delayMs = this.#random() < 0.7 ? 200 + this.#below(3000) : this.#below(90_000);
    this.#time.after(delayMs, () => {
      if (this.#collector === undefined) this.#startCollector();
    });
  }

  /** A clean stop: everything is closed, then the process ends. */
  #stopCollector(): void {
    const collector = this.#collector;
    const ingest = collector?.ingest;
    if (collector === undefined || ingest === undefined) return;
    this.#note('collector stops');
    // Whatever of it takes long is cut short, as a supervisor would.
    void ingest.close().catch(() => undefined);
    this.#time.after(1500, () => {
      if (this.#collector !== collector) return;
      this.#endCollector('kill');
      this.#restartCollector();
    });
  }

  #crash(store: ChaosStore | undefined, point: string): boolean {
    if (this.#collector === undefined || (store !== undefined && this.#collector.store !== store)) return true;
    if (this.#crashPoint === 0 || --this.#crashPoint > 0) return false;
    this.#note(`collector crashes at: ${point}`);
    this.#endCollector(this.#random() < 0.7 ? 'kill' : 'power');
    this.#restartCollector();
    return true;
  }

  // --- the network

  #connect(agent: ChaosAgent, handlers: TransportHandlers): ChaosConnection {
    const { index } = agent.traits;
    const { agentId } = agent.model;
    const connection: ChaosConnection = new ChaosConnection(
      {
        time: this.#time,
        random: this.#random,
        accept: (peer) => this.#accept(connection, peer),
        crash: (point) => this.#crash(undefined, point),
        onServerSend: (_, bytes) => this.#serverSends(agentId, bytes),
      },
      index,
      this.#routes[index] as Route,
      handlers,
    );
    const window = new CreditWatch();
    connection.onAgentSend = (bytes) => {
      const view = isControl(bytes) ? undefined : readFrame(bytes);
      if (view?.ok !== true) return;
      const { epoch, lane, sequence } = view.value.header;
      const known = this.#promises.of(agentId, Buffer.from(epoch).toString('hex'), lane, sequence);
      if (known === undefined) return;
      known.sent = true;
      const excess = window.sent(lane, known.key, bytes.length);
      if (excess !== undefined) this.#promises.broke('memory is bounded', `${known.key} was sent over the credit: ${excess}`);
    };
    connection.onAgentMessage = (bytes) => {
      const message = decodeControl(bytes);
      if (!message.ok) return;
      window.heard(message.value, (of, lane, sequence) => this.#promises.of(agentId, Buffer.from(of).toString('hex'), lane, sequence)?.key);
      if (message.value.kind !== 'ack') return;
      const epoch = Buffer.from(message.value.epoch).toString('hex');
      for (const [from, to] of message.value.ranges) {
        for (let sequence = from; sequence < to; sequence++) {
          const known = this.#promises.of(agentId, epoch, message.value.lane, sequence);
          if (known !== undefined) known.acked = true;
        }
      }
    };
    return connection;
  }

  #accept(connection: ChaosConnection, peer: Peer): ServerEnd | undefined {
    const collector = this.#collector;
    const session = collector?.ingest?.sessions.accept(peer);
    const ingest = collector?.ingest;
    if (collector === undefined || session === undefined || ingest === undefined) return undefined;
    collector.connections.add(connection);
    return {
      message: (bytes) => session.message(bytes),
      gone: () => {
        collector.connections.delete(connection);
        ingest.sessions.gone(session);
      },
    };
  }

  #serverSends(agentId: string, bytes: Uint8Array): void {
    const message = decodeControl(bytes);
    if (!message.ok || message.value.kind !== 'ack') return;
    this.#promises.ack(agentId, Buffer.from(message.value.epoch).toString('hex'), message.value.lane, message.value.ranges);
  }

  // --- what goes wrong

  #breakThings(): void {
    for (const { fault, perSecond } of this.#rates) if (this.#random() < perSecond) this.#break(fault);
  }

  #break(fault: Fault): void {
    const index = this.#below(this.#agents.length);
    const agent = this.#agents[index] as ChaosAgent;
    const route = this.#routes[index] as Route;
    // Somewhere inside the second.
    this.#time.after(this.#below(1000), () => {
      if (!this.#isFaulty) return;
      this.#faults[fault]++;
      this.#note(`fault ${fault} (${agent.model.name})`);
      this.#breakNow(fault, agent, route);
    });
  }

  #breakNow(fault: Fault, agent: ChaosAgent, route: Route): void {
    switch (fault) {
      case 'agentKill':
      case 'agentPower':
        if (agent.isRunning) agent.die(fault === 'agentKill' ? 'kill' : 'power');
        return this.#restartLater(agent);
      case 'agentStop':
        agent.stop().catch((error: unknown) => (this.#unhandled ??= error));
        return this.#restartLater(agent);
      case 'agentCrashesInDisk':
        agent.disk.crashAt = agent.disk.operations + 1 + this.#below(60);
        return this.#restartLater(agent, 20_000);
      case 'agentDiskFull':
        return this.#fillDisk(agent);
      case 'agentClockStep':
        return agent.stepClock((this.#random() < 0.5 ? -1 : 1) * (200 + this.#below(120_000)));
      case 'collectorKill':
      case 'collectorPower':
        this.#endCollector(fault === 'collectorKill' ? 'kill' : 'power');
        return this.#restartCollector();
      case 'collectorStop':
        return this.#stopCollector();
      case 'collectorCrashesAtPoint':
        this.#crashPoint = 1 + this.#below(40);
        return undefined;
      case 'commitsFail':
        this.#commitsFail = true;
        return this.#later(100 + this.#below(15_000), () => (this.#commitsFail = false));
      case 'commitsSlow':
        this.#commitMs = 100 + this.#below(8000);
        return this.#later(this.#below(40_000), () => (this.#commitMs = 3));
      default:
        return this.#breakLink(fault, agent, route);
    }
  }

  #breakLink(fault: Fault, agent: ChaosAgent, route: Route): void {
    switch (fault) {
      case 'cut':
        return agent.connection?.cut();
      case 'halfOpen':
        return agent.connection?.silence();
      case 'noRoute':
        route.mode = this.#random() < 0.5 ? 'refused' : 'silent';
        agent.connection?.cut();
        return this.#later(this.#below(120_000), () => (route.mode = 'up'));
      case 'slowRoute':
        route.latencyMs = 200 + this.#below(4000);
        if (this.#random() < 0.5) route.bytesPerSecond = 300 + this.#below(8000);
        return this.#later(this.#below(60_000), () => {
          route.latencyMs = 20;
          route.bytesPerSecond = Infinity;
        });
      case 'duplicates':
        route.duplicates = this.#random();
        return this.#later(this.#below(60_000), () => (route.duplicates = 0));
      case 'creditZero':
      case 'creditSmall':
        return this.#turnCredit(fault, agent);
      case 'watched':
        return void this.#collector?.ingest?.sessions.watch(agent.model.agentId);
      default:
        throw new Error(`${fault} is no fault of the link`);
    }
  }

  /** The collector has no reason yet to turn the credit; whoever sits at its end of the connection has. */
  #turnCredit(fault: Fault, agent: ChaosAgent): void {
    const { connection } = agent;
    if (connection === undefined || !agent.isOnline) return;
    const some = (): number => (fault === 'creditZero' ? 0 : 500 + this.#below(6000));
    connection.sendToAgent(encodeControl({ kind: 'credit', lanes: [some(), some(), some()] }));
    this.#later(this.#below(60_000), () =>
      connection.sendToAgent(encodeControl({ kind: 'credit', lanes: [4_000_000, 4_000_000, 2_000_000] })),
    );
  }

  #fillDisk(agent: ChaosAgent): void {
    const share = this.#random() < 0.5 ? 1 : 0.5;
    agent.isDiskFull = true;
    agent.disk.fault = (_, __, grows) => (grows && this.#random() < share ? 'ENOSPC' : undefined);
    this.#later(this.#below(60_000), () => this.#emptyDisk(agent));
  }

  #emptyDisk(agent: ChaosAgent): void {
    agent.isDiskFull = false;
    agent.disk.fault = () => undefined;
  }

  #later(delayMs: number, run: () => void): void {
    this.#time.after(delayMs, run);
  }

  #restartLater(agent: ChaosAgent, atLeastMs = 0): void {
    this.#later(atLeastMs + (this.#random() < 0.7 ? this.#below(8000) : this.#below(90_000)), () => agent.start());
  }

  #below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }

  // --- and how it ends

  async #heal(): Promise<void> {
    this.#isFaulty = false;
    this.#crashPoint = 0;
    this.#commitsFail = false;
    this.#commitMs = 3;
    for (const route of this.#routes) Object.assign(route, { latencyMs: 20, bytesPerSecond: Infinity, duplicates: 0, mode: 'up' });
    for (const agent of this.#agents) {
      this.#emptyDisk(agent);
      agent.disk.crashAt = Infinity;
    }
    if (this.#collector === undefined) this.#startCollector();
    this.#note('everything heals');
    // What was restarting restarts, what lives seals on for a while.
    await this.#seconds(20);
    for (const agent of this.#agents) {
      agent.start();
      agent.isQuiet = true;
    }
    const startedMs = this.#time.nowMs;
    while (!this.#agents.every((agent) => isDrained(agent))) {
      if (this.#time.nowMs - startedMs > DRAIN_MS_MAX)
        throw new Violation('the spool drains', `after ${DRAIN_MS_MAX / 1000} s: ${this.#left()}`);
      await this.#second();
    }
    await this.#seconds(EXPLAIN_MS / 1000);
    this.#promises.settle();
    const collector = this.#collector;
    this.#endCollector('kill');
    if (collector === undefined) throw new Error('the collector is there when all has healed');
  }

  async #seconds(count: number): Promise<void> {
    for (let i = 0; i < count; i++) await this.#second();
  }

  #left(): string {
    return this.#agents
      .map((agent) => {
        const stats = agent.spool?.stats();
        const frames = stats?.lanes.map((lane) => lane.frames).join('+') ?? 'not running';
        return `${agent.model.name}: ${frames} frames, ${stats?.gaps ?? 0} gaps, ${agent.isOnline ? 'on' : 'off'} line`;
      })
      .join('; ');
  }
}

function isDrained(agent: ChaosAgent): boolean {
  const stats = agent.spool?.stats();
  return stats !== undefined && stats.gaps === 0 && stats.lanes.every((lane) => lane.frames === 0);
}
