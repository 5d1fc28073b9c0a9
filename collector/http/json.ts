/** Query values as JSON, in pieces that a socket can take one by one: numbers as Prometheus writes them. Not a general writer. */
import type { Labels } from '../model/labels.ts';
import type { MatrixSeries, MatrixValue, QueryValue, VectorSample, VectorValue } from '../query/engine.ts';
import { formatTime, formatValue } from './json-numbers.ts';
import { POINT_BYTES_MAX, timeTexts, writePoint, type TimeTexts } from './json-points.ts';

/** A piece is passed on once it is this long: less than a millisecond of writing, and what a socket takes at once. */
const PIECE_BYTES = 64 * 1024;
/** Of one UTF-16 unit. */
const UTF8_BYTES_MAX = 3;

/** Label names and values as JSON: the same few hundred stand in every answer, and looking one up takes a third of writing it anew. */
const QUOTED = new Map<string, string>();
/** At most 4 MB; when it is full it begins anew. */
const QUOTED_MAX = 4096;
const QUOTED_LENGTH_MAX = 256;

export function labelsJson(labels: Labels): string {
  let text = '{';
  for (let i = 0; i < labels.length; i += 2) {
    text += `${i === 0 ? '' : ','}${quoted(labels[i] as string)}:${quoted(labels[i + 1] as string)}`;
  }
  return `${text}}`;
}

function quoted(text: string): string {
  const known = QUOTED.get(text);
  if (known !== undefined) return known;
  const made = JSON.stringify(text);
  if (text.length > QUOTED_LENGTH_MAX) return made;
  if (QUOTED.size >= QUOTED_MAX) QUOTED.clear();
  QUOTED.set(text, made);
  return made;
}

export type Extras = {
  readonly warnings?: readonly string[];
  /** Further members of the envelope, as JSON text. */
  readonly members?: string;
};

/** A successful answer to a query, in pieces. */
export function* queryAnswer(value: QueryValue, extras: Extras): Generator<Buffer> {
  const end = `]}${extrasText(extras)}}`;
  if (value.kind === 'vector') yield* gathered(vectorTexts(value, end));
  else yield* matrixPieces(value, end);
}

/** A successful answer with any other data. */
export function successText(data: unknown, extras: Extras): string {
  return `{"status":"success","data":${JSON.stringify(data)}${extrasText(extras)}}`;
}

/** A successful answer that is a list, in pieces. `item` gives the JSON of one. */
export function listAnswer<T>(items: readonly T[], item: (one: T) => string, extras: Extras): Generator<Buffer> {
  return gathered(listTexts(items, item, extras));
}

/** Many small texts as few larger pieces. */
export function* gathered(texts: Iterable<string>): Generator<Buffer> {
  let piece = '';
  for (const text of texts) {
    piece += text;
    if (piece.length < PIECE_BYTES) continue;
    yield Buffer.from(piece);
    piece = '';
  }
  yield Buffer.from(piece);
}

function* listTexts<T>(items: readonly T[], item: (one: T) => string, extras: Extras): Generator<string> {
  let separator = '{"status":"success","data":[';
  for (const one of items) {
    yield separator + item(one);
    separator = ',';
  }
  yield `${separator === ',' ? '' : separator}]${extrasText(extras)}}`;
}

function extrasText(extras: Extras): string {
  const warnings = extras.warnings?.length ? `,"warnings":${JSON.stringify(extras.warnings)}` : '';
  return `${warnings}${extras.members === undefined ? '' : `,${extras.members}`}`;
}

function* vectorTexts(value: VectorValue, end: string): Generator<string> {
  yield '{"status":"success","data":{"resultType":"vector","result":[';
  let separator = '';
  for (const sample of value.samples) {
    yield separator + vectorItem(sample);
    separator = ',';
  }
  yield end;
}

function vectorItem(sample: VectorSample): string {
  return `{"metric":${labelsJson(sample.labels)},"value":[${formatTime(sample.timeMs)},"${formatValue(sample.value)}"]}`;
}

/** A matrix may have millions of points: they go into bytes without a text in between. */
function* matrixPieces(value: MatrixValue, end: string): Generator<Buffer> {
  const writer = new PieceWriter();
  writer.text('{"status":"success","data":{"resultType":"matrix","result":[');
  let times: TimeTexts | undefined;
  for (const [i, series] of value.series.entries()) {
    writer.text(`${i === 0 ? '' : ','}{"metric":${labelsJson(series.labels)},"values":[`);
    // Neighbours in an answer mostly share their times.
    if (times?.timesMs !== series.timesMs) times = timeTexts(series.timesMs);
    for (let from = 0; from < series.values.length;) {
      from = writer.points(times, series, from);
      if (writer.full) yield writer.take();
    }
    writer.text(']}');
    if (writer.full) yield writer.take();
  }
  writer.text(end);
  yield writer.take();
}

/** Bytes of the piece being written. */
class PieceWriter {
  #bytes = Buffer.allocUnsafe(PIECE_BYTES);
  #at = 0;

  get full(): boolean {
    return this.#at > PIECE_BYTES - POINT_BYTES_MAX;
  }

  text(text: string): void {
    const room = this.#at + text.length * UTF8_BYTES_MAX;
    if (room > this.#bytes.length) {
      const larger = Buffer.allocUnsafe(room + PIECE_BYTES);
      this.#bytes.copy(larger, 0, 0, this.#at);
      this.#bytes = larger;
    }
    this.#at += this.#bytes.write(text, this.#at);
  }

  /** Writes points from index `from` on until the piece is full; the index of the next one. */
  points(times: TimeTexts, series: MatrixSeries, from: number): number {
    const last = PIECE_BYTES - POINT_BYTES_MAX;
    const { values } = series;
    let i = from;
    let at = this.#at;
    while (i < values.length && at <= last) at = writePoint(this.#bytes, at, times, i, values[i++] as number);
    this.#at = at;
    return i;
  }

  take(): Buffer {
    const piece = this.#bytes.subarray(0, this.#at);
    this.#bytes = Buffer.allocUnsafe(PIECE_BYTES);
    this.#at = 0;
    return piece;
  }
}
