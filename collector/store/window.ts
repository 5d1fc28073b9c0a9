/** Windows of an hour and partitions of a UTC day: the arithmetic of sample time. Not what lies in them. */

/** Chunks and the index are by windows of an hour of sample time. */
export const WINDOW_MS = 3_600_000;
const WINDOWS_PER_DAY = 24;
export const DAY_MS = WINDOW_MS * WINDOWS_PER_DAY;
/** Windows are unsigned 32-bit numbers of hours since 1970; times outside are refused. */
export const WINDOW_MAX = 2 ** 32 - 1;

export function windowOf(timeMs: number): number {
  return Math.floor(timeMs / WINDOW_MS);
}

/** Days since 1970 of a window. */
export function dayOf(window: number): number {
  return Math.floor(window / WINDOWS_PER_DAY);
}

/** `2026-03-01`: the folder of a day's partition. */
export function dayName(day: number): string {
  return new Date(day * DAY_MS).toISOString().slice(0, -14);
}

/** The day that a folder is named for, or undefined for a folder that is none of ours. */
export function dayOfName(name: string): number | undefined {
  const ms = /^[+-]?\d{4,6}-\d\d-\d\d$/.test(name) ? Date.parse(`${name}T00:00:00Z`) : NaN;
  return Number.isNaN(ms) ? undefined : ms / DAY_MS;
}
