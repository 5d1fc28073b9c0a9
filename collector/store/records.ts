/**
 * The records database: documents by kind and id (RecordStore), and the store's own state beside them. Not samples.
 * Decisions are made in one synchronous step against what was last written, so that compare-and-set is atomic; writes are committed in groups.
 */
import type { RecordKind, RecordStore, StoredRecord } from '../model/ports.ts';
import { checked, sealed } from './checksum.ts';
import { compact, type Database, type Operation, writeSynced } from './database.ts';
import { StoreError } from './errors.ts';

/** First byte of a key: documents, or the store's own state. */
const SPACE_DOCUMENT = 0x64;
const SPACE_STATE = 0x73;
/** Kinds contain no zero byte, so that it separates kind from id and keeps the order. */
const SEPARATOR = Buffer.from([0]);
/** Most documents read at a time by `list`. */
const LIST_ROWS = 1000;

type Stored = { readonly v: number; readonly d: unknown };

export class Records implements RecordStore {
  readonly #database: Database;
  /** Values that are decided but not yet durable; null is a deletion. */
  readonly #pending = new Map<string, Buffer | null>();
  readonly #revisions = new Map<RecordKind, number>();
  readonly #onDamage: (detail: string) => void;
  #queue: { operations: Operation[]; done: PromiseWithResolvers<void> } | undefined;
  #writing: Promise<void> = Promise.resolve();

  constructor(database: Database, onDamage: (detail: string) => void) {
    this.#database = database;
    this.#onDamage = onDamage;
  }

  async get<T>(kind: RecordKind, id: string): Promise<StoredRecord<T> | undefined> {
    const stored = this.#read(documentKey(kind, id));
    return stored === undefined ? undefined : { id, version: stored.v, value: stored.d as T };
  }

  async list<T>(kind: RecordKind, options: { prefix?: string; after?: string; limit?: number } = {}): Promise<readonly StoredRecord<T>[]> {
    await this.#settled();
    const { prefix = '', after, limit = Infinity } = options;
    const base = documentKey(kind, '');
    const from = documentKey(kind, after !== undefined && after >= prefix ? after : prefix);
    const range = after !== undefined && after >= prefix ? { gt: from } : { gte: from };
    const iterator = this.#database.iterator({ ...range, lt: following(documentKey(kind, prefix)) });
    const records: StoredRecord<T>[] = [];
    try {
      while (records.length < limit) {
        const rows = await iterator.nextv(Math.min(LIST_ROWS, limit - records.length));
        if (rows.length === 0) break;
        for (const [key, value] of rows) {
          const stored = this.#decode(key, value);
          if (stored === undefined) continue;
          records.push({ id: key.toString('utf8', base.length), version: stored.v, value: stored.d as T });
        }
      }
    } finally {
      await iterator.close();
    }
    return records;
  }

