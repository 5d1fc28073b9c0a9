/** An agent that does exactly what it is told: the protocol and a socket, no spool, no gatherers. For tests of the collector and for load. */
import { randomBytes } from 'node:crypto';
import { WebSocket } from 'ws';
import {
  agentIdOf,
  decodeAnswer,
  decodeChallenge,
  decodeControl,
  decodeToken,
  DIGEST_BYTES,
  encodeControl,
  encodeDictionary,
  encodeHello,
  encodeSamples,
  enrollProof,
  FrameKind,
  isControl,
  Lane,
  newKeyPair,
  pack,
  seal,
  signer,
  tokenKey,
  type Challenge,
  type ControlMessage,
  type DictionaryEntry,
  type HeldEpoch,
  type Hello,
  type KeyPair,
  type Rejected,
  type Said,
  type SampleGroup,
  type SealOptions,
  type Signer,
  type Welcome,
} from '../../protocol/index.ts';

export type WireAgentOptions = {
  readonly name: string;
  readonly keys?: KeyPair;
  readonly token?: string;
  readonly machine?: Uint8Array;
  readonly bootId?: string;
  readonly epoch?: Uint8Array;
  /** Offset of this agent's wall clock, ms. */
  readonly wallOffsetMs?: number;
  readonly held?: readonly HeldEpoch[];
};

export class WireAgent {
  readonly keys: KeyPair;
  readonly sign: Signer;
  readonly agentId: Uint8Array;
  readonly epoch: Uint8Array;
  readonly options: WireAgentOptions;
  fleetId: Uint8Array = new Uint8Array(16);
  socket: WebSocket | undefined;
  welcome: Welcome | undefined;
  /** Control messages received, oldest first. */
  readonly heard: ControlMessage[] = [];
  onControl: ((message: ControlMessage) => void) | undefined;
  closed: { code: number; reason: string } | undefined;
  sequences: [number, number, number, number] = [0, 0, 0, 0];
  #previous: Uint8Array[] = Array.from({ length: 4 }, () => new Uint8Array(DIGEST_BYTES));
  dictionaryLength = 0;

  constructor(options: WireAgentOptions) {
    this.options = options;
    this.keys = options.keys ?? newKeyPair();
    this.sign = signer(this.keys.secretKey);
    this.agentId = agentIdOf(this.keys.publicKey);
    this.epoch = options.epoch ?? randomBytes(16);
    if (options.token !== undefined) {
      const token = decodeToken(options.token);
      if (token.ok) this.fleetId = token.value.fleetId;
    }
  }

