/**
 * What `npm start` does before its processes run. `page`: the page is built if it is old. `collector` and `agent`: the program is compiled into the cache,
 * which is written when a process ends, for its very flags; without it the first ones, which run for months, would carry the compiler all that time.
 */
import { loadAgent } from './command/agent.ts';
import { buildPage } from './page.ts';
import { ROOT } from './root.ts';

switch (process.argv[2]) {
  case 'page':
    await buildPage(ROOT);
    break;
  case 'agent':
    await Promise.all([import('./picket.ts'), loadAgent()]);
    break;
  case 'collector':
    await Promise.all([import('./picket.ts'), import('./command/collector.ts'), import('../collector/main.ts')]);
    break;
  default:
    throw new Error('say what to prepare: page, agent or collector');
}
