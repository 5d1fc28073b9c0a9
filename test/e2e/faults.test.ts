/**
 * The promises of the line with real processes: the collector killed, the agent killed, the link cut. Seconds are counted one by one in the raw samples.
 * PICKET_OUTAGE_SECONDS lengthens the outages (60 by hand; short here).
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { namespaceProblem, newNamespace } from '../support/namespace.ts';
import {
  api,
  enrollToken,
  eventually,
  freePort,
  freshFolder,
  ROOT,
  start,
  startAgent,
  startCollector,
  type CollectorProcess,
} from '../support/processes.ts';

const OUTAGE_MS = Number(process.env['PICKET_OUTAGE_SECONDS'] ?? 8) * 1000;
const PROBE = 'node_load1';

type Matrix = { data: { result: { values: [number, string][] }[] } };

/** Times (s) of all raw samples of the last ten minutes. */
async function seconds(collector: CollectorProcess, host: string): Promise<number[]> {
  const query = encodeURIComponent(`${PROBE}{instance="${host}"}[10m]`);
  const answer = (await api(collector, `/api/v1/query?query=${query}`)) as Matrix;
  assert.ok(answer.data.result.length <= 1, 'one series');
  return answer.data.result[0]?.values.map(([time]) => time) ?? [];
}

async function newest(collector: CollectorProcess, host: string): Promise<number> {
  return (await seconds(collector, host)).at(-1) ?? 0;
}

/** Every whole second of [from, to] exactly once. */
function assertWhole(times: readonly number[], from: number, to: number): void {
  const inside = times.filter((time) => time >= from && time <= to);
  const missing = Array.from({ length: to - from + 1 }, (_, i) => from + i).filter((second) => !inside.includes(second));
  assert.deepEqual(missing, [], `seconds missing of ${from}..${to}`);
  assert.equal(new Set(inside).size, inside.length, 'no second twice');
  assert.equal(inside.length, to - from + 1, 'no samples between the seconds');
}

type Charts = { coverage: { gaps: { fromMs?: number; toMs?: number; from?: number; to?: number; cause: string }[]; late: unknown[] } };

async function coverage(collector: CollectorProcess, host: string): Promise<Charts['coverage']> {
  const to = Date.now();
  const answer = (await api(collector, `/api/v1/hosts/${host}/charts?from=${to - 600_000}&to=${to}&step=1000`)) as Charts;
  return answer.coverage;
}

/** What the collector knows, for the one who reads a failure. */
async function storyOf(collector: CollectorProcess, host: string): Promise<string> {
  try {
    const metrics = await fetch(`${collector.url}/metrics`, { headers: { authorization: `Bearer ${collector.token}` } });
    const counted = (await metrics.text()).split('\n').filter((line) => /^picket_(ingest|store)/.test(line) && !line.endsWith(' 0'));
    return [JSON.stringify(await api(collector, '/api/v1/hosts')), JSON.stringify(await coverage(collector, host)), ...counted].join('\n');
  } catch (error) {
    return `the collector does not answer: ${(error as Error).message}`;
  }
}

async function pause(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}

