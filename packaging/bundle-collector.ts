/** First module of the collector's bundle: `picket collector` and nothing else. */
import { collector } from './command/collector.ts';
import { runProcess } from './program.ts';

await runProcess({ collector: () => Promise.resolve(collector) }, ['collector', ...process.argv.slice(2)]);
