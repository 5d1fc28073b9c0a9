/** Small readers of decoded msgpack: each gives a typed value or undefined, never throws. Used by control.ts and handshake.ts. */

export type Fields = Readonly<Record<string, unknown>>;

export function asFields(value: unknown): Fields | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array)
    ? (value as Fields)
    : undefined;
}

export function asCount(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : undefined;
}

export function asInteger(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isSafeInteger(value) ? value : undefined;
}

export function asText(value: unknown, bytesMax: number): string | undefined {
  return typeof value === 'string' && Buffer.byteLength(value) <= bytesMax ? value : undefined;
}

/** A copy of a bin of exactly `length` bytes. */
export function asBytes(value: unknown, length: number): Uint8Array | undefined {
  return value instanceof Uint8Array && value.length === length ? Uint8Array.from(value) : undefined;
}

/** All items read by `read`, or undefined if one cannot be or there are too many. */
export function asList<T>(value: unknown, countMax: number, read: (item: unknown) => T | undefined): T[] | undefined {
  if (!Array.isArray(value) || value.length > countMax) return undefined;
  const items: T[] = [];
  for (const raw of value as unknown[]) {
    const item = read(raw);
    if (item === undefined) return undefined;
    items.push(item);
  }
  return items;
}
