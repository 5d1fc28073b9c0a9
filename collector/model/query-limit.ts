/** The error of a read that would take more samples than its caller allows. Not the limits themselves: the caller states them. */

export class QueryLimitError extends Error {
  readonly code = 'query_samples';
  readonly samplesMax: number;
  constructor(samplesMax: number) {
    super(`the query would read more than ${samplesMax} samples; ask for a shorter range or fewer series`);
    this.name = 'QueryLimitError';
    this.samplesMax = samplesMax;
  }
}
