/**
 * What `npm start` does before its processes run. `page`: the page is built if it is old. `collector` and `agent`: the program is compiled into the cache,
 * which is written when a process ends; without it the first ones, which run for months, would carry the compiler all that time.
 */
import { loadAgent } from './command/agent.ts';
import { buildPage } from './page.ts';
import { ROOT } from './root.ts';

for (const what of process.argv.slice(2)) {
  if (what === 'page') await buildPage(ROOT);
  if (what === 'agent') await Promise.all([import('./picket.ts'), loadAgent()]);
  if (what === 'collector') await Promise.all([import('./picket.ts'), import('./command/collector.ts'), import('../collector/main.ts')]);
}
