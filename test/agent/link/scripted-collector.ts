/** A collector of the protocol's own functions and little else: proves its key, keeps frames and dictionaries in memory, answers as it is told to. */
import {
  agentIdOf,
  decodeControl,
  decodeDictionary,
  decodeHello,
  digestOf,
  encodeChallenge,
  encodeControl,
  encodeRejected,
  encodeToken,
  encodeWelcome,
  enrollProofMatches,
  isControl,
  keyPairFromSeed,
  Lane,
  payloadOf,
  PROTOCOL_VERSION,
  readFrame,
  sha256,
  signer,
  tokenKey,
  verifier,
  verifyFrame,
  type Challenge,
  type DictionaryEntry,
  type FrameView,
  type Hello,
  type Rejected,
  type Said,
  type State,
  type Verifier,
} from '../../../protocol/index.ts';

/** The peer's end of a connection, in memory or on a socket. */
export interface Wire {
  deliver(bytes: Uint8Array): void;
}

export type Stored = {
  readonly epoch: string;
  readonly lane: number;
  readonly sequence: number;
  readonly bytes: Uint8Array;
  readonly view: FrameView;
};

const SECRET = new Uint8Array(24).fill(9);

const keyPairs = new Map<number, ReturnType<typeof keyPairFromSeed>>();

/** Kept, because tweetnacl takes milliseconds to make one. */
export function keysOf(seed: number): ReturnType<typeof keyPairFromSeed> {
  let keys = keyPairs.get(seed);
  if (keys === undefined) keyPairs.set(seed, (keys = keyPairFromSeed(new Uint8Array(32).fill(seed))));
  return keys;
}

export class ScriptedCollector {
  readonly keys;
  readonly sign;
  readonly fleetId = new Uint8Array(16).fill(0xf1);
  readonly token: string;
  /** Frames in the order in which they came, repeated ones too. */
  readonly received: Stored[] = [];
  /** By epoch, lane and sequence. */
  readonly stored = new Map<string, Stored>();
  readonly dictionaries = new Map<string, DictionaryEntry[]>();
  readonly hellos: Hello[] = [];
  readonly states: State[] = [];
  readonly enrolled = new Set<string>();
  credit: [number, number, number] = [1 << 22, 1 << 22, 1 << 22];
  acks = true;
  rejection: Rejected | undefined;
  /** Says more or something else than an ack for a frame; true: no ack. */
  onFrame: (stored: Stored, wire: Wire) => boolean = () => false;
  #nonce = 0;

  constructor(seed = 1) {
    this.keys = keysOf(seed);
    this.sign = signer(this.keys.secretKey);
    const fingerprint = sha256(this.keys.publicKey);
    this.token = encodeToken({ tokenId: new Uint8Array(8).fill(seed), fleetId: this.fleetId, fingerprint, secret: SECRET });
  }

  challenge(): Said<Challenge> {
    const nonce = new Uint8Array(32).fill(++this.#nonce);
    return encodeChallenge({ versions: [PROTOCOL_VERSION], fleetId: this.fleetId, key: this.keys.publicKey, nonce, timeMs: 0 });
  }

  /** Begins with a new connection; gives what is to be called with each message of the agent. */
  accept(wire: Wire): (bytes: Uint8Array) => void {
    const challenge = this.challenge();
    wire.deliver(challenge.bytes);
    let verify: Verifier | undefined;
    return (bytes) => {
      if (verify !== undefined) return this.#hear(wire, verify, bytes);
      const decoded = decodeHello(challenge, bytes);
      if (!decoded.ok) throw new Error(`${decoded.code}: ${decoded.detail}`);
      this.hellos.push(decoded.value.value);
      if (this.rejection !== undefined) return wire.deliver(encodeRejected(this.rejection));
      verify = verifier(decoded.value.value.key);
      const rejected = this.#enrol(challenge, decoded.value.value);
      wire.deliver(rejected === undefined ? this.welcome(challenge, decoded.value) : encodeRejected(rejected));
      return undefined;
    };
  }

  welcome(challenge: Said<Challenge>, hello: Said<Hello>): Uint8Array {
    const epochs = new Set([...this.dictionaries.keys(), ...[...this.stored.values()].map((stored) => stored.epoch)]);
    const received = [...epochs].map((epoch) => ({
      epoch: Uint8Array.from(Buffer.from(epoch, 'hex')),
      dictionaryLength: this.dictionaries.get(epoch)?.length ?? 0,
      lanes: [0, 1, 2].map((lane) => ({
        lane,
        ranges: [...this.stored.values()]
          .filter((stored) => stored.epoch === epoch && stored.lane === lane)
          .map(({ sequence }) => sequence)
          .toSorted((a, b) => a - b)
          .map((sequence) => [sequence, sequence + 1] as [number, number]),
      })),
    }));
    return encodeWelcome(
      challenge,
      hello,
      { version: PROTOCOL_VERSION, name: 'alpha', timeMs: 0, received, credit: this.credit },
      this.sign,
    );
  }

  ack(wire: Wire, { epoch, lane, sequence }: Stored): void {
    const bytes = Uint8Array.from(Buffer.from(epoch, 'hex'));
    wire.deliver(encodeControl({ kind: 'ack', epoch: bytes, lane, ranges: [[sequence, sequence + 1]] }));
  }

  #enrol(challenge: Said<Challenge>, hello: Hello): Rejected | undefined {
    const id = Buffer.from(agentIdOf(hello.key)).toString('hex');
    if (this.enrolled.has(id)) return undefined;
    if (hello.enroll === undefined) return { code: 'identity_unknown', message: 'who?', retryMs: 1000 };
    if (!enrollProofMatches(tokenKey(SECRET), challenge, hello)) return { code: 'token_invalid', message: 'no', retryMs: 1000 };
    this.enrolled.add(id);
    return undefined;
  }

  #hear(wire: Wire, verify: Verifier, bytes: Uint8Array): void {
    if (isControl(bytes)) {
      const decoded = decodeControl(bytes);
      if (!decoded.ok || decoded.value.kind !== 'state') throw new Error('an agent says nothing but frames and state');
      this.states.push(decoded.value);
      return;
    }
    const read = readFrame(bytes);
    if (!read.ok) throw new Error(read.detail);
    const view = read.value;
    if (!verifyFrame(view, digestOf(bytes), verify)) throw new Error('the signature does not hold');
    const epoch = Buffer.from(view.header.epoch).toString('hex');
    if (view.header.lane === Lane.dictionary) return this.#learn(epoch, view);
    const { lane, sequence, dictionaryLength } = view.header;
    const known = this.dictionaries.get(epoch)?.length ?? 0;
    const frame: Stored = { epoch, lane, sequence, bytes: Uint8Array.from(bytes), view };
    this.received.push(frame);
    if (dictionaryLength > known) return wire.deliver(encodeControl({ kind: 'need', epoch: view.header.epoch, from: known }));
    if (this.onFrame(frame, wire)) return undefined;
    this.stored.set(`${epoch} ${lane} ${sequence}`, frame);
    if (this.acks) this.ack(wire, frame);
    return undefined;
  }

  #learn(epoch: string, view: FrameView): void {
    const payload = payloadOf(view);
    const part = payload.ok ? decodeDictionary(payload.value) : payload;
    if (!part.ok) throw new Error(part.detail);
    const known = this.dictionaries.get(epoch) ?? [];
    if (part.value.from > known.length) throw new Error(`dictionary goes on at ${part.value.from}, ${known.length} known`);
    if (part.value.from === known.length) this.dictionaries.set(epoch, [...known, ...part.value.entries]);
  }
}
