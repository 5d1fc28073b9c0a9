/**
 * Plain selectors of PromQL, from text to matchers: `metric{a="x", b!~"re"}[5m] offset 1h @ 1700000000`.
 * Not the language: functions, operators and aggregations are refused with their place. Errors are worded as Prometheus words them.
 */
import { MatchOp, type Matcher } from '../model/labels.ts';
import { parseError, QueryError } from './errors.ts';
import { DURATION_MS_MAX, durationOrSecondsMs, numberValue, readString } from './literal.ts';
import { makeMatcher } from './regexp.ts';

/** Longest query text, in UTF-16 units. A selector that names 10,000 hosts has some 250 KB. */
export const QUERY_LENGTH_MAX = 1024 * 1024;
/** Matchers of one selector; each runs over every candidate series. */
export const MATCHERS_MAX = 256;

/** A time that does not depend on the evaluation time: `@ 1700000000`, `@ start()`, `@ end()`. */
export type AtModifier = { readonly kind: 'time'; readonly timeMs: number } | { readonly kind: 'start' } | { readonly kind: 'end' };

export type Selector = {
  readonly matchers: readonly Matcher[];
  /** Length of `[5m]`; absent for an instant vector. */
  readonly rangeMs: number | undefined;
  readonly offsetMs: number;
  readonly at: AtModifier | undefined;
};

/** Parses a query that is one selector. Throws QueryError with a position. */
export function parseSelector(text: string): Selector {
  const parser = new SelectorParser(text);
  return parser.query();
}

/** Parses a `match[]` parameter: matchers alone. */
export function parseMatchers(text: string): readonly Matcher[] {
  const parser = new SelectorParser(text);
  return parser.matchersOnly();
}

