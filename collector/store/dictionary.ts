/** The dictionaries of agents' epochs as the head knows them: entry n bound to its shape, and streams that add the source. Not the wire form. */
import type { DictionaryEntry } from '../../protocol/index.ts';
import { labelValue, type Labels } from '../model/labels.ts';
import type { AgentId, Epoch } from '../model/ports.ts';
import { relayedSource, type NameIndex, type Shape, type Source, withoutSource } from './names.ts';

/** Entry n of an epoch's dictionary, bound to the head's index. */
export class EpochDictionary {
  readonly agentId: AgentId;
  readonly epoch: Epoch;
  readonly shapes: Shape[] = [];
  /** Of relayed entries only: the job and instance that they carry themselves. */
  readonly relayed = new Map<number, Labels>();
  readonly streams: Stream[] = [];
  /** Newest generation that holds a frame of this epoch. */
  generation = 0;
  readonly #index: NameIndex;

  constructor(agentId: AgentId, epoch: Epoch, index: NameIndex) {
    this.agentId = agentId;
    this.epoch = epoch;
    this.#index = index;
  }

  get length(): number {
    return this.shapes.length;
  }

  /** Adds entries `from...`; those that are there already stay. False if entries before `from` are missing. */
  extend(from: number, entries: readonly DictionaryEntry[]): boolean {
    if (from > this.length) return false;
    for (const entry of entries.slice(this.length - from)) {
      const metric = this.#index.metric(entry.name);
      if (entry.type !== 'unknown') metric.type = entry.type;
      if (entry.help !== '') metric.help = entry.help;
      const shape = this.#index.shape(metric, withoutSource(entry.labels));
      shape.uses++;
      if (entry.scope === 'relayed') this.relayed.set(this.length, entry.labels);
      this.shapes.push(shape);
    }
    return true;
  }

  /** The stream of this epoch under the identity that the collector gave to a frame. */
  stream(source: Labels): Stream {
    let stream = this.streams.find(({ labels }) => labels === source || equalLabels(labels, source));
    if (stream === undefined) this.streams.push((stream = new Stream(this, source, this.#index)));
    stream.bind();
    return stream;
  }

  release(): void {
    for (const stream of this.streams) stream.release();
    for (const shape of this.shapes) this.#index.releaseShape(shape);
  }
}

/** An epoch under one identity: what binds a reference to a series. */
export class Stream {
  readonly dictionary: EpochDictionary;
  readonly labels: Labels;
  readonly source: Source;
  readonly #index: NameIndex;
  readonly #relayed = new Map<number, Source>();
  readonly #held = new Set<Source>();
  #bound = 0;
  #ranks: Uint32Array = new Uint32Array();
  #byRank: Uint32Array = new Uint32Array();

  constructor(dictionary: EpochDictionary, labels: Labels, index: NameIndex) {
    this.dictionary = dictionary;
    this.labels = labels;
    this.#index = index;
    this.source = this.#hold(labels);
  }

  /** Makes the sources of entries that came since; selectors find a source only once it is in the index. */
  bind(): void {
    if (this.#bound === this.dictionary.length) return;
    this.#bound = this.dictionary.length;
    const host = labelValue(this.labels, 'instance');
    for (const [ref, own] of this.dictionary.relayed) {
      if (!this.#relayed.has(ref)) this.#relayed.set(ref, this.#hold(relayedSource(own, host)));
    }
  }

  sourceOf(ref: number): Source {
    return this.#relayed.get(ref) ?? this.source;
  }

  /** Who its series come from. */
  get sources(): ReadonlySet<Source> {
    return this.#held;
  }

  /** References in the order of source, metric and shape: the rank of each, and the reference of each rank. */
  ranks(): { readonly ranks: Uint32Array; readonly byRank: Uint32Array } {
    if (this.#byRank.length !== this.dictionary.length) {
      const { shapes } = this.dictionary;
      const order = (a: number, b: number): number => {
        const x = shapes[a] as Shape;
        const y = shapes[b] as Shape;
        return this.sourceOf(a).id - this.sourceOf(b).id || x.metric.id - y.metric.id || x.id - y.id || a - b;
      };
      this.#byRank = Uint32Array.from(shapes.keys()).sort(order);
      this.#ranks = new Uint32Array(shapes.length);
      for (let rank = 0; rank < shapes.length; rank++) this.#ranks[this.#byRank[rank] as number] = rank;
    }
    return { ranks: this.#ranks, byRank: this.#byRank };
  }

  release(): void {
    for (const source of this.#held) this.#index.releaseSource(source);
  }

  #hold(labels: Labels): Source {
    const source = this.#index.source(labels);
    if (!this.#held.has(source)) {
      this.#held.add(source);
      source.uses++;
    }
    return source;
  }
}

function equalLabels(a: Labels, b: Labels): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
