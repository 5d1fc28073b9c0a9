/**
 * The agent, wired: gatherers -> batcher -> sealer -> spool and link. Everything that a collector may ask of it is in `configured`: how often to flush.
 * No other part of the agent knows more than its neighbours.
 */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { encodeEvents, FrameKind, Lane, LANE_NAMES, type AgentEvent } from '../protocol/index.ts';
import { Batcher } from './batcher.ts';
import { SegmentClock, systemTimers } from './clock.ts';
import type { AgentConfig } from './config.ts';
import { gatherOnce as printOnce } from './exposition.ts';
import { Flusher } from './flush.ts';
import { DEFAULT_SETTINGS, gatherers as allGatherers, type GatherSettings } from './gather/all.ts';
import type { Gatherer, Tick } from './gather/gatherer.ts';
import type { SelfSource } from './gather/self.ts';
import { Identity, readBootId } from './identity.ts';
import { LineSeries } from './line-series.ts';
import { GapReporter } from './link/gap-reporter.ts';
import { Link, type LinkLog } from './link/link.ts';
import { wsTransport } from './link/ws-transport.ts';
import { endOf, readRunState, writeRunState } from './run-state.ts';
import { Scheduler, type GatherLog } from './scheduler.ts';
import { Sealer, type SealedFrame } from './sealer.ts';
import { Spool, type SpoolLog } from './spool/spool.ts';
import { AGENT_VERSION } from './version.ts';

/** pino's, as far as it is used here. */
export type AgentLog = LinkLog & GatherLog & SpoolLog;

/** How often the run's record is written; the spool knows better what was sealed. */
const RUN_STATE_MS = 60_000;
/** How long a stopping agent waits for answers; with the grace of a tick and the last sync it ends within a second and a half. */
const STOP_WAIT_MS = 600;

/** Runs until the signal. Rejects with a sentence (AgentError, SpoolError) if it cannot start. */
export async function runAgent(config: AgentConfig, { log, signal }: { log: AgentLog; signal: AbortSignal }): Promise<void> {
  const { directory, paths } = config;
  const transport = wsTransport({ url: config.collectorUrl, insecure: config.insecure, caFile: config.caFile });
  const identity = Identity.open({ directory, enrollToken: config.enrollToken, rootfs: paths.rootfs });
  const bootId = readBootId(paths.procfs);
  const clock = new SegmentClock();
  const wallMs = (): number => Math.floor(clock.wallMs());
  const sealer = new Sealer({ agentId: identity.agentId, fleetId: identity.fleetId, sign: identity.sign, random: randomBytes });
  const { now, logs, bulk } = config.spool;
  const spool = Spool.open({ directory: join(directory, 'spool'), epoch: sealer.epochName, lanes: [now, logs, bulk], nowMs: Date.now, log });
  // The lock of the spool is held from here on: nobody else writes the run's record.
  const previous = readRunState(directory);
  const newestMs = spool.stats().newestMs;

  const offer = (frame: SealedFrame): void => link.offer(frame);
  const batcher = new Batcher({
    sealer,
    segment: () => clock.segment,
    outlet: {
      dictionary(part) {
        spool.appendDictionary(part.epoch, part.from, part.to, part.bytes);
        link.announced(part.epoch, part.to);
      },
      frame: offer,
    },
    renew,
  });
  const flusher = new Flusher({
    agentId: identity.agentId,
    wallMs: () => clock.wallMs(),
    monotonicMs: () => clock.monotonicMs(),
    timers: systemTimers,
    flushMs: config.flushMs,
    offlineFlushMs: config.offlineFlushMs,
    flush: () => batcher.flush(),
  });
  const reporter = new GapReporter(spool, (events) => sealEvents(events));
  const link: Link = new Link({
    transport,
    identity,
    spool,
    name: config.name,
    bootId,
    agentVersion: AGENT_VERSION,
    epoch: () => sealer.epoch,
    segment: () => clock.segment,
    wallMs: () => clock.wallMs(),
    monotonicMs: () => clock.monotonicMs(),
    timers: systemTimers,
    random: Math.random,
    randomBytes,
    log,
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
  });
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
  let recordedMs = clock.monotonicMs();

  clock.onStep((segment, stepMs) => {
    // What is pending ran in the segment before; the collector hears of the new one before it sees a frame of it.
    batcher.flush();
    link.sendState();
    sealEvents([{ type: 'clock', atMs: wallMs(), segment: segment.number, stepMs }]);
    log.warn({ stepMs, segment: segment.number }, "the machine's clock was stepped");
  });

  sealEvents([
    {
      type: 'start',
      atMs: wallMs(),
      version: AGENT_VERSION,
      bootId,
      ...(previous === undefined ? {} : { previous: endOf(previous, bootId, newestMs) }),
    },
  ]);
  record(false);
  link.start();
  scheduler.start();
  log.info({ directory, collector: config.collectorUrl, epoch: sealer.epochName, version: AGENT_VERSION }, 'agent started');

  await aborted(signal);
  await scheduler.stop();
  flusher.stop();
  batcher.flush();
  sealEvents([{ type: 'stop', atMs: wallMs() }]);
  await syncSpool();
  await link.stop(STOP_WAIT_MS);
  await spool.close();
  record(true);
  log.info({}, 'agent stopped');

  function onTick(tick: Tick, ran: readonly Gatherer[]): void {
    lineSeries.set(link.stats, batcher.drops);
    batcher.endTick(tick, ran);
    flusher.tickDone(batcher.takeCrossed());
    if (link.isOnline) reporter.report();
    void syncSpool();
    if (tick.monotonicMs - recordedMs < RUN_STATE_MS) return;
    recordedMs = tick.monotonicMs;
    record(false);
  }

  function sealEvents(events: readonly AgentEvent[]): SealedFrame {
    const atMs = wallMs();
    const frame = sealer.seal({
      kind: FrameKind.events,
      lane: Lane.now,
      bytes: encodeEvents(events),
      dictionaryLength: 0,
      segment: clock.segment,
      fromMs: atMs,
      toMs: atMs,
      samples: 0,
    });
    offer(frame);
    return frame;
  }

  /** One epoch ends as if the agent had stopped, the next begins as if it had started. */
  function renew(): void {
    const epoch = sealer.epochName;
    sealEvents([{ type: 'stop', atMs: wallMs() }]);
    sealer.renew();
    sealEvents([{ type: 'start', atMs: wallMs(), version: AGENT_VERSION, bootId, previous: { epoch, end: 'stopped', lastMs: batcher.lastMs } }]);
    record(false);
    log.info({ epoch: sealer.epochName }, 'dictionary worn out, new epoch');
  }

  async function syncSpool(): Promise<void> {
    try {
      await spool.sync();
    } catch (error) {
      // Told by the spool's own log and figures; tried again in a second.
      log.debug({ err: error }, 'spool not synced');
    }
  }

  function record(stopped: boolean): void {
    try {
      writeRunState(directory, { epoch: sealer.epochName, bootId, lastMs: batcher.lastMs, stopped });
    } catch (error) {
      log.warn({ err: error }, "the run's record was not written: the next start may not know how this run ended");
    }
  }
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