  /** Connects and shakes hands. Resolves to the welcome, or to the rejection. */
  async connect(url: string): Promise<{ welcome: Welcome } | { rejected: Rejected }> {
    const socket = new WebSocket(url, { perMessageDeflate: false });
    this.socket = socket;
    socket.binaryType = 'nodebuffer';
    const messages = inbox(socket);
    socket.on('error', () => undefined);
    socket.on('close', (code, reason) => void (this.closed = { code, reason: reason.toString() }));
    const challenge = decodeChallenge(await messages.next());
    if (!challenge.ok) throw new Error(challenge.detail);
    this.fleetId = challenge.value.value.fleetId;
    const hello = this.hello(challenge.value);
    socket.send(hello.bytes);
    const answer = decodeAnswer(challenge.value, hello, await messages.next());
    if (!answer.ok) throw new Error(answer.detail);
    if ('welcome' in answer.value) this.welcome = answer.value.welcome;
    messages.each((bytes) => this.#message(bytes));
    return answer.value;
  }

  hello(challenge: Said<Challenge>): Said<Hello> {
    const { options } = this;
    const nonce = randomBytes(32);
    const token = options.token === undefined ? undefined : decodeToken(options.token);
    const enroll = token?.ok
      ? {
          enroll: { tokenId: token.value.tokenId, proof: enrollProof(tokenKey(token.value.secret), challenge, this.keys.publicKey, nonce) },
        }
      : {};
    const wallMs = Date.now() + (options.wallOffsetMs ?? 0);
    return encodeHello(
      challenge,
      {
        version: 1,
        versions: [1],
        key: this.keys.publicKey,
        nonce,
        epoch: this.epoch,
        bootId: options.bootId ?? 'boot',
        machine: options.machine ?? Buffer.alloc(32, 9),
        name: options.name,
        agentVersion: 'wire',
        wallMs,
        clockSegment: 0,
        clockBaseMs: wallMs - Math.round(performance.now()),
        held: options.held ?? [],
        ...enroll,
      },
      this.sign,
    );
  }

  /** Seals the next frame of a lane; `change` bends the envelope. */
  seal(kind: SealOptions['kind'], lane: 0 | 1 | 2 | 3, payload: Uint8Array, timeMs: number, change: Partial<SealOptions> = {}): Uint8Array {
    const { bytes, digest } = seal(
      {
        kind,
        lane,
        agentId: this.agentId,
        fleetId: this.fleetId,
        epoch: this.epoch,
        sequence: this.sequences[lane]++,
        previous: this.#previous[lane] as Uint8Array,
        dictionaryLength: this.dictionaryLength,
        clockSegment: 0,
        timeMs,
        clockBaseMs: 0,
        ...change,
      },
      payload,
      this.sign,
    );
    this.#previous[lane] = digest;
    return bytes;
  }

  /** The dictionary frame of these entries. */
  dictionary(entries: readonly DictionaryEntry[]): Uint8Array {
    const payload = encodeDictionary({ from: this.dictionaryLength, entries });
    const bytes = this.seal(FrameKind.dictionary, Lane.dictionary, payload, Date.now());
    this.dictionaryLength += entries.length;
    return bytes;
  }

  samples(groups: readonly SampleGroup[], timeMs: number, change: Partial<SealOptions> = {}): Uint8Array {
    return this.seal(FrameKind.samples, Lane.now, encodeSamples(groups), timeMs, change);
  }

  document(kind: typeof FrameKind.events | typeof FrameKind.inventory, value: unknown, timeMs: number): Uint8Array {
    return this.seal(kind, Lane.now, pack(value), timeMs);
  }

  send(bytes: Uint8Array): void {
    this.socket?.send(bytes);
  }

  say(message: ControlMessage): void {
    this.send(encodeControl(message));
  }

  /** Waits until a control message passes the test; those heard already count. */
  async until(test: (message: ControlMessage) => boolean, timeoutMs = 5000): Promise<ControlMessage> {
    const known = this.heard.find(test);
    if (known !== undefined) return known;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`no such control message within ${timeoutMs} ms; heard ${JSON.stringify(this.heard.map((m) => m.kind))}`)),
        timeoutMs,
      );
      const before = this.onControl;
      this.onControl = (message) => {
        before?.(message);
        if (!test(message)) return;
        clearTimeout(timer);
        this.onControl = before;
        resolve(message);
      };
    });
  }

  /** Waits until the sequence of a lane is acked. */
  async acked(sequence: number, lane = 0, timeoutMs = 5000): Promise<void> {
    await this.until(
      (message) =>
        message.kind === 'ack' && message.lane === lane && message.ranges.some(([from, to]) => from <= sequence && sequence < to),
      timeoutMs,
    );
  }

  /** Waits until the collector has ended the connection; its close code and reason. */
  async ended(timeoutMs = 5000): Promise<{ code: number; reason: string }> {
    const deadline = Date.now() + timeoutMs;
    while (this.closed === undefined) {
      if (Date.now() > deadline) throw new Error('the collector did not end the connection');
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    return this.closed;
  }

  terminate(): void {
    this.socket?.terminate();
  }

  #message(bytes: Uint8Array): void {
    if (!isControl(bytes)) return;
    const decoded = decodeControl(bytes);
    if (!decoded.ok) throw new Error(`the collector said something wrong: ${decoded.detail}`);
    if (this.heard.length < 10_000) this.heard.push(decoded.value);
    this.onControl?.(decoded.value);
  }
}

/** Messages in order, first by asking, then by callback. */
function inbox(socket: WebSocket): { next(): Promise<Uint8Array>; each(listener: (bytes: Uint8Array) => void): void } {
  const waiting: Uint8Array[] = [];
  let wanted: { resolve(bytes: Uint8Array): void; reject(error: Error): void } | undefined;
  let listener: ((bytes: Uint8Array) => void) | undefined;
  let failure: Error | undefined;
  socket.on('message', (data: Buffer) => {
    if (listener !== undefined) listener(data);
    else if (wanted !== undefined) {
      wanted.resolve(data);
      wanted = undefined;
    } else waiting.push(data);
  });
  socket.on('close', (code, reason) => {
    failure = new Error(`closed with ${code} ${reason.toString()}`);
    wanted?.reject(failure);
  });
  return {
    next: () =>
      new Promise((resolve, reject) => {
        const first = waiting.shift();
        if (first !== undefined) resolve(first);
        else if (failure !== undefined) reject(failure);
        else wanted = { resolve, reject };
      }),
    each(next) {
      listener = next;
      for (const bytes of waiting.splice(0)) next(bytes);
    },
  };
}
