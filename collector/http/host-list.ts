/** The live list of hosts: one look a second for all who watch, and to each only what has changed since they last read. */
import type { Fleet } from './fleet.ts';
import type { Roster } from '../model/roster.ts';
import { hostJson } from './roster.ts';
import type { EventStream } from './sse.ts';

const TICK_MS = 1000;
/** Every host is looked at again this often, for what changes without a word, such as figures that have become too old to show. */
const FULL_LOOK_MS = 30_000;

export type HostListDeps = {
  readonly roster: Roster;
  readonly fleet: Fleet;
  readonly warn: (error: unknown, message: string) => void;
};

/** What one client has yet to be told. Names, not texts: a slow client gets the latest state once, not every state. */
type Client = { readonly changed: Set<string>; readonly removed: Set<string> };

export class HostList {
  readonly #deps: HostListDeps;
  readonly #clients = new Map<EventStream, Client>();
  /** The JSON of every host as last told, while anybody watches. */
  readonly #texts = new Map<string, string>();
  #closed = false;
  /** Agents of which the roster or the figures said something since the last look. */
  readonly #changed = new Set<string>();
  #unsubscribe: (() => void) | undefined;
  #timer: NodeJS.Timeout | undefined;
  #fullLookMs = -Infinity;
  #looking = false;

  constructor(deps: HostListDeps) {
    this.#deps = deps;
  }

  close(): void {
    this.#closed = true;
    this.#rest();
  }

  #rest(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#unsubscribe?.();
    this.#unsubscribe = undefined;
    this.#texts.clear();
    this.#changed.clear();
    this.#fullLookMs = -Infinity;
  }

  /** The stream gets all hosts at once and from then on the changes, until it closes. */
  add(stream: EventStream): void {
    this.#timer ??= setInterval(() => void this.#look(), TICK_MS);
    this.#unsubscribe ??= this.#subscribe();
    this.#compare();
    stream.send('hosts', `{"hosts":[${[...this.#texts.values()].join(',')}],"removed":[]}`);
    this.#clients.set(stream, { changed: new Set(), removed: new Set() });
    stream.onClose(() => this.#remove(stream));
    void this.#look();
  }

  #subscribe(): () => void {
    const ends = [
      this.#deps.roster.onChange((agentId) => this.#changed.add(agentId)),
      this.#deps.fleet.onRead((agentIds) => agentIds.forEach((agentId) => this.#changed.add(agentId))),
    ];
    return () => ends.forEach((end) => end());
  }

  #remove(stream: EventStream): void {
    this.#clients.delete(stream);
    if (this.#clients.size === 0) this.#rest();
  }

  async #look(): Promise<void> {
    if (this.#looking || this.#clients.size === 0) return;
    this.#looking = true;
    try {
      await this.#deps.fleet.refresh();
    } catch (error) {
      if (!this.#closed) this.#deps.warn(error, 'the figures of the hosts could not be read');
    } finally {
      this.#looking = false;
    }
    if (this.#closed || this.#clients.size === 0) return;
    this.#compare();
    for (const [stream, client] of this.#clients) if (stream.ready) this.#tell(stream, client);
  }

  /** Notes for every client which hosts read differently than before. */
  #compare(): void {
    const full = performance.now() - this.#fullLookMs >= FULL_LOOK_MS;
    if (full) this.#fullLookMs = performance.now();
    const gone = new Set(this.#texts.keys());
    for (const host of this.#deps.roster.hosts()) {
      gone.delete(host.name);
      if (!full && !this.#changed.has(host.agentId)) continue;
      const text = JSON.stringify(hostJson(host, this.#deps.fleet.values(host.name)));
      if (this.#texts.get(host.name) === text) continue;
      this.#texts.set(host.name, text);
      for (const client of this.#clients.values()) {
        client.changed.add(host.name);
        client.removed.delete(host.name);
      }
    }
    this.#changed.clear();
    for (const name of gone) {
      this.#texts.delete(name);
      for (const client of this.#clients.values()) {
        client.changed.delete(name);
        client.removed.add(name);
      }
    }
  }

  #tell(stream: EventStream, client: Client): void {
    if (client.changed.size === 0 && client.removed.size === 0) return;
    const texts = [...client.changed].map((name) => this.#texts.get(name)).filter((text) => text !== undefined);
    stream.send('hosts', `{"hosts":[${texts.join(',')}],"removed":${JSON.stringify([...client.removed])}}`);
    client.changed.clear();
    client.removed.clear();
  }
}
