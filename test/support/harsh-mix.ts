/** A seeded stream of sample values that is hard on codecs: the mix that the project's goals are stated for. Not a host's real data. */

/** Twenty metrics give the stated shares: 25 % busy counters, 10 % rare events, 10 % CPU seconds, and so on. */
const METRIC_KINDS = [
  'counter',
  'counter',
  'counter',
  'counter',
  'counter',
  'rare',
  'rare',
  'cpu',
  'cpu',
  'page',
  'page',
  'small',
  'small',
  'percent',
  'float',
  'constant',
  'constant',
  'constant',
  'constant',
  'constant',
] as const;
/** Series of one metric lie side by side, as the devices or modes of a host do. */
const SERIES_PER_METRIC = 5;
const PAGE_BYTES = 4096;

export type HarshMix = {
  /** Writes the next tick of all series. */
  next(into: Float64Array): void;
};

type Series = (random: () => number) => number;

/** The same seed gives the same values for ever; shares are exact when seriesCount is a multiple of 100. */
export function harshMix(seed: number, seriesCount: number): HarshMix {
  const random = mulberry32(seed);
  const series: Series[] = [];
  for (let s = 0; s < seriesCount; s++) {
    const kind = METRIC_KINDS[Math.floor(s / SERIES_PER_METRIC) % METRIC_KINDS.length] ?? 'constant';
    series.push(SERIES[kind](random));
  }
  return {
    next(into) {
      for (let s = 0; s < seriesCount; s++) into[s] = series[s]?.(random) ?? 0;
    },
  };
}

/** Each draws its own level and pace once, then answers one value per tick. */
const SERIES: Readonly<Record<(typeof METRIC_KINDS)[number], (random: () => number) => Series>> = {
  counter(random) {
    const pace = 10 ** (1 + 4 * random());
    let total = Math.floor(random() * 1e10);
    return (draw) => (total += Math.floor(pace * (0.5 + draw())));
  },
  rare(random) {
    let total = Math.floor(random() * 1000);
    return (draw) => (total += draw() < 0.02 ? 1 + Math.floor(draw() * 3) : 0);
  },
  cpu(random) {
    const busy = random() * 80;
    let ticks = Math.floor(random() * 1e8);
    return (draw) => (ticks += Math.floor(busy + draw() * 20)) / 100;
  },
  page(random) {
    let pages = Math.floor(1e5 + random() * 1e6);
    return (draw) => {
      if (draw() < 0.7) pages = Math.max(0, pages + Math.floor((draw() - 0.5) * 400));
      return pages * PAGE_BYTES;
    };
  },
  small(random) {
    const top = 2 + Math.floor(random() * 10);
    return (draw) => Math.floor(draw() * top);
  },
  percent(random) {
    let hundredths = Math.floor(random() * 10_000);
    return (draw) => {
      hundredths = Math.min(10_000, Math.max(0, hundredths + Math.floor((draw() - 0.5) * 1000)));
      return hundredths / 100;
    };
  },
  float(random) {
    let value = random() * 100;
    return (draw) => (value *= 1 + (draw() - 0.5) * 0.02);
  },
  constant(random) {
    const value = random() < 0.5 ? Math.floor(random() * 10) : Math.floor(random() * 2 ** 34);
    return () => value;
  },
};

/** A small generator with 32 bits of state: fast, good enough for test data, not for keys. */
export function mulberry32(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
