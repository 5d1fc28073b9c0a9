/**
 * Signatures: node:crypto against tweetnacl at 2 KB and 20 KB, and what a whole frame costs the agent to seal and the collector to check.
 * By CPU time of this process, so that a busy machine spoils less. Not decoding: codec.bench.ts has that.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import nacl from 'tweetnacl';
import {
  agentIdOf,
  DIGEST_BYTES,
  digestOf,
  encodeSamples,
  FrameKind,
  keyPairFromSeed,
  Lane,
  payloadOf,
  rawSigner,
  rawVerifier,
  readFrame,
  seal,
  signer,
  verifier,
  verifyFrame,
  type SealOptions,
} from '../../protocol/index.ts';
import { harshMix } from '../support/harsh-mix.ts';
import { quantile } from '../support/processes.ts';
import type { BenchOptions, Figures } from './main.ts';

const ROUNDS = 7;
/** CPU time of one round: long beside the clock's grain and the collector of garbage. */
const ROUND_CPU_US = 150_000;
const MESSAGE_BYTES = [2048, 20_480] as const;
const SEED = Buffer.alloc(32, 7);

type Speed = { readonly cpuMicroseconds: number; readonly perSecond: number };

export async function run(_options: BenchOptions): Promise<Figures> {
  const rows: [name: string, speed: Speed, note: string][] = [];
  const messages: Record<string, Figures> = {};
  for (const bytes of MESSAGE_BYTES) {
    const measured = ofMessage(bytes);
    messages[`${bytes}`] = measured;
    for (const [name, speed] of Object.entries(measured)) rows.push([`${name}, ${bytes} bytes`, speed, '']);
  }
  const frames: Record<string, Figures> = {};
  for (const [series, ticks] of [
    [500, 1],
    [700, 5],
    [500, 10],
  ] as const) {
    const { bytes, ...measured } = ofFrame(series, ticks);
    const samples = series * ticks;
    frames[`${series}x${ticks}`] = { bytes, ...measured };
    for (const [name, speed] of Object.entries(measured)) {
      const perMillion = speed.cpuMicroseconds / samples;
      rows.push([`${name}, ${series} series x ${ticks}, ${bytes} bytes`, speed, `${perMillion.toFixed(4)} CPU s per million samples`]);
    }
  }
  for (const [name, { cpuMicroseconds, perSecond }, note] of rows) {
    process.stdout.write(`${name.padEnd(58)} ${cpuMicroseconds.toFixed(1).padStart(9)} us  ${String(perSecond).padStart(8)} /s  ${note}\n`);
  }
  return { bench: 'sign', messages, frames };
}

/** Both libraries over the same message with the same key; they must give the same bytes. */
function ofMessage(bytes: number): Record<string, Speed> {
  const keys = keyPairFromSeed(SEED);
  const message = new Uint8Array(randomBytes(bytes));
  const sign = rawSigner(keys.secretKey);
  const verify = rawVerifier(keys.publicKey);
  const signature = sign(message);
  assert.deepEqual(Buffer.from(signature), Buffer.from(nacl.sign.detached(message, keys.secretKey)), 'both sign alike');
  return {
    cryptoSign: speedOf(() => sign(message)),
    cryptoVerify: speedOf(() => assert(verify(message, signature))),
    tweetnaclSign: speedOf(() => nacl.sign.detached(message, keys.secretKey)),
    tweetnaclVerify: speedOf(() => assert(nacl.sign.detached.verify(message, signature, keys.publicKey))),
  };
}

/** A frame as agents seal it (harsh mix), and the steps that the receiver takes before and after it trusts one. */
function ofFrame(series: number, ticks: number): { bytes: number; seal: Speed; readDigestVerify: Speed; digest: Speed; decompress: Speed } {
  const keys = keyPairFromSeed(SEED);
  const sign = signer(keys.secretKey);
  const verify = verifier(keys.publicKey);
  const payload = payloadOfMix(series, ticks);
  const options: SealOptions = {
    kind: FrameKind.samples,
    lane: Lane.now,
    agentId: agentIdOf(keys.publicKey),
    fleetId: randomBytes(16),
    epoch: randomBytes(16),
    sequence: 1,
    previous: new Uint8Array(DIGEST_BYTES),
    dictionaryLength: series,
    clockSegment: 0,
    timeMs: Date.UTC(2026, 2, 1),
    clockBaseMs: 0,
  };
  const { bytes } = seal(options, payload, sign);
  return {
    bytes: bytes.length,
    seal: speedOf(() => seal(options, payload, sign)),
    readDigestVerify: speedOf(() => {
      const read = readFrame(bytes);
      assert(read.ok && verifyFrame(read.value, digestOf(bytes), verify));
    }),
    digest: speedOf(() => digestOf(bytes)),
    decompress: speedOf(() => {
      const read = readFrame(bytes);
      assert(read.ok && payloadOf(read.value).ok);
    }),
  };
}

function payloadOfMix(series: number, ticks: number): Uint8Array {
  const mix = harshMix(1, series);
  const tick = new Float64Array(series);
  const values = new Float64Array(series * ticks);
  for (let t = 0; t < ticks; t++) {
    mix.next(tick);
    for (let s = 0; s < series; s++) values[s * ticks + t] = tick[s] as number;
  }
  const times = Float64Array.from({ length: ticks }, (_, t) => t * 1000);
  return encodeSamples([{ times, refs: Uint32Array.from({ length: series }, (_, s) => s), values }]);
}

/** Median of some rounds after one that warms up. */
function speedOf(operation: () => unknown): Speed {
  let count = 1;
  const round = (): number => {
    const from = process.cpuUsage();
    for (let i = 0; i < count; i++) operation();
    const { user, system } = process.cpuUsage(from);
    return user + system;
  };
  for (let spent = round(); spent < ROUND_CPU_US; spent = round())
    count = Math.ceil(count * Math.min(10, (1.2 * ROUND_CPU_US) / Math.max(spent, 1)));
  const cpuMicroseconds = quantile(
    Array.from({ length: ROUNDS }, () => round() / count),
    0.5,
  );
  return { cpuMicroseconds: Number(cpuMicroseconds.toFixed(2)), perSecond: Math.round(1e6 / cpuMicroseconds) };
}
