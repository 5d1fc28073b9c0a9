/** Bytes and speed of the column codec on a recorded host and on the harsh mix, plain and under zstd. Not of frames with their envelope. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { constants, gunzipSync, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { ByteWriter } from '../../protocol/bytes.ts';
import { decodeColumns, encodeColumns } from '../../protocol/columns.ts';
import { harshMix } from '../support/harsh-mix.ts';
import { suites } from '../support/outside.ts';

/** Frames hold every series of a host, chunks the series of one metric. */
const FRAME_TICKS = [1, 5, 10, 60] as const;
const CHUNK_TICKS = [360, 3600] as const;
const HARSH_SERIES = 500;
const HARSH_TICKS = 3600;
/** Pieces of one shape that are taken from a data set, evenly spread over its time. */
const SPANS_MAX = 40;
/** How long one speed is measured, in turns of which the best counts: the machine may be shared. */
const TURN_MS = 20;
const TURNS = 12;

type DataSet = { name: string; columns: Float64Array; rows: number; metrics: string[] };
type Piece = { values: Float64Array; seriesCount: number; ticks: number };

export async function run(options: { json: boolean }): Promise<Record<string, unknown>> {
  const report: Record<string, unknown> = { bench: 'codec' };
  const recorded = recordedHost();
  if (recorded === undefined) process.stdout.write('host_1s is not there (PICKET_SUITES): only the harsh mix is measured\n');
  for (const data of recorded === undefined ? [harsh()] : [recorded, harsh()]) {
    for (const ticks of FRAME_TICKS) measure(data, 'frame', ticks, report);
    for (const ticks of CHUNK_TICKS) measure(data, 'chunk', Math.min(ticks, data.rows), report, ticks);
  }
  if (options.json) process.stdout.write(`${JSON.stringify(report)}\n`);
  return report;
}

function measure(data: DataSet, shape: 'frame' | 'chunk', ticks: number, report: Record<string, unknown>, label = ticks): void {
  const pieces = cut(data, shape, ticks);
  const samples = pieces.reduce((sum, piece) => sum + piece.values.length, 0);
  const out = new ByteWriter();
  const encoded = pieces.map((piece) => {
    out.reset();
    encodeColumns(piece.values, piece.seriesCount, piece.ticks, out);
    return out.copy();
  });
  checkRoundTrip(pieces, encoded);
  const encodeMs = bestMs(() => {
    for (const piece of pieces) {
      out.reset();
      encodeColumns(piece.values, piece.seriesCount, piece.ticks, out);
    }
  });
  const into = new Float64Array(Math.max(...pieces.map((piece) => piece.values.length)));
  const decodeMs = bestMs(() => {
    pieces.forEach((piece, i) => {
      const bytes = encoded[i] ?? new Uint8Array(0);
      decodeColumns(bytes, 0, bytes.length, piece.seriesCount, piece.ticks, into);
    });
  });
  const result = {
    bytesPerSample: round(size(encoded) / samples, 4),
    bytesPerPiece: Math.round(size(encoded) / pieces.length),
    encodeMillionPerSecond: Math.round(samples / encodeMs / 1000),
    decodeMillionPerSecond: Math.round(samples / decodeMs / 1000),
    zstd1: zstd(encoded, samples, 1),
    zstd3: zstd(encoded, samples, 3),
  };
  report[`${data.name}_${shape}_${label}`] = result;
  process.stdout.write(line(`${data.name} ${shape} of ${ticks} ticks`, result));
}

function zstd(encoded: readonly Uint8Array[], samples: number, level: number): Record<string, number> {
  const params = { params: { [constants.ZSTD_c_compressionLevel]: level } };
  const compressed = encoded.map((bytes) => zstdCompressSync(bytes, params));
  const compressMs = bestMs(() => encoded.forEach((bytes) => zstdCompressSync(bytes, params)));
  const decompressMs = bestMs(() => compressed.forEach((bytes) => zstdDecompressSync(bytes)));
  const kept = compressed.reduce((sum, bytes, i) => sum + Math.min(bytes.length, encoded[i]?.length ?? 0), 0);
  return {
    bytesPerSample: round(kept / samples, 4),
    compressUsPerPiece: round((compressMs * 1000) / encoded.length, 1),
    decompressUsPerPiece: round((decompressMs * 1000) / encoded.length, 1),
  };
}

