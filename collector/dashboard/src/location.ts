/** The address bar as a signal, and moving about in it. */
import { signal } from '@preact/signals';
import { formatRoute, parseRoute } from './route.ts';
import type { Route } from './route.ts';

export const route = signal<Route>(parseRoute(location.hash));

export function runLocation(): void {
  addEventListener('hashchange', () => {
    const before = route.value;
    route.value = parseRoute(location.hash);
    const moved =
      before.page !== route.value.page || (before.page === 'host' && route.value.page === 'host' && before.name !== route.value.name);
    if (moved) scrollTo(0, 0);
  });
}

export function go(to: Route): void {
  location.hash = formatRoute(to);
}
