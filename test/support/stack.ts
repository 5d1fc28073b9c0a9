/** A real collector and a real agent of this host, as processes: what a user has after `npm start`. */
import { join } from 'node:path';
import { buildPage } from '../../packaging/page.ts';
import {
  api,
  enrollToken,
  eventually,
  freshFolder,
  ROOT,
  startAgent,
  startCollector,
  type CollectorProcess,
  type Running,
} from './processes.ts';

export type Stack = {
  readonly url: string;
  readonly token: string;
  readonly collector: CollectorProcess;
  readonly agent: Running;
  readonly host: string;
  close(): Promise<void>;
};

/** Builds the page, starts both, and waits until the first sample can be read. */
export async function startStack(host = 'stack-host'): Promise<Stack> {
  await buildPage(ROOT);
  const folder = freshFolder('stack');
  const collector = await startCollector({ dataDir: folder.path });
  const agent = startAgent({ collector, directory: join(folder.path, 'agent'), name: host, enrollToken: await enrollToken(collector) });
  await eventually(async () => {
    const answer = (await api(collector, '/api/v1/query?query=node_load1')) as { data: { result: unknown[] } };
    return answer.data.result.length > 0;
  }, 15_000);
  return {
    url: collector.url,
    token: collector.token,
    collector,
    agent,
    host,
    async close() {
      await agent.end();
      await collector.end();
      folder.remove();
    },
  };
}
