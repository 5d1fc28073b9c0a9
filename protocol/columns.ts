/** Columns of float64 values as bytes and back, every bit pattern exact. Not the times nor the names of the columns. */
import assert from 'node:assert/strict';
import { ByteReader, ByteWriter } from './bytes.ts';
import {
  BitReader,
  BitWriter,
  COPY_REACH,
  COPY_TAG,
  type Numbers,
  numbersFor,
  readBlocks,
  readTaggedHead,
  writeBlocks,
  writeCopyHead,
} from './column-blocks.ts';
import {
  CODE_MASK,
  formOf,
  integerOf,
  isExact,
  NEGATIVE,
  oddIndexes,
  PATCHED,
  RAW_FORM,
  toIntegers,
  toValues,
  valueOf,
} from './column-forms.ts';
import {
  type Choice,
  countOf,
  predict,
  predictRaw,
  readExtra,
  restore,
  restoreCopy,
  restoreRaw,
  type Steps,
  writeExtra,
} from './column-residuals.ts';
import { fail, ok, type Result } from './errors.ts';

/** A column is all +0 (one bit), all one bit pattern (no body), or it varies. */
const KIND_ZERO = 0;
const KIND_CONSTANT = 1;
const KIND_VARYING = 2;
/** Constants of another form between two runs of one form take that form when they are at most this many: a new run costs 4 bytes. */
const ABSORBED_MAX = 2;
/** A copy costs a byte more than a column whose numbers take no bits; cheaper columns are not looked up. */
const COPY_BITS_MIN = 12;
/** Steps that the hash of a column takes in. */
const HASHED_STEPS_MAX = 64;
/** Bytes of a bit pattern. */
const PATTERN_BYTES = 8;

/**
 * Room that calls reuse, because making it anew costs more than a small frame. Nothing in it is read before it is written in the
 * same call, and no call is entered from within another.
 */
const heads = new ByteWriter();
const leads = new ByteWriter();
const patches = new ByteWriter();
const bits = new BitWriter();
const choice: Choice = { prediction: 0, lead: 0, extra: 0, count: 0, bits: 0 };
let kinds = new Uint8Array(0);
let forms = new Uint8Array(0);
let order = new Uint32Array(0);
let numbers: Numbers = numbersFor(0);
let steps: Steps = new Int32Array(0);
let integers = new Float64Array(0);
let indexes = new Uint32Array(0);
/** Columns of numbers in their order, which a copy counts back in, and the latest of these by the hash of its steps. */
let sources = new Uint32Array(0);
let sourceCount = 0;
const sourceByHash = new Int32Array(COPY_REACH);
let sourceIntegers = new Float64Array(0);

function makeRoom(seriesCount: number, ticks: number): void {
  if (kinds.length < seriesCount) {
    kinds = new Uint8Array(seriesCount);
    forms = new Uint8Array(seriesCount);
    order = new Uint32Array(seriesCount);
    sources = new Uint32Array(seriesCount);
  }
  if (integers.length < ticks) {
    numbers = numbersFor(ticks);
    steps = new Int32Array(ticks);
    integers = new Float64Array(ticks);
    sourceIntegers = new Float64Array(ticks);
    indexes = new Uint32Array(ticks);
  }
}

