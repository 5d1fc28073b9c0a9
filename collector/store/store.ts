/** The store: opens the databases, recovers, and wires writing, decoding, cutting and reading together behind the ports. Not their logic. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Labels, Matcher } from '../model/labels.ts';
import type {
  AgentId,
  AppendedFeed,
  Appender,
  ColumnBatch,
  Epoch,
  EpochReceived,
  LabelSource,
  RecordStore,
  SampleSource,
  SelectHints,
  StoreLoss,
  StoreState,
  TimeRange,
  VerifiedFrame,
} from '../model/ports.ts';
import { Background, DAYS, daysOf, daysState, dictionaryPrefix } from './background.ts';
import { type Database, directoryBytes, listDatabases, makeDirectory, openDatabase, unlinkDatabase } from './database.ts';
import { Decoder, type DurableFrame } from './decoder.ts';
import { StoreError } from './errors.ts';
import { Head } from './head.ts';
import { HeadNames, listLabelNames, listLabelValues, listSeries, type SeriesPlace } from './labels.ts';
import type { NameIndex } from './names.ts';
import { SequenceRanges } from '../model/ranges.ts';
import { DEFAULT_LIMITS, newCounters, type StoreCounters, type StoreLimits, type StoreOptions } from './options.ts';
import { type Damage, type Partition, spanOf } from './partition.ts';
import { PartitionView } from './partition-view.ts';
import { Partitions } from './partitions.ts';
import { Received, STATE_PREFIX } from './received.ts';
import { Records } from './records.ts';
import { type Recovered, Recovery } from './recovery.ts';
import { HeadView, select } from './select.ts';
import { WalGeneration } from './wal.ts';
import { DAY_MS, dayName } from './window.ts';
import { Writer } from './writer.ts';

/** Written into every store; another number is refused, never guessed at. */
const FORMAT = 1;
const RECORDS_CACHE_BYTES = 4 * 1024 * 1024;
const RECORDS_BUFFER_BYTES = 4 * 1024 * 1024;
/** Damaged values that are told; a disk that fails altogether shall not fill the memory. */
const TOLD_DAMAGE_MAX = 10_000;
const QUARANTINE_PREFIX = 'quarantine/';

export interface Store extends Appender, SampleSource, LabelSource, AppendedFeed {
  readonly records: RecordStore;
  /** Resolves when the write-ahead log of the last run is in memory; until then queries see a part and `state()` is `warming`. */
  readonly ready: Promise<void>;
  state(): StoreState;
  /** Losses found at start are told to the first listener at once. Returns the function that ends the subscription. */
  onLoss(listener: (loss: StoreLoss) => void): () => void;
  stats(): Promise<StoreStats>;
  /** Resolves when everything appended so far can be read. */
  settled(): Promise<void>;
  /** Closes the current generation and resolves when it is cut. For tests and benchmarks: the store does this by itself. */
  cutNow(): Promise<void>;
  /** Merges every window and gives all space back. For tests and benchmarks as well. */
  compactNow(): Promise<void>;
  close(): Promise<void>;
}

/** Counters, and gauges as of now. */
export type StoreStats = StoreCounters & {
  readonly headSeries: number;
  readonly headBytes: number;
  readonly headSamples: number;
  readonly undecodedFrames: number;
  readonly waitingFrames: number;
  readonly walBytes: number;
  readonly generations: number;
  readonly partitions: number;
  readonly recordsBytes: number;
  readonly rawBytes: number;
  readonly walDiskBytes: number;
};

/** Opens the store below `directory`, which is made if it is absent. Throws StoreError. */
export async function openStore(options: StoreOptions): Promise<Store> {
  const { directory } = options;
  await makeDirectory(directory);
  const records = await openRecords(directory);
  try {
    await makeDirectory(join(directory, 'wal'));
    await makeDirectory(join(directory, 'raw'));
    return await LevelStore.recover(options, records);
  } catch (error) {
    await records.close();
    throw error;
  }
}