  async putIfAbsent<T>(kind: RecordKind, id: string, value: T): Promise<boolean> {
    const key = documentKey(kind, id);
    if (this.#read(key) !== undefined) return false;
    await this.#write(kind, key, { v: 1, d: value });
    return true;
  }

  async compareAndSet<T>(kind: RecordKind, id: string, version: number, value: T): Promise<number | undefined> {
    const key = documentKey(kind, id);
    if (this.#read(key)?.v !== version) return undefined;
    await this.#write(kind, key, { v: version + 1, d: value });
    return version + 1;
  }

  async delete(kind: RecordKind, id: string, version: number): Promise<boolean> {
    const key = documentKey(kind, id);
    if (this.#read(key)?.v !== version) return false;
    await this.#write(kind, key, undefined);
    return true;
  }

  revision(kind: RecordKind): number {
    return this.#revisions.get(kind) ?? 0;
  }

  /** One synced batch of the store's own state. */
  async writeState(puts: ReadonlyMap<string, Uint8Array>, deletions: Iterable<string> = []): Promise<void> {
    const operations: Operation[] = [];
    for (const name of deletions) operations.push({ type: 'del', key: stateKey(name) });
    for (const [name, payload] of puts) {
      const key = stateKey(name);
      operations.push({ type: 'put', key, value: sealed(key, payload) });
    }
    await this.#commit(operations);
  }

  readState(name: string): Buffer | undefined {
    const key = stateKey(name);
    const value = this.#database.getSync(key);
    if (value === undefined) return undefined;
    const payload = checked(key, value);
    if (payload === undefined) this.#onDamage(`state ${name}`);
    return payload;
  }

  /** All states whose name begins with `prefix`, sorted by name. */
  async listState(prefix: string): Promise<[name: string, payload: Buffer][]> {
    const from = stateKey(prefix);
    const iterator = this.#database.iterator({ gte: from, lt: following(from) });
    const found: [string, Buffer][] = [];
    try {
      for (let rows = await iterator.nextv(LIST_ROWS); rows.length > 0; rows = await iterator.nextv(LIST_ROWS)) {
        for (const [key, value] of rows) {
          const name = key.toString('utf8', 1);
          const payload = checked(key, value);
          if (payload === undefined) this.#onDamage(`state ${name}`);
          else found.push([name, payload]);
        }
      }
    } finally {
      await iterator.close();
    }
    return found;
  }

  async compact(): Promise<void> {
    await compact(this.#database, Buffer.from([0]), Buffer.from([0xff]));
  }

  async close(): Promise<void> {
    await this.#settled();
    await this.#database.close();
  }

  #read(key: Buffer): Stored | undefined {
    if (this.#database.status !== 'open') throw new StoreError('store_closed', 'cannot read records: the store is closed');
    const pending = this.#pending.get(key.toString('latin1'));
    if (pending === null) return undefined;
    const value = pending ?? this.#database.getSync(key);
    return value === undefined ? undefined : this.#decode(key, value);
  }

  #decode(key: Buffer, value: Buffer): Stored | undefined {
    const payload = checked(key, value);
    if (payload !== undefined) {
      try {
        return JSON.parse(payload.toString('utf8')) as Stored;
      } catch {
        // Fall through: a record that is whole but no JSON is damage as well.
      }
    }
    this.#onDamage(`record ${key.toString('utf8', 1).replace('\0', '/')}`);
    return undefined;
  }

  async #write(kind: RecordKind, key: Buffer, stored: Stored | undefined): Promise<void> {
    const name = key.toString('latin1');
    const value = stored === undefined ? null : sealed(key, Buffer.from(JSON.stringify(stored)));
    this.#pending.set(name, value);
    try {
      await this.#commit([value === null ? { type: 'del', key } : { type: 'put', key, value }]);
      this.#revisions.set(kind, this.revision(kind) + 1);
    } finally {
      // A later write of the same key owns the entry now.
      if (this.#pending.get(name) === value) this.#pending.delete(name);
    }
  }

  /** Adds to the batch that is written when the one on its way is through. */
  #commit(operations: readonly Operation[]): Promise<void> {
    if (this.#queue === undefined) {
      const queue = { operations: [] as Operation[], done: Promise.withResolvers<void>() };
      this.#queue = queue;
      this.#writing = this.#writing.then(() => {
        this.#queue = undefined;
        return writeSynced(this.#database, queue.operations).then(queue.done.resolve, queue.done.reject);
      });
    }
    this.#queue.operations.push(...operations);
    return this.#queue.done.promise;
  }

  async #settled(): Promise<void> {
    await this.#writing;
  }
}

function documentKey(kind: RecordKind, id: string): Buffer {
  return Buffer.concat([Buffer.from([SPACE_DOCUMENT]), Buffer.from(kind), SEPARATOR, Buffer.from(id)]);
}

function stateKey(name: string): Buffer {
  return Buffer.concat([Buffer.from([SPACE_STATE]), Buffer.from(name)]);
}

/** The first key after all that begin with these bytes. */
function following(prefix: Buffer): Buffer {
  const key = Buffer.from(prefix);
  const last = key.length - 1;
  key[last] = (key[last] as number) + 1;
  return key;
}
