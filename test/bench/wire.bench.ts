/**
 * Bytes on the wire of a recorded host (733 series, each second for 51 minutes), everything that an agent sends included: envelopes, signatures,
 * dictionary, times, references, columns. By ticks per frame: 5 is the default flush, 1 a host that is watched, 60 an agent off line.
 */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import {
  agentIdOf,
  DIGEST_BYTES,
  encodeDictionary,
  encodeSamples,
  FrameKind,
  Lane,
  newKeyPair,
  seal,
  signer,
  type DictionaryEntry,
  type SealOptions,
} from '../../protocol/index.ts';
import { suites } from '../support/outside.ts';
import type { BenchOptions, Figures } from './main.ts';

const TICKS = [1, 5, 10, 60];

export async function run(_options: BenchOptions): Promise<Figures> {
  const folder = suites();
  if (folder === undefined) {
    process.stdout.write('skipped: the recorded host is not on this machine (PICKET_SUITES)\n');
    return {};
  }
  const names = JSON.parse(readFileSync(join(folder, 'host_1s/names.json'), 'utf8')) as string[];
  const raw = gunzipSync(readFileSync(join(folder, 'host_1s/proc.f64.gz')));
  const rows = new Float64Array(raw.buffer, raw.byteOffset, raw.byteLength / 8);
  const figures: Figures = {};
  for (const ticks of TICKS) {
    const { bytes, samples, frames, dictionaryBytes } = wireBytes(names, rows, ticks);
    figures[`bytesPerSampleWire${ticks}`] = Number((bytes / samples).toFixed(4));
    process.stdout.write(
      `${ticks} ticks a frame: ${(bytes / samples).toFixed(3)} B/sample in all (${frames} frames of ${Math.round((bytes - dictionaryBytes) / frames)} B, dictionary ${dictionaryBytes} B)\n`,
    );
  }
  return { ...figures, bytesPerSampleWire: figures['bytesPerSampleWire5'] };
}

function wireBytes(names: readonly string[], rows: Float64Array, ticks: number) {
  const width = names.length + 1;
  const count = Math.floor(rows.length / width);
  const keys = newKeyPair();
  const sign = signer(keys.secretKey);
  const base: SealOptions = {
    kind: FrameKind.samples,
    lane: Lane.now,
    agentId: agentIdOf(keys.publicKey),
    fleetId: randomBytes(16),
    epoch: randomBytes(16),
    sequence: 0,
    previous: new Uint8Array(DIGEST_BYTES),
    dictionaryLength: names.length,
    clockSegment: 0,
    timeMs: 0,
    clockBaseMs: 0,
  };
  const dictionary = seal(
    { ...base, kind: FrameKind.dictionary, lane: Lane.dictionary, dictionaryLength: 0 },
    encodeDictionary({ from: 0, entries: names.map(entryOf) }),
    sign,
  );
  let bytes = dictionary.bytes.length;
  let frames = 0;
  let samples = 0;
  const refs = Uint32Array.from(names, (_, i) => i);
  for (let row = 0; row + ticks <= count; row += ticks) {
    // The recorder's ticks wander by milliseconds; an agent stamps a tick in time with its whole second.
    const timeMs = Math.round((rows[row * width] as number) / 1000) * 1000;
    const times = Float64Array.from({ length: ticks }, (_, t) => t * 1000);
    const values = new Float64Array(names.length * ticks);
    for (let s = 0; s < names.length; s++)
      for (let t = 0; t < ticks; t++) values[s * ticks + t] = rows[(row + t) * width + 1 + s] as number;
    bytes += seal({ ...base, sequence: frames, timeMs }, encodeSamples([{ times, refs, values }]), sign).bytes.length;
    samples += values.length;
    frames++;
  }
  return { bytes, samples, frames, dictionaryBytes: dictionary.bytes.length };
}

/** `name{label="value",...}` or a plain name. */
function entryOf(text: string, index: number): DictionaryEntry {
  const [, name = `series_${index}`, inside = ''] = /^([^{]*)(?:\{(.*)\})?$/.exec(text) ?? [];
  const pairs = [...inside.matchAll(/([a-zA-Z_]\w*)="([^"]*)"/g)].map((match) => [match[1] as string, match[2] as string] as const);
  const labels = pairs
    .filter(([, value]) => value !== '')
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .flat();
  return { name: name.slice(0, 200) || `series_${index}`, type: 'unknown', scope: 'node', labels, help: '' };
}