async function openRecords(directory: string): Promise<Database> {
  const holder = join(directory, 'holder');
  try {
    const database = await openDatabase(join(directory, 'records'), {
      writeBufferBytes: RECORDS_BUFFER_BYTES,
      compression: true,
      cacheBytes: RECORDS_CACHE_BYTES,
    });
    await writeFile(holder, `${process.pid}\n`);
    return database;
  } catch (error) {
    if (!(error instanceof StoreError) || error.code !== 'store_locked') throw error;
    const pid = (await readFile(holder, 'utf8').catch(() => '')).trim();
    const who = pid === '' ? 'another process' : `process ${pid}`;
    throw new StoreError(
      'store_locked',
      `cannot open the store in ${directory}: ${who} has it open; end that process or choose another data folder (PICKET_DATA_DIR)`,
      {
        cause: error,
      },
    );
  }
}

/** What the store knows before it takes its first frame. */
type Start = {
  readonly records: Records;
  readonly received: Received;
  readonly generations: readonly WalGeneration[];
  readonly partitions: Partitions;
  /** Set by the store once it can tell losses. */
  readonly hooks: { damaged: (damage: Damage) => void };
  readonly cutThrough: number;
  readonly lastGeneration: number;
  readonly recovered: Recovered;
};

class LevelStore implements Store {
  readonly records: Records;
  readonly ready: Promise<void>;
  readonly #options: StoreOptions;
  readonly #limits: StoreLimits;
  readonly #counters: StoreCounters = newCounters();
  readonly #received: Received;
  readonly #head = new Head();
  readonly #decoder: Decoder;
  readonly #writer: Writer;
  readonly #partitions: Partitions;
  readonly #background: Background;
  readonly #stopTicking: () => void;
  readonly #toldDamage = new Set<string>();
  readonly #listeners = new Set<(agentId: AgentId, newestMs: number) => void>();
  readonly #lossListeners = new Set<(loss: StoreLoss) => void>();
  readonly #replayed = new Map<string, SequenceRanges>();
  /** Dictionary frames of the generations that are being replayed: new frames may need them before the replay gets there. */
  readonly #dictionariesInLog: Map<string, Uint8Array[]>;
  #untoldLosses: StoreLoss[] = [];
  #state: StoreState = 'warming';

  static async recover(options: StoreOptions, database: Database): Promise<LevelStore> {
    const damaged: string[] = [];
    let tell = (detail: string): void => void damaged.push(detail);
    const onDamage = (detail: string): void => tell(detail);
    const records = new Records(database, onDamage);
    const format = records.readState('format');
    if (format === undefined) await records.writeState(new Map([['format', Buffer.from(String(FORMAT))]]));
    else if (format.toString() !== String(FORMAT)) {
      throw new StoreError(
        'store_version',
        `cannot open the store in ${options.directory}: its format is ${format}, this program reads ${FORMAT}; use the version of Picket that wrote it`,
      );
    }
    const cutThrough = Number(records.readState('cut')?.toString() ?? 0);
    const received = new Received();
    for (const [name, payload] of await records.listState(STATE_PREFIX)) received.restore(name, payload);
    const recovery = new Recovery(received);
    const generations: WalGeneration[] = [];
    const wal = join(options.directory, 'wal');
    let lastGeneration = cutThrough;
    for (const name of await listDatabases(wal)) {
      const number = Number(name);
      if (!(number > cutThrough)) {
        await unlinkDatabase(join(wal, name));
        continue;
      }
      const generation = await WalGeneration.open(number, join(wal, name), onDamage);
      await recovery.scan(generation);
      generations.push(generation);
      lastGeneration = number;
    }
    // Where the log ended when the store was last closed in good order.
    const recovered = recovery.finish(Number(records.readState('end')?.toString() ?? 0));
    const limits = { ...DEFAULT_LIMITS, ...options.limits };
    const hooks: Start['hooks'] = { damaged: () => undefined };
    const partitions = await Partitions.open({
      directory: join(options.directory, 'raw'),
      retention: options.retention,
      openMax: limits.partitionsOpenMax,
      nowMs: options.nowMs,
      log: options.log,
      damaged: (damage) => hooks.damaged(damage),
      expected: daysOf(records.readState(DAYS)),
      dropping: async (day, days) => {
        options.log.info({ day }, 'a day goes out of retention');
        await records.writeState(new Map([[DAYS, daysState(days)]]));
      },
    });
    const store = new LevelStore(options, { records, received, generations, partitions, hooks, cutThrough, lastGeneration, recovered });
    tell = (detail) => store.#damage(detail);
    for (const detail of damaged) store.#damage(detail);
    for (const loss of recovered.losses) store.#lose(loss);
    for (const day of partitions.missing) store.#partitionDamage({ day, window: undefined, bytes: 0, detail: 'its folder is gone' });
    return store;
  }

