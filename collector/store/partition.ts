/** One UTC day's database: chunks, the names they use, and which windows and series are in it. Not when it is opened or dropped: partitions.ts. */
import { ByteReader, ByteWriter, decodeRefs, encodeRefs } from '../../protocol/index.ts';
import { labelValue, type Labels } from '../model/labels.ts';
import type { TimeRange } from '../model/ports.ts';
import { CHECKSUM_BYTES, checked, seal, sealed } from './checksum.ts';
import { compact, type Database, isCorruption, type Operation, openOrRepair, writeSynced } from './database.ts';
import * as keys from './keys.ts';
import { type Matched, type Metric, NameIndex, type Shape, type Source } from './names.ts';
import { dayOf, WINDOW_MS, windowOf } from './window.ts';

const CACHE_BYTES = 4 * 1024 * 1024;
const ROWS = 1000;
/** Bound against a count that no writer of ours makes. */
const SHAPES_MAX = 10_000_000;

/** A definition as stored: `type` and `help` of metrics, `labels` of sources and shapes, `metric` of shapes. */
type Stored =
  | { readonly name: string; readonly type: string; readonly help: string }
  | { readonly labels: Labels; readonly metric?: number };

/** What a generation has in a window: how many chunks, so that vanished ones are missed, and whether they are the merged ones of all before. */
export type Marker = { readonly isMerged: boolean; readonly chunks: number };
/** merged, chunks, and the numbers that the next metric, shape and source get: a number is never given twice, even if its definition is lost. */
const MARKER_BYTES = 1 + 4 * 4;

/** What a damaged value is told as. */
export type Damage = {
  readonly day: number;
  readonly window: number | undefined;
  readonly bytes: number;
  readonly detail: string;
  /** The host whose own series it was, where that can still be told. */
  readonly instance?: string | undefined;
};

export class Partition {
  readonly day: number;
  readonly database: Database;
  readonly index = new NameIndex();
  readonly onDamage: (damage: Damage) => void;
  readonly #shapes = new Map<number, Shape>();
  readonly #sources = new Map<number, Source>();
  readonly #metrics = new Map<number, Metric>();
  /** Names of the head to ours, so that a cut looks each up once. */
  readonly #fromHead = new WeakMap<object, Metric | Shape | Source>();
  /** Generations that have samples in a window. */
  readonly #windows = new Map<number, Map<number, Marker>>();
  readonly #writer = new ByteWriter();

  private constructor(day: number, database: Database, onDamage: (damage: Damage) => void) {
    this.day = day;
    this.database = database;
    this.onDamage = onDamage;
  }

  static async open(day: number, path: string, writeBufferBytes: number, onDamage: (damage: Damage) => void): Promise<Partition> {
    const damaged = (detail: string): void => onDamage({ day, window: undefined, bytes: 0, detail });
    const database = await openOrRepair(path, { writeBufferBytes, compression: false, cacheBytes: CACHE_BYTES }, damaged);
    const partition = new Partition(day, database, onDamage);
    await partition.#load();
    return partition;
  }

