/** Dictionary payloads: an epoch's append-only list of series. Entry n is announced once; samples name it by n. */
import { fail, ok, type Result } from './errors.ts';
import {
  DICTIONARY_ENTRIES_MAX,
  HELP_BYTES_MAX,
  LABEL_NAME_BYTES_MAX,
  LABEL_VALUE_BYTES_MAX,
  LABELS_PER_SERIES_MAX,
  METRIC_NAME_BYTES_MAX,
  SERIES_BYTES_MAX,
} from './limits.ts';
import { pack, unpack } from './msgpack.ts';

/** OpenMetrics types, by their number on the wire. */
export const METRIC_TYPES = ['unknown', 'counter', 'gauge', 'histogram', 'summary', 'info'] as const;
export type WireMetricType = (typeof METRIC_TYPES)[number];

/** `node`: the host's own series, to which the collector adds job and instance. `relayed`: somebody else's, to which it adds `agent`. */
export const SCOPES = ['node', 'relayed'] as const;
export type Scope = (typeof SCOPES)[number];

export type DictionaryEntry = {
  readonly name: string;
  readonly type: WireMetricType;
  readonly scope: Scope;
  /** Flat name, value, ... sorted by name, without `__name__`, no empty values. */
  readonly labels: readonly string[];
  /** Help text, sent with the first entry of a metric in an epoch; '' elsewhere. */
  readonly help: string;
};

export type DictionaryPart = { readonly from: number; readonly entries: readonly DictionaryEntry[] };

/** Payload `[from, [[name, type, scope, [labels...], help?], ...]]`. Throws RangeError for an entry that a collector would refuse. */
export function encodeDictionary(part: DictionaryPart): Uint8Array {
  for (const entry of part.entries) {
    const problem = entryProblem(entry);
    if (problem !== undefined) throw new RangeError(`series ${entry.name}: ${problem}`);
  }
  return pack([
    part.from,
    part.entries.map((entry) => {
      const row: unknown[] = [entry.name, METRIC_TYPES.indexOf(entry.type), SCOPES.indexOf(entry.scope), entry.labels];
      if (entry.help !== '') row.push(entry.help);
      return row;
    }),
  ]);
}

/** Reads and checks a dictionary payload; names must be UTF-8 within the limits and labels sorted and unique. */
export function decodeDictionary(payload: Uint8Array): Result<DictionaryPart> {
  const unpacked = unpack(payload, 'payload_malformed');
  if (!unpacked.ok) return unpacked;
  const value = unpacked.value;
  if (!Array.isArray(value) || value.length !== 2) return malformed('a dictionary is [from, entries]');
  const [from, rows] = value as [unknown, unknown];
  if (!isIndex(from) || !Array.isArray(rows) || rows.length === 0) return malformed('a dictionary is [from, entries]');
  if (from + rows.length > DICTIONARY_ENTRIES_MAX) {
    return fail('dictionary_full', `an epoch has at most ${DICTIONARY_ENTRIES_MAX} series; the agent must start a new epoch`);
  }
  const entries: DictionaryEntry[] = [];
  for (const row of rows) {
    const entry = readEntry(row);
    if (!entry.ok) return entry;
    entries.push(entry.value);
  }
  return ok({ from, entries });
}

function readEntry(row: unknown): Result<DictionaryEntry> {
  if (!Array.isArray(row) || row.length < 4 || row.length > 5) return malformed('an entry is [name, type, scope, labels, help?]');
  const [name, type, scope, labels, help = ''] = row as [unknown, unknown, unknown, unknown, unknown];
  const typeName = typeof type === 'number' ? METRIC_TYPES[type] : undefined;
  const scopeName = typeof scope === 'number' ? SCOPES[scope] : undefined;
  if (typeof name !== 'string' || typeof help !== 'string' || typeName === undefined || scopeName === undefined || !isStrings(labels)) {
    return malformed('an entry is [name, type, scope, labels, help?]');
  }
  const entry: DictionaryEntry = { name, type: typeName, scope: scopeName, labels, help };
  const problem = entryProblem(entry);
  return problem === undefined ? ok(entry) : fail('limit_label', `series ${name.slice(0, 80)}: ${problem}`);
}

/** Why an entry may not be announced, or undefined. */
export function entryProblem(entry: DictionaryEntry): string | undefined {
  const { labels } = entry;
  if (entry.name === '') return 'the metric name is empty';
  if (Buffer.byteLength(entry.name) > METRIC_NAME_BYTES_MAX) return `the metric name is longer than ${METRIC_NAME_BYTES_MAX} bytes`;
  if (Buffer.byteLength(entry.help) > HELP_BYTES_MAX) return `the help text is longer than ${HELP_BYTES_MAX} bytes`;
  if (labels.length % 2 !== 0) return 'labels are pairs of name and value';
  if (labels.length / 2 > LABELS_PER_SERIES_MAX) return `more than ${LABELS_PER_SERIES_MAX} labels`;
  let bytes = entry.name.length;
  for (let i = 0; i < labels.length; i += 2) {
    const name = labels[i] as string;
    const value = labels[i + 1] as string;
    if (name === '' || value === '' || name === '__name__') return 'a label has an empty name or value, or is __name__';
    if (i > 0 && name <= (labels[i - 2] as string)) return 'labels are not sorted by name, or a name stands twice';
    const nameBytes = Buffer.byteLength(name);
    const valueBytes = Buffer.byteLength(value);
    if (nameBytes > LABEL_NAME_BYTES_MAX) return `a label name is longer than ${LABEL_NAME_BYTES_MAX} bytes`;
    if (valueBytes > LABEL_VALUE_BYTES_MAX) return `label ${name} is longer than ${LABEL_VALUE_BYTES_MAX} bytes`;
    bytes += nameBytes + valueBytes;
  }
  return bytes > SERIES_BYTES_MAX ? `the series is longer than ${SERIES_BYTES_MAX} bytes` : undefined;
}

function isIndex(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0;
}

function isStrings(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
}

function malformed<T>(detail: string): Result<T> {
  return fail('payload_malformed', detail);
}
