/** What ingest counts, as metric families. Pure. */
import { counter, gauge, type MetricFamily } from '../model/metrics.ts';
import type { IngestCounters } from './counters.ts';

export function ingestFamilies(counters: IngestCounters, live: { agents: number; ledgerDropped: number }): MetricFamily[] {
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
