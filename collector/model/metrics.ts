/** A metric family as the collector tells of itself; the words of Prometheus's text format. */

export type MetricSample = { readonly labels?: Readonly<Record<string, string>>; readonly value: number };
export type MetricFamily = {
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge' | 'unknown';
  readonly samples: readonly MetricSample[];
};

export function counter(name: string, help: string, value: number): MetricFamily {
  return { name, help, type: 'counter', samples: [{ value }] };
}

export function gauge(name: string, help: string, value: number): MetricFamily {
  return { name, help, type: 'gauge', samples: [{ value }] };
}
