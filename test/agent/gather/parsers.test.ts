/** Every parser on a recorded file, on the same file cut at each byte, and on bytes gone wrong: an error that names the file, never a wrong number. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { parseDiskstats } from '../../../agent/gather/diskstats.ts';
import { parseFileNr } from '../../../agent/gather/filefd.ts';
import { parseLoad } from '../../../agent/gather/loadavg.ts';
import { parseMeminfo } from '../../../agent/gather/meminfo.ts';
import { parseMounts } from '../../../agent/gather/mounts.ts';
import { parseNetdev } from '../../../agent/gather/netdev.ts';
import { PairedLines, parsePairedLines } from '../../../agent/gather/netstat.ts';
import { parseStat } from '../../../agent/gather/proc-stat.ts';
import { GatherError, Scanner } from '../../../agent/gather/scanner.ts';
import { parseStatm } from '../../../agent/gather/self.ts';
import { parseSockstat } from '../../../agent/gather/sockstat.ts';
import { Table } from '../../../agent/gather/table.ts';
import { parseVmstat } from '../../../agent/gather/vmstat.ts';
import { FIXTURE } from './recorder.ts';

type Numbers = Map<string, number>;

/** Name of the number -> number, so that two readings can be compared. */
function rowsOf(parse: (scanner: Scanner, table: Table) => void, width: number): (scanner: Scanner) => Numbers {
  return (scanner) => {
    const table = new Table(width);
    parse(scanner, table);
    const numbers: Numbers = new Map();
    // sockstat's words repeat from protocol to protocol: the row's place tells them apart.
    for (let row = 0; row < table.rows; row++) {
      for (let i = 0; i < (table.counts[row] as number); i++) numbers.set(`${row} ${table.name(row)} ${i}`, table.value(row, i));
    }
    return numbers;
  };
}

function listOf(parse: (scanner: Scanner, numbers: Float64Array) => void, count: number): (scanner: Scanner) => Numbers {
  return (scanner) => {
    const numbers = new Float64Array(count);
    parse(scanner, numbers);
    return new Map([...numbers].map((value, i) => [String(i), value]));
  };
}

function pairsOf(scanner: Scanner): Numbers {
  const lines = new PairedLines(() => true);
  parsePairedLines(scanner, lines);
  return new Map(lines.keys().map(([protocol, name], i) => [`${protocol} ${name}`, lines.values[i] as number]));
}

/** A later mount in the same place takes the place of an earlier one: its numbers are not compared. */
function mountsOf(scanner: Scanner): Numbers {
  return new Map(
    parseMounts(scanner, () => true).map(({ device, mountpoint, fstype }) => [JSON.stringify([device, mountpoint, fstype]), 1]),
  );
}

const PARSERS: readonly (readonly [file: string, parse: (scanner: Scanner) => Numbers])[] = [
  ['proc/loadavg', listOf(parseLoad, 3)],
  ['proc/sys/fs/file-nr', listOf(parseFileNr, 2)],
  ['proc/meminfo', rowsOf(parseMeminfo, 2)],
  ['proc/vmstat', rowsOf(parseVmstat, 1)],
  ['proc/stat', rowsOf(parseStat, 11)],
  ['proc/diskstats', rowsOf(parseDiskstats, 17)],
  ['proc/net/dev', rowsOf(parseNetdev, 16)],
  ['proc/net/snmp6', rowsOf(parseVmstat, 1)],
  ['proc/net/sockstat', rowsOf(parseSockstat, 1)],
  ['proc/net/netstat', pairsOf],
  ['proc/net/snmp', pairsOf],
  ['proc/1/mountinfo', mountsOf],
  ['proc/self/statm', (scanner) => new Map([['resident', parseStatm(scanner)]])],
];
/** Not recorded: any process's will do. */
const STATM = '15021 12288 9728 1 0 5000 0\n';

const bytesOf = (file: string): Buffer => (file === 'proc/self/statm' ? Buffer.from(STATM) : readFileSync(`${FIXTURE}/${file}`));
const parserSeed = Number(process.env.PICKET_SEED ?? Date.now() % 1_000_000);

for (const [file, parse] of PARSERS) {
  test(`${file}: cut anywhere it is refused or gives only what it also gave whole`, () => {
    const bytes = bytesOf(file);
    const whole = parse(Scanner.of(bytes, `/${file}`));
    assert.ok(whole.size > 0);
    for (let length = 0; length < bytes.length; length++) {
      const found = attempt(() => parse(Scanner.of(bytes.subarray(0, length), `/${file}`)), file);
      for (const [name, value] of found ?? []) assert.equal(value, whole.get(name), `${name} of the first ${length} bytes`);
    }
  });

  test(`${file}: bytes gone wrong are refused with the path or read as finite numbers (seed ${parserSeed})`, () => {
    const random = generator(parserSeed);
    const bytes = bytesOf(file);
    for (let round = 0; round < 300; round++) {
      const bad = Buffer.from(bytes);
      for (let i = 0; i < 1 + random(4); i++) bad[random(bad.length)] = random(3) === 0 ? random(256) : (10 + random(2) * 22) & 0xff;
      const found = attempt(() => parse(Scanner.of(bad, `/${file}`)), file);
      for (const [name, value] of found ?? []) assert.ok(Number.isFinite(value), `${name} = ${value} in round ${round}`);
    }
    attempt(() => parse(Scanner.of(Buffer.from(Array.from({ length: 2000 }, () => random(256))), `/${file}`)), file);
    attempt(() => parse(Scanner.of('\n'.repeat(50), `/${file}`)), file);
    attempt(() => parse(Scanner.of(' '.repeat(50), `/${file}`)), file);
  });
}

test('an empty file is an error, but of diskstats, where there may be no disk', () => {
  for (const [file, parse] of PARSERS) {
    const read = (): Numbers => parse(Scanner.of('', `/${file}`));
    if (file === 'proc/diskstats') assert.equal(read().size, 0);
    else assert.throws(read, { code: 'source_malformed', message: new RegExp(`^cannot read /${file}, line 1: expected`) });
  }
});

/** Only our own error may come, and it names the file. */
function attempt(read: () => Numbers, file: string): Numbers | undefined {
  try {
    return read();
  } catch (error) {
    assert.ok(error instanceof GatherError, String(error));
    assert.match(error.message, new RegExp(`/${file}`));
    return undefined;
  }
}

/** Small numbers from a seed (mulberry32), so that a failure can be repeated. */
function generator(from: number): (below: number) => number {
  let state = from >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}
