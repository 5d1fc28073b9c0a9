/** The live list of hosts: its first load, its stream, and what is wrong with either. Owned by the overview while that is shown. */
import { computed, signal } from '@preact/signals';
import { ApiError, fetchHosts } from './api.ts';
import { Connection } from './connection.ts';
import { readHosts } from './contract.ts';
import { Fleet } from './fleet.ts';
import { keepAwake } from './attention.ts';
import { endSession } from './session.ts';
import type { ServerEvent } from './event-stream.ts';

export type Phase =
  | { readonly kind: 'loading' }
  | { readonly kind: 'ready' }
  | { readonly kind: 'failed'; readonly sentence: string; readonly code: string };

export class HostsWatch {
  readonly fleet = new Fleet();
  readonly phase = signal<Phase>({ kind: 'loading' });
  /** Rises with each change of any host. */
  readonly revision = signal(0);
  /** Rises when hosts came, went or changed their status. */
  readonly membership = signal(0);
  readonly connection: Connection;
  /** Names that came since this view was opened. */
  readonly arrived = computed(() => {
    void this.membership.value;
    return this.fleet
      .all()
      .map((host) => host.name)
      .filter((name) => !this.#atFirst.has(name));
  });
  #atFirst: ReadonlySet<string> = new Set();
  #sleep: (() => void) | undefined;
  #first = true;

  constructor() {
    this.connection = new Connection({
      url: () => {
        this.#first = true;
        return '/api/v1/hosts/stream';
      },
      onEvent: (event) => this.#receive(event),
      onUnauthorized: endSession,
      fetch: (input, init) => fetch(input, init),
      random: Math.random,
    });
  }

  async open(): Promise<void> {
    this.phase.value = { kind: 'loading' };
    try {
      this.fleet.replace(await fetchHosts());
      this.#atFirst = new Set(this.fleet.all().map((host) => host.name));
      this.phase.value = { kind: 'ready' };
      this.#changed(true);
      this.#sleep ??= keepAwake(this.connection);
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) endSession();
      else this.phase.value = failure(error);
    }
  }

  close(): void {
    this.#sleep?.();
    this.connection.stop();
  }

  #receive(event: ServerEvent): void {
    if (event.name !== 'hosts') return;
    const update = readHosts(JSON.parse(event.data));
    if (!update) return;
    if (this.#first) {
      this.fleet.replace(update);
      this.#first = false;
      this.#changed(true);
    } else this.#changed(this.fleet.merge(update));
  }

  #changed(membership: boolean): void {
    this.revision.value++;
    if (membership) this.membership.value++;
  }
}

export function failure(error: unknown): Phase {
  if (error instanceof ApiError) return { kind: 'failed', sentence: error.message, code: error.code };
  return { kind: 'failed', sentence: `This page made a mistake: ${String(error)}`, code: 'page_error' };
}