function line(name: string, result: Record<string, unknown>): string {
  return `${name.padEnd(28)} ${JSON.stringify(result).replaceAll('"', '').replaceAll(',', '  ')}\n`;
}

function checkRoundTrip(pieces: readonly Piece[], encoded: readonly Uint8Array[]): void {
  pieces.forEach((piece, i) => {
    const bytes = encoded[i] ?? new Uint8Array(0);
    const into = new Float64Array(piece.values.length);
    const result = decodeColumns(bytes, 0, bytes.length, piece.seriesCount, piece.ticks, into);
    const same = Buffer.compare(Buffer.from(into.buffer), Buffer.from(piece.values.buffer)) === 0;
    if (!result.ok || !same) throw new Error(`columns of ${piece.seriesCount} series and ${piece.ticks} ticks do not come back`);
  });
}

/** Every series over some spans of time, or the series of each metric apart. */
function cut(data: DataSet, shape: 'frame' | 'chunk', ticks: number): Piece[] {
  const spans = Math.min(shape === 'frame' ? SPANS_MAX : SPANS_MAX / 10, Math.floor(data.rows / ticks));
  const pieces: Piece[] = [];
  for (let span = 0; span < spans; span++) {
    const row = spans === 1 ? 0 : Math.floor((span * (data.rows - ticks)) / (spans - 1));
    for (let s = 0; s < data.metrics.length;) {
      let stop = shape === 'frame' ? data.metrics.length : s + 1;
      while (stop < data.metrics.length && data.metrics[stop] === data.metrics[s]) stop++;
      pieces.push(piece(data, s, stop, row, ticks));
      s = stop;
    }
  }
  return pieces;
}

function piece(data: DataSet, start: number, stop: number, row: number, ticks: number): Piece {
  const values = new Float64Array((stop - start) * ticks);
  for (let s = start; s < stop; s++) {
    values.set(data.columns.subarray(s * data.rows + row, s * data.rows + row + ticks), (s - start) * ticks);
  }
  return { values, seriesCount: stop - start, ticks };
}

/** Series of one metric lie side by side: their names differ by a number. */
function recordedHost(): DataSet | undefined {
  const folder = suites();
  if (folder === undefined) return undefined;
  const names = JSON.parse(readFileSync(join(folder, 'host_1s', 'names.json'), 'utf8')) as string[];
  const bytes = gunzipSync(readFileSync(join(folder, 'host_1s', 'proc.f64.gz')));
  const cells = new Float64Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
  const width = names.length + 1;
  const rows = Math.floor(cells.length / width);
  const columns = new Float64Array(names.length * rows);
  for (let row = 0; row < rows; row++) {
    for (let s = 0; s < names.length; s++) columns[s * rows + row] = cells[row * width + s + 1] ?? 0;
  }
  return { name: 'host_1s', columns, rows, metrics: names.map((name) => name.replace(/\d+/g, '')) };
}

function harsh(): DataSet {
  const mix = harshMix(1, HARSH_SERIES);
  const tick = new Float64Array(HARSH_SERIES);
  const columns = new Float64Array(HARSH_SERIES * HARSH_TICKS);
  for (let row = 0; row < HARSH_TICKS; row++) {
    mix.next(tick);
    for (let s = 0; s < HARSH_SERIES; s++) columns[s * HARSH_TICKS + row] = tick[s] ?? 0;
  }
  return { name: 'harsh', columns, rows: HARSH_TICKS, metrics: Array.from({ length: HARSH_SERIES }, (_, s) => `m${Math.floor(s / 5)}`) };
}

function size(encoded: readonly Uint8Array[]): number {
  return encoded.reduce((sum, bytes) => sum + bytes.length, 0);
}

/** Milliseconds of one call, at the best of some turns. */
function bestMs(work: () => void): number {
  let best = Infinity;
  for (let turn = 0; turn < TURNS; turn++) {
    const started = performance.now();
    let calls = 0;
    let elapsed = 0;
    do {
      work();
      calls++;
      elapsed = performance.now() - started;
    } while (elapsed < TURN_MS);
    best = Math.min(best, elapsed / calls);
  }
  return best;
}

function round(n: number, digits: number): number {
  return Number(n.toFixed(digits));
}

if (import.meta.main) await run({ json: process.argv.includes('--json') });
