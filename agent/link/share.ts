/** Which lane sends next: the ones above more often, none never. Pure arithmetic; knows no frames. */

/** Bytes that each lane may send for one of the last: now, logs, bulk. */
const WEIGHTS = [16, 4, 1] as const;

export class LaneShare {
  /** Bytes sent by weight; the lane with the least is next. */
  readonly #spent = WEIGHTS.map(() => 0);
  readonly #waiting = WEIGHTS.map(() => false);

  /** The lane has something to send. One that comes back from idleness has no claim on what it did not use. */
  wake(lane: number): void {
    if (this.#waiting[lane] === true) return;
    let least = Infinity;
    this.#waiting.forEach((waiting, other) => {
      if (waiting) least = Math.min(least, this.#spent[other] as number);
    });
    if (least !== Infinity) this.#spent[lane] = Math.max(this.#spent[lane] as number, least);
    this.#waiting[lane] = true;
  }

  /** The lane has nothing to send. */
  rest(lane: number): void {
    this.#waiting[lane] = false;
  }

  sent(lane: number, bytes: number): void {
    this.#spent[lane] = (this.#spent[lane] as number) + bytes / (WEIGHTS[lane] as number);
  }

  /** How much of a full turn the lane may take at once, so that a turn of a lower lane is short for those above it. */
  portion(lane: number): number {
    return (WEIGHTS[lane] as number) / WEIGHTS[0];
  }

  /** The waiting lane whose turn it is, of those that may send; undefined if there is none. */
  next(maySend: (lane: number) => boolean): number | undefined {
    let best: number | undefined;
    for (let lane = 0; lane < WEIGHTS.length; lane++) {
      if (this.#waiting[lane] !== true || !maySend(lane)) continue;
      if (best === undefined || (this.#spent[lane] as number) < (this.#spent[best] as number)) best = lane;
    }
    return best;
  }
}
