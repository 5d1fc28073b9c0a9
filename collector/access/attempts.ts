/** How many wrong credentials an address may send: a token bucket each. Right ones cost nothing. Pure but for the map it keeps. */

/** A person who mistypes, a dashboard with an old token that asks in parallel. */
const BURST = 20;
/** One more attempt each second: a forgotten client that polls every five seconds is never shut out, a guesser gets nowhere. */
const REFILL_MS = 1000;
/** Addresses remembered; the longest unseen goes first. */
const ADDRESSES_MAX = 10_000;

type Bucket = { left: number; atMs: number };

export class Attempts {
  readonly #buckets = new Map<string, Bucket>();
  readonly #nowMs: () => number;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** Seconds until the address may try again; 0 if it may now. */
  waitSeconds(address: string): number {
    const bucket = this.#buckets.get(network(address));
    if (bucket === undefined) return 0;
    const left = this.#left(bucket);
    return left >= 1 ? 0 : Math.ceil(((1 - left) * REFILL_MS) / 1000);
  }

  failed(address: string): void {
    const key = network(address);
    const bucket = this.#buckets.get(key) ?? { left: BURST, atMs: this.#nowMs() };
    this.#buckets.delete(key);
    this.#buckets.set(key, { left: Math.max(0, this.#left(bucket) - 1), atMs: this.#nowMs() });
    if (this.#buckets.size <= ADDRESSES_MAX) return;
    const [oldest] = this.#buckets.keys();
    if (oldest !== undefined) this.#buckets.delete(oldest);
  }

  #left(bucket: Bucket): number {
    return Math.min(BURST, bucket.left + Math.max(0, this.#nowMs() - bucket.atMs) / REFILL_MS);
  }
}

/** One IPv6 subscriber has 2^64 addresses: they count as one. */
function network(address: string): string {
  if (!address.includes(':') || address.includes('.')) return address;
  const groups = address.split('::')[0]?.split(':') ?? [];
  return [...groups, '0', '0', '0', '0'].slice(0, 4).join(':');
}
