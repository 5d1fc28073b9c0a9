/** Text of one file as bytes and a position in it: words, numbers, lines, and errors that name the file. Opens nothing; that is source-file.ts. */

/** Why a source could not be read. Codes are stable, messages are not. */
export type GatherErrorCode = 'source_missing' | 'source_unreadable' | 'source_malformed' | 'source_oversized' | 'source_timeout';

export class GatherError extends Error {
  readonly code: GatherErrorCode;
  constructor(code: GatherErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'GatherError';
    this.code = code;
  }
}

const NEWLINE = 10;
const TAB = 9;
const SPACE = 32;
const MINUS = 45;
const POINT = 46;
const ZERO = 48;

/** 15 digits always fit a double exactly; longer ones are left to the engine, which rounds once as strtod does. */
const EXACT_DIGITS_MAX = 15;
/** Beyond this a native search for the line's end is quicker than the loop. */
const SHORT_LINE_BYTES = 96;
/** What is shown of a line that could not be read. */
const EXCERPT_BYTES_MAX = 60;
/** Holds every file that is read each second on a machine of ordinary size, so that it rarely grows. */
const FIRST_BYTES = 32 * 1024;

export class Scanner {
  /** Shared by all files that are read one after the other; `end` says how much of it belongs to the present one. */
  bytes: Buffer = Buffer.allocUnsafe(FIRST_BYTES);
  end = 0;
  pos = 0;
  path = '';

  /** Takes a text that is already in memory. */
  static of(text: string | Uint8Array, path: string): Scanner {
    const scanner = new Scanner();
    scanner.bytes = Buffer.from(text);
    scanner.end = scanner.bytes.length;
    scanner.path = path;
    return scanner;
  }

  atEnd(): boolean {
    return this.pos >= this.end;
  }

  atLineEnd(): boolean {
    return this.pos >= this.end || this.bytes[this.pos] === NEWLINE;
  }

  peek(): number {
    return this.pos < this.end ? (this.bytes[this.pos] as number) : -1;
  }

  skipBlanks(): void {
    const { bytes, end } = this;
    let pos = this.pos;
    while (pos < end && (bytes[pos] === SPACE || bytes[pos] === TAB)) pos++;
    this.pos = pos;
  }

  /** Moves behind the word that begins here and returns its end. */
  word(): number {
    const { bytes, end } = this;
    let pos = this.pos;
    while (pos < end) {
      const byte = bytes[pos] as number;
      if (byte === SPACE || byte === NEWLINE || byte === TAB) break;
      pos++;
    }
    return (this.pos = pos);
  }

  /** Moves behind the end of this line. */
  nextLine(): void {
    const { bytes, end } = this;
    let pos = this.pos;
    const near = Math.min(end, pos + SHORT_LINE_BYTES);
    while (pos < near && bytes[pos] !== NEWLINE) pos++;
    if (pos === near && pos < end) {
      const found = bytes.indexOf(NEWLINE, pos);
      pos = found < 0 || found > end ? end : found;
    }
    this.pos = pos < end ? pos + 1 : end;
  }

  /** An integer without sign that ends where a word ends. */
  integer(): number {
    const { bytes, end } = this;
    const start = this.pos;
    let pos = start;
    let value = 0;
    while (pos < end) {
      const digit = (bytes[pos] as number) - ZERO;
      if (digit < 0 || digit > 9) break;
      value = value * 10 + digit;
      pos++;
    }
    if (pos === start || !this.#wordEndsAt(pos)) this.fail('a whole number');
    this.pos = pos;
    return pos - start <= EXACT_DIGITS_MAX ? value : Number(bytes.toString('latin1', start, pos));
  }

  /** An integer that may be negative. */
  signedInteger(): number {
    if (this.peek() !== MINUS) return this.integer();
    this.pos++;
    return -this.integer();
  }

  /** A decimal number such as a load average: digits, a point, digits. */
  decimal(): number {
    const { bytes, end } = this;
    const start = this.pos;
    let pos = start;
    let digits = 0;
    let scale = 1;
    let value = 0;
    let isFraction = false;
    for (; pos < end; pos++) {
      const byte = bytes[pos] as number;
      if (byte === POINT && !isFraction) {
        isFraction = true;
        continue;
      }
      const digit = byte - ZERO;
      if (digit < 0 || digit > 9) break;
      value = value * 10 + digit;
      if (isFraction) scale *= 10;
      digits++;
    }
    if (digits === 0 || digits > EXACT_DIGITS_MAX || !this.#wordEndsAt(pos)) this.fail('a decimal number');
    this.pos = pos;
    return value / scale;
  }

  /** Text between two positions. Only for what has not been seen before: strings cost. */
  text(start: number, end: number): string {
    return this.bytes.toString('utf8', start, end);
  }

  /** The kernel ends every line; a text that does not was cut, and its last number cannot be trusted. */
  requireWhole(what: string): void {
    if (this.end === 0) this.fail(`${what}, found an empty file`);
    if (this.bytes[this.end - 1] === NEWLINE) return;
    this.pos = this.bytes.lastIndexOf(NEWLINE, this.end - 1) + 1;
    this.fail(`${what} up to a line end, found a cut line`);
  }

  /** Throws: what was expected at this position, what stands there, and where that is. */
  fail(expected: string): never {
    let line = 1;
    let lineStart = 0;
    for (let i = 0; i < this.pos; i++) {
      if (this.bytes[i] !== NEWLINE) continue;
      line++;
      lineStart = i + 1;
    }
    const newline = this.bytes.indexOf(NEWLINE, lineStart);
    const lineEnd = newline < 0 || newline > this.end ? this.end : newline;
    const excerpt = JSON.stringify(this.text(lineStart, Math.min(lineEnd, lineStart + EXCERPT_BYTES_MAX)));
    throw new GatherError('source_malformed', `cannot read ${this.path}, line ${line}: expected ${expected} in ${excerpt}`);
  }

  #wordEndsAt(pos: number): boolean {
    if (pos >= this.end) return true;
    const byte = this.bytes[pos] as number;
    return byte === SPACE || byte === NEWLINE || byte === TAB;
  }
}
