/** What the link writes to the log: each failure when it is news, each kind of refused message once in a while. Figures count them all. */

export type LinkLog = {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  debug(fields: object, message: string): void;
};

/** A failure that goes on is told again this often, a message or frame that is not taken this often per code. */
const REPEAT_FAILURE_MS = 10 * 60 * 1000;
const REPEAT_NOTE_MS = 60_000;

export class LinkJournal {
  readonly #log: LinkLog;
  readonly #monotonicMs: () => number;
  #failure = '';
  #failedMs = -Infinity;
  /** By code, of which there is a closed set: when something of the kind was logged last. */
  readonly #notedMs = new Map<string, number>();

  constructor(log: LinkLog, monotonicMs: () => number) {
    this.#log = log;
    this.#monotonicMs = monotonicMs;
  }

  connected(host: string): void {
    this.#failure = '';
    this.#log.info({ host }, 'connected to the collector');
  }

  failed(code: string, detail: string, retryMs: number): void {
    const nowMs = this.#monotonicMs();
    const failure = `${code} ${detail}`;
    const isNews = failure !== this.#failure || nowMs - this.#failedMs > REPEAT_FAILURE_MS;
    const fields = { code, detail, retryMs: Math.round(retryMs) };
    this.#failure = failure;
    if (!isNews) return this.#log.debug(fields, 'no connection to the collector');
    this.#failedMs = nowMs;
    this.#log.warn(fields, 'no connection to the collector');
  }

  /** A peer that sends the same again and again does not fill the log. */
  note(fields: { readonly code: string } & Readonly<Record<string, unknown>>, message: string): void {
    const nowMs = this.#monotonicMs();
    if (nowMs - (this.#notedMs.get(fields.code) ?? -Infinity) < REPEAT_NOTE_MS) return;
    this.#notedMs.set(fields.code, nowMs);
    this.#log.warn(fields, message);
  }
}