  /** Windows that have samples, sorted. */
  windows(): number[] {
    return [...this.#windows.keys()].sort((a, b) => a - b);
  }

  /** Windows of the range that have samples, sorted. */
  windowsIn(range: TimeRange): number[] {
    const first = windowOf(range.fromMs);
    const last = windowOf(range.toMs);
    return this.windows().filter((window) => window >= first && window <= last);
  }

  /** Generations of a window whose pieces are not merged yet. */
  unmerged(window: number): number[] {
    return [...this.markers(window)].flatMap(([generation, { isMerged }]) => (isMerged ? [] : [generation]));
  }

  markers(window: number): ReadonlyMap<number, Marker> {
    return this.#windows.get(window) ?? new Map<number, Marker>();
  }

  shape(id: number): Shape | undefined {
    return this.#shapes.get(id);
  }

  source(id: number): Source | undefined {
    return this.#sources.get(id);
  }

  metric(id: number): Metric | undefined {
    return this.#metrics.get(id);
  }

  /** Our names for those of the head; what is new is defined by operations that must go into the batch that uses it or one before. */
  defineMetric(metric: Metric, operations: Operation[]): Metric {
    const own = this.#known(metric, () => this.index.metric(metric.name));
    if (
      this.#metrics.get(own.id) === own &&
      (metric.type === 'unknown' || own.type === metric.type) &&
      (metric.help === '' || own.help === metric.help)
    ) {
      return own;
    }
    own.type = metric.type === 'unknown' ? own.type : metric.type;
    own.help = metric.help === '' ? own.help : metric.help;
    this.#metrics.set(own.id, own);
    operations.push(definition(keys.METRIC, own.id, { name: own.name, type: own.type, help: own.help }));
    return own;
  }

  defineShape(shape: Shape, operations: Operation[]): Shape {
    const own = this.#known(shape, () => this.index.shape(this.defineMetric(shape.metric, operations), shape.labels));
    if (!this.#shapes.has(own.id)) {
      this.#shapes.set(own.id, own);
      operations.push(definition(keys.SHAPE, own.id, { labels: own.labels, metric: own.metric.id }));
    }
    return own;
  }

  defineSource(source: Source, operations: Operation[]): Source {
    const own = this.#known(source, () => this.index.source(source.labels));
    if (!this.#sources.has(own.id)) {
      this.#sources.set(own.id, own);
      operations.push(definition(keys.SOURCE, own.id, { labels: own.labels }));
    }
    return own;
  }

  /** Which shapes of a source a generation has in a window. `shapes` are ids, sorted. */
  presence(window: number, source: number, generation: number, shapes: Uint32Array): Operation {
    this.#writer.reset();
    this.#writer.varint(shapes.length);
    encodeRefs(shapes, this.#writer);
    const key = keys.presenceKey(window, source, generation);
    return { type: 'put', key, value: sealed(key, this.#writer.view()) };
  }

  /** Says that a generation's pieces of a window are complete, or that the window's are merged into one. */
  mark(window: number, generation: number, marker: Marker): Operation {
    const key = keys.markerKey(window, generation);
    const value = Buffer.allocUnsafe(MARKER_BYTES);
    value[0] = marker.isMerged ? 1 : 0;
    [marker.chunks, ...this.index.next].forEach((number, i) => value.writeUInt32BE(number, 1 + i * 4));
    return { type: 'put', key, value: sealed(key, value) };
  }

  /** After the batch with `mark`, and instead of the generations given. */
  marked(window: number, generation: number, marker: Marker, instead: Iterable<number> = []): void {
    let generations = this.#windows.get(window);
    if (generations === undefined) this.#windows.set(window, (generations = new Map()));
    for (const other of instead) generations.delete(other);
    generations.set(generation, marker);
  }

  async write(operations: readonly Operation[]): Promise<void> {
    await writeSynced(this.database, operations);
  }

  /** Payloads in a key range, checked; damaged ones are told and left out. */
  async *scan(range: keys.KeyRange): AsyncGenerator<readonly (readonly [key: Buffer, payload: Buffer])[]> {
    const iterator = this.database.iterator(range);
    try {
      for (let rows = await iterator.nextv(ROWS); rows.length > 0; rows = await iterator.nextv(ROWS)) {
        yield rows.flatMap(([key, value]) => {
          const payload = this.check(key, value);
          return payload === undefined ? [] : [[key, payload] as const];
        });
      }
    } catch (error) {
      this.unreadable(error, undefined);
    } finally {
      await iterator.close();
    }
  }

  /** Tells that LevelDB cannot read on; any other error is thrown again. */
  unreadable(error: unknown, window: number | undefined): void {
    if (!isCorruption(error)) throw error;
    this.onDamage({ day: this.day, window, bytes: 0, detail: (error as Error).message });
  }

  /** The payload of a value, or undefined after its damage was told. */
  check(key: Buffer, value: Buffer): Buffer | undefined {
    const payload = checked(key, value);
    if (payload === undefined) this.damaged(key, value.length);
    return payload;
  }

  /** Whether the names of a chunk are known. */
  isNamed(at: keys.ChunkKey): boolean {
    return this.#metrics.has(at.metric) && this.#sources.has(at.source);
  }

  vanished(window: number, what: string): void {
    this.onDamage({ day: this.day, window, bytes: 0, detail: `missing: ${what}` });
  }

  damaged(key: Buffer, bytes: number): void {
    const chunk = keys.readChunkKey(key);
    const window = chunk?.window;
    const metric = this.#metrics.get(chunk?.metric ?? -1)?.name ?? 'unknown metric';
    const labels = this.#sources.get(chunk?.source ?? -1)?.labels ?? [];
    const detail = chunk === undefined ? `value ${key.toString('hex')}` : `chunk of ${metric} of {${labels.join(' ')}}`;
    const instance = labelValue(labels, 'job') === 'node' ? labelValue(labels, 'instance') : undefined;
    this.onDamage({ day: this.day, window, bytes, detail, instance });
  }

  /** Calls `visit` for the series of `found` in the windows of the range whose generations are cut. */
  async visit(
    found: Matched,
    range: TimeRange,
    cutThrough: number,
    signal: AbortSignal,
    visit: (source: Source, shape: Shape) => void,
  ): Promise<void> {
    for (const window of this.windowsIn(range)) {
      for await (const rows of this.scan(keys.presenceRange(window))) {
        signal.throwIfAborted();
        for (const [key, payload] of rows) {
          const [, sourceId, generation] = keys.readNumbers(key);
          const source = this.#sources.get(sourceId ?? -1);
          if (source === undefined || (generation ?? Infinity) > cutThrough || !found.sources.has(source)) continue;
          for (const id of readPresence(payload)) {
            const shape = this.#shapes.get(id);
            if (shape !== undefined && found.metrics.get(shape.metric.name)?.shapes.has(shape) === true) visit(source, shape);
          }
        }
      }
    }
  }

  /** Gives back the space of what was deleted or overwritten in a window, or everywhere. */
  async compact(window?: number): Promise<void> {
    const range = window === undefined ? { gte: Buffer.from([0]), lt: Buffer.from([0xff]) } : keys.chunkRange(window);
    await compact(this.database, range.gte, range.lt);
  }

  async close(): Promise<void> {
    await this.database.close();
  }

  #known<T extends Metric | Shape | Source>(name: T, make: () => T): T {
    // One map for the three kinds: a metric of the head is only ever set to a metric.
    let own = this.#fromHead.get(name) as T | undefined;
    if (own === undefined) this.#fromHead.set(name, (own = make()));
    return own;
  }

  async #load(): Promise<void> {
    await this.#eachDefinition(keys.METRIC, (id, stored) => {
      if (!('name' in stored)) return;
      const metric = this.index.metric(stored.name, id);
      metric.type = stored.type;
      metric.help = stored.help;
      this.#metrics.set(id, metric);
    });
    await this.#eachDefinition(keys.SOURCE, (id, stored) => {
      if ('labels' in stored) this.#sources.set(id, this.index.source(stored.labels, id));
    });
    await this.#eachDefinition(keys.SHAPE, (id, stored) => {
      const metric = 'labels' in stored ? this.#metrics.get(stored.metric ?? -1) : undefined;
      if (metric !== undefined && 'labels' in stored) this.#shapes.set(id, this.index.shape(metric, stored.labels, id));
    });
    for await (const rows of this.scan(keys.markerRange)) {
      for (const [key, payload] of rows) {
        const [window, generation] = keys.readNumbers(key);
        if (window === undefined || generation === undefined || dayOf(window) !== this.day || payload.length !== MARKER_BYTES) continue;
        this.marked(window, generation, { isMerged: payload[0] === 1, chunks: payload.readUInt32BE(1) });
        this.index.reserve([payload.readUInt32BE(5), payload.readUInt32BE(9), payload.readUInt32BE(13)]);
      }
    }
  }

  async #eachDefinition(table: keys.Definition, take: (id: number, stored: Stored) => void): Promise<void> {
    for await (const rows of this.scan(keys.definitionRange(table))) {
      for (const [key, payload] of rows) {
        const [id] = keys.readNumbers(key);
        if (id !== undefined) take(id, JSON.parse(payload.toString('utf8')) as Stored);
      }
    }
  }
}

/** First and last millisecond of a window. */
export function spanOf(window: number): TimeRange {
  return { fromMs: window * WINDOW_MS, toMs: (window + 1) * WINDOW_MS - 1 };
}

function definition(table: keys.Definition, id: number, stored: Stored): Operation {
  const key = keys.definitionKey(table, id);
  const text = Buffer.from(JSON.stringify(stored));
  const value = Buffer.allocUnsafe(text.length + CHECKSUM_BYTES);
  value.set(text);
  seal(key, value);
  return { type: 'put', key, value };
}

function readPresence(payload: Buffer): Uint32Array {
  const reader = new ByteReader(payload, 0, payload.length);
  const count = reader.varint();
  if (reader.failed || count > SHAPES_MAX) return new Uint32Array();
  const shapes = new Uint32Array(count);
  return decodeRefs(payload, reader.at, payload.length, shapes).ok ? shapes : new Uint32Array();
}
