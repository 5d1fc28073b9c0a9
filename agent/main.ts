/**
 * The agent, wired: gatherers -> batcher -> sealer -> spool and link. Each part knows its neighbours only. Nothing here runs what a collector sends:
 * all that it may ask for is how often to flush.
 */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { LANE_NAMES } from '../protocol/index.ts';
import { Batcher } from './batcher.ts';
import { SegmentClock, systemTimers } from './clock.ts';
import type { AgentConfig } from './config.ts';
import { Documents } from './documents.ts';
import { gatherOnce as printOnce } from './exposition.ts';
import { Flusher } from './flush.ts';
import { DEFAULT_SETTINGS, gatherers as allGatherers, type GatherSettings } from './gather/all.ts';
import type { Gatherer, Tick } from './gather/gatherer.ts';
import type { SelfSource } from './gather/self.ts';
import { Identity, readBootId } from './identity.ts';
import { keepInventory, readInventory } from './inventory.ts';
import { LineSeries } from './line-series.ts';
import { GapReporter } from './link/gap-reporter.ts';
import type { LinkLog } from './link/journal.ts';
import { Link, type LinkListener } from './link/link.ts';
import type { Transport } from './link/transport.ts';
import { wsTransport } from './link/ws-transport.ts';
import { endOf, readRunState, writeRunState } from './run-state.ts';
import { Scheduler, type GatherLog } from './scheduler.ts';
import { Sealer } from './sealer.ts';
import { Spool, type SpoolLog } from './spool/spool.ts';
import { AGENT_VERSION } from './version.ts';

/** pino's, as far as it is used here. */
export type AgentLog = LinkLog & GatherLog & SpoolLog;

/** How often the run's record is written; the spool knows better what was sealed. */
const RUN_STATE_MS = 60_000;
/** How long a stopping agent waits for answers; with the grace of a tick and the last sync it ends within a second and a half. */
const STOP_WAIT_MS = 600;
/** The inventory is taken by a process of its own; in a bundle it is a file beside this one. */
const INVENTORY_CHILD = join(import.meta.dirname, import.meta.filename.endsWith('.ts') ? 'inventory-child.ts' : 'inventory-child.mjs');

/** Runs until the signal. Rejects with a sentence (AgentError, SpoolError) if it cannot start. */
export async function runAgent(config: AgentConfig, { log, signal }: { log: AgentLog; signal: AbortSignal }): Promise<void> {
  const { directory, paths } = config;
  const transport = wsTransport({ url: config.collectorUrl, insecure: config.insecure, caFile: config.caFile });
  const identity = Identity.open({ directory, enrollToken: config.enrollToken, rootfs: paths.rootfs });
  const bootId = readBootId(paths.procfs);
  const sealer = new Sealer({ agentId: identity.agentId, fleetId: identity.fleetId, sign: identity.sign, random: randomBytes });
  const { now, logs, bulk } = config.spool;
  const spool = Spool.open({
    directory: join(directory, 'spool'),
    epoch: sealer.epochName,
    lanes: [now, logs, bulk],
    nowMs: Date.now,
    log,
  });
  // The spool's lock is held from here on: nobody else writes the record of the last run.
  const before = readRunState(directory);
  const previous = before === undefined ? undefined : endOf(before, bootId, spool.stats().newestMs);
  const line = openLine({ config, transport, identity, bootId, sealer, spool, log });
  const record = (stopped: boolean): void => {
    try {
      writeRunState(directory, { epoch: sealer.epochName, bootId, lastMs: Math.max(line.lastMs(), previous?.lastMs ?? 0), stopped });
    } catch (error) {
      log.warn({ err: error }, "the run's record was not written: the next start may not know how this run ended");
    }
  };
  record(false);
  line.start(previous);
  const recording = setInterval(() => record(false), RUN_STATE_MS);
  log.info({ directory, collector: config.collectorUrl, epoch: sealer.epochName, version: AGENT_VERSION }, 'agent started');
  await aborted(signal);
  clearInterval(recording);
  await line.stop();
  await spool.close();
  record(true);
  log.info({}, 'agent stopped');
}

type LineParts = {
  readonly config: AgentConfig;
  readonly transport: Transport;
  readonly identity: Identity;
  readonly bootId: string;
  readonly sealer: Sealer;
  readonly spool: Spool;
  readonly log: AgentLog;
};

type Line = {
  readonly start: (previous: ReturnType<typeof endOf> | undefined) => void;
  readonly stop: () => Promise<void>;
  readonly lastMs: () => number;
};

