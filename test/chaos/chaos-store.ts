/**
 * A store whose commits are slow, fail, and are cut by a crash at each of their moments. What is durable outlives the collector's process; what a
 * process knows does not. Keeps the contract of collector/model/ports.ts as the LevelDB store does, duplicates included. No disk.
 */
import type {
  AgentId,
  AppendedFeed,
  Appender,
  Epoch,
  EpochReceived,
  RecordKind,
  RecordStore,
  StoredRecord,
  StoreLoss,
  VerifiedFrame,
} from '../../collector/model/ports.ts';
import { SequenceRanges } from '../../collector/model/ranges.ts';
import { decodeDictionary, FrameKind, payloadOf, readFrame, type DictionaryEntry } from '../../protocol/index.ts';

/** What decides how a commit goes. */
export interface StoreWeather {
  readonly random: () => number;
  after(delayMs: number, run: () => void): unknown;
  /** Time from the call until it is durable, and from there until it returns. */
  commitMs(): number;
  fails(): boolean;
  /** True: the process ended at this very point, and nothing that it was about to do happens. */
  crash(point: string): boolean;
}

export type DurableFrame = VerifiedFrame & { readonly key: string };

type Note =
  | { readonly kind: 'collapse'; agentId: AgentId; epoch: Epoch; lane: number; floor: number }
  | { readonly kind: 'forget'; agentId: AgentId; epoch: Epoch };
type Commit = { readonly notes: readonly Note[]; readonly frames: readonly DurableFrame[] };
type Lane = { ranges: SequenceRanges; highest: number; digest: Uint8Array };
type EpochState = { readonly lanes: Map<number, Lane>; readonly entries: SequenceRanges };

export function keyOf(agentId: AgentId, epoch: Epoch, lane: number, sequence: number): string {
  return `${agentId.slice(0, 6)}/${epoch.slice(0, 8)}/${lane}/${sequence}`;
}

/** What survives. */
export class Disk {
  readonly commits: Commit[] = [];
  readonly frames = new Map<string, DurableFrame>();
  readonly dictionaries = new Map<string, DictionaryEntry[]>();
  readonly records = new Map<RecordKind, Map<string, StoredRecord<unknown>>>();
  /** Told of each frame when it is durable for the first time; gives its newest sample time. */
  onFrame: (frame: DurableFrame) => number = () => 0;
  readonly newestMs = new Map<string, number>();

  kind(kind: RecordKind): Map<string, StoredRecord<unknown>> {
    let found = this.records.get(kind);
    if (found === undefined) this.records.set(kind, (found = new Map()));
    return found;
  }

  write(commit: Commit): void {
    this.commits.push(commit);
    for (const frame of commit.frames) {
      if (this.frames.has(frame.key)) continue;
      this.frames.set(frame.key, frame);
      if (frame.header.kind === FrameKind.dictionary) this.#addEntries(frame);
      this.newestMs.set(frame.key, this.onFrame(frame));
    }
  }

  dictionary(agentId: AgentId, epoch: Epoch): readonly DictionaryEntry[] {
    return this.dictionaries.get(`${agentId}/${epoch}`) ?? [];
  }

  #addEntries(frame: DurableFrame): void {
    const part = partOf(frame);
    const name = `${frame.agentId}/${frame.epoch}`;
    let entries = this.dictionaries.get(name);
    if (entries === undefined) this.dictionaries.set(name, (entries = []));
    for (const [i, entry] of part.entries.entries()) entries[part.from + i] = entry;
  }
}

/** The store as one process of the collector has it. */
export class ChaosStore implements Appender, AppendedFeed {
  readonly records: RecordStore;
  readonly #disk: Disk;
  readonly #weather: StoreWeather;
  readonly #received = new Map<AgentId, Map<Epoch, EpochState>>();
  readonly #listeners = new Set<(agentId: AgentId, newestMs: number) => void>();
  #jobs: { readonly frames: readonly VerifiedFrame[]; readonly done: PromiseWithResolvers<void> }[] = [];
  #notes: Note[] = [];
  #running = false;
  #isDead = false;
  /** Bytes that wait for a commit. */
  pendingBytes = 0;

