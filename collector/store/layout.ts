/** How the series of one group of frames lie in blocks: sorted by source, metric and shape, in runs that become chunks unchanged. Not their values. */
import type { Stream } from './dictionary.ts';
import type { Metric, Shape, Source } from './names.ts';

/** Most series of one run: they are decoded together, so that a reader of one pays for at most so many. */
const RUN_SERIES_MAX = 16;

/** Columns [from, to) of a block: series of one metric and one source. */
export type Run = {
  readonly index: number;
  readonly source: Source;
  readonly metric: Metric;
  readonly from: number;
  readonly to: number;
  /** By column. */
  readonly shapes: readonly Shape[];
};

export class Layout {
  /** The references as frames list them, strictly rising. */
  readonly refs: Uint32Array;
  /** Which of the references (its position) stands in each column. */
  readonly order: Uint32Array;
  readonly runs: readonly Run[];

  constructor(refs: Uint32Array, stream: Stream) {
    this.refs = refs;
    const { ranks, byRank } = stream.ranks();
    const sorted = new Uint32Array(refs.length);
    for (let i = 0; i < refs.length; i++) sorted[i] = ranks[refs[i] as number] as number;
    sorted.sort();
    const columns = Array.from(sorted, (rank) => byRank[rank] as number);
    this.order = Uint32Array.from(columns, (ref) => positionOf(refs, ref));
    this.runs = runsOf(columns, stream);
  }

  /** The runs of one metric of one source, found by halving. */
  *runsOf(source: Source, metric: Metric): Generator<Run> {
    const { runs } = this;
    let low = 0;
    let high = runs.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const run = runs[middle] as Run;
      const isBefore = run.source.id < source.id || (run.source.id === source.id && run.metric.id < metric.id);
      if (isBefore) low = middle + 1;
      else high = middle;
    }
    for (; low < runs.length; low++) {
      const run = runs[low] as Run;
      if (run.source !== source || run.metric !== metric) return;
      yield run;
    }
  }
}

function runsOf(refs: readonly number[], stream: Stream): Run[] {
  const runs: Run[] = [];
  const shapeOf = (column: number): Shape => stream.dictionary.shapes[refs[column] as number] as Shape;
  let from = 0;
  while (from < refs.length) {
    const source = stream.sourceOf(refs[from] as number);
    const { metric } = shapeOf(from);
    let to = from + 1;
    while (
      to < refs.length &&
      to - from < RUN_SERIES_MAX &&
      shapeOf(to).metric === metric &&
      stream.sourceOf(refs[to] as number) === source
    ) {
      to++;
    }
    const shapes: Shape[] = [];
    for (let column = from; column < to; column++) shapes.push(shapeOf(column));
    runs.push({ index: runs.length, source, metric, from, to, shapes });
    from = to;
  }
  return runs;
}

function positionOf(refs: Uint32Array, ref: number): number {
  // References are mostly 0, 1, 2, ...: the first guess hits.
  if (refs[ref] === ref) return ref;
  let low = 0;
  let high = refs.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((refs[middle] as number) < ref) low = middle + 1;
    else high = middle;
  }
  return low;
}