/** Words that PromQL does not take as a metric's name. */
const RESERVED = new Set(['bool', 'on', 'ignoring', 'group_left', 'group_right', 'atan2']);
const NUMBERS = new Set(['inf', 'nan']);
const SET_OPERATORS = new Set(['and', 'or', 'unless', 'atan2']);
const NAME = /[A-Za-z_:][\w:]*/y;
const LABEL_NAME = /[A-Za-z_]\w*/y;
const NUMBER_OR_DURATION = /(?:0[xX][\da-fA-F]+|(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\w*/y;
const MATCH_OPERATOR = /=~|!~|!=|=/y;
const OPERATOR = /==|!=|<=|>=|[-+*/%^<>]/y;

class SelectorParser {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    if (text.length > QUERY_LENGTH_MAX) {
      throw new QueryError('query_too_large', `the query has ${text.length} characters, at most ${QUERY_LENGTH_MAX} are allowed`);
    }
    this.#text = text;
  }

  query(): Selector {
    this.#skip();
    const start = this.#at;
    if (this.#done()) throw this.#emptyQuery('no expression found in input');
    const matchers = this.#vector();
    requireNonEmpty(matchers, () => parseError(this.#text, start, 'vector selector must contain at least one non-empty matcher'));
    let selector: Selector = { matchers, rangeMs: undefined, offsetMs: 0, at: undefined };
    const given = new Set<string>();
    for (this.#skip(); !this.#done(); this.#skip()) selector = this.#modifier(selector, given, start);
    return selector;
  }

  matchersOnly(): readonly Matcher[] {
    this.#skip();
    if (this.#done()) throw this.#emptyQuery('unexpected end of input');
    const matchers = this.#vector();
    this.#skip();
    if (!this.#done()) throw this.#unexpected('');
    requireNonEmpty(matchers, () => new QueryError('query_syntax', 'match[] must contain at least one non-empty matcher'));
    return matchers;
  }

  #emptyQuery(detail: string): QueryError {
    return this.#text === ''
      ? new QueryError('query_syntax', `unknown position: parse error: ${detail}`)
      : parseError(this.#text, 0, detail);
  }

  #vector(): readonly Matcher[] {
    const start = this.#at;
    if (this.#peek() === '{') return this.#braces(undefined, start);
    const name = this.#take(NAME);
    if (name === undefined) throw this.#notASelector();
    const lower = name.toLowerCase();
    if (NUMBERS.has(lower)) throw this.#unsupported(start, 'numbers');
    if (RESERVED.has(lower)) throw parseError(this.#text, start, `unexpected <${name}>`);
    this.#skip();
    if (this.#peek() === '(') throw this.#unsupported(start, `"${name}(...)": functions and aggregations`);
    const next = this.#at;
    const word = this.#take(NAME)?.toLowerCase();
    if (word === 'by' || word === 'without') throw this.#unsupported(start, `"${name} ${word} ...": aggregations`);
    this.#at = next;
    return this.#peek() === '{' ? this.#braces(name, start) : [makeMatcher('__name__', MatchOp.equal, name)];
  }

  #notASelector(): QueryError {
    const char = this.#peek();
    if (char === '(') return this.#unsupported(this.#at, 'parentheses');
    if (char === '-' || char === '+') return this.#unsupported(this.#at, 'signs');
    if (char === '"' || char === "'" || char === '`') {
      readString(this.#text, this.#at);
      return this.#unsupported(this.#at, 'strings');
    }
    if (/[\d.]/.test(char)) {
      const start = this.#at;
      return this.#numberAt(start) === undefined ? this.#unexpected('') : this.#unsupported(start, 'numbers');
    }
    return this.#unexpected('');
  }

  #numberAt(start: number): number | undefined {
    const text = this.#take(NUMBER_OR_DURATION);
    this.#at = start;
    return text === undefined ? undefined : durationOrSecondsMs(text);
  }

  #unsupported(at: number, what: string): QueryError {
    return parseError(
      this.#text,
      at,
      `not supported yet: ${what}; a plain selector such as metric{label="value"} was expected`,
      'query_unsupported',
    );
  }

  /** `{...}`, at its opening brace. `name` is what stood before it. */
  #braces(name: string | undefined, selectorStart: number): readonly Matcher[] {
    const matchers: Matcher[] = [];
    this.#at++;
    for (this.#skip(); this.#peek() !== '}'; this.#skip()) {
      if (matchers.length >= MATCHERS_MAX) throw this.#tooMany();
      matchers.push(this.#matcher());
      this.#skip();
      if (this.#peek() === ',') this.#at++;
      else if (this.#peek() !== '}') throw this.#unexpected(' in label matching, expected "," or "}"', true);
    }
    this.#at++;
    if (name === undefined) return matchers;
    const again = matchers.find((matcher) => matcher.name === '__name__');
    if (again !== undefined) {
      throw parseError(this.#text, selectorStart, `metric name must not be set twice: "${name}" or "${again.value}"`);
    }
    return [makeMatcher('__name__', MatchOp.equal, name), ...matchers];
  }

  #tooMany(): QueryError {
    return new QueryError('query_too_large', `a selector with more than ${MATCHERS_MAX} matchers is not evaluated`);
  }

  /** `label op "value"`, or a quoted metric name alone. */
  #matcher(): Matcher {
    const start = this.#at;
    const quoted = this.#string();
    const name = quoted ?? this.#take(LABEL_NAME);
    if (name === undefined) throw this.#unexpected(' in label matching, expected identifier or "}"', true);
    this.#skip();
    if (quoted !== undefined && !/[=!]/.test(this.#peek())) return makeMatcher('__name__', MatchOp.equal, quoted);
    const op = this.#take(MATCH_OPERATOR);
    if (op === undefined) throw this.#unexpected(' in label matching, expected label matching operator', true);
    this.#skip();
    const value = this.#string();
    if (value === undefined) throw this.#unexpected(' in label matching, expected string', true);
    try {
      return makeMatcher(name, op as MatchOp, value);
    } catch (error) {
      if (error instanceof QueryError) throw parseError(this.#text, start, error.message, error.code);
      throw error;
    }
  }

  /** What may follow the braces: `[range]`, `offset`, `@`. `given` holds those that have been seen. */
  #modifier(selector: Selector, given: Set<string>, start: number): Selector {
    const at = this.#at;
    const char = this.#peek();
    if (char === '[') {
      if (given.size > 0) throw parseError(this.#text, at, 'ranges only allowed for vector selectors');
      given.add('range');
      return { ...selector, rangeMs: this.#range() };
    }
    if (char === '@') {
      this.#at++;
      if (given.has('@')) throw parseError(this.#text, start, '@ <timestamp> may not be set multiple times');
      given.add('@');
      return { ...selector, at: this.#timestamp(start) };
    }
    const word = this.#take(NAME)?.toLowerCase();
    if (word === 'offset') {
      const offsetMs = this.#offset();
      if (given.has('offset')) throw parseError(this.#text, start, 'offset may not be set multiple times');
      given.add('offset');
      return { ...selector, offsetMs };
    }
    this.#at = at;
    const operator = word !== undefined && SET_OPERATORS.has(word) ? word : this.#take(OPERATOR);
    this.#at = at;
    if (operator !== undefined) throw this.#unsupported(at, `the operator "${operator}"`);
    throw this.#unexpected('');
  }

  #range(): number {
    this.#at++;
    this.#skip();
    const start = this.#at;
    if (this.#done()) throw parseError(this.#text, this.#text.length, 'unclosed left bracket');
    const negative = this.#sign();
    const ms = this.#duration(start, ' in subquery selector, expected number or duration');
    if (negative || ms <= 0) throw parseError(this.#text, start, 'duration must be greater than 0');
    this.#skip();
    if (this.#done()) throw parseError(this.#text, this.#text.length, 'unclosed left bracket');
    if (this.#peek() === ':') throw this.#unsupported(this.#at, 'subqueries');
    if (this.#peek() !== ']') throw this.#unexpected(' in subquery or range, expected ":" or "]"');
    this.#at++;
    return ms;
  }

  #offset(): number {
    this.#skip();
    const negative = this.#sign();
    this.#skip();
    const ms = this.#duration(this.#at, ' in offset, expected number or duration');
    return negative ? -ms : ms;
  }

  #duration(start: number, context: string): number {
    const at = this.#at;
    const text = this.#take(NUMBER_OR_DURATION);
    if (text === undefined) throw this.#unexpected(context);
    const ms = durationOrSecondsMs(text);
    if (ms === undefined)
      throw parseError(this.#text, at, `bad number or duration syntax: "${text}", expected one such as 90, 5m or 1h30m`);
    if (ms > DURATION_MS_MAX) throw parseError(this.#text, start, 'duration out of range');
    return ms;
  }

  #timestamp(start: number): AtModifier {
    this.#skip();
    const at = this.#at;
    const word = this.#take(NAME)?.toLowerCase();
    if (word === 'start' || word === 'end') return this.#atFunction(word);
    this.#at = at;
    const negative = this.#sign();
    this.#skip();
    const text = word !== undefined && NUMBERS.has(word) ? this.#take(NAME) : this.#take(NUMBER_OR_DURATION);
    if (text === undefined) throw this.#unexpected(' in @, expected timestamp');
    const seconds = word !== undefined ? Number.NaN : numberValue(text);
    if (seconds === undefined) throw parseError(this.#text, at, `bad timestamp "${text}" in @, expected seconds since 1970`);
    if (!(seconds * 1000 <= DURATION_MS_MAX * 1000)) {
      throw parseError(this.#text, start, `timestamp out of bounds for @ modifier: ${negative ? '-' : ''}${text}`);
    }
    return { kind: 'time', timeMs: Math.round((negative ? -seconds : seconds) * 1000) };
  }

  #atFunction(kind: 'start' | 'end'): AtModifier {
    for (const char of ['(', ')']) {
      this.#skip();
      if (this.#peek() !== char) throw this.#unexpected(` in @, expected "${char}"`);
      this.#at++;
    }
    return { kind };
  }

  /** True if an odd number of minus signs stood there. */
  #sign(): boolean {
    let negative = false;
    for (; this.#peek() === '-' || this.#peek() === '+'; this.#skip()) {
      if (this.#peek() === '-') negative = !negative;
      this.#at++;
    }
    return negative;
  }

  /** The error for what stands here instead of what `context` asks for. */
  #unexpected(context: string, braces = false): QueryError {
    const at = this.#at;
    const char = this.#peek();
    if (char === '') return parseError(this.#text, this.#text.length, `unexpected end of input${braces ? ' inside braces' : context}`);
    const found = this.#describe(char, braces);
    if (found !== undefined) return parseError(this.#text, at, `unexpected ${found}${context}`);
    const point = String.fromCodePoint(this.#text.codePointAt(at) ?? 0);
    if (char === ')') return parseError(this.#text, at, "unexpected right parenthesis ')'");
    if (char === ']') return parseError(this.#text, at, context === '' ? "unexpected right bracket ']'" : `unexpected "]"${context}`);
    return parseError(this.#text, at, `unexpected character${braces ? ' inside braces' : ''}: '${point}'`);
  }

  /** What stands here, if it is a token that PromQL knows. */
  #describe(char: string, braces: boolean): string | undefined {
    const start = this.#at;
    if (this.#string() !== undefined) {
      const quoted = this.#text.slice(start, this.#at);
      this.#at = start;
      return `string ${JSON.stringify(quoted.length > 64 ? `${quoted.slice(0, 64)}...` : quoted)}`;
    }
    const word = this.#take(braces ? LABEL_NAME : NAME);
    this.#at = start;
    if (word !== undefined) return `identifier "${word}"`;
    if (braces) return char === '=' || char === ',' || char === '}' ? `"${char}"` : undefined;
    const number = this.#take(NUMBER_OR_DURATION);
    this.#at = start;
    if (number !== undefined) return `${numberValue(number) === undefined ? 'duration' : 'number'} "${number}"`;
    const operator = this.#take(OPERATOR);
    this.#at = start;
    if (operator !== undefined) return `<op:${operator}>`;
    return '={(,['.includes(char) ? `"${char}"` : undefined;
  }

  #string(): string | undefined {
    const char = this.#peek();
    if (char !== '"' && char !== "'" && char !== '`') return undefined;
    const { value, end } = readString(this.#text, this.#at);
    this.#at = end;
    return value;
  }

  #take(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const match = pattern.exec(this.#text);
    if (match === null) return undefined;
    this.#at += match[0].length;
    return match[0];
  }

  /** White space and comments. */
  #skip(): void {
    for (;;) {
      const char = this.#text[this.#at];
      if (char === ' ' || char === '\t' || char === '\n' || char === '\r') this.#at++;
      else if (char === '#') {
        const end = this.#text.indexOf('\n', this.#at);
        this.#at = end === -1 ? this.#text.length : end + 1;
      } else return;
    }
  }

  #peek(): string {
    return this.#text[this.#at] ?? '';
  }

  #done(): boolean {
    return this.#at >= this.#text.length;
  }
}

/** A selector of which every matcher takes the empty string would select everything. */
function requireNonEmpty(matchers: readonly Matcher[], error: () => QueryError): void {
  if (matchers.every((matcher) => matcher.matches(''))) throw error();
}
