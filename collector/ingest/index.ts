/** Opens everything of ingest in the right order and closes it in the other. The one place that knows how its parts hang together. */
import type { Appender, AppendedFeed, RecordStore, StoreLoss } from '../model/ports.ts';
import { Agents } from './agents.ts';
import { ClockSegments } from './clock-segments.ts';
import { newIngestCounters, type IngestCounters } from './counters.ts';
import { Hosts } from './hosts.ts';
import { openIdentity, type CollectorIdentity } from './identity.ts';
import { Ledger, type Reach } from './ledger.ts';
import { OwnSeries } from './own-series.ts';
import { Presence } from './presence.ts';
import { horizonOf, Receiver } from './receiver.ts';
import type { SessionDeps } from './session.ts';
import { Sessions } from './sessions.ts';
import { AgentSockets } from './sockets.ts';
import { EnrollTokens } from './tokens.ts';
import { UpSeries } from './up-series.ts';

export type IngestOptions = {
  readonly dataDir: string;
  readonly store: Appender & AppendedFeed & { onLoss(listener: (loss: StoreLoss) => void): () => void };
  readonly records: RecordStore;
  /** Age above which samples are refused; undefined takes any time. */
  readonly retentionMs: number | undefined;
  readonly nowMs: () => number;
  readonly log: SessionDeps['log'];
};

export type Ingest = {
  readonly identity: CollectorIdentity;
  readonly tokens: EnrollTokens;
  readonly sessions: Sessions;
  readonly sockets: AgentSockets;
  readonly hosts: Hosts;
  readonly ledger: Ledger;
  readonly counters: IngestCounters;
  close(): Promise<void>;
};

export async function openIngest(options: IngestOptions): Promise<Ingest> {
  const { store, records, nowMs, log } = options;
  const identity = openIdentity(options.dataDir);
  const counters = newIngestCounters();
  const agents = await Agents.open(records, nowMs);
  const presence = await Presence.open({ agents, records, nowMs });
  const reach: Reach = presence;
  const ledger = await Ledger.open({ records, appender: store, reach, nowMs });
  const names = { fleetId: identity.fleetId, isHost: (name: string) => agents.byName(name) !== undefined };
  const receiver = new Receiver({ appender: store, ledger, names, counters, horizon: horizonOf(options.retentionMs), nowMs });
  const tokens = new EnrollTokens({ records, identity, nowMs });
  const clocks = new ClockSegments({ records, nowMs });
  const sessions = new Sessions({ identity, agents, tokens, appender: store, receiver, ledger, presence, clocks, counters, nowMs, log });
  const sockets = new AgentSockets(sessions);
  const hosts = await Hosts.open({ agents, presence, ledger, sessions, records });
  const own = await OwnSeries.open({ identity, appender: store, nowMs });
  const up = new UpSeries(own, presence);
  const stopFeed = store.onAppended((agentId, newestMs) => {
    // The collector's own series come by the same feed and are no host's.
    if (agents.get(agentId) !== undefined) presence.arrived(agentId, newestMs);
  });
  const stopLoss = store.onLoss((loss) => {
    log.warn({ cause: loss.cause, detail: loss.detail, agent: loss.agentId }, 'stored data is damaged or unreadable');
    const agentId = loss.agentId ?? (loss.instance === undefined ? undefined : agents.byName(loss.instance)?.agentId);
    ledger.loss({ ...loss, agentId }).catch((error: unknown) => log.warn({ error: (error as Error).message }, 'cannot file a loss'));
  });
  return {
    identity,
    tokens,
    sessions,
    sockets,
    hosts,
    ledger,
    counters,
    async close() {
      up.close();
      sessions.close();
      await sockets.close();
      stopFeed();
      stopLoss();
      await presence.close();
      await ledger.close();
    },
  };
}
