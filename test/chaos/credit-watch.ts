/** What one connection of an agent has under way, seen from outside, against the credit that it was given. Not the agent's own count. */
import type { ControlMessage } from '../../protocol/index.ts';

type KeyOf = (epoch: Uint8Array, lane: number, sequence: number) => string | undefined;

export class CreditWatch {
  /** The welcome's is larger than anything a simulation sends. */
  #credit: readonly number[] = [Infinity, Infinity, Infinity];
  readonly #flights = [new Map<string, number>(), new Map<string, number>(), new Map<string, number>()];

  /** A sentence if the frame should not have been sent. Credit that is left lets one more through, however large. */
  sent(lane: number, key: string, bytes: number): string | undefined {
    const flights = this.#flights[lane];
    if (flights === undefined) return undefined;
    const under = flights.values().reduce((sum, size) => sum + size, 0);
    const credit = this.#credit[lane] ?? 0;
    flights.set(key, bytes);
    return under < credit ? undefined : `${bytes} bytes with ${under} under way, credit ${credit}`;
  }

  heard(message: ControlMessage, keyOf: KeyOf): void {
    if (message.kind === 'credit') this.#credit = message.lanes;
    // Everything is sent again.
    if (message.kind === 'need') for (const flights of this.#flights) flights.clear();
    if (message.kind === 'refuse') this.#landed(message.lane, keyOf(message.epoch, message.lane, message.sequence));
    if (message.kind !== 'ack') return;
    for (const [from, to] of message.ranges) {
      for (let sequence = from; sequence < to; sequence++) this.#landed(message.lane, keyOf(message.epoch, message.lane, sequence));
    }
  }

  #landed(lane: number, key: string | undefined): void {
    if (key !== undefined) this.#flights[lane]?.delete(key);
  }
}
