/** First module of the agent's bundle: `picket agent` and nothing else. */
import { agent } from './command/agent.ts';
import { runProcess } from './program.ts';

await runProcess({ agent: () => Promise.resolve(agent) }, ['agent', ...process.argv.slice(2)]);
