/** Plain selectors: what is taken, what is refused, where and with which words. The words were taken from Prometheus 3.5.3. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { QueryError, type QueryErrorCode } from '../../../collector/query/errors.ts';
import { MATCHERS_MAX, parseMatchers, parseSelector, QUERY_LENGTH_MAX } from '../../../collector/query/selector.ts';
import { suites } from '../../support/outside.ts';

/** `name op value` of each matcher. */
function matchers(text: string): string[] {
  return parseSelector(text).matchers.map(({ name, op, value }) => `${name}${op}${value}`);
}

function refused(
  text: string,
  message: string,
  code: QueryErrorCode = 'query_syntax',
  parse: (text: string) => unknown = parseSelector,
): void {
  assert.throws(
    () => parse(text),
    (error) => {
      assert.ok(error instanceof QueryError, text);
      assert.equal(error.message, message, text);
      assert.equal(error.code, code, text);
      return true;
    },
  );
}

test('a selector gives its matchers in the order written, the name first', () => {
  assert.deepEqual(matchers('up'), ['__name__=up']);
  assert.deepEqual(matchers('up{a="b",c!="d",e=~"f",g!~"h",}'), ['__name__=up', 'a=b', 'c!=d', 'e=~f', 'g!~h']);
  assert.deepEqual(matchers(':a:b {}'), ['__name__=:a:b']);
  assert.deepEqual(matchers('{a="b"}'), ['a=b']);
  assert.deepEqual(matchers(' up # comment\n { a = "b" , # another\n c="d" } '), ['__name__=up', 'a=b', 'c=d']);
});

test('keywords are names where Prometheus takes them as names', () => {
  for (const word of ['sum', 'by', 'offset', 'start', 'Sum', 'and']) assert.deepEqual(matchers(word), [`__name__=${word}`]);
  assert.deepEqual(matchers('up{on="x",bool="y",offset="z"}'), ['__name__=up', 'on=x', 'bool=y', 'offset=z']);
});

test('names that are not plain stand in quotes', () => {
  assert.deepEqual(matchers('{"my metric"}'), ['__name__=my metric']);
  assert.deepEqual(matchers('{"my metric", "a.b"="c"}'), ['__name__=my metric', 'a.b=c']);
  assert.deepEqual(matchers('up{"a b"!~\'c\'}'), ['__name__=up', 'a b!~c']);
  assert.deepEqual(matchers('{""="b"}'), ['=b']);
});

test('strings have the escapes of PromQL in both quotes and none in back quotes', () => {
  const value = (text: string): string | undefined => parseSelector(`up{a=${text}}`).matchers[1]?.value;
  assert.equal(value(String.raw`"\a\b\f\n\r\t\v\\\""`), '\x07\b\f\n\r\t\v\\"');
  assert.equal(value(String.raw`'\''`), "'");
  assert.equal(value('`\\z\n`'), '\\z\n');
  assert.equal(value(String.raw`"\x41\101\u00e9\U0001F600"`), 'AAé😀');
  assert.equal(value(String.raw`"\xc3\xa9"`), 'é', 'bytes given by number are UTF-8 together');
  assert.equal(value(String.raw`"\xff"`), '\ufffd');
  assert.equal(value(String.raw`"é\xc3\xa9é"`), 'ééé');
});

test('ranges, offsets and @ are read in any order', () => {
  const read = (text: string): unknown => {
    const { rangeMs, offsetMs, at } = parseSelector(text);
    return [rangeMs, offsetMs, at];
  };
  assert.deepEqual(read('up[5m]'), [300_000, 0, undefined]);
  assert.deepEqual(read('up{a="b"} [ 1h30m ] offset 1d'), [5_400_000, 86_400_000, undefined]);
  assert.deepEqual(read('up[.5]'), [500, 0, undefined]);
  assert.deepEqual(read('up[0x10]'), [16_000, 0, undefined]);
  assert.deepEqual(read('up[1_0]'), [10_000, 0, undefined]);
  assert.deepEqual(read('up[1e1]'), [10_000, 0, undefined]);
  assert.deepEqual(read('up OFFSET -5m'), [undefined, -300_000, undefined]);
  assert.deepEqual(read('up offset --5m'), [undefined, 300_000, undefined]);
  assert.deepEqual(read('up @ 7.5 offset 1s'), [undefined, 1000, { kind: 'time', timeMs: 7500 }]);
  assert.deepEqual(read('up offset 1s @ -7'), [undefined, 1000, { kind: 'time', timeMs: -7000 }]);
  assert.deepEqual(read('up @ start()'), [undefined, 0, { kind: 'start' }]);
  assert.deepEqual(read('up[1d5h6ms] @ end ( )'), [104_400_006, 0, { kind: 'end' }]);
});

