/** An agent's link on fake time and a memory network, with the real spool and sealer behind it. */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { GapReporter } from '../../../agent/link/gap-reporter.ts';
import { Link, type LinkIdentity } from '../../../agent/link/link.ts';
import { Sealer, type SealedFrame } from '../../../agent/sealer.ts';
import { Spool } from '../../../agent/spool/spool.ts';
import {
  agentIdOf,
  decodeToken,
  encodeEvents,
  FrameKind,
  Lane,
  signer,
  type AgentConfigMessage,
  type GapEvent,
} from '../../../protocol/index.ts';
import { FakeTime } from '../fake-time.ts';
import { MemoryNetwork } from './memory-network.ts';
import { keysOf, ScriptedCollector } from './scripted-collector.ts';

const MIB = 1024 * 1024;
const SEGMENT = { number: 0, baseMs: 1_700_000_000_000 };
/** Steps in which time passes, so that answers come between timers as they would; coarser over minutes. */
const STEP_MS = 100;
const COARSE_STEP_MS = 500;

export type Scene = ReturnType<typeof scene>;

export function scene(t: TestContext, options: { enrolled?: boolean; random?: () => number; spoolBytes?: number } = {}) {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'picket-link-'));
  t.after(() => fs.rmSync(directory, { recursive: true, force: true }));
  const time = new FakeTime();
  const network = new MemoryNetwork();
  const collector = new ScriptedCollector();
  network.onConnect = (connection) => {
    connection.receiver = collector.accept(connection);
  };
  const keys = keysOf(5);
  const token = decodeToken(collector.token);
  if (!token.ok) throw new Error(token.detail);
  const enrolments: unknown[] = [];
  const identity = {
    agentId: agentIdOf(keys.publicKey),
    publicKey: keys.publicKey,
    sign: signer(keys.secretKey),
    fleetId: collector.fleetId,
    machine: new Uint8Array(32),
    token: token.value as LinkIdentity['token'],
    enrolment: undefined as LinkIdentity['enrolment'],
    enrol(enrolment: { fleetId: Uint8Array; collectorKey: Uint8Array; name: string }) {
      enrolments.push(enrolment);
      identity.enrolment = enrolment;
    },
  };
  if (options.enrolled !== false) {
    identity.enrolment = { collectorKey: collector.keys.publicKey };
    identity.token = undefined;
    collector.enrolled.add(Buffer.from(identity.agentId).toString('hex'));
  }
  let drawn = 0;
  const randomBytes = (size: number): Uint8Array => new Uint8Array(size).fill(++drawn);
  const sealer = new Sealer({ agentId: identity.agentId, fleetId: collector.fleetId, sign: identity.sign, random: randomBytes });
  const log: { code: unknown; message: string }[] = [];
  const note = (fields: object, message: string): void => void log.push({ code: (fields as { code?: unknown }).code, message });
  const lane = { bytesMax: options.spoolBytes ?? 16 * MIB, ageMsMax: 3_600_000 };
  const spool = Spool.open({
    directory,
    epoch: sealer.epochName,
    lanes: [lane, lane, lane],
    segmentBytes: 64 * 1024,
    nowMs: () => time.wallMs,
    monotonicMs: () => time.monotonicMs,
    log: { info: () => {}, warn: () => {}, error: () => {} },
  });
  const heard: string[] = [];
  const configs: AgentConfigMessage[] = [];
  let onOnline = (): void => {};
  const reporter = new GapReporter(spool, (events: readonly GapEvent[]) => sealed(Lane.now, encodeEvents(events)));
  const link: Link = new Link({
    transport: network,
    identity,
    spool,
    name: 'host',
    bootId: 'boot',
    agentVersion: '1',
    epoch: () => sealer.epoch,
    segment: () => SEGMENT,
    wallMs: () => time.wallMs,
    monotonicMs: () => time.monotonicMs,
    timers: time.timers,
    random: options.random ?? (() => 0.5),
    randomBytes,
    log: { info: note, warn: note, debug: () => {} },
    listener: {
      online() {
        heard.push('online');
        onOnline();
      },
      offline() {
        heard.push('offline');
        reporter.forget();
      },
      acked: (epoch, of, ranges) => reporter.acked(epoch, of, ranges),
      refused: () => reporter.forget(),
      config: (message) => configs.push(message),
    },
  });

  function seal(of: 0 | 1 | 2, bytes: Uint8Array, dictionaryLength = 0): SealedFrame {
    const fromMs = time.wallMs;
    return sealer.seal({ kind: FrameKind.events, lane: of, bytes, dictionaryLength, segment: SEGMENT, fromMs, toMs: fromMs, samples: 1 });
  }

  function sealed(of: 0 | 1 | 2, bytes: Uint8Array, dictionaryLength = 0): SealedFrame {
    const frame = seal(of, bytes, dictionaryLength);
    link.offer(frame);
    return frame;
  }

  return {
    time,
    network,
    collector,
    identity,
    enrolments,
    sealer,
    spool,
    link,
    log,
    heard,
    configs,
    reporter,
    settle: () => network.settle(),
    /** Time goes by and messages with it. */
    pass(ms: number) {
      const stepMs = ms > 30_000 ? COARSE_STEP_MS : STEP_MS;
      for (let left = ms; left > 0; left -= stepMs) {
        time.pass(Math.min(stepMs, left));
        network.settle();
      }
    },
    connect() {
      link.start();
      network.settle();
    },
    whenOnline(call: () => void) {
      onOnline = call;
    },
    /** Seals a frame of this many payload bytes and offers it. */
    offer: (of: 0 | 1 | 2 = Lane.now, size = 100, dictionaryLength = 0) => sealed(of, randomPayload(size, ++drawn), dictionaryLength),
    /** Announces one more series. */
    announce(name: string) {
      for (const part of sealer.announce([{ name, type: 'gauge', scope: 'node', labels: [], help: '' }], SEGMENT, time.wallMs)) {
        spool.appendDictionary(part.epoch, part.from, part.to, part.bytes);
        link.announced(part.epoch, part.to);
      }
    },
    /** Sequences that the collector got, in order, of a lane. */
    sequences: (of = 0) => collector.received.filter((stored) => stored.lane === of).map(({ sequence }) => sequence),
    frames: () => spool.stats().lanes.reduce((sum, { frames }) => sum + frames, 0),
  };
}

/** Does not compress. */
function randomPayload(size: number, seed: number): Uint8Array {
  let state = seed * 2654435761 + 1;
  return Uint8Array.from({ length: size }, () => (state = (state * 48271) % 2147483647) & 0xff);
}
