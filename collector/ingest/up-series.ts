/** `up{job="node", instance}` of every host: 1 while its data arrives, 0 otherwise; written each 15 s and at once when it changes. */
import { labelsOf } from '../model/labels.ts';
import type { AgentId } from '../model/ports.ts';
import type { OwnSample, OwnSeries } from './own-series.ts';
import { HostStatus, type HostPresence, type Presence } from './presence.ts';

/** Well below PromQL's lookback of five minutes, and what Prometheus users scrape at. */
const INTERVAL_MS = 15_000;

export class UpSeries {
  readonly #own: OwnSeries;
  readonly #written = new Map<AgentId, number>();
  readonly #timer: NodeJS.Timeout;
  readonly #stopListening: () => void;
  /** Writes that failed; the next interval writes again. */
  failures = 0;

  constructor(own: OwnSeries, presence: Presence) {
    this.#own = own;
    this.#timer = setInterval(() => this.#write(presence.all()), INTERVAL_MS);
    this.#timer.unref();
    this.#stopListening = presence.onChange((agentId) => {
      const host = presence.of(agentId);
      if (host !== undefined && this.#written.get(agentId) !== valueOf(host)) this.#write([host]);
    });
  }

  close(): void {
    clearInterval(this.#timer);
    this.#stopListening();
  }

  #write(hosts: readonly HostPresence[]): void {
    const samples: OwnSample[] = [];
    for (const host of hosts) {
      if (host.status === HostStatus.never || host.status === HostStatus.revoked) continue;
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
  return host.status === HostStatus.up ? 1 : 0;
}
