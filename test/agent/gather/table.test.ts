/** Rows that keep their names from tick to tick. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GatherError, Scanner } from '../../../agent/gather/scanner.ts';
import { Table } from '../../../agent/gather/table.ts';
import { parseVmstat } from '../../../agent/gather/vmstat.ts';

function read(table: Table, text: string): Record<string, number> {
  parseVmstat(Scanner.of(text, '/f'), table);
  const rows: Record<string, number> = {};
  for (let row = 0; row < table.rows; row++) if (table.isWanted(row)) rows[table.name(row)] = table.value(row, 0);
  return rows;
}

test('new numbers under the same names change no version', () => {
  const table = new Table(1);
  assert.deepEqual(read(table, 'a 1\nb 2\n'), { a: 1, b: 2 });
  const { version } = table;
  assert.deepEqual(read(table, 'a 1000\nb 20000\n'), { a: 1000, b: 20_000 });
  assert.equal(table.version, version);
});

test('a row that comes, goes, moves or is renamed changes the version and takes its number with it', () => {
  const table = new Table(1);
  const check = (text: string, expected: Record<string, number>): void => {
    const { version } = table;
    assert.deepEqual(read(table, text), expected);
    assert.ok(table.version > version, text);
  };
  check('a 1\nb 2\n', { a: 1, b: 2 });
  check('a 1\nx 9\nb 2\n', { a: 1, x: 9, b: 2 });
  check('b 2\n', { b: 2 });
  check('bb 3\n', { bb: 3 });
  check('b 4\n', { b: 4 });
  check(
    Array.from({ length: 100 }, (_, i) => `n${i} ${i}\n`).join(''),
    Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`n${i}`, i])),
  );
});

test('what is not wanted is asked for once and its numbers are not read', () => {
  const asked: string[] = [];
  const table = new Table(1, (name) => {
    asked.push(name);
    return name === 'b';
  });
  assert.deepEqual(read(table, 'a nonsense\nb 2\n'), { b: 2 });
  assert.deepEqual(read(table, 'a more nonsense\nb 3\n'), { b: 3 });
  assert.deepEqual(asked, ['a', 'b']);
});

test('a number that a line has no more does not keep its old value', () => {
  const table = new Table(3);
  const fill = (...values: number[]): void => {
    const scanner = Scanner.of('d', '/f');
    table.begin();
    const row = table.row(scanner, 0, 1);
    for (const value of values) table.push(row, value);
    table.finish(scanner);
  };
  fill(1, 2, 3);
  const { version } = table;
  fill(4);
  assert.deepEqual([...table.values.subarray(0, 3)], [4, 0, 0]);
  assert.ok(table.version > version);
  assert.equal(table.counts[0], 1);
});

test('a row takes no more numbers than it is wide', () => {
  const table = new Table(1);
  const scanner = Scanner.of('d', '/f');
  table.begin();
  const row = table.row(scanner, 0, 1);
  assert.equal(table.push(row, 1), true);
  assert.equal(table.push(row, 2), false);
  assert.equal(table.value(row, 0), 1);
});

test('after a text that could not be read the next one is read whole', () => {
  const table = new Table(1);
  read(table, 'a 1\nb 2\n');
  assert.throws(() => read(table, 'a 5\nc x\n'), GatherError);
  assert.deepEqual(read(table, 'a 6\nb 7\n'), { a: 6, b: 7 });
});

test('more wanted rows than a host can mean are refused with what to do', () => {
  const text = Array.from({ length: 4097 }, (_, i) => `veth${i} 1\n`).join('');
  assert.throws(() => read(new Table(1), text), { code: 'source_oversized', message: /more than 4096 rows; exclude some/ });
  assert.deepEqual(read(new Table(1, (name) => name === 'veth5'), text), { veth5: 1 });
});
