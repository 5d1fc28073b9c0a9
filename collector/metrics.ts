/** What the collector counts of itself, as metric families: ingest's counters and the store's. Names begin with picket_. Pure. */
import type { IngestCounters } from './ingest/counters.ts';

/** As http/metrics.ts writes them. */
export type Family = {
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge';
  readonly samples: readonly { readonly labels?: Readonly<Record<string, string>>; readonly value: number }[];
};

/** Figures of the store that are gauges; every other number of its statistics only rises. */
const STORE_GAUGES = new Set([
  'headSeries',
  'headBytes',
  'headSamples',
  'undecodedFrames',
  'waitingFrames',
  'walBytes',
  'generations',
  'partitions',
  'recordsBytes',
  'rawBytes',
  'walDiskBytes',
  'commitMsMax',
  'cutTurnMsMax',
]);

export function ingestFamilies(counters: IngestCounters, live: { agents: number; ledgerDropped: number }): Family[] {
  const refused = [...counters.refused].map(([code, value]) => ({ labels: { code }, value }));
  return [
    gauge('picket_ingest_agents_connected', 'Agents with an open session.', live.agents),
    counter('picket_ingest_frames_total', 'Frames received.', counters.frames),
    counter('picket_ingest_bytes_total', 'Bytes of frames received.', counters.bytes),
    counter('picket_ingest_duplicate_frames_total', 'Frames that were stored already and acked again.', counters.duplicates),
    counter('picket_ingest_late_frames_total', 'Frames that came later than live ones do.', counters.lateFrames),
    counter('picket_ingest_chain_breaks_total', 'Frames that do not name the digest of the one before.', counters.chainBreaks),
    counter('picket_ingest_commits_total', 'Synced commits.', counters.commits),
    counter('picket_ingest_commit_seconds_total', 'Time spent waiting for synced commits.', counters.commitMs / 1000),
    counter('picket_ingest_commit_failures_total', 'Commits that failed; their frames stay with the agents.', counters.commitFailures),
    counter('picket_ingest_acked_frames_total', 'Frames acked, duplicates included.', counters.ackedFrames),
    counter('picket_ingest_sessions_opened_total', 'Sessions that finished their handshake.', counters.sessionsOpened),
    counter('picket_ingest_sessions_closed_total', 'Sessions that ended.', counters.sessionsClosed),
    counter('picket_ingest_handshake_failures_total', 'Hellos that did not decode or verify.', counters.handshakeFailures),
    counter('picket_ingest_enrolled_total', 'Agents enrolled since the start.', counters.enrolled),
    counter('picket_ingest_gaps_forgotten_total', 'Entries of the gap ledger dropped because there were too many.', live.ledgerDropped),
    { name: 'picket_ingest_refused_total', help: 'Frames, messages and handshakes refused, by code.', type: 'counter', samples: refused },
  ];
}

/** Every figure of the store under its own name: `cutTurnMsMax` becomes `picket_store_cut_turn_seconds_max`. */
export function storeFamilies(stats: Readonly<Record<string, number>>): Family[] {
  return Object.entries(stats).map(([key, value]) => {
    const isGauge = STORE_GAUGES.has(key);
    const isTime = /Ms(Max)?$/.test(key);
    const words = key.replace(/Ms(Max)?$/, 'Seconds$1').replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    const name = `picket_store_${words}${isGauge ? '' : '_total'}`;
    const help = `Of the store: ${words.replaceAll('_', ' ')}.`;
    return (isGauge ? gauge : counter)(name, help, isTime ? value / 1000 : value);
  });
}

export function processFamilies(startedMs: number, version: string): Family[] {
  const { user, system } = process.cpuUsage();
  const memory = process.memoryUsage();
  return [
    counter('process_cpu_seconds_total', 'CPU time of the collector, user and system.', (user + system) / 1e6),
    gauge('process_resident_memory_bytes', 'Resident memory of the collector.', memory.rss),
    gauge('process_start_time_seconds', 'When the collector started, seconds since 1970.', startedMs / 1000),
    { name: 'picket_build_info', help: 'Version of the collector.', type: 'gauge', samples: [{ labels: { version }, value: 1 }] },
  ];
}

function counter(name: string, help: string, value: number): Family {
  return { name, help, type: 'counter', samples: [{ value }] };
}

function gauge(name: string, help: string, value: number): Family {
  return { name, help, type: 'gauge', samples: [{ value }] };
}
