/** Matchers: RE2's meaning, anchored, and linear whatever the pattern. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MatchOp } from '../../../collector/model/labels.ts';
import { compilePattern, makeMatcher, PATTERN_LENGTH_MAX, REPEAT_MAX } from '../../../collector/query/regexp.ts';

function check(pattern: string, matching: readonly string[], others: readonly string[]): void {
  const { test: matches } = compilePattern(pattern);
  for (const text of matching) assert.equal(matches(text), true, `${pattern} should match ${JSON.stringify(text)}`);
  for (const text of others) assert.equal(matches(text), false, `${pattern} should not match ${JSON.stringify(text)}`);
}

test('patterns match the whole text, and a dot matches a line feed', () => {
  check('a', ['a'], ['', 'aa', 'ba', 'ab']);
  check('a.c', ['abc', 'a\nc', 'a😀c'], ['ac', 'abbc']);
  check('a|b.', ['a', 'bc'], ['ab', 'b', 'ac']);
  check('^a$', ['a'], ['aa', 'a\n']);
  check('', [''], ['a']);
  check('(?i)abc', ['ABC', 'aBc'], ['abcd']);
  check('[[:alpha:]]+', ['abc'], ['ab1', '']);
  check('\\pL+\\d?', ['é', 'é1'], ['1']);
  check('a{2,3}', ['aa', 'aaa'], ['a', 'aaaa']);
});

test('the short ways mean the same as the engine', () => {
  const words = ['', 'a', 'b', 'ab', 'ba', 'aab', 'baa', 'aba', 'a.b', 'a\nb', 'bab', 'aXb', '.', '|', 'a|b'];
  for (const pattern of [
    '.*',
    '.+',
    'a.*',
    'a.+',
    '.*a',
    '.+a',
    '.*a.*',
    '.+a.*',
    '.*a.+',
    '.+a.+',
    'a|b',
    '(a|b)',
    '(?:a|b)',
    'a\\.b',
    '(a|)',
    'a\\|b',
    'ab.*',
  ]) {
    // A group that changes nothing keeps the pattern from being recognised.
    const slow = compilePattern(`(?:(?:${pattern})){1}`);
    const fast = compilePattern(pattern);
    for (const word of words) assert.equal(fast.test(word), slow.test(word), `${pattern} on ${JSON.stringify(word)}`);
  }
});

test('an alternation of words tells the words, anything else does not', () => {
  const values = (pattern: string): readonly string[] | undefined => makeMatcher('a', MatchOp.regexp, pattern).values;
  assert.deepEqual(values('a'), ['a']);
  assert.deepEqual(values('a|b|a'), ['a', 'b']);
  assert.deepEqual(values('(10\\.0\\.0\\.1|h-2)'), ['10.0.0.1', 'h-2']);
  assert.deepEqual(values('a|'), ['a', '']);
  for (const pattern of ['a.', 'a|b+', '(a)(b)', 'a\\d', '(?i)a', '^a', 'a|(b']) {
    if (pattern === 'a|(b') assert.throws(() => values(pattern), { code: 'query_regexp' });
    else assert.equal(values(pattern), undefined, pattern);
  }
  assert.equal(makeMatcher('a', MatchOp.notRegexp, 'a|b').values, undefined);
});

test('the negative operators are the opposite', () => {
  assert.equal(makeMatcher('a', MatchOp.notEqual, 'x').matches('x'), false);
  assert.equal(makeMatcher('a', MatchOp.notEqual, 'x').matches(''), true);
  assert.equal(makeMatcher('a', MatchOp.notRegexp, 'x.*').matches('xy'), false);
  assert.equal(makeMatcher('a', MatchOp.notRegexp, 'x.*').matches('y'), true);
});

test('patterns that RE2 refuses are refused with its words', () => {
  const refused = (pattern: string, message: string): void =>
    assert.throws(() => compilePattern(pattern), { code: 'query_regexp', message });
  refused('(', 'error parsing regexp: missing closing ): `(`');
  refused('a**', 'error parsing regexp: invalid nested repetition operator: `**`');
  refused('(?=a)', 'error parsing regexp: invalid or unsupported Perl syntax: `(?=`');
  refused('\\1', 'error parsing regexp: invalid escape sequence: `\\1`');
  refused('a\\', 'error parsing regexp: trailing backslash at end of expression');
});

test('regular expression bombs finish at once', () => {
  const started = performance.now();
  check('(a+)+$', ['a'.repeat(100_000)], [`${'a'.repeat(100_000)}!`]);
  check('(x+x+)+y', [], ['x'.repeat(100_000)]);
  check('a?'.repeat(4000), ['a'.repeat(2000)], ['b']);
  check('(a|aa)+', [], [`${'a'.repeat(100_000)}!`]);
  check('(.*)(.*)(.*)(.*)(.*)x', [], ['a'.repeat(10_000)]);
  check('.*[a-q][^u-z]{13}x', [], ['abcdefghijklmnopqrst'.repeat(1000)]);
  for (const pattern of [
    '(a{0,100}){0,100}',
    'x{1000}'.repeat(1000),
    '(?:x{30}y){30}'.repeat(500),
    '(((a{30}){30}){30}){30}',
    `(${'a'.repeat(2000)}){1000}`,
  ]) {
    assert.throws(() => compilePattern(pattern), { code: 'query_regexp' }, pattern.slice(0, 30));
  }
  assert.throws(() => compilePattern('(?:x{30}y){30}'.repeat(100)), { message: /counted repetitions unfold to/ });
  assert.throws(() => compilePattern('('.repeat(5000) + ')'.repeat(5000)), { code: 'query_regexp' });
  assert.throws(() => compilePattern('a?'.repeat(PATTERN_LENGTH_MAX)), { code: 'query_regexp' });
  compilePattern('(?i)\\pL'.repeat(1000));
  compilePattern(`x{${REPEAT_MAX / 10}}`);
  const tookMs = performance.now() - started;
  assert.ok(tookMs < 3000, `took ${tookMs} ms`);
});

test('ten thousand host names are a set, not an automaton', () => {
  const names = Array.from({ length: 10_000 }, (_, i) => `host-${i}.example\\.net`.replaceAll('.example', '\\.example'));
  const matcher = makeMatcher('instance', MatchOp.regexp, names.join('|'));
  assert.equal(matcher.values?.length, 10_000);
  assert.equal(matcher.matches('host-9999.example.net'), true);
  assert.equal(matcher.matches('host-9999xexample.net'), false);
});
