/** Server-sent events as text: bytes in, events out. Knows nothing of connections; pure but for the buffer of one unfinished event. */

export type ServerEvent = { readonly name: string; readonly data: string };

/** 64 MB: ten thousand hosts in the first event are about 8 MB; what is larger is not ours. */
const EVENT_CHARACTERS_MAX = 64 * 1024 * 1024;
const LINE_FEED = 10;
const CARRIAGE_RETURN = 13;

export class EventStreamParser {
  /** The line that has begun. Only what is new is searched for its end, so that a long line in many chunks is not read many times. */
  #line = '';
  /** The last chunk ended with \r: a \n at the head of the next belongs to it. */
  #skipNewline = false;
  #name = '';
  #data: string[] = [];
  #size = 0;

  /** The events that `chunk` completed, in order. Throws RangeError if one event outgrows the bound. */
  push(chunk: string): ServerEvent[] {
    const events: ServerEvent[] = [];
    let start = this.#skipNewline && chunk.startsWith('\n') ? 1 : 0;
    if (chunk.length > 0) this.#skipNewline = false;
    for (let i = start; i < chunk.length; i++) {
      const code = chunk.charCodeAt(i);
      if (code !== LINE_FEED && code !== CARRIAGE_RETURN) continue;
      const event = this.#field(this.#line + chunk.slice(start, i));
      this.#line = '';
      if (event) events.push(event);
      if (code === CARRIAGE_RETURN && chunk.charCodeAt(i + 1) === LINE_FEED) i++;
      else if (code === CARRIAGE_RETURN && i === chunk.length - 1) this.#skipNewline = true;
      start = i + 1;
    }
    this.#line += chunk.slice(start);
    if (this.#line.length + this.#size > EVENT_CHARACTERS_MAX) {
      throw new RangeError(`an event of the stream is larger than ${EVENT_CHARACTERS_MAX} characters`);
    }
    return events;
  }

  #field(line: string): ServerEvent | undefined {
    if (line === '') return this.#dispatch();
    const colon = line.indexOf(':');
    if (colon === 0) return undefined;
    const field = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? '' : line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1);
    if (field === 'event') this.#name = value;
    if (field === 'data') {
      this.#data.push(value);
      this.#size += value.length;
    }
    return undefined;
  }

  #dispatch(): ServerEvent | undefined {
    const event = this.#data.length === 0 ? undefined : { name: this.#name || 'message', data: this.#data.join('\n') };
    this.#name = '';
    this.#data = [];
    this.#size = 0;
    return event;
  }
}
