/** Coverage: which part of a time range came live, which came late, and what is missing and why. Pure interval arithmetic on milliseconds. */

export type Span = readonly [fromMs: number, toMs: number];

/** A hole with its cause; `agent_crashed`, `spool_full`, `not_received`, ... The list of causes stands in protocol/README.md. */
export type CoverageGap = {
  readonly fromMs: number;
  readonly toMs: number;
  readonly cause: string;
  readonly detail: string;
  readonly host: string;
};

export type Coverage = { readonly live: readonly Span[]; readonly late: readonly Span[]; readonly gaps: readonly CoverageGap[] };

/** Adds a span to sorted disjoint spans, joining what lies within `joinMs` of it; above `countMax` spans the nearest two are joined. */
export function addSpan(spans: Span[], fromMs: number, toMs: number, joinMs: number, countMax: number): void {
  let first = 0;
  while (first < spans.length && (spans[first] as Span)[1] + joinMs < fromMs) first++;
  let next = first;
  let low = fromMs;
  let high = toMs;
  while (next < spans.length && (spans[next] as Span)[0] - joinMs <= toMs) {
    const span = spans[next] as Span;
    low = Math.min(low, span[0]);
    high = Math.max(high, span[1]);
    next++;
  }
  spans.splice(first, next - first, [low, high]);
  if (spans.length > countMax) joinNearest(spans);
}

function joinNearest(spans: Span[]): void {
  let best = 1;
  for (let i = 2; i < spans.length; i++) {
    if ((spans[i] as Span)[0] - (spans[i - 1] as Span)[1] < (spans[best] as Span)[0] - (spans[best - 1] as Span)[1]) best = i;
  }
  spans.splice(best - 1, 2, [(spans[best - 1] as Span)[0], (spans[best] as Span)[1]]);
}

/** The parts of [from, to] that none of the holes covers. Holes in any order. */
export function subtract(range: Span, holes: readonly Span[]): Span[] {
  const sorted = holes.toSorted((a, b) => a[0] - b[0]);
  const rest: Span[] = [];
  let at = range[0];
  for (const [from, to] of sorted) {
    if (to <= at) continue;
    if (from >= range[1]) break;
    if (from > at) rest.push([at, from]);
    at = to;
  }
  if (at < range[1]) rest.push([at, range[1]]);
  return rest;
}

/** Spans cut to a range; what lies outside goes. */
export function clip(spans: readonly Span[], fromMs: number, toMs: number): Span[] {
  const inside: Span[] = [];
  for (const [from, to] of spans) {
    const low = Math.max(from, fromMs);
    const high = Math.min(to, toMs);
    if (low < high) inside.push([low, high]);
  }
  return inside;
}