describe('faults of real processes', { concurrency: 3 }, () => {
  test('kill -9 of the collector: afterwards every second is there exactly once', async () => {
    const data = freshFolder('kill-collector');
    const dir = freshFolder('kill-collector-agent');
    let collector = await startCollector({ dataDir: data.path });
    const agent = startAgent({ collector, directory: dir.path, name: 'survivor', enrollToken: await enrollToken(collector) });
    try {
      await eventually(async () => (await seconds(collector, 'survivor')).length >= 3, 15_000);
      const from = await newest(collector, 'survivor');
      for (let round = 0; round < 2; round++) {
        await collector.end('SIGKILL');
        await pause(OUTAGE_MS);
        collector = await startCollector({ dataDir: data.path, port: collector.port });
        const back = Math.floor(Date.now() / 1000);
        await eventually(async () => (await newest(collector, 'survivor')) >= back + 1, 90_000, 200);
      }
      const to = await newest(collector, 'survivor');
      // Live goes first: the backlog may still be on its way when the newest second is there.
      await eventually(
        async () => {
          assertWhole(await seconds(collector, 'survivor'), from, to);
          return true;
        },
        20_000,
        300,
      );
    } catch (error) {
      const story = await storyOf(collector, 'survivor');
      const words = [(error as Error).message, story, 'agent:', agent.output(), 'collector:', collector.output()];
      throw new Error(words.join('\n'), { cause: error });
    } finally {
      await agent.end();
      await collector.end();
      data.remove();
      dir.remove();
    }
  });

  test('kill -9 of the agent: what was sealed arrives once, and the time it was dead is a gap with its cause', async () => {
    const data = freshFolder('kill-agent');
    const dir = freshFolder('kill-agent-agent');
    const collector = await startCollector({ dataDir: data.path });
    const options = { collector, directory: dir.path, name: 'victim' };
    let agent = startAgent({ ...options, enrollToken: await enrollToken(collector) });
    try {
      await eventually(async () => (await seconds(collector, 'victim')).length >= 8, 25_000);
      const from = (await seconds(collector, 'victim'))[0] as number;
      await agent.end('SIGKILL');
      const killedMs = Date.now();
      const sealed = await newest(collector, 'victim');
      await pause(Math.min(OUTAGE_MS, 6000));
      agent = startAgent(options);
      const startedMs = Date.now();
      await eventually(async () => (await newest(collector, 'victim')) * 1000 >= startedMs, 20_000);
      const times = await seconds(collector, 'victim');
      const last = times.filter((time) => time * 1000 <= killedMs).at(-1) as number;
      assertWhole(times, from, last);
      assert.ok(last >= sealed);
      assert.ok(killedMs - last * 1000 <= 7000, 'at most one flush interval was not sealed yet');
      const gap = (await coverage(collector, 'victim')).gaps.find(({ cause }) => cause === 'agent_crashed');
      assert.ok(gap !== undefined, JSON.stringify(await coverage(collector, 'victim')));
      const gapFrom = gap.fromMs ?? gap.from ?? 0;
      const gapTo = gap.toMs ?? gap.to ?? 0;
      assert.ok(Math.abs(gapFrom - last * 1000) <= 1000, `gap from ${gapFrom}, last sample ${last}`);
      assert.ok(gapTo > killedMs && gapTo - startedMs < 5000, 'the gap ends with the new run');
    } finally {
      await agent.end();
      await collector.end();
      data.remove();
      dir.remove();
    }
  });

  test('a stopped agent leaves nothing unsent and its absence is called a stop', async () => {
    const data = freshFolder('stop-agent');
    const dir = freshFolder('stop-agent-agent');
    const collector = await startCollector({ dataDir: data.path });
    const options = { collector, directory: dir.path, name: 'stopped' };
    let agent = startAgent({ ...options, enrollToken: await enrollToken(collector) });
    try {
      await eventually(async () => (await seconds(collector, 'stopped')).length >= 3, 15_000);
      assert.equal(await agent.end('SIGTERM'), 0);
      const stoppedMs = Date.now();
      await pause(3000);
      agent = startAgent(options);
      await eventually(async () => (await newest(collector, 'stopped')) * 1000 >= stoppedMs + 3000, 20_000);
      const times = await seconds(collector, 'stopped');
      const last = times.filter((time) => time * 1000 <= stoppedMs).at(-1) as number;
      assert.ok(stoppedMs - last * 1000 <= 2500, `the last second before the stop is there: ${stoppedMs - last * 1000} ms`);
      assert.ok((await coverage(collector, 'stopped')).gaps.some(({ cause }) => cause === 'agent_stopped'));
      const told = performance.now();
      assert.equal(await collector.end('SIGTERM'), 0, 'a collector with a connected agent ends by itself');
      assert.ok(performance.now() - told < 2500, 'and within two seconds');
    } finally {
      await agent.end();
      await collector.end();
      data.remove();
      dir.remove();
    }
  });

  test('a cut link between network namespaces: afterwards every second is there exactly once', async (t) => {
    const problem = namespaceProblem();
    if (problem !== undefined) {
      assert.ok(process.env['CI'] !== 'true' || !problem.includes('Debian package'), problem);
      return t.skip(problem);
    }
    const data = freshFolder('cut-link');
    const dir = freshFolder('cut-link-agent');
    const namespace = newNamespace(107);
    const port = await freePort();
    const collector = await startCollector({ dataDir: data.path, port, env: { PICKET_LISTEN: `0.0.0.0:${port}` } });
    const [command, ...args] = namespace.enter([process.execPath, `${ROOT}/packaging/picket.ts`, 'agent']);
    const agent = start(command, args, {
      PICKET_COLLECTOR_URL: `ws://${namespace.hostAddress}:${port}/agent`,
      PICKET_INSECURE: 'true',
      PICKET_AGENT_DIR: dir.path,
      PICKET_NAME: 'island',
      PICKET_ENROLL_TOKEN: await enrollToken(collector),
    });
    try {
      await eventually(async () => (await seconds(collector, 'island')).length >= 3, 15_000);
      const from = await newest(collector, 'island');
      namespace.cut();
      await pause(OUTAGE_MS);
      namespace.join();
      const back = Math.floor(Date.now() / 1000);
      // A half-open connection is given up after 30 s without a byte; the next attempt follows its back-off.
      await eventually(async () => (await newest(collector, 'island')) >= back + 1, 100_000, 200);
      const to = await newest(collector, 'island');
      await eventually(
        async () => {
          assertWhole(await seconds(collector, 'island'), from, to);
          return true;
        },
        20_000,
        300,
      );
    } finally {
      await agent.end();
      await collector.end();
      namespace.remove();
      data.remove();
      dir.remove();
    }
  });
});
