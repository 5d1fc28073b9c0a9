/** The page in a real browser, in every state it can be in. The collector is the fake one: a real one cannot be made to show them at will. */
import assert from 'node:assert/strict';
import { readdir, readFile, stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { Locator, Page } from 'playwright-core';
import { buildPage } from '../../../packaging/page.ts';
import { browserMissing, openBrowser } from '../../support/browser.ts';
import type { Browser } from '../../support/browser.ts';
import { FAKE_TOKEN, startFakeCollector } from '../../support/fake-collector.ts';
import type { FakeCollector } from '../../support/fake-collector.ts';
import { fakeHost } from '../../support/fake-host.ts';
import type { FakeHost } from '../../support/fake-host.ts';

const ROOT = join(import.meta.dirname, '../../..');
const DIST = join(ROOT, 'collector/dashboard/dist');
/** The goal for everything the browser loads, compressed. */
const BUNDLE_BYTES_MAX = 60 * 1024;
/** A phone that is still in use. */
const PHONE = { width: 360, height: 780 };
const DESKTOP = { width: 1360, height: 900 };

type Scene = {
  readonly page: Page;
  readonly fake: FakeCollector;
  /** Opens the address below the fake's, and waits for nothing. */
  readonly open: (hash?: string) => Promise<void>;
  /** What the page complained of: exceptions and refusals by the content policy. */
  readonly complaints: readonly string[];
};

/** What the functions that run inside the page use of it; the tests' own program has no document. */
type Inside = {
  readonly document: { readonly activeElement: unknown; readonly documentElement: { readonly dataset: Readonly<Record<string, string>> } };
  readonly navigator: { readonly clipboard: { readonly readText: () => Promise<string> } };
  readonly getComputedStyle: (
    element: unknown,
    pseudo?: string,
  ) => {
    readonly color: string;
    readonly animationName: string;
    readonly backgroundImage: string;
  };
  readonly axe: { readonly run: () => Promise<{ readonly violations: readonly Violation[] }> };
  /** Layout shifts so far. */
  shifts: number[];
};
type Violation = {
  readonly id: string;
  readonly impact: string;
  readonly nodes: readonly { readonly html: string; readonly failureSummary: string }[];
};

let browser: Browser;

async function scene(hosts: FakeHost[], act: (scene: Scene) => Promise<void>): Promise<void> {
  const fake = await startFakeCollector(DIST, hosts);
  const page = await browser.context.newPage();
  const complaints: string[] = [];
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('console', (message) => {
    if (/Content Security Policy|Refused to/.test(message.text())) complaints.push(message.text());
  });
  page.on('request', (request) => {
    if (!request.url().startsWith(fake.url)) complaints.push(`a request left the origin: ${request.url()}`);
  });
  try {
    await page.setViewportSize(DESKTOP);
    await act({ page, fake, open: async (hash = '') => void (await page.goto(`${fake.url}/${hash}`)), complaints });
    assert.deepEqual(complaints, []);
  } finally {
    await page.close();
    await fake.close();
  }
}

function fleet(): FakeHost[] {
  const now = Date.now();
  return [
    fakeHost('web-1', 'up'),
    fakeHost('web-2', 'up'),
    fakeHost('db-1', 'down', now - 200_000),
    fakeHost('edge-1', 'stale', now - 20_000),
  ];
}

/** Waits until the text is another one. A machine that is busy with other tests may miss the time once or twice, but not three times. */
async function changed(locator: Locator, withinMs: number): Promise<void> {
  const missed: number[] = [];
  for (let attempt = 0; attempt < 3; attempt++) {
    const old = await locator.innerText();
    const beganMs = performance.now();
    while ((await locator.innerText()) === old) {
      assert.ok(performance.now() - beganMs < 5 * withinMs, `"${old}" does not change`);
      await locator.page().waitForTimeout(40);
    }
    if (performance.now() - beganMs <= withinMs) return;
    missed.push(performance.now() - beganMs);
  }
  assert.fail(`took ${missed.map(Math.round).join(', ')} ms to change, not ${withinMs}`);
}

const AXE = readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

async function assertAccessible(page: Page, what: string): Promise<void> {
  await page.evaluate(await AXE);
  const found = await page.evaluate(async () => {
    const { axe } = globalThis as unknown as Inside;
    const { violations } = await axe.run();
    return violations
      .filter(({ impact }) => impact === 'serious' || impact === 'critical')
      .map(({ id, nodes }) => `${id}: ${nodes.map((node) => `${node.html} ${node.failureSummary}`).join(' | ')}`);
  });
  assert.deepEqual(found, [], what);
}

async function assertNoSidewaysScroll(page: Page, what: string): Promise<void> {
  const beyond = await page.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth');
  assert.ok(Number(beyond) <= 0, `${what} is ${beyond} pixels wider than the screen`);
}

describe('the page', { skip: browserMissing(), concurrency: 4 }, () => {
  before(async () => {
    await buildPage(ROOT);
    browser = await openBrowser();
  });
  after(() => browser[Symbol.asyncDispose]());

  test('an empty collector shows the one command, copies it, and shows the host arrive', async () => {
    await scene([], async ({ page, fake, open }) => {
      await browser.context.grantPermissions(['clipboard-read', 'clipboard-write']);
      await open();
      const command = page.getByTestId('enroll-command');
      const make = page.getByRole('button', { name: 'Make a command' });
      const asked: string[] = [];
      page.on('request', (request) => void (request.url().includes('/enroll') && asked.push(request.url())));
      await make.waitFor();
      await page.reload();
      await make.waitFor();
      assert.deepEqual(asked, [], 'looking at the page makes no token');
      await make.click();
      await page.getByText('npx picket agent').waitFor();
      await page.getByText('reached on this machine only').waitFor();
      await page.reload();
      await page.getByText('npx picket agent').waitFor();
      assert.equal(asked.length, 1, 'the command of this visit is kept');
      await page.getByRole('button', { name: 'Copy' }).click();
      await page.getByRole('button', { name: 'Copied' }).waitFor();
      assert.equal(await page.evaluate(() => (globalThis as unknown as Inside).navigator.clipboard.readText()), await command.innerText());
      await assertAccessible(page, 'empty');
      fake.behaviour.hosts = [fakeHost('first', 'up')];
      fake.tell();
      await page.locator('tr[data-host="first"]').waitFor();
      await page.getByText('first arrived.').waitFor();
    });
  });

  test('while the hosts are on their way their shape is shown, and the list takes its place', async () => {
    await scene(fleet(), async ({ page, fake, open }) => {
      const { promise, resolve } = Promise.withResolvers<void>();
      fake.behaviour.hold = promise;
      await page.emulateMedia({ reducedMotion: 'reduce' });
      await open();
      const skeleton = page.getByRole('status', { name: 'Loading the hosts' });
      await skeleton.waitFor();
      const moving = await page
        .locator('.skeleton-row')
        .first()
        .evaluate((row) => (globalThis as unknown as Inside).getComputedStyle(row, '::before').animationName);
      assert.equal(moving, 'none', 'nothing moves for those who asked for that');
      resolve();
      await page.locator('tr[data-host]').first().waitFor();
      assert.equal(await skeleton.count(), 0);
    });
  });

  test('an error is a sentence with its code and a way to try again', async () => {
    await scene(fleet(), async ({ page, fake, open }) => {
      fake.behaviour.refusal = { status: 503, error: 'The store is warming up.', code: 'warming' };
      await open();
      const alert = page.getByRole('alert');
      await alert.getByText('The store is warming up.').waitFor();
      await alert.getByText('warming', { exact: true }).waitFor();
      await assertAccessible(page, 'error');
      fake.behaviour.refusal = undefined;
      await page.getByRole('button', { name: 'Try again' }).click();
      await page.locator('tr[data-host="web-1"]').waitFor();
      await open('#/hosts/nobody');
      await alert.getByText('There is no host called nobody.').waitFor();
      await alert.getByRole('link', { name: 'All hosts' }).click();
      await page.locator('tr[data-host="web-1"]').waitFor();
    });
  });

  test('without a session there is the log-in page; a wrong token is refused with a sentence, the right one leads in', async () => {
    await scene(fleet(), async ({ page, fake, open }) => {
      fake.behaviour.loggedIn = false;
      await open('#/hosts/web-1');
      const token = page.getByLabel('Admin token');
      await token.waitFor();
      assert.ok(await token.evaluate((field) => field === (globalThis as unknown as Inside).document.activeElement));
      await assertAccessible(page, 'log-in');
      await token.fill('wrong');
      await token.press('Enter');
      await page.getByText('No user has this token.').waitFor();
      await token.fill(FAKE_TOKEN);
      await token.press('Enter');
      await page.getByRole('heading', { name: 'web-1' }).waitFor();
      fake.behaviour.loggedIn = false;
      await fake.disconnect();
      await fake.reconnect();
      await page.getByText('Your session has ended.').waitFor();
    });
  });

  test('trouble stands at the top, in words and with its age, and its values are greyed', async () => {
    await scene(fleet(), async ({ page, open }) => {
      await open();
      await page.locator('tr[data-host]').first().waitFor();
      assert.equal(await page.locator('.summary').innerText(), '4 hosts, 1 down, 1 stale');
      assert.match(await page.locator('.trouble').innerText(), /db-1\s*down for 3 min[^]*edge-1\s*stale for 2\d s/);
      const rows = await page.locator('tr[data-host]').evaluateAll((all) => all.map((row) => row.dataset['host']));
      assert.deepEqual(rows, ['db-1', 'edge-1', 'web-1', 'web-2']);
      const colour = (name: string): Promise<string> =>
        page.locator(`tr[data-host="${name}"] .cpu`).evaluate((cell) => (globalThis as unknown as Inside).getComputedStyle(cell).color);
      assert.notEqual(await colour('edge-1'), await colour('web-1'));
      assert.match(await page.locator('tr[data-host="edge-1"] .age').innerText(), /^2\d s ago$/);
      assert.match(await page.locator('tr[data-host="edge-1"] .age').getAttribute('title').then(String), /UTC$/);
    });
  });

  test('values of the overview and of one host move within two seconds', async () => {
    await scene(fleet(), async ({ page, open }) => {
      await open();
      const row = page.locator('tr[data-host="web-1"]');
      await row.waitFor();
      await changed(row.locator('.network'), 2000);
      await row.getByRole('link').click();
      await page.locator('[data-chart="network"] .legend').waitFor();
      const moving = [
        page.locator('[data-chart="network"] .legend'),
        page.getByTestId('reading-received'),
        page.locator('.window-words time').last(),
      ];
      await Promise.all(moving.map((locator) => changed(locator, 2000)));
    });
  });

  test('when the collector goes the last values stay, greyed, under a banner that counts down; they move again when it is back', async () => {
    await scene(fleet(), async ({ page, fake, open }) => {
      await open();
      await page.locator('tr[data-host="web-1"]').waitFor();
      await fake.disconnect();
      const banner = page.locator('.banner');
      await banner.waitFor();
      assert.match(await banner.innerText(), /Not connected.*Trying again in \d+ s|Trying now/s);
      assert.equal(await page.locator('tr[data-host]').count(), 4);
      await assertAccessible(page, 'disconnected');
      await banner.getByRole('button', { name: 'Try now' }).click();
      assert.equal(await banner.count(), 1, 'trying in vain does not hide that nothing is there');
      await fake.reconnect();
      await page.evaluate("dispatchEvent(new Event('online'))");
      await banner.waitFor({ state: 'detached' });
      await changed(page.locator('tr[data-host="web-1"] .network'), 2000);
    });
  });

  test('gaps are hatched in every chart with their cause, in the fence and in words; late data is tinted', async () => {
    await scene(fleet(), async ({ page, fake, open }) => {
      const now = Math.floor(Date.now() / 1000) * 1000;
      fake.behaviour.gaps = [{ from: now - 120_000, to: now - 80_000, cause: 'agent_stopped', detail: 'stopped by SIGTERM' }];
      fake.behaviour.late = [[now - 200_000, now - 160_000]];
      await open('#/hosts/web-1');
      await page.locator('.chart').first().waitFor();
      const gaps = page.locator('.chart .span.gap');
      assert.equal(await gaps.count(), 7);
      for (const gap of await gaps.all()) {
        assert.equal(await gap.getAttribute('data-cause'), 'agent_stopped');
        assert.ok(((await gap.boundingBox())?.width ?? 0) > 20);
        assert.match(
          await gap.evaluate((element) => (globalThis as unknown as Inside).getComputedStyle(element).backgroundImage),
          /repeating-linear-gradient/,
        );
      }
      assert.equal(await page.locator('.span.late').count(), 7);
      const row = page.locator('.gaps li');
      assert.match(await row.innerText(), /40 s[^]*the agent was stopped\s*agent_stopped\s*stopped by SIGTERM/);
      assert.equal(await page.getByTestId('missing').innerText(), '40 s');
      const kinds = await page.locator('.pickets span').evaluateAll((pickets) => pickets.map((picket) => picket.dataset['kind']));
      assert.ok(kinds.includes('gap') && kinds.includes('late') && kinds.includes('live'), kinds.join(' '));
      await hoverOver(page, '.chart[data-chart="cpu"]', '.span.gap');
      await page.locator('[data-chart="network"] .cursor-words').getByText('missing: the agent was stopped').waitFor();
      await page.mouse.move(0, 0);
      await row.getByRole('button', { name: 'Show' }).click();
      await page.waitForURL(/from=\d+&to=\d+/);
    });
  });

  test('a gap whose data may still come is looked at again, until it came late', async () => {
    await scene(fleet(), async ({ page, fake, open }) => {
      const now = Math.floor(Date.now() / 1000) * 1000;
      fake.behaviour.gaps = [{ from: now - 120_000, to: now - 80_000, cause: 'not_received', detail: '' }];
      await open('#/hosts/web-1');
      await page.locator('.gaps li').waitFor();
      await page.locator('.live-sign[data-kind="live"]').waitFor();
      fake.behaviour.gaps = [];
      fake.behaviour.late = [[now - 120_000, now - 80_000]];
      await page.locator('.span.late').first().waitFor();
      await page.getByText('Nothing is missing in this window.').waitFor();
    });
  });

  test('dragging zooms all charts, the address keeps it, and the way back is one button', async () => {
    await scene(fleet(), async ({ page, open }) => {
      await open('#/hosts/web-1');
      const plot = page.locator('[data-chart="load"] .u-over');
      await plot.waitFor();
      const box = await plot.boundingBox();
      assert.ok(box);
      await page.mouse.move(box.x + box.width * 0.25, box.y + 40);
      await page.mouse.down();
      await page.mouse.move(box.x + box.width * 0.5, box.y + 40, { steps: 4 });
      await page.mouse.up();
      await page.waitForURL(/from=\d+&to=\d+/);
      const search = new URLSearchParams(page.url().split('?')[1]);
      const span = Number(search.get('to')) - Number(search.get('from'));
      assert.ok(Math.abs(span - 75_000) < 3000, `a quarter of five minutes, not ${span} ms`);
      await page.getByRole('button', { name: 'Back to live' }).click();
      await page.locator('.pause').waitFor();
      assert.ok(!page.url().includes('from='));
    });
  });

  test('pause stands still and resume goes on', async () => {
    await scene(fleet(), async ({ page, open }) => {
      await open('#/hosts/web-1');
      await page.locator('.live-sign[data-kind="live"]').waitFor();
      await page.getByRole('button', { name: 'Pause' }).click();
      const legend = page.locator('[data-chart="network"] .legend');
      const words = page.locator('.window-words');
      const before = [await legend.innerText(), await words.innerText()];
      await page.waitForTimeout(1300);
      assert.deepEqual([await legend.innerText(), await words.innerText()], before);
      await page.getByRole('button', { name: 'Resume' }).click();
      await changed(words, 2500);
    });
  });

  test('everything can be done from the keyboard', async () => {
    await scene(fleet(), async ({ page, open }) => {
      await open();
      await page.locator('.live-sign[data-kind="live"]').waitFor();
      await page.keyboard.press('/');
      await page.keyboard.type('web-2');
      await page.locator('tr[data-host="db-1"]').waitFor({ state: 'detached' });
      await page.locator('tr[data-host="web-2"] a').focus();
      await page.keyboard.press('Enter');
      await page.getByRole('button', { name: 'last 15 minutes' }).focus();
      await page.keyboard.press('Space');
      await page.waitForURL(/range=15m/);
      await page.locator('[data-chart="cpu"] .plot').focus();
      await page.keyboard.press('Home');
      await page.keyboard.press('ArrowRight');
      await page
        .locator('[data-chart="network"] .cursor-words')
        .getByText(/\d\d:\d\d:\d\d/)
        .waitFor();
      const spoken = page.locator('[data-chart="cpu"] [role="status"]');
      assert.match(await spoken.innerText(), /\d\d:\d\d:\d\d: user \d/);
    });
  });

  test('a telephone of 360 pixels shows every view without scrolling sideways', async () => {
    await scene(fleet(), async ({ page, fake, open }) => {
      await page.setViewportSize(PHONE);
      await open();
      await page.locator('tr[data-host]').first().waitFor();
      await assertNoSidewaysScroll(page, 'the overview');
      await page.locator('tr[data-host="web-1"] .age').waitFor();
      await page.getByRole('button', { name: 'Add a host' }).click();
      await page.getByRole('button', { name: 'Make a command' }).click();
      await page.getByText('npx picket agent').waitFor();
      await assertNoSidewaysScroll(page, 'adding a host');
      const now = Date.now();
      fake.behaviour.gaps = [
        { from: now - 90_000, to: now - 30_000, cause: 'power_loss', detail: 'a detail that is rather longer than the screen is wide' },
      ];
      await open('#/hosts/web-1');
      await page.locator('.gaps li').waitFor();
      await assertNoSidewaysScroll(page, 'a host');
      await assertAccessible(page, 'a host on a telephone');
      fake.behaviour.loggedIn = false;
      await page.reload();
      await page.getByLabel('Admin token').waitFor();
      await assertNoSidewaysScroll(page, 'the log-in');
    });
  });

  test('no serious fault of accessibility in light or dark, and the choice of colours stays', async () => {
    await scene(fleet(), async ({ page, fake, open }) => {
      const now = Date.now();
      fake.behaviour.gaps = [{ from: now - 90_000, to: now - 30_000, cause: 'power_loss', detail: '' }];
      await page.emulateMedia({ colorScheme: 'light' });
      for (const theme of ['light', 'dark']) {
        await open();
        await page.locator('tr[data-host]').first().waitFor();
        assert.equal(await page.evaluate(() => (globalThis as unknown as Inside).document.documentElement.dataset['theme']), theme);
        await assertAccessible(page, `overview, ${theme}`);
        await open('#/hosts/web-1');
        await page.locator('.gaps li').waitFor();
        await assertAccessible(page, `host, ${theme}`);
        if (theme === 'light') await page.getByRole('button', { name: 'Dark colours' }).click();
        await page.reload();
      }
    });
  });

  test('nothing on the page jumps while it loads and lives', async () => {
    await scene(fleet(), async ({ page, fake, open }) => {
      await page.addInitScript(() => {
        const inside = globalThis as unknown as Inside & {
          PerformanceObserver: new (call: (list: { getEntries: () => { value: number }[] }) => void) => { observe: (what: object) => void };
        };
        inside.shifts = [];
        new inside.PerformanceObserver((list) => inside.shifts.push(...list.getEntries().map((entry) => entry.value))).observe({
          type: 'layout-shift',
          buffered: true,
        });
      });
      for (const hash of ['', '#/hosts/web-1']) {
        await open(hash);
        await page.locator('.live-sign[data-kind="live"]').waitFor();
        fake.tell();
        await page.waitForTimeout(400);
        const shifts = await page.evaluate(() => (globalThis as unknown as Inside).shifts);
        const sum = shifts.reduce((total, shift) => total + shift, 0);
        assert.ok(sum < 0.05, `${hash || 'overview'}: layout shift ${sum.toFixed(3)}`);
      }
    });
  });

  test('of ten thousand hosts only those in sight are in the document, and any of them is found', async () => {
    const hosts = Array.from({ length: 10_000 }, (_, i) => fakeHost(`node-${i}`, i % 500 === 7 ? 'down' : 'up'));
    await scene(hosts, async ({ page, open }) => {
      await open();
      await page.locator('tr[data-host="node-7"]').waitFor();
      assert.equal(await page.getByRole('table').getAttribute('aria-rowcount'), '10001');
      assert.ok((await page.locator('tr[data-host]').count()) < 80);
      await page.mouse.wheel(0, 1e9);
      await page.locator('tr[data-host="node-9999"]').waitFor();
      await page.getByPlaceholder('Filter hosts').fill('node-4321');
      await page.locator('tr[data-host="node-4321"]').waitFor();
      assert.equal(await page.locator('tr[data-host]').count(), 1);
    });
  });
});

test('what the browser loads is small', async () => {
  await buildPage(ROOT);
  const files = (await readdir(DIST, { recursive: true, withFileTypes: true })).filter((entry) => entry.name.endsWith('.br'));
  assert.equal(files.length, 4, 'the document, its script, its style and its icon');
  const sizes = await Promise.all(files.map(async (file) => (await stat(join(file.parentPath, file.name))).size));
  const total = sizes.reduce((sum, size) => sum + size, 0);
  assert.ok(total <= BUNDLE_BYTES_MAX, `${total} bytes compressed`);
});

/** Rests the pointer on the middle of an element that lies below the plot's own overlay. */
async function hoverOver(page: Page, chart: string, inside: string): Promise<void> {
  await page.locator(chart).scrollIntoViewIfNeeded();
  const box = await page.locator(`${chart} ${inside}`).boundingBox();
  assert.ok(box);
  await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
}