/** Encodes `seriesCount` columns of `ticks` values each. values[s * ticks + t]. Appends to out. No state outside the call. */
export function encodeColumns(values: Float64Array, seriesCount: number, ticks: number, out: ByteWriter): void {
  const given = values.length;
  if (!(given >= seriesCount * ticks)) assert.fail(`${seriesCount} columns of ${ticks} values are more than the ${given} given`);
  if (seriesCount === 0 || ticks === 0) return;
  makeRoom(seriesCount, ticks);
  heads.reset();
  leads.reset();
  patches.reset();
  bits.reset();
  sourceCount = 0;
  sourceByHash.fill(-1);
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length * 2);
  const count = classify(values, words, seriesCount, ticks);
  absorbForms(values, ticks, count);
  let varying = 0;
  for (let i = 0; i < count; i++) {
    const s = order[i] ?? 0;
    if (kinds[s] === KIND_VARYING) {
      varying++;
      encodeVarying(values, words, s, ticks);
    } else {
      encodeConstant(values, words, s, ticks);
    }
  }
  writeBitmaps(seriesCount, ticks, count, out);
  writeForms(count, out);
  if (varying > 0) {
    out.varint(heads.length);
    out.varint(leads.length);
    out.bytes(heads.view());
  }
  out.bytes(leads.view());
  out.bytes(bits.finish());
  out.bytes(patches.view());
}

/** Fills kinds and forms by column, and order with the columns that are not zero; answers how many these are. */
function classify(values: Float64Array, words: Uint32Array, seriesCount: number, ticks: number): number {
  let count = 0;
  for (let s = 0; s < seriesCount; s++) {
    const from = s * ticks;
    const kind = kindOf(values, words, from, ticks);
    kinds[s] = kind;
    if (kind === KIND_ZERO) continue;
    forms[s] = formOf(values, from, kind === KIND_CONSTANT ? 1 : ticks);
    order[count++] = s;
  }
  return count;
}

function kindOf(values: Float64Array, words: Uint32Array, from: number, ticks: number): number {
  const first = values[from] ?? 0;
  if (first === first && first !== 0) {
    for (let i = from + 1; i < from + ticks; i++) if (values[i] !== first) return KIND_VARYING;
    return KIND_CONSTANT;
  }
  const low = words[2 * from] ?? 0;
  const high = words[2 * from + 1] ?? 0;
  for (let i = from + 1; i < from + ticks; i++) if (words[2 * i] !== low || words[2 * i + 1] !== high) return KIND_VARYING;
  return low === 0 && high === 0 ? KIND_ZERO : KIND_CONSTANT;
}

/** Longer runs of one form: a constant 12.5 among hundredths is 1250 hundredths. */
function absorbForms(values: Float64Array, ticks: number, count: number): void {
  let i = 1;
  while (i < count) {
    const form = forms[order[i - 1] ?? 0] ?? 0;
    let stop = i;
    while (stop < count && stop - i <= ABSORBED_MAX && forms[order[stop] ?? 0] !== form) stop++;
    const enclosed = stop < count && stop - i <= ABSORBED_MAX && stop > i && form < RAW_FORM;
    if (enclosed && allTake(values, ticks, i, stop, form)) {
      for (let k = i; k < stop; k++) forms[order[k] ?? 0] = form;
      i = stop;
    }
    i++;
  }
}

function allTake(values: Float64Array, ticks: number, start: number, stop: number, form: number): boolean {
  for (let k = start; k < stop; k++) {
    const s = order[k] ?? 0;
    if (kinds[s] !== KIND_CONSTANT || !isExact(values[s * ticks] ?? 0, form)) return false;
  }
  return true;
}

function encodeConstant(values: Float64Array, words: Uint32Array, s: number, ticks: number): void {
  const form = forms[s] ?? 0;
  if (form === RAW_FORM) return writePattern(words, s * ticks, leads);
  writeLead(integerOf(values[s * ticks] ?? 0, form), s);
}

function encodeVarying(values: Float64Array, words: Uint32Array, s: number, ticks: number): void {
  const form = forms[s] ?? 0;
  const from = s * ticks;
  if (form === RAW_FORM) {
    predictRaw(words, 2 * from, ticks, numbers);
    writePattern(words, from, leads);
    return writeBlocks(numbers, ticks - 1, 0, heads, bits);
  }
  toIntegers(values, from, ticks, form, integers);
  predict(integers, ticks, steps, numbers, choice);
  const distance = numbers.wide || choice.bits < COPY_BITS_MIN ? 0 : distanceOfSame(values, ticks);
  sources[sourceCount++] = s;
  if (distance > 0) {
    leads.zigzag((integers[0] ?? 0) - (sourceIntegers[0] ?? 0));
    writeCopyHead(distance, heads);
  } else {
    writeLead(choice.lead, s);
    writeExtra(choice, leads);
    writeBlocks(numbers, choice.count, choice.prediction, heads, bits);
  }
  if (form & PATCHED) writePatches(values, words, from, ticks);
}

