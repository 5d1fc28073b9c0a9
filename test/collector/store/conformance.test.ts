/** The conformance suite on the LevelDB store: fresh, and again after everything was cut into chunks. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openStore } from '../../../collector/store/store.ts';
import { T0, storeConformance } from '../model/conformance.ts';

const log = { info: () => undefined, warn: () => undefined, error: () => undefined };

storeConformance('LevelDB', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'picket-store-'));
  const store = await openStore({ directory, retention: { ageMs: 'off', bytesMax: 'off' }, nowMs: () => T0, log });
  return {
    store,
    settle: () => store.settled(),
    close: async () => {
      await store.close();
      await rm(directory, { recursive: true });
    },
  };
});
