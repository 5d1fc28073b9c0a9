/** Where we are: the hash of the address, read and written. In the hash, so that any server that can serve one file can serve every view. Pure. */

/** What the range buttons offer. */
export const RANGES = [
  { ms: 5 * 60_000, label: '5 m', name: '5 minutes' },
  { ms: 15 * 60_000, label: '15 m', name: '15 minutes' },
  { ms: 3_600_000, label: '1 h', name: '1 hour' },
  { ms: 6 * 3_600_000, label: '6 h', name: '6 hours' },
  { ms: 24 * 3_600_000, label: '24 h', name: '24 hours' },
] as const;

export const RANGE_DEFAULT_MS = RANGES[0].ms;
/** Ten samples: closer there is nothing more to see. */
export const ZOOM_MIN_MS = 10_000;
const ZOOM_MAX_MS = 366 * 86_400_000;

/** The window of a host's charts: the last so many milliseconds, moving; or a fixed one. */
export type View =
  | { readonly kind: 'live'; readonly rangeMs: number }
  | { readonly kind: 'fixed'; readonly fromMs: number; readonly toMs: number };

export type Route = { readonly page: 'hosts' } | { readonly page: 'host'; readonly name: string; readonly view: View };

export function parseRoute(hash: string): Route {
  const [path = '', search = ''] = hash.replace(/^#/, '').split('?');
  const match = /^\/hosts\/([^/]+)$/.exec(path);
  const name = match?.[1] === undefined ? undefined : decode(match[1]);
  return name === undefined ? { page: 'hosts' } : { page: 'host', name, view: parseView(new URLSearchParams(search)) };
}

export function formatRoute(route: Route): string {
  if (route.page === 'hosts') return '#/';
  const path = `#/hosts/${encodeURIComponent(route.name)}`;
  const { view } = route;
  if (view.kind === 'fixed') return `${path}?from=${Math.round(view.fromMs)}&to=${Math.round(view.toMs)}`;
  if (view.rangeMs === RANGE_DEFAULT_MS) return path;
  return `${path}?range=${RANGES.find((range) => range.ms === view.rangeMs)?.label.replace(' ', '') ?? `${view.rangeMs}ms`}`;
}

/** Steps that divide minutes, hours and days, so that points of neighbouring windows fall on the same instants. */
const STEPS_S = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 43_200, 86_400] as const;
/** 15 minutes at one second; about as many as a wide chart has pixels. */
const POINTS_MAX = 900;

/** The smallest step that keeps a window within the points that can be seen. */
export function stepFor(spanMs: number): number {
  const seconds = STEPS_S.find((step) => spanMs / 1000 / step <= POINTS_MAX) ?? STEPS_S[STEPS_S.length - 1] ?? 1;
  return seconds * 1000;
}

/** The window moved by a share of itself, or grown (factor > 1) or shrunk about its middle; never past `nowMs`. */
export function moveWindow(
  window: { readonly fromMs: number; readonly toMs: number },
  move: { readonly shift: number; readonly factor: number },
  nowMs: number,
): View {
  const span = Math.min(ZOOM_MAX_MS, Math.max(ZOOM_MIN_MS, (window.toMs - window.fromMs) * move.factor));
  const middle = (window.fromMs + window.toMs) / 2 + move.shift * (window.toMs - window.fromMs);
  const toMs = Math.min(nowMs, middle + span / 2);
  return { kind: 'fixed', fromMs: Math.round(toMs - span), toMs: Math.round(toMs) };
}

function parseView(search: URLSearchParams): View {
  const fromMs = Number(search.get('from') ?? NaN);
  const toMs = Number(search.get('to') ?? NaN);
  if (toMs - fromMs >= ZOOM_MIN_MS && toMs - fromMs <= ZOOM_MAX_MS && fromMs > 0) return { kind: 'fixed', fromMs, toMs };
  const label = search.get('range');
  const range = RANGES.find((one) => one.label.replace(' ', '') === label);
  return { kind: 'live', rangeMs: range?.ms ?? RANGE_DEFAULT_MS };
}

function decode(part: string): string | undefined {
  try {
    return decodeURIComponent(part);
  } catch {
    return undefined; // A broken escape is no host's name; the overview says more than an error would.
  }
}