/** How many columns of numbers back one has the very steps of this one, 0 if none is found; this one can be found from now on. */
function distanceOfSame(values: Float64Array, ticks: number): number {
  let hash = 0;
  for (let i = 0; i < ticks - 1 && i < HASHED_STEPS_MAX; i++) hash = Math.imul(hash ^ (steps[i] ?? 0), 0x9e37_79b1);
  const slot = (hash ^ (hash >>> 15)) & (COPY_REACH - 1);
  const candidate = sourceByHash[slot] ?? -1;
  sourceByHash[slot] = sourceCount;
  if (candidate < 0 || sourceCount - candidate > COPY_REACH) return 0;
  const s = sources[candidate] ?? 0;
  toIntegers(values, s * ticks, ticks, forms[s] ?? 0, sourceIntegers);
  for (let t = 1; t < ticks; t++) if ((sourceIntegers[t] ?? 0) - (sourceIntegers[t - 1] ?? 0) !== steps[t - 1]) return 0;
  return sourceCount - candidate;
}

function writeLead(lead: number, s: number): void {
  if (lead < 0) forms[s] = (forms[s] ?? 0) | NEGATIVE;
  leads.varint(Math.abs(lead));
}

function writePattern(words: Uint32Array, index: number, to: ByteWriter): void {
  const bytes = to.reserve(PATTERN_BYTES);
  const at = to.length;
  for (let i = 0; i < PATTERN_BYTES; i++) bytes[at + i] = (words[2 * index + (i >> 2)] ?? 0) >>> (8 * (i & 3));
  to.advance(at + PATTERN_BYTES);
}

function writePatches(values: Float64Array, words: Uint32Array, from: number, ticks: number): void {
  const count = oddIndexes(values, from, ticks, indexes);
  patches.varint(count - 1);
  let next = 0;
  for (let i = 0; i < count; i++) {
    const index = indexes[i] ?? 0;
    patches.varint(index - next);
    writePattern(words, from + index, patches);
    next = index + 1;
  }
}

/** One bit a column: not zero. With more than one tick one bit more for each of these: varies. */
function writeBitmaps(seriesCount: number, ticks: number, count: number, out: ByteWriter): void {
  for (let s = 0; s < seriesCount; s += 8) {
    let byte = 0;
    for (let i = 0; i < 8 && s + i < seriesCount; i++) if (kinds[s + i] !== KIND_ZERO) byte |= 1 << i;
    out.byte(byte);
  }
  if (ticks === 1) return;
  for (let k = 0; k < count; k += 8) {
    let byte = 0;
    for (let i = 0; i < 8 && k + i < count; i++) if (kinds[order[k + i] ?? 0] === KIND_VARYING) byte |= 1 << i;
    out.byte(byte);
  }
}

function writeForms(count: number, out: ByteWriter): void {
  for (let i = 0; i < count;) {
    const form = forms[order[i] ?? 0] ?? 0;
    let stop = i + 1;
    while (stop < count && forms[order[stop] ?? 0] === form) stop++;
    out.byte(form);
    out.varint(stop - i - 1);
    i = stop;
  }
}

