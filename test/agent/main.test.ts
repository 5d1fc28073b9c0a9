/** The whole agent on this very host, against a scripted collector on a real socket. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { WebSocketServer } from 'ws';
import type { AgentConfig } from '../../agent/config.ts';
import { AgentError } from '../../agent/error.ts';
import { gatherOnce, runAgent } from '../../agent/main.ts';
import { AGENT_VERSION } from '../../agent/version.ts';
import { decodeEvents, decodeSamples, encodeControl, FrameKind, payloadOf, type DictionaryEntry } from '../../protocol/index.ts';
import { ScriptedCollector, type Stored } from './link/scripted-collector.ts';

const MIB = 1024 * 1024;
const QUIET = { info: () => {}, warn: () => {}, error: () => {}, debug: () => {} };

async function serve(t: TestContext, collector: ScriptedCollector): Promise<string> {
  const server = http.createServer();
  const sockets = new WebSocketServer({ server });
  sockets.on('connection', (socket) => {
    const receive = collector.accept({ deliver: (bytes) => socket.send(bytes) });
    socket.on('message', (data) => receive(data as Buffer));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    for (const socket of sockets.clients) socket.terminate();
    sockets.close();
    server.close();
  });
  return `ws://127.0.0.1:${(server.address() as AddressInfo).port}/agent`;
}

function configOf(t: TestContext, collectorUrl: string, more: Partial<AgentConfig> = {}): AgentConfig {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'picket-agent-'));
  t.after(() => fs.rmSync(directory, { recursive: true, force: true }));
  const lane = { bytesMax: 16 * MIB, ageMsMax: 3_600_000 };
  return {
    collectorUrl,
    directory: path.join(directory, 'agent'),
    name: 'testhost',
    insecure: false,
    flushMs: 1000,
    offlineFlushMs: 60_000,
    gatherers: {},
    paths: { procfs: '/proc', sysfs: '/sys', rootfs: '/', udev: '/run/udev/data' },
    spool: { now: lane, logs: lane, bulk: lane },
    logLevel: 'info',
    ...more,
  };
}

function eventsOf(frames: readonly Stored[]): { readonly type: string; readonly [field: string]: unknown }[] {
  return frames.flatMap(({ view }): { readonly type: string; readonly [field: string]: unknown }[] => {
    const payload = payloadOf(view);
    if (view.header.kind !== FrameKind.events || !payload.ok) return [];
    const events = decodeEvents(payload.value);
    assert.ok(events.ok);
    return [...events.value];
  });
}

/** Metric names with their tick times. */
function samplesOf(collector: ScriptedCollector, frames: readonly Stored[]): Map<string, number[]> {
  const found = new Map<string, number[]>();
  for (const { view, epoch } of frames) {
    const payload = payloadOf(view);
    if (view.header.kind !== FrameKind.samples || !payload.ok) continue;
    const groups = decodeSamples(payload.value, view.header.dictionaryLength);
    assert.ok(groups.ok);
    for (const { times, refs } of groups.value) {
      for (const ref of refs) {
        const { name, labels } = collector.dictionaries.get(epoch)?.[ref] as DictionaryEntry;
        const key = [name, ...labels].join(' ');
        found.set(key, [...(found.get(key) ?? []), ...[...times].map((time) => view.header.timeMs + time)]);
      }
    }
  }
  return found;
}

/** Runs until the collector has what is waited for, then stops; gives what it had stored since the start, and how long the stop took. */
async function runUntil(config: AgentConfig, collector: ScriptedCollector, isEnough: (frames: readonly Stored[]) => boolean) {
  const from = collector.received.length;
  const abort = new AbortController();
  const enough = Promise.withResolvers<void>();
  const answer = collector.onFrame;
  collector.onFrame = (frame, wire) => {
    if (isEnough(collector.received.slice(from))) enough.resolve();
    return answer(frame, wire);
  };
  const running = runAgent(config, { log: QUIET, signal: abort.signal });
  await Promise.race([enough.promise, running]);
  const stoppedMs = performance.now();
  abort.abort();
  await running;
  collector.onFrame = answer;
  return { frames: collector.received.slice(from), stopMs: performance.now() - stoppedMs };
}

test('an agent enrols itself, shows this host within two seconds, and says how it began and ended', async (t) => {
  const collector = new ScriptedCollector();
  const url = await serve(t, collector);
  const config = configOf(t, url, { enrollToken: collector.token });
  const startedMs = performance.now();
  let shownMs = 0;
  // The first samples are refused: the gap must be told.
  let refused = false;
  collector.onFrame = ({ view, lane, sequence }, wire) => {
    if (refused || view.header.kind !== FrameKind.samples) return false;
    refused = true;
    wire.deliver(encodeControl({ kind: 'refuse', epoch: view.header.epoch, lane, sequence, code: 'time_range' }));
    return true;
  };
  const first = await runUntil(config, collector, (frames) => {
    const ticks = samplesOf(collector, frames).get('node_load1')?.length ?? 0;
    if (ticks > 0 && shownMs === 0) shownMs = performance.now() - startedMs;
    return (
      ticks >= 2 &&
      eventsOf(frames).some(({ type }) => type === 'gap') &&
      frames.some(({ view }) => view.header.kind === FrameKind.inventory)
    );
  });
  assert.ok(shownMs < 4000, `first sample after ${shownMs} ms`);
  assert.ok(first.stopMs < 1500, `stopped in ${first.stopMs} ms`);
  assert.equal(collector.hellos[0]?.name, 'testhost');
  const events = eventsOf(first.frames);
  assert.deepEqual([events[0]?.type, events.at(-1)?.type], ['start', 'stop']);
  assert.equal(events[0]?.['previous'], undefined);
  assert.equal(events.find(({ type }) => type === 'gap')?.['cause'], 'refused:time_range');
  assert.equal(first.frames[0]?.view.header.kind, FrameKind.events, 'the start is the first frame of the epoch');
  const samples = samplesOf(collector, first.frames);
  for (const name of ['node_load1', 'node_memory_MemAvailable_bytes', 'node_time_seconds', 'picket_agent_sent_frames_total']) {
    const times = samples.get(name) ?? [];
    assert.ok(times.length >= 2, name);
    assert.ok(
      times.every((time, i) => time % 1000 === 0 && (i === 0 || time === (times[i - 1] as number) + 1000)),
      `${name} each second: ${times.join(' ')}`,
    );
  }

  const second = await runUntil(config, collector, (frames) => frames.length > 0);
  const started = eventsOf(second.frames)[0] as { previous?: { epoch: string; end: string; lastMs: number } };
  assert.deepEqual([started.previous?.epoch, started.previous?.end], [first.frames[0]?.epoch, 'stopped']);
  assert.equal(started.previous?.lastMs, Math.max(...(samples.get('node_load1') ?? [])));
  assert.equal(collector.hellos.at(-1)?.enroll, undefined);
});

