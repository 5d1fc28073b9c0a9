/** The browser of the machine, for tests that look at the page: started with a folder of its own, ended by its own handle. */
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import type { BrowserContext, BrowserContextOptions } from 'playwright-core';

const EXECUTABLE = '/usr/bin/chromium';
const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** For a test's `skip`: false if there is a browser; else why not. In CI a missing browser is a failure, not a skip. */
export function browserMissing(): string | false {
  if (existsSync(EXECUTABLE)) return false;
  if (process.env['CI'] === 'true')
    throw new Error(`${EXECUTABLE} is missing; in CI the page must be tested in a browser: install the Debian package chromium`);
  return `SKIPPED: the page is not tested, for ${EXECUTABLE} is missing (apt-get install chromium)`;
}

export type Browser = AsyncDisposable & { readonly context: BrowserContext };

export async function openBrowser(options: BrowserContextOptions = {}): Promise<Browser> {
  const folder = await mkdtemp(join(tmpdir(), 'picket-browser-'));
  const context = await chromium.launchPersistentContext(folder, {
    executablePath: EXECUTABLE,
    args: FLAGS,
    chromiumSandbox: false,
    ...options,
  });
  return {
    context,
    [Symbol.asyncDispose]: async () => {
      await context.close();
      await rm(folder, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}
