/** Server-sent events as text: bytes in, events out. Knows nothing of connections; pure but for the buffer of one unfinished event. */

export type ServerEvent = { readonly name: string; readonly data: string };

/** 64 MB: ten thousand hosts in the first event are about 8 MB; what is larger is not ours. */
const EVENT_CHARACTERS_MAX = 64 * 1024 * 1024;

export class EventStreamParser {
  #rest = '';
  #name = '';
  #data: string[] = [];
  #size = 0;

  /** The events that `chunk` completed, in order. Throws RangeError if one event outgrows the bound. */
  push(chunk: string): ServerEvent[] {
    const events: ServerEvent[] = [];
    // A lone \r at the end may be half of \r\n, so it waits for the next chunk.
    const text = this.#rest + chunk;
    const end = text.endsWith('\r') ? text.length - 1 : text.length;
    let start = 0;
    for (let i = 0; i < end; i++) {
      const code = text.charCodeAt(i);
      if (code !== 10 && code !== 13) continue;
      const event = this.#line(text.slice(start, i));
      if (event) events.push(event);
      if (code === 13 && text.charCodeAt(i + 1) === 10) i++;
      start = i + 1;
    }
    this.#rest = text.slice(start);
    if (this.#rest.length + this.#size > EVENT_CHARACTERS_MAX) {
      throw new RangeError(`an event of the stream is larger than ${EVENT_CHARACTERS_MAX} characters`);
    }
    return events;
  }

  #line(line: string): ServerEvent | undefined {
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
