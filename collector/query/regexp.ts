/** Label matchers with RE2 regular expressions: anchored, in linear time whatever the pattern. Not a general regexp library; re2js is imported here alone. */
import { RE2JS } from 're2js';
import { MatchOp, type Matcher } from '../model/labels.ts';
import { QueryError } from './errors.ts';

/**
 * Longest pattern handed to the engine, in UTF-16 units. Its time is linear in the label's value, but also in the pattern: `a?` as often as
 * this allows takes some 0.1 s on a value of 2 KB.
 */
export const PATTERN_LENGTH_MAX = 8 * 1024;
/** Longest alternation of plain words: a dashboard that names 10,000 hosts needs 250 KB, and this costs only a set. */
export const WORDS_LENGTH_MAX = 512 * 1024;
/** Words of one alternation that a store may look up one by one. */
export const WORDS_MAX = 20_000;
/**
 * Instructions that the counted repetitions of a pattern may unfold to: `x{1000}` is 1000. Without it `(?:x{30}y){30}` a thousand times over
 * are a million instructions and three seconds of compiling.
 */
export const REPEAT_MAX = 10_000;

/** A matcher, compiled. Throws QueryError `query_regexp` if the pattern is not RE2's or too long. */
export function makeMatcher(name: string, op: MatchOp, value: string): Matcher {
  switch (op) {
    case MatchOp.equal:
      return { name, op, value, matches: (text) => text === value };
    case MatchOp.notEqual:
      return { name, op, value, matches: (text) => text !== value };
    case MatchOp.regexp: {
      const { test, words } = compilePattern(value);
      return words === undefined ? { name, op, value, matches: test } : { name, op, value, matches: test, values: words };
    }
    case MatchOp.notRegexp: {
      const { test } = compilePattern(value);
      return { name, op, value, matches: (text) => !test(text) };
    }
  }
}

export type Pattern = {
  readonly test: (text: string) => boolean;
  /** All that the pattern can match, if it is an alternation of plain words. */
  readonly words?: readonly string[];
};

/** The whole text must match; `.` matches line feeds too, as in Prometheus 3. */
export function compilePattern(pattern: string): Pattern {
  const words = plainWords(pattern);
  if (words !== undefined) return wordPattern(words);
  const shape = simpleShape(pattern);
  if (shape !== undefined) return { test: shape };
  if (pattern.length > PATTERN_LENGTH_MAX) {
    throw new QueryError(
      'query_regexp',
      `error parsing regexp: the pattern has ${pattern.length} characters, at most ${PATTERN_LENGTH_MAX} are allowed`,
    );
  }
  const repeats = unfoldedRepeats(pattern);
  if (repeats > REPEAT_MAX) {
    throw new QueryError(
      'query_regexp',
      `error parsing regexp: the pattern's counted repetitions unfold to ${repeats} or more, at most ${REPEAT_MAX} are allowed`,
    );
  }
  const compiled = compileRe2(pattern);
  const prefix = literalPrefix(pattern);
  return { test: (text) => text.startsWith(prefix) && compiled.testExact(text) };
}

function compileRe2(pattern: string): RE2JS {
  try {
    return RE2JS.compile(pattern, RE2JS.DOTALL);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new QueryError('query_regexp', message.replace('`(?s)', '`'), { cause: error });
  }
}

function wordPattern(words: readonly string[]): Pattern {
  if (words.length === 1) {
    const only = words[0];
    return { test: (text) => text === only, words };
  }
  const set = new Set(words);
  return { test: (text) => set.has(text), words: [...set] };
}

const META = new Set('\\.+*?()|[]{}^$');

/** The words of `a|b|c`, `(a|b)` or `(?:a|b)` if no other operator occurs; escaped punctuation counts as plain. */
function plainWords(pattern: string): readonly string[] | undefined {
  if (pattern.length > WORDS_LENGTH_MAX) return undefined;
  const inner = withoutGroup(pattern);
  const words: string[] = [];
  let word = '';
  for (let i = 0; i < inner.length; i++) {
    const char = inner[i] as string;
    if (char === '|') {
      words.push(word);
      word = '';
      if (words.length >= WORDS_MAX) return undefined;
    } else if (char === '\\') {
      const next = inner[++i];
      if (next === undefined || !isPunctuation(next)) return undefined;
      word += next;
    } else if (META.has(char)) return undefined;
    else word += char;
  }
  words.push(word);
  return words;
}

/** What is between the parentheses if one pair encloses the whole pattern and there is no other. */
function withoutGroup(pattern: string): string {
  if (!pattern.startsWith('(') || !pattern.endsWith(')') || pattern.endsWith('\\)')) return pattern;
  const start = pattern.startsWith('(?:') ? 3 : 1;
  const inner = pattern.slice(start, -1);
  return inner.includes('(') || inner.includes(')') ? pattern : inner;
}

function isPunctuation(char: string): boolean {
  const code = char.charCodeAt(0);
  return code < 0x80 && code > 0x20 && !/[0-9A-Za-z]/.test(char);
}

/** `.*`, `.+`, `word.*`, `word.+`, `.*word`, `.*word.*`: common, and need no engine. */
function simpleShape(pattern: string): ((text: string) => boolean) | undefined {
  const open = /^\.[*+]/.exec(pattern)?.[0] ?? '';
  const rest = pattern.slice(open.length);
  const close = /\.[*+]$/.exec(rest)?.[0] ?? '';
  const words = plainWords(rest.slice(0, rest.length - close.length));
  const word = words?.[0];
  if (words?.length !== 1 || word === undefined || (open === '' && close === '')) return undefined;
  if (word === '') return emptyShape(open, close);
  const before = open === '.+' ? 1 : 0;
  const after = close === '.+' ? 1 : 0;
  if (open === '') return (text) => text.startsWith(word) && text.length >= word.length + after;
  if (close === '') return (text) => text.endsWith(word) && text.length >= word.length + before;
  return (text) => {
    const at = text.indexOf(word, before);
    return at !== -1 && at + word.length + after <= text.length;
  };
}

function emptyShape(open: string, close: string): ((text: string) => boolean) | undefined {
  if (open !== '' && close !== '') return undefined;
  return open === '.*' || close === '.*' ? () => true : (text) => text !== '';
}

/** Plain text that every match begins with. Only what stands before the first operator, and not its last character: an operator may make that optional. */
function literalPrefix(pattern: string): string {
  if (pattern.includes('|')) return '';
  let end = 0;
  while (end < pattern.length && !META.has(pattern[end] as string)) end++;
  return pattern.slice(0, Math.max(0, end - (end < pattern.length ? 1 : 0)));
}

/** An upper bound, cheap to find, of the instructions that counted repetitions unfold to. */
function unfoldedRepeats(pattern: string): number {
  let sum = 0;
  for (const match of pattern.matchAll(/\{(\d{1,9})(?:,(\d{0,9}))?\}/g)) {
    const count = Math.max(Number(match[1]), Number(match[2] ?? 0), 1);
    sum += count * operandLength(pattern, match.index);
    if (sum > REPEAT_MAX) break;
  }
  return sum;
}

/** Characters of what the repetition at `end` repeats: back to the matching bracket, at least one. */
function operandLength(pattern: string, end: number): number {
  const last = pattern[end - 1];
  if (last !== ')') return 1;
  let depth = 0;
  for (let i = end - 1; i >= 0; i--) {
    if (pattern[i] === ')') depth++;
    else if (pattern[i] === '(' && --depth === 0) return end - i;
  }
  return end;
}