/** Writes values[s * ticks + t] into `into`. The value is the offset after the last byte read. Never throws on hostile bytes. */
export function decodeColumns(
  bytes: Uint8Array,
  offset: number,
  end: number,
  seriesCount: number,
  ticks: number,
  into: Float64Array,
): Result<number> {
  const samples = seriesCount * ticks;
  if (!(samples <= into.length)) return malformed(`${seriesCount} columns of ${ticks} values do not fit into ${into.length}`);
  const reader = new ByteReader(bytes, offset, end);
  if (reader.failed) return malformed('their place lies outside the bytes');
  if (samples === 0) return ok(offset);
  makeRoom(seriesCount, ticks);
  into.fill(0, 0, samples);
  const count = readNonzero(reader, seriesCount);
  const varying = ticks > 1 ? readVarying(reader, count) : 0;
  if (!readForms(reader, count)) return malformed('a form is unknown or its run too long');
  if (reader.failed) return malformed('they end too early');
  return varying > 0 ? decodeMixed(reader, count, ticks, into) : decodeConstants(reader, count, ticks, into);
}

function malformed(why: string): Result<number> {
  return fail('payload_malformed', `cannot decode the columns: ${why}`);
}

/** Fills order; bits after the last column count as columns that are not there. */
function readNonzero(reader: ByteReader, seriesCount: number): number {
  let count = 0;
  for (let s = 0; s < seriesCount; s += 8) {
    let byte = reader.byte();
    if (seriesCount - s < 8 && byte >>> (seriesCount - s) !== 0) reader.fail();
    for (let i = s; byte !== 0 && i < seriesCount; i++) {
      if (byte & 1) {
        kinds[i] = KIND_CONSTANT;
        order[count++] = i;
      }
      byte >>>= 1;
    }
  }
  return count;
}

function readVarying(reader: ByteReader, count: number): number {
  let varying = 0;
  for (let k = 0; k < count; k += 8) {
    let byte = reader.byte();
    if (count - k < 8 && byte >>> (count - k) !== 0) reader.fail();
    for (let i = k; byte !== 0 && i < count; i++) {
      if (byte & 1) {
        kinds[order[i] ?? 0] = KIND_VARYING;
        varying++;
      }
      byte >>>= 1;
    }
  }
  return varying;
}

function readForms(reader: ByteReader, count: number): boolean {
  for (let i = 0; i < count && !reader.failed;) {
    const form = reader.byte();
    const stop = i + reader.varint() + 1;
    const known = form === RAW_FORM || (form & ~(CODE_MASK | PATCHED | NEGATIVE)) === 0;
    if (!known || stop > count) return false;
    for (; i < stop; i++) forms[i] = form;
  }
  return true;
}

function decodeConstants(reader: ByteReader, count: number, ticks: number, into: Float64Array): Result<number> {
  for (let i = 0; i < count; i++) {
    const form = forms[i] ?? 0;
    if (form & PATCHED) return malformed('a constant column has patches');
    decodeConstant(reader, form, order[i] ?? 0, ticks, into);
  }
  return reader.failed ? malformed('they end too early') : ok(reader.at);
}

function decodeConstant(reader: ByteReader, form: number, s: number, ticks: number, into: Float64Array): void {
  const from = s * ticks;
  if (form === RAW_FORM) return readPattern(reader, into, from, ticks);
  const lead = reader.varint();
  const value = valueOf(form & NEGATIVE ? -lead : lead, form);
  for (let i = from; i < from + ticks; i++) into[i] = value;
}

/** Writes words, because a NaN that passes through a number may come out as another NaN. */
function readPattern(reader: ByteReader, into: Float64Array, from: number, ticks: number): void {
  const at = reader.at;
  if (reader.failed || at + PATTERN_BYTES > reader.end) {
    reader.fail();
    return;
  }
  const words = new Uint32Array(into.buffer, into.byteOffset + from * PATTERN_BYTES, ticks * 2);
  const view = new DataView(reader.bytes.buffer, reader.bytes.byteOffset + at, PATTERN_BYTES);
  reader.at = at + PATTERN_BYTES;
  const low = view.getUint32(0, true);
  const high = view.getUint32(4, true);
  for (let t = 0; t < ticks; t++) {
    words[2 * t] = low;
    words[2 * t + 1] = high;
  }
}