  constructor(disk: Disk, weather: StoreWeather) {
    this.#disk = disk;
    this.#weather = weather;
    this.records = new ChaosRecords(disk, weather, () => this.#isDead);
    for (const commit of disk.commits) {
      for (const note of commit.notes) this.#apply(note);
      for (const frame of commit.frames) this.#add(frame);
    }
  }

  /** The process is gone: nothing of it returns any more. */
  die(): void {
    this.#isDead = true;
  }

  /** What a start replays becomes readable a while later. */
  warmUp(delayMs: number): void {
    this.#weather.after(delayMs, () => {
      for (const frame of this.#disk.frames.values()) this.#tell(frame);
    });
  }

  append(frames: readonly VerifiedFrame[]): Promise<void> {
    const done = Promise.withResolvers<void>();
    if (this.#isDead || this.#weather.crash('append')) return done.promise;
    this.#jobs.push({ frames, done });
    for (const frame of frames) this.pendingBytes += frame.bytes.length;
    if (!this.#running) this.#commit();
    return done.promise;
  }

  received(agentId: AgentId): Promise<readonly EpochReceived[]> {
    if (this.#isDead) return new Promise(() => undefined);
    const answers: EpochReceived[] = [];
    for (const [epoch, state] of this.#received.get(agentId) ?? []) {
      const lanes = [...state.lanes].map(([lane, of]) => ({ lane, ranges: of.ranges.toArray(), lastDigest: of.digest }));
      const first = state.entries.toArray()[0];
      answers.push({ epoch, lanes, dictionaryLength: first?.[0] === 0 ? first[1] : 0 });
    }
    return Promise.resolve(answers);
  }

  collapse(agentId: AgentId, epoch: Epoch, lane: number, floor: number): void {
    this.#note({ kind: 'collapse', agentId, epoch, lane, floor });
  }

  forget(agentId: AgentId, epoch: Epoch): void {
    this.#note({ kind: 'forget', agentId, epoch });
  }

  onAppended(listener: (agentId: AgentId, newestMs: number) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  onLoss(_listener: (loss: StoreLoss) => void): () => void {
    return () => undefined;
  }

  #note(note: Note): void {
    this.#apply(note);
    this.#notes.push(note);
  }

  /** All that waits, in one commit; then the next. */
  #commit(): void {
    this.#running = this.#jobs.length > 0;
    if (!this.#running) return;
    const jobs = this.#jobs;
    this.#jobs = [];
    const weather = this.#weather;
    weather.after(weather.commitMs(), () => {
      if (this.#isDead || weather.crash('before it is durable')) return;
      const commit: Commit = { notes: this.#notes, frames: this.#fresh(jobs.flatMap((job) => job.frames)) };
      const fails = weather.fails();
      // A commit that fails may be there all the same.
      if (!fails || weather.random() < 0.3) this.#disk.write(commit);
      if (!fails) this.#notes = [];
      weather.after(weather.commitMs() / 2, () => {
        if (this.#isDead || weather.crash('durable, not returned')) return;
        for (const job of jobs) for (const frame of job.frames) this.pendingBytes -= frame.bytes.length;
        if (fails) for (const job of jobs) job.done.reject(new Error('the disk is full'));
        else {
          for (const frame of commit.frames) this.#add(frame);
          for (const job of jobs) job.done.resolve();
          this.#decodeLater(commit.frames);
        }
        this.#commit();
      });
    });
  }

  #decodeLater(frames: readonly DurableFrame[]): void {
    this.#weather.after(this.#weather.random() * 50, () => {
      if (this.#isDead || this.#weather.crash('decode')) return;
      for (const frame of frames) this.#tell(frame);
    });
  }

  #tell(frame: DurableFrame): void {
    if (this.#isDead || frame.header.kind !== FrameKind.samples) return;
    for (const listener of this.#listeners) listener(frame.agentId, this.#disk.newestMs.get(frame.key) ?? 0);
  }

  #fresh(frames: readonly VerifiedFrame[]): DurableFrame[] {
    const seen = new Set<string>();
    const fresh: DurableFrame[] = [];
    for (const frame of frames) {
      const { lane, sequence } = frame.header;
      const key = keyOf(frame.agentId, frame.epoch, lane, sequence);
      if (seen.has(key) || this.#received.get(frame.agentId)?.get(frame.epoch)?.lanes.get(lane)?.ranges.has(sequence) === true) continue;
      seen.add(key);
      fresh.push({ ...frame, key });
    }
    return fresh;
  }

  #apply(note: Note): void {
    if (note.kind === 'forget') this.#received.get(note.agentId)?.delete(note.epoch);
    else this.#lane(note.agentId, note.epoch, note.lane).ranges.addRange(0, note.floor);
  }

  #add(frame: DurableFrame): void {
    const { sequence, lane, kind } = frame.header;
    const into = this.#lane(frame.agentId, frame.epoch, lane);
    into.ranges.add(sequence);
    if (sequence > into.highest) {
      into.highest = sequence;
      into.digest = frame.digest;
    }
    if (kind !== FrameKind.dictionary) return;
    const part = partOf(frame);
    this.#received
      .get(frame.agentId)
      ?.get(frame.epoch)
      ?.entries.addRange(part.from, part.from + part.entries.length);
  }

  #lane(agentId: AgentId, epoch: Epoch, lane: number): Lane {
    let epochs = this.#received.get(agentId);
    if (epochs === undefined) this.#received.set(agentId, (epochs = new Map()));
    let state = epochs.get(epoch);
    if (state === undefined) epochs.set(epoch, (state = { lanes: new Map(), entries: new SequenceRanges() }));
    let found = state.lanes.get(lane);
    if (found === undefined) state.lanes.set(lane, (found = { ranges: new SequenceRanges(), highest: -1, digest: new Uint8Array() }));
    return found;
  }
}

class ChaosRecords implements RecordStore {
  readonly #disk: Disk;
  readonly #weather: StoreWeather;
  readonly #isDead: () => boolean;
  #revision = 0;

  constructor(disk: Disk, weather: StoreWeather, isDead: () => boolean) {
    this.#disk = disk;
    this.#weather = weather;
    this.#isDead = isDead;
  }

  get<T>(kind: RecordKind, id: string): Promise<StoredRecord<T> | undefined> {
    if (this.#isDead()) return new Promise(() => undefined);
    return Promise.resolve(structuredClone(this.#disk.kind(kind).get(id)) as StoredRecord<T> | undefined);
  }

  list<T>(
    kind: RecordKind,
    options: { readonly prefix?: string; readonly after?: string; readonly limit?: number } = {},
  ): Promise<readonly StoredRecord<T>[]> {
    if (this.#isDead()) return new Promise(() => undefined);
    const { prefix = '', after = '', limit = Infinity } = options;
    const found = [...this.#disk.kind(kind).values()].filter(({ id }) => id.startsWith(prefix) && id > after);
    return Promise.resolve(structuredClone(found.sort((a, b) => (a.id < b.id ? -1 : 1)).slice(0, limit)) as StoredRecord<T>[]);
  }

  putIfAbsent<T>(kind: RecordKind, id: string, value: T): Promise<boolean> {
    return this.#write(kind, (records) => {
      if (records.has(id)) return false;
      records.set(id, { id, version: 1, value: structuredClone(value) });
      return true;
    });
  }

  compareAndSet<T>(kind: RecordKind, id: string, version: number, value: T): Promise<number | undefined> {
    return this.#write(kind, (records) => {
      if (records.get(id)?.version !== version) return undefined;
      records.set(id, { id, version: version + 1, value: structuredClone(value) });
      return version + 1;
    });
  }

  delete(kind: RecordKind, id: string, version: number): Promise<boolean> {
    return this.#write(kind, (records) => records.get(id)?.version === version && records.delete(id));
  }

  revision(_kind: RecordKind): number {
    return this.#revision;
  }

  #write<R>(kind: RecordKind, change: (records: Map<string, StoredRecord<unknown>>) => R): Promise<R> {
    const weather = this.#weather;
    const { promise, resolve, reject } = Promise.withResolvers<R>();
    if (this.#isDead()) return promise;
    weather.after(weather.commitMs(), () => {
      if (this.#isDead() || weather.crash(`record ${kind} before it is durable`)) return;
      if (weather.fails()) return reject(new Error('the disk is full'));
      const result = change(this.#disk.kind(kind));
      this.#revision++;
      weather.after(0, () => {
        if (!this.#isDead() && !weather.crash(`record ${kind} durable, not returned`)) resolve(result);
      });
      return undefined;
    });
    return promise;
  }
}

function partOf(frame: VerifiedFrame): { from: number; entries: readonly DictionaryEntry[] } {
  const view = readFrame(frame.bytes);
  const payload = view.ok ? payloadOf(view.value) : view;
  const part = payload.ok ? decodeDictionary(payload.value) : payload;
  if (!part.ok) throw new Error(`a dictionary frame that was taken does not decode: ${part.detail}`);
  return part.value;
}
