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
  #order: Uint32Array = new Uint32Array();

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

  /** Entries that have this shape (several, if relayed for several sources). */
  refsOf(shape: Shape): number[] {
    const order = this.#sorted();
    let low = 0;
    let high = order.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#shapeId(order[middle] as number) < shape.id) low = middle + 1;
      else high = middle;
    }
    const refs: number[] = [];
    while (low < order.length && this.#shapeId(order[low] as number) === shape.id) refs.push(order[low++] as number);
    return refs;
  }

  release(): void {
    for (const stream of this.streams) stream.release();
    for (const shape of this.shapes) this.#index.releaseShape(shape);
  }

  /** References sorted by the id of their shape: 4 bytes an entry where a map would take 50. */
  #sorted(): Uint32Array {
    if (this.#order.length !== this.length) {
      this.#order = Uint32Array.from(this.shapes.keys()).sort((a, b) => this.#shapeId(a) - this.#shapeId(b) || a - b);
    }
    return this.#order;
  }

  #shapeId(ref: number): number {
    return (this.shapes[ref] as Shape).id;
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

  /** Whether any of its series can be of these sources. */
  hasAny(sources: ReadonlySet<Source>): boolean {
    for (const source of this.#held) if (sources.has(source)) return true;
    return false;
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