  private constructor(options: StoreOptions, start: Start) {
    const { records, received, recovered } = start;
    this.#options = options;
    this.records = records;
    this.#received = received;
    this.#dictionariesInLog = recovered.dictionaries;
    this.#limits = { ...DEFAULT_LIMITS, ...options.limits };
    this.#decoder = new Decoder({
      head: this.#head,
      counters: this.#counters,
      loadDictionary: (agentId, epoch) => this.#loadDictionary(agentId, epoch),
      quarantine: (frame, detail) => this.#quarantine(frame, detail),
      appended: (agentId, newestMs) => {
        for (const listener of this.#listeners) listener(agentId, newestMs);
      },
    });
    this.#writer = new Writer(
      {
        directory: join(options.directory, 'wal'),
        nowMs: options.nowMs,
        limits: this.#limits,
        counters: this.#counters,
        received,
        decoder: this.#decoder,
        closed: (generation) => this.#afterWarmUp(() => this.#background.cut(generation)),
        damaged: (detail) => this.#damage(detail),
        room: () => this.#background.room(),
      },
      start.lastGeneration,
      recovered.lastCommit,
    );
    this.#partitions = start.partitions;
    start.hooks.damaged = (damage) => this.#partitionDamage(damage);
    this.#background = new Background(
      {
        head: this.#head,
        decoder: this.#decoder,
        records,
        received,
        partitions: start.partitions,
        counters: this.#counters,
        limits: this.#limits,
        nowMs: options.nowMs,
        log: options.log,
      },
      start.cutThrough,
    );
    for (const { generation, agentId, epoch } of recovered.forgotten) this.#background.forget(generation, agentId, epoch);
    this.ready = this.#warmUp(start.generations);
    const every = options.every ?? everyInterval;
    this.#stopTicking = every(this.#limits.maintenanceMs, () => {
      this.#tick().catch((error: unknown) => options.log.error({ error }, 'maintenance of the store has failed'));
    });
  }

  append(frames: readonly VerifiedFrame[]): Promise<void> {
    return this.#writer.append(frames);
  }

  received(agentId: AgentId): Promise<readonly EpochReceived[]> {
    return Promise.resolve(this.#received.of(agentId));
  }

  collapse(agentId: AgentId, epoch: Epoch, lane: number, floor: number): void {
    this.#received.collapse(agentId, epoch, lane, floor);
    this.#writer.note({ kind: 'collapse', agentId, epoch, lane, floor });
  }

  forget(agentId: AgentId, epoch: Epoch): void {
    this.#received.forget(agentId, epoch);
    this.#writer.note({ kind: 'forget', agentId, epoch });
    this.#background.forget(this.#writer.generation, agentId, epoch);
  }

  async *select(matchers: readonly Matcher[], range: TimeRange, hints: SelectHints, signal: AbortSignal): AsyncGenerator<ColumnBatch> {
    const partitions = await this.#acquire(range);
    try {
      // All at one moment: what is not in this view of the head is in chunks of this cut or before, in one of these partitions.
      const { cutThrough } = this.#background;
      const places = [...partitions.map((partition) => new PartitionView(partition, cutThrough)), new HeadView(this.#head)];
      yield* select(places, matchers, range, hints, signal);
    } finally {
      for (const partition of partitions) this.#partitions.release(partition);
    }
  }

  series(matchers: readonly Matcher[], range: TimeRange, signal: AbortSignal): Promise<readonly Labels[]> {
    return this.#withPlaces(range, (places) => listSeries(places, matchers, range, signal));
  }

  labelNames(matchers: readonly Matcher[], range: TimeRange, signal: AbortSignal): Promise<readonly string[]> {
    return this.#withPlaces(range, (places) => listLabelNames(places, matchers, range, signal));
  }

  labelValues(name: string, matchers: readonly Matcher[], range: TimeRange, signal: AbortSignal): Promise<readonly string[]> {
    return this.#withPlaces(range, (places) => listLabelValues(places, name, matchers, range, signal));
  }

  /** Of the newest day on disk and of what is in memory: a metric that nobody has sent since is not worth opening old days for. */
  async metadata(): Promise<ReadonlyMap<string, { readonly type: string; readonly help: string }>> {
    const found = new Map<string, { type: string; help: string }>();
    const addAll = (index: NameIndex): void => {
      for (const { name, type, help } of index.metrics.values()) {
        const known = found.get(name);
        found.set(name, { type: type === 'unknown' ? (known?.type ?? type) : type, help: help === '' ? (known?.help ?? help) : help });
      }
    };
    const day = this.#partitions.days().at(-1);
    if (day !== undefined) await this.#partitions.use(day, (partition) => Promise.resolve(addAll(partition.index)));
    addAll(this.#head.index);
    return found;
  }

  onAppended(listener: (agentId: AgentId, newestMs: number) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  onLoss(listener: (loss: StoreLoss) => void): () => void {
    this.#lossListeners.add(listener);
    const untold = this.#untoldLosses;
    this.#untoldLosses = [];
    for (const loss of untold) listener(loss);
    return () => this.#lossListeners.delete(listener);
  }

  state(): StoreState {
    return this.#state;
  }

  async stats(): Promise<StoreStats> {
    const { directory } = this.#options;
    const [recordsBytes, rawBytes, walDiskBytes] = await Promise.all(
      ['records', 'raw', 'wal'].map((name) => directoryBytes(join(directory, name))),
    );
    let headSamples = 0;
    for (const generation of this.#head.generations) headSamples += generation.samples;
    return {
      ...this.#counters,
      headSeries: this.#head.seriesCount,
      headBytes: this.#head.bytes,
      headSamples,
      undecodedFrames: this.#decoder.pendingFrames,
      waitingFrames: this.#writer.waitingFrames,
      walBytes: this.#writer.walBytes,
      generations: this.#head.generations.length,
      partitions: this.#partitions.days().length,
      recordsBytes: recordsBytes ?? 0,
      rawBytes: rawBytes ?? 0,
      walDiskBytes: walDiskBytes ?? 0,
    };
  }

  settled(): Promise<void> {
    return this.#decoder.drain();
  }

  async cutNow(): Promise<void> {
    await this.ready;
    await this.#writer.rotate(true);
    await this.#background.drain();
  }

  async compactNow(): Promise<void> {
    await this.#background.mergeAll();
    await this.records.compact();
  }

  async close(): Promise<void> {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#stopTicking();
    await this.ready.catch(() => undefined);
    await this.#background.close();
    await this.#writer.close();
    await this.#decoder.drain();
    await this.#partitions.close();
    await this.records.writeState(new Map([['end', Buffer.from(String(this.#writer.commit))]]));
    await this.records.close();
  }

  async #withPlaces<T>(range: TimeRange, read: (places: readonly SeriesPlace[]) => Promise<T>): Promise<T> {
    const partitions = await this.#acquire(range);
    try {
      const { cutThrough } = this.#background;
      // The head first: it is read before anything is waited for, as of the same moment.
      return await read([new HeadNames(this.#head), ...partitions.map((partition) => new PartitionView(partition, cutThrough))]);
    } finally {
      for (const partition of partitions) this.#partitions.release(partition);
    }
  }

  /** The partitions of a range as of the last cut: one that ends meanwhile may have made another day's. */
  async #acquire(range: TimeRange): Promise<Partition[]> {
    for (;;) {
      const { cutThrough } = this.#background;
      const partitions = await this.#partitions.acquireRange(range.fromMs, range.toMs);
      if (cutThrough === this.#background.cutThrough) return partitions;
      for (const partition of partitions) this.#partitions.release(partition);
    }
  }

  async #tick(): Promise<void> {
    if (this.#state !== 'ready') return;
    await this.#writer.rotate(false);
    for (const [agentId, epoch] of this.#background.idleEpochs()) this.forget(agentId, epoch);
    await this.#background.tick();
  }

  /** Brings the generations of the last run into memory, in order, while new frames are taken already. */
  async #warmUp(generations: readonly WalGeneration[]): Promise<void> {
    for (const generation of generations) {
      if (!this.#isClosing()) await this.#replay(generation);
      await generation.close();
      if (!this.#isClosing()) this.#background.cut(generation);
    }
    await this.#decoder.drain();
    this.#replayed.clear();
    this.#dictionariesInLog.clear();
    if (!this.#isClosing()) this.#state = 'ready';
  }

  async #replay(generation: WalGeneration): Promise<void> {
    for await (const part of generation.scan()) {
      const frames = part.frames.filter((frame) => this.#isFirst(frame));
      this.#decoder.push(generation.number, frames);
      if (this.#decoder.pendingBytes > this.#limits.undecodedBytesMax / 2) await this.#decoder.drain();
      if (this.#isClosing()) return;
    }
  }

  /** A frame whose commit failed may stand in the log and again where it was sent anew: the first counts. */
  #isFirst(frame: DurableFrame): boolean {
    const name = `${frame.agentId}${frame.epoch}${frame.lane}`;
    let seen = this.#replayed.get(name);
    if (seen === undefined) this.#replayed.set(name, (seen = new SequenceRanges()));
    return seen.add(frame.sequence);
  }

  async #loadDictionary(agentId: AgentId, epoch: Epoch): Promise<Uint8Array[]> {
    const kept = await this.records.listState(dictionaryPrefix(agentId, epoch));
    return [...kept.map(([, bytes]) => bytes), ...(this.#dictionariesInLog.get(agentId + epoch) ?? [])];
  }

  #quarantine(frame: DurableFrame, detail: string): void {
    const { agentId, epoch, lane, sequence, bytes, receivedMs } = frame;
    this.#lose({
      cause: 'undecodable',
      agentId,
      epoch,
      lane,
      ranges: [[sequence, sequence + 1]],
      fromMs: receivedMs,
      toMs: receivedMs,
      bytes: bytes.length,
      detail,
    });
    if (this.#counters.framesQuarantined > this.#limits.quarantineFramesMax) return;
    const name = `${QUARANTINE_PREFIX}${agentId}/${epoch}/${lane}/${sequence}`;
    this.records.writeState(new Map([[name, bytes]])).catch((error: unknown) => {
      this.#options.log.error({ error, name }, 'cannot keep a frame that does not decode');
    });
  }

  #damage(detail: string): void {
    this.#counters.checksumFailures++;
    this.#lose({
      cause: 'store_corruption',
      agentId: undefined,
      epoch: undefined,
      lane: undefined,
      ranges: [],
      fromMs: undefined,
      toMs: undefined,
      bytes: 0,
      detail,
    });
  }

  /** Each damaged value once, however often it is read. */
  #partitionDamage({ day, window, bytes, detail, instance }: Damage): void {
    const name = `${day} ${window} ${detail}`;
    if (this.#toldDamage.has(name) || this.#toldDamage.size >= TOLD_DAMAGE_MAX) return;
    this.#toldDamage.add(name);
    this.#counters.checksumFailures++;
    const span = window === undefined ? undefined : spanOf(window);
    this.#lose({
      cause: 'store_corruption',
      agentId: undefined,
      instance,
      epoch: undefined,
      lane: undefined,
      ranges: [],
      fromMs: span?.fromMs ?? day * DAY_MS,
      toMs: span?.toMs ?? (day + 1) * DAY_MS - 1,
      bytes,
      detail: `partition ${dayName(day)}: ${detail}`,
    });
  }

  #lose(loss: StoreLoss): void {
    this.#counters.lossesReported++;
    this.#options.log.warn({ ...loss }, 'the store has lost data');
    if (this.#lossListeners.size === 0) this.#untoldLosses.push(loss);
    for (const listener of this.#lossListeners) listener(loss);
  }

  /** Generations are cut in their order: those that are being replayed come first. */
  #afterWarmUp(run: () => void): void {
    if (this.#state === 'ready') run();
    else this.ready.then(run, () => undefined);
  }

  #isClosing(): boolean {
    return this.#state === 'closed';
  }
}

function everyInterval(ms: number, run: () => void): () => void {
  const timer = setInterval(run, ms);
  return () => clearInterval(timer);
}
