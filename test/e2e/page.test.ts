/** The page over the real line: the log-in, live values of this very host, its charts at one second, the gap with its cause after the agent was killed, and a collector that comes again. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Locator, Page } from 'playwright-core';
import type { ChartsAnswer } from '../../collector/dashboard/src/contract.ts';
import { browserMissing, openBrowser } from '../support/browser.ts';
import { startAgent, startCollector } from '../support/processes.ts';
import { startStack } from '../support/stack.ts';
import type { Stack } from '../support/stack.ts';

const HOST = 'page-host';
/** Watched, an agent flushes each second; the rest is the way to the screen. */
const CHANGE_MS_MAX = 2000;
const CHARTS = ['cpu', 'memory', 'load', 'network', 'filesystem'];

test('this host is on the page, live, with its gaps', { skip: browserMissing(), timeout: 120_000 }, async (context) => {
  // Ends in the opposite order: what was started last goes first.
  await using running = new AsyncDisposableStack();
  const stack = await startStack(HOST);
  running.defer(() => stack.close());
  const browser = running.use(await openBrowser({ viewport: { width: 1360, height: 900 } }));
  const page = await browser.context.newPage();
  const faults = faultsOf(page, stack);
  const made: string[] = [];
  page.on('request', (request) => void (request.method() === 'POST' && request.url().includes('/enroll') && made.push(request.url())));

  await page.goto(stack.url);
  await page.getByLabel('Admin token').fill(stack.token);
  await page.getByRole('button', { name: 'Log in' }).click();

  await context.test('the overview has live values of CPU, memory, disk, load and network', async () => {
    const row = page.locator(`tr[data-host="${HOST}"]`);
    await row.waitFor();
    assert.equal(await row.getAttribute('data-status'), 'up');
    for (const cell of ['cpu', 'memory', 'disk']) await textOf(row.locator(`.${cell} b`), /^\d+(\.\d)? %$/);
    await textOf(row.locator('.load b'), /^\d+\.\d\d$/);
    await textOf(row.locator('.network b').first(), /^[\d.]+ (B|KiB|MiB|GiB)\/s$/);
    await textOf(row.locator('.age'), /just now|^\d+ s ago$/);
  });

  await context.test('the only host is followed by the command that adds a second one, made on a click', async () => {
    assert.deepEqual(made, [], 'to look at the page makes no token');
    await page.getByRole('button', { name: 'Make a command' }).click();
    await textOf(page.getByTestId('enroll-command'), new RegExp(`${stack.url}[^]*picket1_`));
  });

  await context.test('its charts fill each second while they are watched, from where the history ends', async () => {
    const history = page.waitForResponse((response) => response.url().includes(`/hosts/${HOST}/charts?`));
    const stream = page.waitForRequest((request) => request.url().includes(`/hosts/${HOST}/stream?`));
    await page.locator(`tr[data-host="${HOST}"] a`).click();
    const endMs = lastValueMs(await (await history).json());
    const fromMs = Number(new URL((await stream).url()).searchParams.get('from'));
    assert.ok(fromMs < endMs, `the stream begins at ${fromMs}, the history ends at ${endMs}`);
    for (const chart of CHARTS) await textOf(page.locator(`[data-chart="${chart}"] .legend li b`).first(), /\d/);
    await page.locator('.live-sign[data-kind="live"]').waitFor();
    await textOf(page.locator('.facts'), /Kernel[^]*\d/);
    await changesWithin(page.locator('.freshness time'), 'datetime', CHANGE_MS_MAX);
  });

  await context.test('an agent that was killed leaves a hatched gap with its cause in every chart and in words', async () => {
    await stack.agent.end('SIGKILL');
    const again = startAgent({ collector: stack.collector, directory: join(stack.collector.dataDir, 'agent'), name: HOST });
    running.defer(async () => void (await again.end()));
    await page.locator('.gaps li[data-cause="agent_crashed"]').first().waitFor({ timeout: 25_000 });
    const charts = await page.locator('.chart').count();
    assert.ok(charts >= CHARTS.length);
    assert.equal(await page.locator('.chart .span.gap[data-cause="agent_crashed"]').count(), charts);
    await changesWithin(page.locator('.freshness time'), 'datetime', CHANGE_MS_MAX);
  });

  await context.test('nothing failed on the way', () => assert.deepEqual(faults, []));

  await context.test('a collector that goes and comes again finds the page waiting, still logged in', async () => {
    const { dataDir, port } = stack.collector;
    await stack.collector.end('SIGKILL');
    await page.locator('.banner').getByText('Not connected.').waitFor();
    const again = await startCollector({ dataDir, port });
    running.defer(async () => void (await again.end()));
    await page.evaluate("dispatchEvent(new Event('online'))");
    await page.locator('.banner').waitFor({ state: 'detached', timeout: 20_000 });
    await changesWithin(page.locator('.freshness time'), 'datetime', CHANGE_MS_MAX);
  });
});

/** When the first of the charts in an answer has its last value. */
function lastValueMs(answer: unknown): number {
  const { times, charts } = answer as ChartsAnswer;
  const ends = charts.flatMap(({ series }) => Math.max(-1, ...series.map(({ values }) => values.findLastIndex((value) => value !== null))));
  return Math.min(...ends.flatMap((end) => times[end] ?? []));
}

/** Exceptions in the page, refusals by the content policy, requests elsewhere, and answers that are errors (but for the question before the log-in). */
function faultsOf(page: Page, stack: Stack): string[] {
  const faults: string[] = [];
  page.on('pageerror', (error) => faults.push(String(error)));
  page.on('console', (message) => {
    if (/Content Security Policy|Refused to/.test(message.text())) faults.push(message.text());
  });
  page.on('request', (request) => {
    if (!request.url().startsWith(stack.url)) faults.push(`a request left the origin: ${request.url()}`);
  });
  page.on('response', (response) => {
    const question = response.status() === 401 && response.url().endsWith('/api/v1/session');
    if (response.status() >= 400 && !question) faults.push(`${response.status()} ${response.url()}`);
  });
  return faults;
}

/** Waits until the text is as wanted. */
async function textOf(locator: Locator, wanted: RegExp): Promise<void> {
  await locator.filter({ hasText: wanted }).waitFor({ timeout: 15_000 });
}

/** The attribute changes in time. A machine that is busy with other tests may miss it twice, but not three times. */
async function changesWithin(locator: Locator, attribute: string, withinMs: number): Promise<void> {
  const took: number[] = [];
  for (let attempt = 0; attempt < 3; attempt++) {
    const old = await locator.getAttribute(attribute);
    const beganMs = performance.now();
    while ((await locator.getAttribute(attribute)) === old) {
      assert.ok(performance.now() - beganMs < 15_000, `${attribute} stays ${old}`);
      await locator.page().waitForTimeout(40);
    }
    took.push(Math.round(performance.now() - beganMs));
    if ((took.at(-1) ?? Infinity) <= withinMs) return;
  }
  assert.fail(`took ${took.join(', ')} ms to change, not ${withinMs}`);
}
