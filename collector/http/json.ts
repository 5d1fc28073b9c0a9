/** Query values as JSON text, written by hand: numbers as Prometheus writes them, in pieces that a socket can take one by one. Not a general writer. */
import type { Labels } from '../model/labels.ts';
import type { MatrixSeries, MatrixValue, QueryValue, VectorSample, VectorValue } from '../query/engine.ts';

/** A piece is passed on once it is this long: about a millisecond of writing, and what a socket takes at once. */
const PIECE_LENGTH = 64 * 1024;

/** Shortest text that reads back as the same number; exponents below 1e-6 and from 1e21 on, with at least two digits. As Go's encoding/json. */
export function formatValue(value: number): string {
  if (Number.isInteger(value)) {
    return value === 0 && Object.is(value, -0) ? '-0' : String(value);
  }
  if (Number.isFinite(value)) {
    const text = String(value);
    return value < 1e-6 && value > -1e-6 ? widenExponent(text) : text;
  }
  return value > 0 ? '+Inf' : value < 0 ? '-Inf' : 'NaN';
}

/** JavaScript writes 1e-7, Go 1e-07. */
function widenExponent(text: string): string {
  const at = text.indexOf('e');
  return at !== -1 && text.length === at + 3 ? `${text.slice(0, at + 2)}0${text.slice(at + 2)}` : text;
}

/** Milliseconds as seconds: whole, or with exactly three decimals. */
export function formatTime(timeMs: number): string {
  const whole = Math.trunc(timeMs / 1000);
  const rest = Math.abs(timeMs - whole * 1000);
  if (rest === 0) return String(whole);
  const sign = timeMs < 0 && whole === 0 ? '-' : '';
  return `${sign}${whole}.${rest < 100 ? (rest < 10 ? '00' : '0') : ''}${rest}`;
}

export function labelsJson(labels: Labels): string {
  let text = '{';
  for (let i = 0; i < labels.length; i += 2) {
    text += `${i === 0 ? '' : ','}${JSON.stringify(labels[i])}:${JSON.stringify(labels[i + 1])}`;
  }
  return `${text}}`;
}

export type Extras = {
  readonly warnings?: readonly string[];
  /** Further members of the envelope, as JSON text. */
  readonly members?: string;
};

/** A successful answer to a query, in pieces. */
export function* queryAnswer(value: QueryValue, extras: Extras): Generator<string> {
  yield* value.kind === 'vector' ? vectorPieces(value) : matrixPieces(value);
  yield `]}${extrasText(extras)}}`;
}

/** A successful answer with any other data. */
export function successText(data: unknown, extras: Extras): string {
  return `{"status":"success","data":${JSON.stringify(data)}${extrasText(extras)}}`;
}

/** A successful answer that is a list, in pieces. `item` gives the JSON of one. */
export function* listAnswer<T>(items: readonly T[], item: (one: T) => string, extras: Extras): Generator<string> {
  let piece = '{"status":"success","data":[';
  for (const [i, one] of items.entries()) {
    piece += i === 0 ? item(one) : `,${item(one)}`;
    if (piece.length < PIECE_LENGTH) continue;
    yield piece;
    piece = '';
  }
  yield `${piece}]${extrasText(extras)}}`;
}

function extrasText(extras: Extras): string {
  const warnings = extras.warnings?.length ? `,"warnings":${JSON.stringify(extras.warnings)}` : '';
  return `${warnings}${extras.members === undefined ? '' : `,${extras.members}`}`;
}

function* vectorPieces(value: VectorValue): Generator<string> {
  let piece = '{"status":"success","data":{"resultType":"vector","result":[';
  let separator = '';
  for (const sample of value.samples) {
    piece += `${separator}${vectorItem(sample)}`;
    separator = ',';
    if (piece.length < PIECE_LENGTH) continue;
    yield piece;
    piece = '';
  }
  yield piece;
}

function vectorItem(sample: VectorSample): string {
  return `{"metric":${labelsJson(sample.labels)},"value":[${formatTime(sample.timeMs)},"${formatValue(sample.value)}"]}`;
}

function* matrixPieces(value: MatrixValue): Generator<string> {
  const times = new TimeTexts();
  let piece = '{"status":"success","data":{"resultType":"matrix","result":[';
  let separator = '';
  for (const series of value.series) {
    piece += `${separator}{"metric":${labelsJson(series.labels)},"values":[`;
    separator = ',';
    const texts = times.of(series);
    for (let i = 0; i < texts.length; i++) {
      piece += `${i === 0 ? '[' : ',['}${texts[i] as string}"${formatValue(series.values[i] as number)}"]`;
      if (piece.length < PIECE_LENGTH) continue;
      yield piece;
      piece = '';
    }
    piece += ']}';
  }
  yield piece;
}

/** The texts of a time column, `1795265310.073,`. Neighbours in an answer mostly share theirs, so that the last one is kept. */
class TimeTexts {
  #timesMs: Float64Array | undefined;
  #texts: readonly string[] = [];

  of(series: MatrixSeries): readonly string[] {
    if (series.timesMs === this.#timesMs) return this.#texts;
    this.#timesMs = series.timesMs;
    this.#texts = Array.from(series.timesMs, (timeMs) => `${formatTime(timeMs)},`);
    return this.#texts;
  }
}