test('what is no PromQL is refused in the words of Prometheus, with the place', () => {
  refused('', 'unknown position: parse error: no expression found in input');
  refused('#c', '1:1: parse error: no expression found in input');
  for (const empty of ['{}', '{a=""}', '{a=~".*"}', '{a!="x"}', '{a!~".+"}', '{__name__=""}', '{""}', '{"a"!="b"}']) {
    refused(empty, '1:1: parse error: vector selector must contain at least one non-empty matcher');
  }
  refused('up{__name__="x"}', '1:1: parse error: metric name must not be set twice: "up" or "x"');
  refused('up{"up2"}', '1:1: parse error: metric name must not be set twice: "up" or "up2"');
  refused('up{', '1:4: parse error: unexpected end of input inside braces');
  refused('up{a="x"', '1:9: parse error: unexpected end of input inside braces');
  refused('up{a}', '1:5: parse error: unexpected "}" in label matching, expected label matching operator');
  refused('up{a=}', '1:6: parse error: unexpected "}" in label matching, expected string');
  refused('up{a=x}', '1:6: parse error: unexpected identifier "x" in label matching, expected string');
  refused('up{a="x",,}', '1:10: parse error: unexpected "," in label matching, expected identifier or "}"');
  refused('up{a="x" b="y"}', '1:10: parse error: unexpected identifier "b" in label matching, expected "," or "}"');
  refused('up{a="x" "y"}', String.raw`1:10: parse error: unexpected string "\"y\"" in label matching, expected "," or "}"`);
  refused('up{1a="x"}', "1:4: parse error: unexpected character inside braces: '1'");
  refused('up{a>"x"}', "1:5: parse error: unexpected character inside braces: '>'");
  refused('up{ü="x"}', "1:4: parse error: unexpected character inside braces: 'ü'");
  refused('up{a="x', '1:6: parse error: unterminated quoted string');
  refused('up{a="x\n"}', '1:6: parse error: unterminated quoted string');
  refused('up{a=`x', '1:6: parse error: unterminated raw string');
  refused(String.raw`up{a="\z"}`, "1:6: parse error: unknown escape sequence U+007A 'z'");
  refused(String.raw`up{a='\"'}`, `1:6: parse error: unknown escape sequence U+0022 '"'`);
  refused(String.raw`up{a="\x4"}`, `1:6: parse error: illegal character U+0022 '"' in escape sequence`);
  refused(String.raw`up{a="\400"}`, '1:6: parse error: escape sequence is an invalid Unicode code point');
  refused(String.raw`up{a="\ud800"}`, '1:6: parse error: escape sequence is an invalid Unicode code point');
  refused('up{a="\\', '1:6: parse error: escape sequence not terminated');
  refused('up\n{a=}', '2:4: parse error: unexpected "}" in label matching, expected string');
  refused('up up', '1:4: parse error: unexpected identifier "up"');
  refused('up 5m', '1:4: parse error: unexpected duration "5m"');
  refused('up{}}', "1:5: parse error: unexpected character: '}'");
  refused('up)', "1:3: parse error: unexpected right parenthesis ')'");
  refused('é', "1:1: parse error: unexpected character: 'é'");
  refused('on{a="b"}', '1:1: parse error: unexpected <on>');
  refused('up[5m', '1:6: parse error: unclosed left bracket');
  refused('up[]', '1:4: parse error: unexpected "]" in subquery selector, expected number or duration');
  refused('up[0]', '1:4: parse error: duration must be greater than 0');
  refused('up[-5m]', '1:4: parse error: duration must be greater than 0');
  refused('up[5m][5m]', '1:7: parse error: ranges only allowed for vector selectors');
  refused('up[5m 3m]', '1:7: parse error: unexpected duration "3m" in subquery or range, expected ":" or "]"');
  refused('up[999999999y]', '1:4: parse error: duration out of range');
  refused('up offset', '1:10: parse error: unexpected end of input in offset, expected number or duration');
  refused('up offset foo', '1:11: parse error: unexpected identifier "foo" in offset, expected number or duration');
  refused('up offset 1m offset 2m', '1:1: parse error: offset may not be set multiple times');
  refused('up @ 1 @ 2', '1:1: parse error: @ <timestamp> may not be set multiple times');
  refused('up @ foo', '1:6: parse error: unexpected identifier "foo" in @, expected timestamp');
  refused('up @ NaN', '1:1: parse error: timestamp out of bounds for @ modifier: NaN');
  refused('up[1m2h]', '1:4: parse error: bad number or duration syntax: "1m2h", expected one such as 90, 5m or 1h30m');
});

