/** Everything that the server is given, as doubles that a test can set; and a server on a free port. */
import { randomUUID } from 'node:crypto';
import type { AccessDeps } from '../../../collector/access/access.ts';
import { Access } from '../../../collector/access/access.ts';
import type { Coverage } from '../../../collector/model/coverage.ts';
import type { RecordKind, RecordStore, StoredRecord, StoreState } from '../../../collector/model/ports.ts';
import type { Roster, RosterHost } from '../../../collector/model/roster.ts';
import { startServer, type ListenOptions, type RunningServer, type ServerDeps } from '../../../collector/http/server.ts';
import { selectorEngine } from '../../../collector/query/engine.ts';
import { FakeSource } from '../query/fake-source.ts';

export const TOKEN = 'test-admin-token';
export const AUTHORIZED = { authorization: `Bearer ${TOKEN}` } as const;

export class FakeRecords implements RecordStore {
  readonly #kinds = new Map<RecordKind, Map<string, StoredRecord<unknown>>>();

  #of(kind: RecordKind): Map<string, StoredRecord<unknown>> {
    let records = this.#kinds.get(kind);
    if (records === undefined) this.#kinds.set(kind, (records = new Map()));
    return records;
  }

  async get<T>(kind: RecordKind, id: string): Promise<StoredRecord<T> | undefined> {
    return this.#of(kind).get(id) as StoredRecord<T> | undefined;
  }

  async list<T>(kind: RecordKind): Promise<readonly StoredRecord<T>[]> {
    return [...this.#of(kind).values()].sort((a, b) => (a.id < b.id ? -1 : 1)) as StoredRecord<T>[];
  }

  async putIfAbsent<T>(kind: RecordKind, id: string, value: T): Promise<boolean> {
    if (this.#of(kind).has(id)) return false;
    this.#of(kind).set(id, { id, version: 1, value });
    return true;
  }

  async compareAndSet<T>(kind: RecordKind, id: string, version: number, value: T): Promise<number | undefined> {
    if (this.#of(kind).get(id)?.version !== version) return undefined;
    this.#of(kind).set(id, { id, version: version + 1, value });
    return version + 1;
  }

  async delete(kind: RecordKind, id: string, version: number): Promise<boolean> {
    return this.#of(kind).get(id)?.version === version && this.#of(kind).delete(id);
  }

  revision(): number {
    return 0;
  }
}

export class FakeRoster implements Roster {
  readonly list: RosterHost[] = [];
  readonly revoked = new Set<string>();
  readonly #listeners = new Set<(agentId: string) => void>();

  add(name: string, change: Partial<RosterHost> = {}): RosterHost {
    const host: RosterHost = {
      name,
      agentId: `a9e27${name}`,
      status: 'up',
      statusSinceMs: 1000,
      lastSampleMs: null,
      lastSeenMs: null,
      clockOffsetMs: 0,
      os: 'Debian GNU/Linux 12',
      kernel: '6.1',
      arch: 'x64',
      cpuCount: 2,
      bootTimeMs: 500,
      version: '0.1.0',
      link: { connected: true, sinceMs: 1000, backlogBytes: 0, backlogOldestMs: null },
      ...change,
    };
    const at = this.list.findIndex((one) => one.name === name);
    if (at === -1) this.list.push(host);
    else this.list[at] = host;
    for (const listener of this.#listeners) listener(host.agentId);
    return host;
  }

  hosts(): readonly RosterHost[] {
    return this.list;
  }

  host(name: string): RosterHost | undefined {
    return this.list.find((host) => host.name === name);
  }

  async revoke(agentId: string): Promise<boolean> {
    if (this.revoked.has(agentId)) return false;
    this.revoked.add(agentId);
    return true;
  }

  onChange(listener: (agentId: string) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}

export type Fakes = {
  readonly deps: ServerDeps;
  readonly source: FakeSource;
  readonly roster: FakeRoster;
  readonly records: FakeRecords;
  readonly access: Access;
  readonly watched: string[];
  readonly unwatched: string[];
  /** Resolves with the next end of a watch. */
  untilUnwatched(): Promise<void>;
  readonly asked: { hosts: readonly string[] | 'all'; fromMs: number; toMs: number }[];
  readonly logged: string[];
  /** Set by tests. */
  state: StoreState;
  nowMs: number;
  coverage: Coverage;
};

export function fakes(change: { readonly pageDir?: string; readonly access?: Partial<AccessDeps> } & Partial<ServerDeps> = {}): Fakes {
  const source = new FakeSource();
  const roster = new FakeRoster();
  const records = new FakeRecords();
  const nowMs = (): number => made.nowMs;
  const access = new Access({ records, adminToken: TOKEN, nowMs, ...change.access });
  const tokens = new Map<string, { id: string; createdMs: number; expiresAtMs: number; uses: number; usesLeft: number }>();
  let onUnwatched = (): void => undefined;
  const { access: _access, ...rest } = change;
  const made: Fakes = {
    source,
    roster,
    records,
    access,
    watched: [],
    unwatched: [],
    untilUnwatched: () => new Promise((resolve) => (onUnwatched = resolve)),
    asked: [],
    logged: [],
    state: 'ready',
    nowMs: 1_700_000_000_000,
    coverage: { live: [], late: [], gaps: [] },
    deps: {
      engine: selectorEngine({ source }),
      samples: source,
      labels: source,
      appended: source,
      storeState: () => made.state,
      coverage: {
        async of(hosts, fromMs, toMs) {
          made.asked.push({ hosts, fromMs, toMs });
          return made.coverage;
        },
      },
      roster,
      watch(agentId) {
        made.watched.push(agentId);
        return () => {
          made.unwatched.push(agentId);
          onUnwatched();
        };
      },
      enrolment: {
        async newToken(options) {
          const id = randomUUID();
          const info = {
            id,
            createdMs: nowMs(),
            expiresAtMs: nowMs() + (options.ttlMs ?? 0),
            uses: options.uses ?? 1,
            usesLeft: options.uses ?? 1,
          };
          tokens.set(id, info);
          return { id, token: `secret-${id}`, expiresAtMs: info.expiresAtMs };
        },
        tokens: async () => [...tokens.values()],
        revokeToken: async (id) => tokens.delete(id),
        command: (token, url) => `npx picket agent --url ${url} --token ${token}`,
      },
      access,
      agentUpgrade: (_request, socket) => void socket.end('HTTP/1.1 101 Taken\r\n\r\n'),
      metrics: () => [{ name: 'picket_test', help: 'A "test".\n', type: 'gauge', samples: [{ labels: { a: 'x"\\\n' }, value: 1e-7 }] }],
      pageDir: '/nonexistent',
      version: '0.1.0',
      log: { warn: (_fields, message) => void made.logged.push(message), error: (_fields, message) => void made.logged.push(message) },
      nowMs,
      ...rest,
    },
  };
  return made;
}

/** Starts on a free port; the test ends it. */
export function serve(made: Fakes, options: Partial<ListenOptions> = {}): Promise<RunningServer> {
  return startServer(made.deps, { host: '127.0.0.1', port: 0, ...options });
}

/** GET with the admin token; the parsed JSON. */
export async function getJson(server: RunningServer, path: string): Promise<{ readonly status: number; readonly body: Json }> {
  const response = await fetch(server.url + path, { headers: AUTHORIZED });
  return { status: response.status, body: await response.json() };
}

/** JSON of which the test knows the shape. */
// oxlint-disable-next-line typescript/no-explicit-any
export type Json = any;