function decodeMixed(reader: ByteReader, count: number, ticks: number, into: Float64Array): Result<number> {
  const { bytes, end } = reader;
  const headsLength = reader.varint();
  const leadsLength = reader.varint();
  const headsAt = reader.at;
  const leadsAt = headsAt + headsLength;
  const bodyAt = leadsAt + leadsLength;
  if (reader.failed || bodyAt > end) return malformed('they end too early');
  const headReader = new ByteReader(bytes, headsAt, leadsAt);
  const leadReader = new ByteReader(bytes, leadsAt, bodyAt);
  const bitReader = new BitReader(bytes, bodyAt, end);
  sourceCount = 0;
  for (let i = 0; i < count; i++) {
    const s = order[i] ?? 0;
    const form = forms[i] ?? 0;
    if (kinds[s] === KIND_VARYING) decodeVarying(headReader, leadReader, bitReader, i, ticks, into);
    else if (form & PATCHED) return malformed('a constant column has patches');
    else decodeConstant(leadReader, form, s, ticks, into);
    if (headReader.failed || leadReader.failed || bitReader.failed) return malformed(`column ${s} ends too early or has an unknown head`);
  }
  if (headReader.at !== leadsAt || leadReader.at !== bodyAt) return malformed('heads or leading numbers are left over');
  return readPatches(new ByteReader(bytes, bitReader.offset, end), count, ticks, into);
}

function decodeVarying(
  headReader: ByteReader,
  leadReader: ByteReader,
  bitReader: BitReader,
  index: number,
  ticks: number,
  into: Float64Array,
): void {
  const form = forms[index] ?? 0;
  const from = (order[index] ?? 0) * ticks;
  const tagged = readTaggedHead(headReader);
  const prediction = tagged >>> 8;
  if (tagged < 0 || (form === RAW_FORM && prediction === COPY_TAG)) return void headReader.fail();
  if (form === RAW_FORM) {
    readPattern(leadReader, into, from, 1);
    readBlocks(numbers, ticks - 1, tagged & 0xff, headReader, bitReader);
    const words = new Uint32Array(into.buffer, into.byteOffset + from * PATTERN_BYTES, ticks * 2);
    return restoreRaw(words, 0, ticks, numbers);
  }
  if (prediction === COPY_TAG) {
    const source = sourceCount - 1 - (tagged & 0xff);
    if (source < 0) return void headReader.fail();
    const sourceIndex = sources[source] ?? 0;
    toIntegers(into, (order[sourceIndex] ?? 0) * ticks, ticks, (forms[sourceIndex] ?? 0) & CODE_MASK, integers);
    restoreCopy(into, from, ticks, leadReader.zigzag(), integers);
  } else {
    const lead = leadReader.varint();
    choice.prediction = prediction;
    choice.lead = form & NEGATIVE ? -lead : lead;
    choice.extra = readExtra(prediction, leadReader);
    readBlocks(numbers, countOf(prediction, ticks), tagged & 0xff, headReader, bitReader);
    restore(into, from, ticks, choice, numbers);
  }
  sources[sourceCount++] = index;
  toValues(into, from, ticks, form);
}

function readPatches(reader: ByteReader, count: number, ticks: number, into: Float64Array): Result<number> {
  for (let i = 0; i < count && !reader.failed; i++) {
    if (((forms[i] ?? 0) & PATCHED) === 0) continue;
    const from = (order[i] ?? 0) * ticks;
    const patchCount = reader.varint() + 1;
    if (patchCount > ticks) return malformed('a column has more patches than values');
    let next = 0;
    for (let k = 0; k < patchCount && !reader.failed; k++) {
      const index = next + reader.varint();
      if (index >= ticks) return malformed('a patch lies outside its column');
      readPattern(reader, into, from + index, 1);
      next = index + 1;
    }
  }
  return reader.failed ? malformed('the patches end too early') : ok(reader.at);
}
