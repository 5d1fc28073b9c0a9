/** Ingest over a real LevelDB store and a real WebSocket server in this process: for tests of what agents may and may not do. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { openIngest, type Ingest } from '../../collector/ingest/index.ts';
import { openStore, type Store } from '../../collector/store/store.ts';
import { freshFolder } from './processes.ts';

export type IngestStack = {
  readonly url: string;
  readonly store: Store;
  readonly ingest: Ingest;
  /** The collector's clock; tests move it. */
  clock: { offsetMs: number };
  /** Ends everything; the folder stays if `keep`. */
  close(): Promise<void>;
  readonly directory: string;
};

const SILENT = { info: () => undefined, warn: () => undefined, error: () => undefined };

export async function ingestStack(options: { directory?: string; retentionMs?: number | undefined } = {}): Promise<IngestStack> {
  const folder = options.directory === undefined ? freshFolder('ingest') : { path: options.directory, remove: () => undefined };
  const clock = { offsetMs: 0 };
  const nowMs = (): number => Date.now() + clock.offsetMs;
  const retentionMs = 'retentionMs' in options ? options.retentionMs : 7 * 24 * 3_600_000;
  const store = await openStore({
    directory: folder.path,
    retention: { ageMs: retentionMs ?? 'off', bytesMax: 'off' },
    nowMs,
    log: SILENT,
  });
  const ingest = await openIngest({ dataDir: folder.path, store, records: store.records, retentionMs, nowMs, log: SILENT });
  const server = createServer();
  server.on('upgrade', (request, socket, head) => ingest.sockets.upgrade(request, socket, head));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}/agent`,
    store,
    ingest,
    clock,
    directory: folder.path,
    async close() {
      server.close();
      await ingest.close();
      await store.close();
      folder.remove();
    },
  };
}

/** All raw samples of a metric as the store gives them, by the value of `instance`. */
export async function samplesOf(
  store: Store,
  metric: string,
  fromMs = 0,
  toMs = 1e15,
): Promise<Map<string, { timesMs: number[]; values: number[] }>> {
  const found = new Map<string, { timesMs: number[]; values: number[] }>();
  const matcher = { name: '__name__', op: '=' as const, value: metric, matches: (value: string) => value === metric };
  for await (const batch of store.select([matcher], { fromMs, toMs }, {}, new AbortController().signal)) {
    for (const { labels, timesMs, values } of batch) {
      found.set(labels[labels.indexOf('instance') + 1] ?? '', { timesMs: [...timesMs], values: [...values] });
    }
  }
  return found;
}
