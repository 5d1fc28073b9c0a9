/** Streams rest while nobody looks at the page and come back at once when somebody does, or when the network returns. */
import type { Connection } from './connection.ts';

/** Switching tabs for a moment costs nothing; a tab forgotten for days should not make an agent flush each second. */
const REST_AFTER_MS = 60_000;

/** Starts the connection and returns the function that ends the care (not the connection). */
export function keepAwake(connection: Connection): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const onVisibility = (): void => {
    clearTimeout(timer);
    if (document.hidden) timer = setTimeout(() => connection.stop(), REST_AFTER_MS);
    else connection.resume();
  };
  const onOnline = (): void => connection.resume();
  document.addEventListener('visibilitychange', onVisibility);
  addEventListener('online', onOnline);
  connection.start();
  return () => {
    clearTimeout(timer);
    document.removeEventListener('visibilitychange', onVisibility);
    removeEventListener('online', onOnline);
  };
}
