/** Fuzzing of everything that reads bytes from the wire: mutated golden messages and random bytes. Nothing may throw, hang or allocate beyond its bounds. */
import { readFileSync } from 'node:fs';
import {
  decodeAnswer,
  decodeChallenge,
  decodeControl,
  decodeDictionary,
  decodeEvents,
  decodeHello,
  decodeSamples,
  decodeToken,
  encodeChallenge,
  encodeHello,
  keyPairFromSeed,
  payloadOf,
  readFrame,
  signer,
} from '../../protocol/index.ts';
import { mulberry32 } from '../support/harsh-mix.ts';

const agent = keyPairFromSeed(Buffer.alloc(32, 1));
const challenge = encodeChallenge({ versions: [1], fleetId: Buffer.alloc(16), key: agent.publicKey, nonce: Buffer.alloc(32), timeMs: 0 });
const hello = encodeHello(
  challenge,
  {
    version: 1,
    versions: [1],
    key: agent.publicKey,
    nonce: Buffer.alloc(32),
    epoch: Buffer.alloc(16),
    bootId: 'b',
    machine: Buffer.alloc(32),
    name: 'h',
    agentVersion: 'v',
    wallMs: 0,
    clockSegment: 0,
    clockBaseMs: 0,
    held: [],
  },
  signer(agent.secretKey),
);

/** Runs until the time is over; throws with seed and input of the first failure. Returns the inputs tried. */
export function fuzzOpen(seed: number, ms: number): number {
  const random = mulberry32(seed);
  const vectors = JSON.parse(readFileSync(new URL('../vectors/frames.json', import.meta.url), 'utf8')) as { bytes: string }[];
  const corpus = [...vectors.map(({ bytes }) => Buffer.from(bytes, 'hex')), challenge.bytes, hello.bytes];
  const until = performance.now() + ms;
  let tried = 0;
  while (performance.now() < until) {
    const input = mutate(corpus[Math.floor(random() * corpus.length)] as Uint8Array, random);
    try {
      readAll(input);
    } catch (cause) {
      throw new Error(`seed ${seed}, input ${Buffer.from(input).toString('hex')}`, { cause });
    }
    tried++;
  }
  return tried;
}

/** Everything that may get these bytes, signature checks left out so that the decoders behind them are reached. */
function readAll(bytes: Uint8Array): void {
  decodeControl(bytes);
  decodeChallenge(bytes);
  decodeHello(challenge, bytes);
  decodeAnswer(challenge, hello, bytes);
  decodeToken(Buffer.from(bytes).toString('latin1'));
  const frame = readFrame(bytes);
  const payload = frame.ok ? payloadOf(frame.value) : undefined;
  for (const body of [bytes, payload?.ok === true ? payload.value : undefined]) {
    if (body === undefined) continue;
    decodeDictionary(body);
    decodeEvents(body);
    decodeSamples(body, 65_536);
  }
}

function mutate(original: Uint8Array, random: () => number): Uint8Array {
  const pick = (below: number): number => Math.floor(random() * below);
  let bytes = Uint8Array.from(original);
  for (let changes = 1 + pick(4); changes > 0; changes--) {
    const at = pick(bytes.length);
    const kind = pick(6);
    if (kind === 0) bytes = bytes.slice(0, at);
    else if (kind === 1) bytes = Uint8Array.from([...bytes.slice(0, at), pick(256), ...bytes.slice(at)]);
    else if (kind === 2) bytes = Uint8Array.from([...bytes.slice(0, at), ...bytes.slice(pick(bytes.length))]);
    else if (kind === 3) bytes[at] = [0x00, 0xff, 0x7f, 0x80, 0xc1, 0xdd, 0xdf, 0xdb, 0xc6][pick(9)] as number;
    else if (kind === 4) bytes[at] = (bytes[at] ?? 0) ^ (1 << pick(8));
    else bytes[at] = pick(256);
    if (bytes.length === 0) return bytes;
  }
  return bytes;
}

if (import.meta.main) {
  const seed = Number(process.argv[2] ?? process.env['PICKET_FUZZ_SEED'] ?? Date.now() % 1e9);
  const seconds = Number(process.argv[3] ?? process.env['PICKET_FUZZ_SECONDS'] ?? 60);
  process.stdout.write(`seed ${seed}\n${fuzzOpen(seed, seconds * 1000)} inputs\n`);
}
