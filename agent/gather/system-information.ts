/** The one place that loads systeminformation, and only when asked: it starts other programs and costs memory, so nothing on Linux loads it while it gathers. */
import type * as systeminformation from 'systeminformation';

export type SystemInformation = typeof systeminformation.default;

export async function loadSystemInformation(): Promise<SystemInformation> {
  const loaded = await import('systeminformation');
  return loaded.default;
}