test('bad regular expressions are refused at their matcher', () => {
  refused('up{a=~"("}', '1:4: parse error: error parsing regexp: missing closing ): `(`', 'query_regexp');
  refused('up{b="c",a!~"[b"}', '1:10: parse error: error parsing regexp: missing closing ]: `[b`', 'query_regexp');
  refused('up{a=~"a{1001}"}', '1:4: parse error: error parsing regexp: invalid repeat count: `{1001}`', 'query_regexp');
});

test('the rest of PromQL is refused as not supported yet, with its place', () => {
  const place = (text: string): string => {
    try {
      parseSelector(text);
    } catch (error) {
      assert.ok(error instanceof QueryError && error.code === 'query_unsupported', text);
      assert.match(error.message, /not supported yet/);
      return `${error.position?.line}:${error.position?.column}`;
    }
    return 'taken';
  };
  assert.equal(place('rate(up[5m])'), '1:1');
  assert.equal(place('sum by (job) (up)'), '1:1');
  assert.equal(place('(up)'), '1:1');
  assert.equal(place('1'), '1:1');
  assert.equal(place('"x"'), '1:1');
  assert.equal(place('up + up'), '1:4');
  assert.equal(place('up\nand up'), '2:1');
  assert.equal(place('up == 1'), '1:4');
  assert.equal(place('up[1h:1m]'), '1:6');
});

test('match[] takes matchers and nothing after them', () => {
  assert.equal(parseMatchers('up{a="b"}').length, 2);
  const check = (text: string, message: string): void => refused(text, message, 'query_syntax', parseMatchers);
  check('{}', 'match[] must contain at least one non-empty matcher');
  check('up[5m]', '1:3: parse error: unexpected "["');
  check('', 'unknown position: parse error: unexpected end of input');
});

test('a query too long, or with too many matchers, is refused before it costs anything', () => {
  assert.throws(() => parseSelector(`up{a="${'x'.repeat(QUERY_LENGTH_MAX)}"}`), { code: 'query_too_large' });
  const many = Array.from({ length: MATCHERS_MAX + 1 }, () => 'a="b"').join(',');
  assert.throws(() => parseSelector(`{${many}}`), { code: 'query_too_large' });
  assert.equal(
    parseSelector(`up{a="${'x'.repeat(1_000_000)}"}`).matchers[1]?.value.length,
    1_000_000,
    'a megabyte is a value like any other',
  );
});

type Recorded = { query: string; ok: boolean; ast?: { type: string; matchers?: { name: string; type: string; value: string }[] } };

test('every recorded selector has the matchers that Prometheus found, and nothing else is taken', (t) => {
  const folder = suites();
  if (folder === undefined) {
    assert.notEqual(process.env['CI'], 'true', 'the suites are absent in CI');
    return t.skip('the recorded PromQL expressions are not on this machine');
  }
  const lines = gunzipSync(readFileSync(join(folder, 'promql_parse/parse_query.jsonl.gz')))
    .toString('utf8')
    .trim()
    .split('\n');
  let selectors = 0;
  for (const line of lines) {
    const { query, ok, ast } = JSON.parse(line) as Recorded;
    const plain = ok && (ast?.type === 'vectorSelector' || ast?.type === 'matrixSelector');
    if (!plain) {
      assert.throws(() => parseSelector(query), ok ? { code: 'query_unsupported' } : QueryError, query);
      continue;
    }
    selectors++;
    const expected = (ast.matchers ?? []).map(({ name, type, value }) => `${name}${type}${value}`);
    assert.deepEqual(matchers(query).toSorted(), expected.toSorted(), query);
  }
  assert.ok(selectors > 100, `${selectors} selectors`);
});
