/** What ties rows and metrics to a sink's series: asks for series only when something changed. Holds no samples. */
import type { LabelPairs, Metric, SampleSink, SeriesRef } from './gatherer.ts';

/** Says when references taken earlier no longer fit: another sink, or other rows. */
export class Binding {
  #sink: SampleSink | undefined;
  #version = -1;

  /** True once per change; the caller then takes its references anew. */
  isStale(sink: SampleSink, version = 0): boolean {
    if (sink === this.#sink && version === this.#version) return false;
    this.#sink = sink;
    this.#version = version;
    return true;
  }
}

/** Series with values that change rarely or never (info metrics) and are set again at each tick. */
export class HeldSamples {
  readonly #refs: SeriesRef[] = [];
  readonly #values: number[] = [];

  clear(): void {
    this.#refs.length = this.#values.length = 0;
  }

  add(sink: SampleSink, metric: Metric, labels: LabelPairs | undefined, value: number): void {
    this.#refs.push(sink.series(metric, labels));
    this.#values.push(value);
  }

  set(sink: SampleSink): void {
    for (let i = 0; i < this.#refs.length; i++) sink.set(this.#refs[i] as number, this.#values[i] as number);
  }
}