/** From the gatherers to the link. */
function openLine({ config, transport, identity, bootId, sealer, spool, log }: LineParts): Line {
  const clock = new SegmentClock();
  const wallMs = (): number => clock.wallMs();
  const monotonicMs = (): number => clock.monotonicMs();
  const segment = () => clock.segment;
  const timing = { wallMs, monotonicMs, timers: systemTimers };
  const documents = new Documents({ sealer, segment, wallMs, bootId, offer: (frame) => link.offer(frame) });
  const reporter = new GapReporter(spool, (events) => documents.gaps(events));
  const batcher = new Batcher({
    sealer,
    segment,
    outlet: {
      dictionary(part) {
        spool.appendDictionary(part.epoch, part.from, part.to, part.bytes);
        link.announced(part.epoch, part.to);
      },
      frame: (frame) => link.offer(frame),
    },
    renew() {
      documents.renew(batcher.lastMs);
      link.reintroduce();
      log.info({ epoch: sealer.epochName }, 'dictionary worn out, new epoch');
    },
  });
  const { flushMs, offlineFlushMs } = config;
  const flusher = new Flusher({ ...timing, agentId: identity.agentId, flushMs, offlineFlushMs, flush: () => batcher.flush() });
  const listener = listenerOf(flusher, reporter, batcher);
  const own = { name: config.name, bootId, agentVersion: AGENT_VERSION, epoch: () => sealer.epoch, segment };
  const link: Link = new Link({ ...timing, ...own, transport, identity, spool, listener, random: Math.random, randomBytes, log });
  const lineSeries = new LineSeries(batcher);
  const scheduler = new Scheduler({
    gatherers: scheduled(config, selfSource(spool, link, wallMs), clock),
    sink: batcher,
    sinkFor: (gatherer) => batcher.sourceOf(gatherer.name),
    clock,
    timers: systemTimers,
    beforeTick: () => void clock.check(),
    onTick,
    log,
  });
  let stopInventory = async (): Promise<void> => {};

  clock.onStep((begun, stepMs) => {
    // What is pending ran in the segment before; the collector hears of the new one before it sees a frame of it.
    batcher.flush();
    link.sendState();
    documents.clockStepped(begun, stepMs);
    log.warn({ stepMs, segment: begun.number }, "the machine's clock was stepped");
  });

  function onTick(tick: Tick, ran: readonly Gatherer[]): void {
    lineSeries.set(link.stats, batcher.drops);
    batcher.endTick(tick, ran);
    flusher.tickDone(batcher.takeCrossed());
    if (link.isOnline) reporter.report();
    void syncSpool(spool, log);
  }

  return {
    lastMs: () => batcher.lastMs,
    start(previous) {
      documents.start(previous);
      link.start();
      scheduler.start();
      stopInventory = startInventory(documents, log);
    },
    async stop() {
      await Promise.all([stopInventory(), scheduler.stop()]);
      flusher.stop();
      batcher.flush();
      documents.stop();
      await syncSpool(spool, log);
      await link.stop(STOP_WAIT_MS);
    },
  };
}

/** What follows from the collector's words: flushes and delivered gaps, nothing else. */
function listenerOf(flusher: Flusher, reporter: GapReporter, batcher: Batcher): LinkListener {
  return {
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
  };
}

/** Gathers once and gives what was gathered in Prometheus's text format. */
export async function gatherOnce(config: AgentConfig): Promise<string> {
  const clock = new SegmentClock();
  const list = allGatherers(config.paths, settingsOf(config), { clock, timers: systemTimers });
  try {
    return await printOnce(list, clock, systemTimers, { info: () => {}, warn: () => {} });
  } finally {
    for (const gatherer of list) gatherer.close();
  }
}

function startInventory(documents: Documents, log: AgentLog): () => Promise<void> {
  const kept = keepInventory({
    read: (signal) => readInventory({ childPath: INVENTORY_CHILD, signal }),
    timers: systemTimers,
    onInventory: (inventory) => documents.inventory(inventory),
    onFailure: (error) => log.warn({ err: error }, 'no inventory taken'),
  });
  return () => kept.stop();
}

async function syncSpool(spool: Spool, log: AgentLog): Promise<void> {
  try {
    await spool.sync();
  } catch (error) {
    // Told by the spool's own figures; tried again in a second.
    log.debug({ err: error }, 'spool not synced');
  }
}

function scheduled(config: AgentConfig, self: SelfSource, clock: SegmentClock): { gatherer: Gatherer; intervalMs: number }[] {
  return allGatherers(config.paths, settingsOf(config), { clock, timers: systemTimers, self }).map((gatherer) => ({
    gatherer,
    intervalMs: config.gatherers[gatherer.name]?.intervalMs ?? config.gatherIntervalMs ?? gatherer.intervalMs,
  }));
}

function settingsOf(config: AgentConfig): GatherSettings {
  const disabled = Object.keys(config.gatherers).filter((name) => config.gatherers[name]?.enabled === false);
  return { ...DEFAULT_SETTINGS, disabled };
}

function selfSource(spool: Spool, link: Link, wallMs: () => number): SelfSource {
  return {
    version: AGENT_VERSION,
    linkUp: () => link.isOnline,
    spool: () =>
      spool.stats().lanes.map(({ lane, bytes, frames, oldestMs }) => ({
        lane: LANE_NAMES[lane as 0 | 1 | 2],
        bytes,
        frames,
        oldestMs: oldestMs === 0 ? 0 : Math.max(0, wallMs() - oldestMs),
      })),
    drops: () => spool.stats().drops.map((drop) => ({ ...drop, lane: LANE_NAMES[drop.lane as 0 | 1 | 2] })),
  };
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
