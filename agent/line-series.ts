/** The agent's line about itself, as series: what the link did and what never became a frame. The spool's figures are gather/self.ts's. */
import type { BatchDrops } from './batcher.ts';
import type { Metric, SampleSink, SeriesRef } from './gather/gatherer.ts';
import type { LinkStats } from './link/link.ts';

const counter = (name: string, help: string): Metric => ({ name: `picket_agent_${name}`, type: 'counter', help });

/** In the order in which `set` gives the values. */
const METRICS: readonly Metric[] = [
  counter('connects_total', 'Attempts to connect to the collector.'),
  counter('connection_failures_total', 'Connections that failed or were lost, refused ones included.'),
  counter('rejections_total', 'Connections that the collector refused.'),
  counter('sent_frames_total', 'Frames sent, repeated ones included.'),
  counter('sent_bytes_total', 'Bytes of frames and dictionaries sent.'),
  counter('dictionary_needs_total', 'Times that the collector asked for a dictionary again.'),
  counter('refused_frames_total', 'Frames that the collector will never take.'),
  counter('unknown_messages_total', 'Messages of the collector that were not understood.'),
  counter('stale_configurations_total', 'Configurations that were not signed by the collector or older than the last.'),
  counter('refused_series_total', 'Times that a series was over a limit of the wire or of this process.'),
  counter('dropped_samples_total', 'Values of refused series, or of series for which the dictionary had no room.'),
];

export class LineSeries {
  readonly #sink: SampleSink;
  readonly #refs: readonly SeriesRef[];

  constructor(sink: SampleSink) {
    this.#sink = sink;
    this.#refs = METRICS.map((metric) => sink.series(metric));
  }

  /** Once per tick. */
  set(link: LinkStats, drops: BatchDrops): void {
    const { connects, failures, rejections, sentFrames, sentBytes, needs, refusals, malformed, staleConfigs } = link;
    const values = [
      connects,
      failures,
      rejections,
      sentFrames,
      sentBytes,
      needs,
      refusals,
      malformed,
      staleConfigs,
      drops.series,
      drops.samples,
    ];
    for (const [i, ref] of this.#refs.entries()) this.#sink.set(ref, values[i] as number);
  }
}
