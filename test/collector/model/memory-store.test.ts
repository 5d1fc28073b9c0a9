/** The conformance suite on the in-memory double. */
import { MemoryStore } from '../../../collector/model/memory-store.ts';
import { storeConformance } from './conformance.ts';

storeConformance('in memory', () =>
  Promise.resolve({ store: new MemoryStore(), settle: () => Promise.resolve(), close: () => Promise.resolve() }),
);
