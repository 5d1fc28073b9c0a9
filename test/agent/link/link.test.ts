/** The link against a scripted collector that proves itself as a real one does: faults of every kind, on fake time. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeControl, encodeRejected, Lane, sealConfig, signer, type Hint } from '../../../protocol/index.ts';
import { scene, type Scene } from './scene.ts';
import { keysOf, ScriptedCollector } from './scripted-collector.ts';

const HINT: Hint = { metric: 'node_load1', labels: [], operator: '>', threshold: 4 };

function config(s: Scene, revision: number, liveMs: number, sign = s.collector.sign, hints: readonly Hint[] = []): Uint8Array {
  return encodeControl(sealConfig(s.collector.fleetId, s.identity.agentId, { revision, liveMs, hints }, sign));
}

function codes(s: Scene): unknown[] {
  return s.log.map(({ code }) => code).filter((code) => code !== undefined);
}

test('an agent with a token proves it without sending it, and pins the collector that it was made by', (t) => {
  const s = scene(t, { enrolled: false });
  s.connect();
  assert.deepEqual(s.heard, ['online']);
  assert.equal(s.collector.enrolled.size, 1);
  assert.deepEqual(s.enrolments, [{ fleetId: s.collector.fleetId, collectorKey: s.collector.keys.publicKey, name: 'alpha' }]);
});

test('an enrolled agent shows no token; when it has been forgotten it shows it again', (t) => {
  const s = scene(t, { enrolled: false });
  s.connect();
  s.network.last.drop();
  s.pass(1000);
  assert.equal(s.collector.hellos[1]?.enroll, undefined);
  s.collector.enrolled.clear();
  s.network.last.drop();
  s.pass(5000);
  assert.deepEqual(
    s.collector.hellos.map(({ enroll }) => enroll !== undefined),
    [true, false, false, true],
  );
  assert.deepEqual(
    codes(s).filter((code) => code === 'identity_unknown'),
    ['identity_unknown'],
  );
  assert.ok(s.link.isOnline);
});

test('to a collector with another key nothing is said, and it is tried again slowly, for ever', (t) => {
  const s = scene(t);
  const impostor = new ScriptedCollector(2);
  s.network.onConnect = (connection) => {
    connection.receiver = impostor.accept(connection);
  };
  s.connect();
  assert.deepEqual(codes(s), ['collector_untrusted']);
  assert.deepEqual(s.network.last.sent, []);
  assert.equal(s.network.last.ended, 'terminated');
  s.pass(59_000);
  assert.equal(s.network.connections.length, 1);
  s.pass(600_000);
  assert.ok(s.network.connections.length >= 9, `${s.network.connections.length} attempts`);
  assert.equal(impostor.hellos.length, 0);
});

test('nor to one of another fleet, even with the pinned key', (t) => {
  const s = scene(t);
  const restored = new ScriptedCollector();
  Object.assign(restored, { fleetId: new Uint8Array(16) });
  s.network.onConnect = (connection) => {
    connection.receiver = restored.accept(connection);
  };
  s.connect();
  assert.deepEqual(codes(s), ['collector_untrusted']);
  assert.deepEqual(s.network.last.sent, []);
});

test('before enrolment the token says which key is the right one', (t) => {
  const s = scene(t, { enrolled: false });
  const impostor = new ScriptedCollector(2);
  s.network.onConnect = (connection) => {
    connection.receiver = impostor.accept(connection);
  };
  s.connect();
  assert.deepEqual(codes(s), ['collector_untrusted']);
  assert.deepEqual(s.enrolments, []);
});

test('a challenge that is relayed from the true collector does not help whoever cannot sign the welcome', (t) => {
  const s = scene(t);
  const impostorSign = signer(keysOf(2).secretKey);
  s.network.onConnect = (connection) => {
    // The true challenge, and a welcome for this very hello, signed by the relay.
    const relay = new ScriptedCollector();
    Object.assign(relay, { sign: impostorSign });
    relay.enrolled.add(Buffer.from(s.identity.agentId).toString('hex'));
    connection.receiver = relay.accept(connection);
  };
  s.offer();
  s.connect();
  assert.deepEqual(codes(s), ['handshake_signature']);
  assert.equal(s.link.isOnline, false);
  assert.equal(s.frames(), 1);
});

test('a welcome that was recorded from another exchange is not one', (t) => {
  const s = scene(t);
  const recorded: Uint8Array[] = [];
  s.network.onConnect = (connection) => {
    const receive = s.collector.accept({
      deliver(bytes) {
        recorded.push(bytes);
        connection.deliver(bytes);
      },
    });
    connection.receiver = receive;
  };
  s.connect();
  assert.ok(s.link.isOnline);
  const welcome = recorded[1] as Uint8Array;
  s.network.onConnect = (connection) => {
    connection.deliver(s.collector.challenge().bytes);
    connection.receiver = () => connection.deliver(welcome);
  };
  s.network.last.drop();
  s.pass(2000);
  assert.deepEqual(codes(s), ['connection_lost', 'handshake_signature']);
});

test('a connection that is cut in the middle of the handshake is begun anew', (t) => {
  const s = scene(t);
  let cuts = 3;
  s.network.onConnect = (connection) => {
    if (cuts-- === 0) {
      connection.receiver = s.collector.accept(connection);
      return;
    }
    connection.deliver(s.collector.challenge().bytes);
    connection.receiver = () => connection.drop();
  };
  s.connect();
  s.pass(10_000);
  assert.equal(s.network.connections.length, 4);
  assert.ok(s.link.isOnline);
});

test('a handshake that is garbage ends the attempt and nothing else', (t) => {
  const s = scene(t);
  s.network.onConnect = (connection) => connection.deliver(Uint8Array.of(0x92, 1, 0xc1));
  s.connect();
  assert.deepEqual(codes(s), ['handshake_malformed']);
  s.network.onConnect = (connection) => {
    connection.receiver = s.collector.accept(connection);
  };
  s.pass(70_000);
  assert.ok(s.link.isOnline);
});

test('a rejection is obeyed: not before its time, but for ever, and a forged one cannot silence an agent', (t) => {
  const s = scene(t);
  s.collector.rejection = { code: 'identity_revoked', message: 'revoked', retryMs: 20_000 };
  s.connect();
  s.pass(19_900);
  assert.equal(s.network.connections.length, 1);
  s.pass(2500);
  assert.equal(s.network.connections.length, 2);
  s.collector.rejection = { code: 'identity_revoked', message: 'revoked', retryMs: Number.MAX_SAFE_INTEGER };
  s.pass(25_000);
  assert.equal(s.network.connections.length, 3);
  s.collector.rejection = undefined;
  s.pass(17 * 60_000);
  assert.ok(s.link.isOnline);
});

test('a retry whose timer is lost is made by the watchdog', (t) => {
  const s = scene(t);
  const { setTimer } = s.time.timers;
  s.connect();
  Object.assign(s.time.timers, {
    setTimer: (callback: () => void, delayMs: number) => (delayMs === 1000 ? setTimer(callback, delayMs) : undefined),
  });
  s.network.last.drop();
  s.pass(3000);
  assert.ok(s.link.isOnline);
});

test('while nobody answers the attempts become rarer, at most a minute apart, and quick again after a good connection', (t) => {
  const s = scene(t, { random: () => 1 });
  s.network.mode = 'down';
  s.connect();
  const attempts = (): number => s.network.connections.length;
  s.pass(500 + 1000 + 2000 + 4000 + 400);
  assert.equal(attempts(), 5);
  s.pass(10 * 60_000);
  const before = attempts();
  s.pass(60_500);
  assert.ok(attempts() - before >= 1 && attempts() - before <= 2);
  s.network.mode = 'up';
  s.pass(61_000);
  assert.ok(s.link.isOnline);
  s.pass(11_000);
  s.network.last.drop();
  s.pass(700);
  assert.ok(s.link.isOnline);
  assert.equal(codes(s).filter((code) => code === 'connection_lost').length, 3, 'told once per kind and ten minutes, not per attempt');
});

test('live goes first, then the backlog from its oldest, and the hello said what is held', (t) => {
  const s = scene(t);
  for (let i = 0; i < 5; i++) s.offer();
  s.whenOnline(() => s.offer());
  s.connect();
  const held = s.collector.hellos[0]?.held[0]?.lanes[0];
  assert.deepEqual([held?.lane, held?.floor, held?.next], [0, 0, 5]);
  assert.deepEqual(s.sequences(), [5, 0, 1, 2, 3, 4]);
  assert.equal(s.frames(), 0, 'acks free the spool');
  s.offer();
  s.settle();
  assert.deepEqual(s.sequences(), [5, 0, 1, 2, 3, 4, 6]);
});

test('what the collector has already is freed by the welcome and not sent again', (t) => {
  const s = scene(t);
  s.connect();
  s.collector.acks = false;
  for (let i = 0; i < 3; i++) s.offer();
  s.settle();
  assert.equal(s.frames(), 3);
  s.collector.acks = true;
  s.network.last.drop();
  s.pass(1000);
  assert.deepEqual(s.sequences(), [0, 1, 2]);
  assert.equal(s.frames(), 0);
});

test('frames whose fate is unknown are sent again, as the same bytes', (t) => {
  const s = scene(t);
  s.connect();
  s.collector.onFrame = () => true;
  const first = s.offer();
  const second = s.offer();
  s.settle();
  s.network.last.drop();
  s.collector.onFrame = () => false;
  s.pass(1000);
  assert.deepEqual(s.sequences(), [0, 1, 0, 1]);
  assert.deepEqual(
    [...s.collector.stored.values()].map(({ bytes }) => Buffer.from(bytes)),
    [Buffer.from(first.bytes), Buffer.from(second.bytes)],
  );
});

test('credit of zero stops a lane and no other, and credit given lets it go on', (t) => {
  const s = scene(t);
  s.collector.credit = [0, 1 << 20, 1 << 20];
  s.connect();
  s.offer(Lane.now);
  s.offer(Lane.logs);
  s.settle();
  assert.deepEqual([s.sequences(0), s.sequences(1)], [[], [0]]);
  s.network.last.deliver(encodeControl({ kind: 'credit', lanes: [1 << 20, 1 << 20, 1 << 20] }));
  s.settle();
  assert.deepEqual(s.sequences(0), [0]);
});

test('bytes under way stay within the credit, of which the backlog leaves a quarter to live frames', (t) => {
  const s = scene(t);
  s.collector.acks = false;
  s.collector.credit = [40_000, 0, 0];
  for (let i = 0; i < 60; i++) s.offer(Lane.now, 800);
  s.connect();
  const backlog = s.sequences().length;
  const bytes = (): number => s.collector.received.reduce((sum, frame) => sum + frame.bytes.length, 0);
  assert.ok(bytes() > 25_000 && bytes() < 31_100, `${bytes()}`);
  s.offer(Lane.now, 800);
  s.settle();
  assert.equal(s.sequences().length, backlog + 1);
  assert.equal(s.sequences().at(-1), 60);
  for (let i = 0; i < 20; i++) s.offer(Lane.now, 800);
  s.settle();
  assert.ok(bytes() <= 40_000, `${bytes()}`);
});

test('a frame larger than the whole credit still goes, alone', (t) => {
  const s = scene(t);
  s.collector.credit = [1000, 0, 0];
  for (let i = 0; i < 3; i++) s.offer(Lane.now, 5000);
  s.connect();
  assert.deepEqual(s.sequences(), [0, 1, 2]);
  s.offer(Lane.now, 5000);
  s.settle();
  assert.deepEqual(s.sequences(), [0, 1, 2, 3]);
});

test('what was under way when a connection was lost does not count against the credit of the next', (t) => {
  const s = scene(t);
  s.collector.credit = [10_000, 0, 0];
  s.collector.onFrame = () => true;
  s.connect();
  for (let i = 0; i < 20; i++) s.offer(Lane.now, 2000);
  for (let i = 0; i < 3; i++) {
    s.network.last.drop();
    s.pass(10_000);
  }
  s.collector.onFrame = () => false;
  s.network.last.drop();
  s.pass(20_000);
  assert.equal(s.frames(), 0);
});

test('little is left unsent in the socket: the rest follows when it drains', (t) => {
  const s = scene(t);
  for (let i = 0; i < 5; i++) s.offer();
  s.whenOnline(() => {
    s.network.last.unsentBytes = 64 * 1024;
  });
  s.connect();
  s.offer();
  s.settle();
  assert.deepEqual(s.sequences(), []);
  s.network.last.unsentBytes = 0;
  s.network.last.handlers.drained();
  s.settle();
  assert.deepEqual(s.sequences(), [0, 1, 2, 3, 4, 5]);
  s.network.last.unsentBytes = 64 * 1024;
  s.offer();
  s.settle();
  assert.equal(s.sequences().length, 6);
  s.network.last.unsentBytes = 0;
  s.network.last.handlers.drained();
  s.settle();
  assert.equal(s.sequences().length, 7);
});

test('lower lanes get their share of the backlog', (t) => {
  const s = scene(t);
  for (let i = 0; i < 100; i++) for (const lane of [Lane.now, Lane.logs, Lane.bulk]) s.offer(lane, 1000);
  s.connect();
  const first = s.collector.received.slice(0, 150);
  const count = (lane: number): number => first.filter((frame) => frame.lane === lane).length;
  assert.ok(count(0) > 2 * count(1) && count(1) > 0 && count(2) > 0, [count(0), count(1), count(2)].join(' '));
  assert.equal(s.frames(), 0);
});

test('dictionary parts go before the first frame that needs them, and once', (t) => {
  const s = scene(t);
  s.connect();
  s.announce('a');
  s.offer(Lane.now, 10, 1);
  s.offer(Lane.now, 10, 1);
  s.announce('b');
  s.offer(Lane.now, 10, 2);
  s.settle();
  assert.deepEqual(
    s.collector.dictionaries.get(s.sealer.epochName)?.map(({ name }) => name),
    ['a', 'b'],
  );
  assert.equal(s.network.last.sent.length, 1 + 2 + 3);
  assert.equal(s.link.stats.needs, 0);
});

test('a collector that lost the dictionary gets it again, and all that waits for it, whatever it asks how often', (t) => {
  const s = scene(t);
  s.connect();
  s.announce('a');
  s.offer(Lane.now, 10, 1);
  s.settle();
  s.collector.dictionaries.clear();
  for (let i = 0; i < 4; i++) s.offer(Lane.now, 10, 1);
  s.settle();
  assert.equal(s.link.stats.needs, 4);
  assert.equal(s.collector.dictionaries.get(s.sealer.epochName)?.length, 1);
  assert.equal(s.frames(), 0);
  assert.equal(s.collector.stored.size, 5);
  assert.equal(s.collector.received.length, 1 + 4 + 4, 'one repetition of what was under way');
});

test('a frame whose dictionary is lost is a gap, not a loop', (t) => {
  const s = scene(t);
  s.sealer.announce([{ name: 'lost', type: 'gauge', scope: 'node', labels: [], help: '' }], { number: 0, baseMs: 0 }, 0);
  s.offer(Lane.now, 10, 1);
  s.offer(Lane.now, 10, 0);
  s.connect();
  assert.deepEqual(s.sequences(), [1]);
  assert.deepEqual(
    s.spool.gaps().map(({ cause, fromSequence, toSequence }) => [cause, fromSequence, toSequence]),
    [['refused:dictionary_missing', 0, 1]],
  );
});

test('a refused frame is a gap with its code, and the others go on', (t) => {
  const s = scene(t);
  s.collector.onFrame = ({ epoch, lane, sequence }, wire) => {
    if (sequence !== 1) return false;
    const bytes = Uint8Array.from(Buffer.from(epoch, 'hex'));
    wire.deliver(encodeControl({ kind: 'refuse', epoch: bytes, lane, sequence, code: 'time_range' }));
    return true;
  };
  s.connect();
  for (let i = 0; i < 3; i++) s.offer();
  s.settle();
  assert.deepEqual(s.sequences(), [0, 1, 2]);
  assert.equal(s.frames(), 0);
  assert.deepEqual(
    s.spool.gaps().map(({ cause, fromSequence, toSequence }) => [cause, fromSequence, toSequence]),
    [['refused:time_range', 1, 2]],
  );
});

test('a gap is told to the collector and leaves the ledger when that is acked', (t) => {
  const s = scene(t);
  s.connect();
  s.offer();
  s.settle();
  s.spool.refuse(s.sealer.epochName, 0, 0, 'x');
  s.collector.onFrame = () => true;
  s.collector.acks = false;
  const lost = s.offer();
  s.settle();
  s.spool.refuse(lost.epoch, lost.lane, lost.sequence, 'time_range');
  s.reporter.report();
  s.reporter.report();
  s.settle();
  assert.equal(s.collector.received.length, 3, 'one report at a time');
  s.network.last.deliver(encodeControl({ kind: 'ack', epoch: s.sealer.epoch, lane: 0, ranges: [[0, 2]] }));
  s.settle();
  assert.equal(s.spool.stats().gaps, 1, 'the ack of another frame does not count');
  s.network.last.drop();
  s.collector.onFrame = () => false;
  s.collector.acks = true;
  s.pass(1000);
  assert.equal(s.spool.stats().gaps, 1, 'the ack of a report that was given up does not count');
  s.reporter.report();
  s.settle();
  assert.equal(s.spool.stats().gaps, 0);
});

test('a half-open socket: pings each ten seconds, given up after thirty in silence, and what it still says is not heard', (t) => {
  const s = scene(t);
  s.connect();
  const dead = s.network.last;
  s.pass(25_000);
  assert.ok(dead.pings >= 2);
  assert.equal(s.network.connections.length, 1);
  dead.silent = true;
  s.pass(19_000);
  assert.equal(s.network.connections.length, 1);
  s.pass(14_000);
  assert.deepEqual(codes(s), ['connection_silent']);
  assert.equal(dead.ended, 'terminated');
  assert.equal(s.network.connections.length, 2);
  assert.ok(s.link.isOnline);
  const frame = s.offer();
  s.collector.acks = false;
  dead.handlers.message(encodeControl({ kind: 'ack', epoch: s.sealer.epoch, lane: 0, ranges: [[0, 100]] }));
  dead.handlers.closed('late');
  assert.equal(s.frames(), 1, `frame ${frame.sequence} is not freed by a socket that was given up`);
  assert.ok(s.link.isOnline);
});

test('a collector that answers pings but no frames is given up after a minute', (t) => {
  const s = scene(t);
  s.connect();
  s.collector.acks = false;
  s.collector.onFrame = () => true;
  s.offer();
  s.pass(59_000);
  assert.equal(s.network.connections.length, 1);
  s.pass(4000);
  assert.deepEqual(codes(s), ['frames_unanswered']);
});

test('a connection that never opens and one that never greets are given up after ten seconds', (t) => {
  const s = scene(t);
  s.network.mode = 'silent';
  s.connect();
  s.pass(12_500);
  assert.deepEqual(codes(s), ['connect_timeout']);
  s.network.mode = 'up';
  s.network.onConnect = () => {};
  s.pass(30_000);
  assert.deepEqual(codes(s).slice(0, 2), ['connect_timeout', 'handshake_timeout']);
});

test('a configuration is taken if the collector signed it for this agent and it is newer', (t) => {
  const s = scene(t);
  s.connect();
  const say = (bytes: Uint8Array): void => {
    s.network.last.deliver(bytes);
    s.settle();
  };
  const first = config(s, 10, 30_000, s.collector.sign, [HINT]);
  say(first);
  say(config(s, 11, 0));
  say(first);
  say(config(s, 12, 0, signer(keysOf(2).secretKey)));
  assert.deepEqual(
    s.configs.map(({ revision, liveMs, hints }) => [revision, liveMs, hints]),
    [
      [10, 30_000, [HINT]],
      [11, 0, []],
    ],
  );
  assert.equal(s.link.stats.staleConfigs, 2);
  s.network.last.drop();
  s.pass(1000);
  say(first);
  assert.equal(s.configs.length, 2, 'nor is it taken on another connection');
});

test('the clock and what is held are told each minute', (t) => {
  const s = scene(t);
  s.connect();
  s.offer();
  s.pass(125_000);
  assert.equal(s.collector.states.length, 2);
  const state = s.collector.states[1];
  assert.deepEqual(
    state?.held.at(-1)?.lanes.map(({ lane, floor, next }) => [lane, floor, next]),
    [
      [0, 1, 1],
      [1, 0, 0],
      [2, 0, 0],
    ],
  );
  assert.ok(Math.abs((state?.wallMs ?? 0) - s.time.wallMs) < 10_000);
});

test('what the collector says and nobody understands is counted and left', (t) => {
  const s = scene(t);
  s.connect();
  for (const bytes of [Uint8Array.of(0x92, 99, 0x80), Uint8Array.of(1), encodeRejected({ code: 'limit_rate', message: '', retryMs: 0 })]) {
    s.network.last.deliver(bytes);
  }
  s.settle();
  assert.equal(s.link.stats.malformed, 3);
  assert.ok(s.link.isOnline);
});

test('acks of what was never sent, and of everything at once, do no harm', (t) => {
  const s = scene(t);
  s.connect();
  s.offer();
  s.network.last.deliver(encodeControl({ kind: 'ack', epoch: new Uint8Array(16), lane: 2, ranges: [[5, 9]] }));
  s.network.last.deliver(encodeControl({ kind: 'ack', epoch: s.sealer.epoch, lane: 0, ranges: [[0, Number.MAX_SAFE_INTEGER]] }));
  s.settle();
  assert.equal(s.frames(), 0);
});

test('a new epoch is introduced by a hello of its own, at once, and nothing is lost on the way', (t) => {
  const s = scene(t);
  s.connect();
  s.offer();
  const first = s.sealer.epochName;
  s.sealer.renew();
  s.link.reintroduce();
  s.offer();
  s.settle();
  assert.deepEqual(
    s.collector.hellos.map(({ epoch }) => Buffer.from(epoch).toString('hex')),
    [first, s.sealer.epochName],
  );
  assert.equal(s.network.connections[0]?.ended, 'closed');
  assert.equal(s.frames(), 0);
  assert.deepEqual(codes(s), []);
});

test('a report that never came to be answered is made again', (t) => {
  const s = scene(t);
  s.connect();
  s.collector.onFrame = () => true;
  const lost = s.offer();
  s.settle();
  s.spool.refuse(lost.epoch, lost.lane, lost.sequence, 'x');
  for (let second = 0; second <= 120; second++) s.reporter.report();
  s.settle();
  assert.deepEqual(s.sequences(), [0, 1, 2]);
});

test('a stop waits for the answers, but not longer than it may', async (t) => {
  const s = scene(t);
  s.connect();
  s.collector.acks = false;
  s.offer();
  const stopped = s.link.stop(600);
  s.pass(599);
  assert.equal(s.network.last.ended, 'no');
  s.pass(2);
  await stopped;
  assert.equal(s.network.last.ended, 'closed');
  assert.equal(s.time.pending, 0, 'no timer is left');
});

test('a stop ends at once when everything is answered', async (t) => {
  const s = scene(t);
  s.connect();
  s.offer();
  const stopped = s.link.stop(600);
  s.settle();
  await stopped;
  assert.equal(s.network.last.ended, 'closed');
  assert.equal(s.frames(), 0);
});

/** A network that loses connections, acks and half of what is under way, from a seed. */
function torture(t: Parameters<typeof scene>[0], seed: number): void {
  let state = seed;
  const random = (): number => (state = (state * 48271) % 2147483647) / 2147483647;
  const s = scene(t, { random });
  const sealed: Buffer[] = [];
  s.collector.onFrame = () => {
    if (random() < 0.05) s.network.last.drop();
    return random() < 0.1;
  };
  s.network.onConnect = (connection) => {
    if (random() < 0.2) return connection.drop();
    const receive = s.collector.accept({
      // Answers may be lost with the connection, come twice, or late.
      deliver(bytes) {
        const copies = random() < 0.1 ? 2 : 1;
        for (let i = 0; i < copies; i++) connection.deliver(bytes);
      },
    });
    connection.receiver = receive;
    return undefined;
  };
  s.link.start();
  for (let i = 0; i < 150; i++) {
    if (random() < 0.1) s.announce(`m${i}`);
    sealed.push(Buffer.from(s.offer(Math.floor(random() * 3) as 0 | 1 | 2, 50, s.sealer.dictionaryLength).bytes));
    if (random() < 0.03) s.network.last.drop();
    s.pass(Math.floor(random() * 800));
  }
  s.collector.onFrame = () => false;
  s.network.onConnect = (connection) => {
    connection.receiver = s.collector.accept(connection);
  };
  s.network.last.drop();
  s.pass(200_000);
  const key = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
  assert.equal(s.frames(), 0, `seed ${seed}: the spool drains`);
  assert.deepEqual(
    new Set([...s.collector.stored.values()].map(({ bytes }) => key(bytes))),
    new Set(sealed.map(key)),
    `seed ${seed}: every frame arrived`,
  );
  assert.equal(s.collector.stored.size, sealed.length, `seed ${seed}: none twice`);
}

test('through cuts, lost answers and doubled ones every frame arrives, as its very bytes', (t) => {
  for (const seed of [1, 20, 300]) torture(t, seed);
});
