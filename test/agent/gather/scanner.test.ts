/** Numbers and words of kernel text, and what is said when they are not there. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GatherError, Scanner } from '../../../agent/gather/scanner.ts';

test('whole numbers of any length are the nearest double, as strtod gives it', () => {
  const check = (text: string, expected: number): void => assert.equal(Scanner.of(`${text} `, '/f').integer(), expected);
  check('0', 0);
  check('007', 7);
  check('999999999999999', 999_999_999_999_999);
  check('9007199254740993', Number('9007199254740993'));
  check('18446744073709551615', 18_446_744_073_709_551_615);
  check('9223372036854775807', 9.223372036854776e18);
});

test('a decimal is rounded once, not digit by digit', () => {
  const check = (text: string, expected: number): void => assert.equal(Scanner.of(`${text} `, '/f').decimal(), expected);
  check('0.21', 0.21);
  check('0.37', 0.37);
  check('123.456789', 123.456789);
  check('12', 12);
});

test('a negative number is read only where one can stand', () => {
  assert.equal(Scanner.of('-12\n', '/f').signedInteger(), -12);
  assert.throws(() => Scanner.of('-12\n', '/f').integer(), GatherError);
});

test('a number with something behind it is no number', () => {
  for (const text of ['12x', 'x', '', '1.5', '0x10', '١']) assert.throws(() => Scanner.of(text, '/f').integer(), GatherError, text);
  for (const text of ['1.2.3', '.', 'nan', '1e5', '1234567890.1234567'])
    assert.throws(() => Scanner.of(text, '/f').decimal(), GatherError, text);
});

test('an error names the file, the line, what was expected and what stands there', () => {
  const scanner = Scanner.of('good 1\nbad x\n', '/proc/thing');
  scanner.nextLine();
  scanner.word();
  scanner.skipBlanks();
  assert.throws(() => scanner.integer(), {
    name: 'GatherError',
    code: 'source_malformed',
    message: 'cannot read /proc/thing, line 2: expected a whole number in "bad x"',
  });
});

test('an excerpt of a long line is cut', () => {
  const scanner = Scanner.of('y'.repeat(10_000), '/f');
  assert.throws(
    () => scanner.integer(),
    (error: Error) => error.message.length < 200,
  );
});

test('a text that does not end in a line end was cut, and an empty one is none', () => {
  assert.throws(() => Scanner.of('MemFree: 22', '/f').requireWhole('fields'), /cut line/);
  assert.throws(() => Scanner.of('', '/f').requireWhole('fields'), /empty file/);
  Scanner.of('MemFree: 22\n', '/f').requireWhole('fields');
});

test('lines of every length end where they end', () => {
  for (const length of [0, 1, 95, 96, 97, 5000]) {
    const scanner = Scanner.of(`${'a'.repeat(length)}\nb`, '/f');
    scanner.nextLine();
    assert.equal(scanner.pos, length + 1);
    scanner.nextLine();
    assert.ok(scanner.atEnd());
  }
});

test('bytes behind the end of the text are never read', () => {
  const scanner = Scanner.of('12\n34567\n', '/f');
  scanner.end = 4;
  scanner.nextLine();
  assert.equal(scanner.integer(), 3);
  scanner.nextLine();
  assert.equal(scanner.pos, 4);
});
