/** The conformance suite on the LevelDB store: in memory, after everything was cut into chunks, after those were merged, and after a restart. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openStore, type Store } from '../../../collector/store/store.ts';
import { type StoreFactory, T0, storeConformance } from '../model/conformance.ts';

const log = { info: () => undefined, warn: () => undefined, error: () => undefined };

function factory(settle: (store: Store) => Promise<void>): StoreFactory {
  return async () => {
    const directory = await mkdtemp(join(tmpdir(), 'picket-store-'));
    const store = await openStore({ directory, retention: { ageMs: 'off', bytesMax: 'off' }, nowMs: () => T0, log });
    return {
      store,
      settle: () => settle(store),
      close: async () => {
        await store.close();
        await rm(directory, { recursive: true });
      },
    };
  };
}

storeConformance(
  'LevelDB, head',
  factory((store) => store.settled()),
);
storeConformance(
  'LevelDB, cut',
  factory((store) => store.cutNow()),
);
storeConformance(
  'LevelDB, merged',
  factory(async (store) => {
    await store.cutNow();
    await store.compactNow();
  }),
);