test('what was gathered off line arrives later, and a run that left no mark is told as crashed', async (t) => {
  const collector = new ScriptedCollector();
  const url = await serve(t, collector);
  const config = configOf(t, url, { enrollToken: collector.token });
  const abort = new AbortController();
  const offline = runAgent({ ...config, collectorUrl: 'ws://127.0.0.1:9/agent' }, { log: QUIET, signal: abort.signal });
  const spooled = path.join(config.directory, 'spool/0');
  const size = (): number =>
    fs.existsSync(spooled) ? fs.readdirSync(spooled).reduce((sum, name) => sum + fs.statSync(path.join(spooled, name)).size, 0) : 0;
  while (size() < 2000) await new Promise((resolve) => setTimeout(resolve, 50));
  abort.abort();
  await offline;
  const stateFile = path.join(config.directory, 'state.json');
  fs.writeFileSync(stateFile, fs.readFileSync(stateFile, 'utf8').replace('"stopped":true', '"stopped":false'));

  const { frames } = await runUntil(
    config,
    collector,
    (got) => new Set(got.map(({ epoch }) => epoch)).size === 2 && samplesOf(collector, got).has('node_load1'),
  );
  const epochs = [...new Set(frames.map(({ epoch }) => epoch))];
  assert.equal(epochs.length, 2);
  const started = eventsOf(frames).find((event) => event['previous'] !== undefined);
  assert.equal((started?.['previous'] as { end: string }).end, 'crashed');
  const old = frames.filter(({ epoch }) => epoch === (started?.['previous'] as { epoch: string }).epoch);
  assert.ok((samplesOf(collector, old).get('node_load1')?.length ?? 0) >= 1);
});

test("when the machine's clock is stepped the collector hears of the segment before it sees its frames", async (t) => {
  const collector = new ScriptedCollector();
  const config = configOf(t, await serve(t, collector), { enrollToken: collector.token });
  const { now } = Date;
  const STEP_MS = 7000;
  let statesBefore: number | undefined;
  const { frames } = await runUntil(config, collector, (got) => {
    const last = got.at(-1)?.view.header;
    if (last?.clockSegment === 1) statesBefore ??= collector.states.length;
    if (last?.kind === FrameKind.samples && last.clockSegment === 0) t.mock.method(Date, 'now', () => now() + STEP_MS);
    return last?.kind === FrameKind.samples && last.clockSegment === 1;
  });
  assert.equal(statesBefore, 1);
  assert.equal(collector.states[0]?.clockSegment, 1);
  const stepMs = eventsOf(frames).find(({ type }) => type === 'clock')?.['stepMs'] as number;
  assert.ok(Math.abs(stepMs - STEP_MS) < 100, `${stepMs}`);
  const bases = frames.map(({ view }) => view.header).filter(({ kind }) => kind === FrameKind.samples);
  assert.ok((bases.at(-1)?.clockBaseMs ?? 0) - (bases[0]?.clockBaseMs ?? 0) === stepMs);
  assert.ok(bases.every(({ timeMs }, i) => i === 0 || timeMs > (bases[i - 1]?.timeMs ?? 0)));
});

test('without a token, and on a spool that another agent has, it says what to do', async (t) => {
  const collector = new ScriptedCollector();
  const url = await serve(t, collector);
  const log = { log: QUIET, signal: AbortSignal.abort() };
  await assert.rejects(runAgent(configOf(t, url), log), (error) => error instanceof AgentError && error.code === 'identity_not_enrolled');
  const config = configOf(t, url, { enrollToken: collector.token });
  const abort = new AbortController();
  const running = runAgent(config, { log: QUIET, signal: abort.signal });
  await assert.rejects(runAgent(config, log), /spool/);
  abort.abort();
  await running;
});

test('one look at the host is text for Prometheus', async (t) => {
  const text = await gatherOnce(configOf(t, 'ws://127.0.0.1:9/agent'));
  assert.match(text, /^# TYPE node_load1 gauge\nnode_load1 [\d.]+$/m);
});

test("the version is the package's", () => {
  const { version } = JSON.parse(fs.readFileSync(path.join(import.meta.dirname, '../../package.json'), 'utf8')) as { version: string };
  assert.equal(AGENT_VERSION, version);
});
