/** `up{job="node", instance}` of every host: 1 while its data arrives, 0 otherwise; written each 15 s and soon after it changes. */
import { labelsOf } from '../model/labels.ts';
import type { AgentId } from '../model/ports.ts';
import type { OwnSample, OwnSeries } from './own-series.ts';
import type { HostPresence, Presence } from './presence.ts';

/** Well below PromQL's lookback of five minutes, and what Prometheus users scrape at. */
const INTERVAL_MS = 15_000;
/** Hosts that change together, as when a collector comes back to a thousand agents, are written together. */
const GATHER_MS = 200;

export class UpSeries {
  readonly #own: OwnSeries;
  readonly #presence: Presence;
  readonly #written = new Map<AgentId, number>();
  readonly #changed = new Set<AgentId>();
  readonly #timer: NodeJS.Timeout;
  #soon: NodeJS.Timeout | undefined;
  readonly #stopListening: () => void;
  /** Writes that failed; the next interval writes again. */
  failures = 0;

  constructor(own: OwnSeries, presence: Presence) {
    this.#own = own;
    this.#presence = presence;
    this.#timer = setInterval(() => this.#write(presence.all()), INTERVAL_MS);
    this.#timer.unref();
    this.#stopListening = presence.onChange((agentId) => {
      this.#changed.add(agentId);
      this.#soon ??= setTimeout(() => this.#writeChanged(), GATHER_MS).unref();
    });
  }

  close(): void {
    clearInterval(this.#timer);
    clearTimeout(this.#soon);
    this.#stopListening();
  }

  #writeChanged(): void {
    this.#soon = undefined;
    const hosts: HostPresence[] = [];
    for (const agentId of this.#changed) {
      const host = this.#presence.of(agentId);
      if (host !== undefined && this.#written.get(agentId) !== valueOf(host)) hosts.push(host);
    }
    this.#changed.clear();
    this.#write(hosts);
  }

  #write(hosts: readonly HostPresence[]): void {
    const samples: OwnSample[] = [];
    for (const host of hosts) {
      if (host.status === 'never' || host.status === 'revoked') continue;
      const value = valueOf(host);
      this.#written.set(host.agent.agentId, value);
      samples.push({
        name: 'up',
        type: 'gauge',
        help: '1 while data of the host arrives, 0 otherwise.',
        labels: labelsOf({ instance: host.agent.name, job: 'node' }),
        value,
      });
    }
    this.#own.write(samples).catch(() => {
      this.failures++;
      for (const host of hosts) this.#written.delete(host.agent.agentId);
    });
  }
}

function valueOf(host: HostPresence): number {
  return host.status === 'up' ? 1 : 0;
}
