/** Asks ingest what an answer rests on, and words it for the page. The arithmetic of spans is model/coverage.ts's. */
import type { Coverage, Span } from '../model/coverage.ts';

export interface CoverageSource {
  /** Spans cut to [fromMs, toMs). Bounded by the implementation: for many hosts or long ranges it may join spans. */
  of(hosts: readonly string[] | 'all', fromMs: number, toMs: number): Promise<Coverage>;
}

/** As the page's answers carry it, where `from` and `to` are milliseconds throughout. */
export type PageCoverage = { readonly live: readonly Span[]; readonly late: readonly Span[]; readonly gaps: readonly PageGap[] };
export type PageGap = {
  readonly from: number;
  readonly to: number;
  readonly cause: string;
  readonly detail: string;
  readonly host: string;
};

export function pageCoverage(coverage: Coverage): PageCoverage {
  return { ...coverage, gaps: coverage.gaps.map(({ fromMs, toMs, ...rest }) => ({ from: fromMs, to: toMs, ...rest })) };
}
