/** Label sets and matchers: the words every room of the collector shares. Pure. */

/** Name-value pairs sorted by name (code units), names unique, `__name__` included like any other. Flat: [name, value, name, value, ...]. */
export type Labels = readonly string[];

/** The bits of Prometheus's staleness marker (pkg/value/value.go). Compare bits, never the number: every NaN is unequal to itself. */
export const STALE_NAN_HIGH = 0x7ff00000;
export const STALE_NAN_LOW = 0x00000002;

export const MatchOp = { equal: '=', notEqual: '!=', regexp: '=~', notRegexp: '!~' } as const;
export type MatchOp = (typeof MatchOp)[keyof typeof MatchOp];

/** A label matcher. A missing label counts as the empty string. */
export type Matcher = {
  readonly name: string;
  readonly op: MatchOp;
  readonly value: string;
  /** True if a label value (or '' where the label is missing) satisfies this matcher. Regular expressions are RE2, anchored, linear. */
  readonly matches: (value: string) => boolean;
  /** For `=~`: the finite set of values it can match, if known, so that a store can look them up. */
  readonly values?: readonly string[];
};

/** Value of a label or ''. */
export function labelValue(labels: Labels, name: string): string {
  for (let i = 0; i < labels.length; i += 2) if (labels[i] === name) return labels[i + 1] as string;
  return '';
}

/** Labels from a record, sorted; empty values are dropped as Prometheus does. */
export function labelsOf(record: Readonly<Record<string, string>>): Labels {
  const out: string[] = [];
  for (const name of Object.keys(record).sort()) {
    const value = record[name];
    if (value !== undefined && value !== '') out.push(name, value);
  }
  return out;
}

/** Labels as a record, for JSON answers. */
export function labelsRecord(labels: Labels): Record<string, string> {
  const record: Record<string, string> = {};
  for (let i = 0; i < labels.length; i += 2) record[labels[i] as string] = labels[i + 1] as string;
  return record;
}

/** A string that is equal for equal label sets and for no others. */
export function labelsKey(labels: Labels): string {
  let key = '';
  for (let i = 0; i < labels.length; i++) {
    const part = labels[i] as string;
    key += `${part.length}:${part}`;
  }
  return key;
}
