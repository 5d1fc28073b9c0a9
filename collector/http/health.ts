/** Whether the collector lives and whether it answers everything; for supervisors and load balancers, without a credential. */
import type Router from '@koa/router';
import type { StoreState } from '../model/ports.ts';
import { sendText } from './answer.ts';

export type HealthDeps = { readonly storeState: () => StoreState };

export function healthRoutes(router: Router, deps: HealthDeps): void {
  router.get('/-/healthy', (ctx) => sendText(ctx, 'text/plain', 'Picket is healthy.\n'));
  router.get('/-/ready', (ctx) => {
    const state = deps.storeState();
    ctx.status = state === 'ready' ? 200 : 503;
    sendText(ctx, 'text/plain', SENTENCES[state]);
  });
}

const SENTENCES = {
  ready: 'Picket is ready.\n',
  warming:
    'Picket is warming up: frames are taken and stored, but the write-ahead log is still being read, so queries may lack the newest samples.\n',
  closed: 'Picket is not ready: the store is closed, since the collector is stopping or could not write; its log says why.\n',
} as const;
