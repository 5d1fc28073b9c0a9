/** Reads encoded columns back, hostile bytes included. Not their format's description: that is README.md. */
import { BitReader, COPY_TAG, type Numbers, numbersFor, readBlocks, readTaggedHead } from './column-blocks.ts';
import { ByteReader } from './bytes.ts';
import { CODE_MASK, NEGATIVE, PATCHED, RAW_FORM, toIntegers, toValues, valueOf } from './column-forms.ts';
import { countOf, hasExtra, type Lead, restore, restoreCopy, restoreRaw } from './column-residuals.ts';
import { fail, ok, type Result } from './errors.ts';

/** Bytes of a bit pattern. */
const PATTERN_BYTES = 8;

/** Where the values go: as numbers, and as words for what is no number of ours. A NaN that passes through a number may come out as another. */
type Target = { values: Float64Array; words: Uint32Array; ticks: number };

/** The parts of an encoding that columns are read from side by side. */
type Parts = { heads: ByteReader; leads: ByteReader; body: BitReader };

/** Keeps room from call to call, because making it anew costs more than a small frame; nothing else. */
export class ColumnDecoder {
  /** Columns that are not zero in their order, their forms, and whether they vary. */
  #order = new Uint32Array(0);
  #forms = new Uint8Array(0);
  #varies = new Uint8Array(0);
  /** Indexes in #order of the varying columns that are not raw: what copies count back in. */
  #sources = new Uint32Array(0);
  #sourceCount = 0;
  #numbers: Numbers = numbersFor(0);
  #integers = new Float64Array(0);
  readonly #start: Lead = { prediction: 0, lead: 0, extra: 0 };

  decode(bytes: Uint8Array, offset: number, end: number, seriesCount: number, ticks: number, into: Float64Array): Result<number> {
    const samples = seriesCount * ticks;
    if (!(samples <= into.length)) return malformed(`${seriesCount} columns of ${ticks} values do not fit into ${into.length}`);
    const reader = new ByteReader(bytes, offset, end);
    if (reader.failed) return malformed('their place lies outside the bytes');
    if (samples === 0) return ok(offset);
    this.#makeRoom(seriesCount, ticks);
    into.fill(0, 0, samples);
    const target = { values: into, words: new Uint32Array(into.buffer, into.byteOffset, into.length * 2), ticks };
    const count = this.#readNonzero(reader, seriesCount);
    const varying = ticks > 1 ? this.#readVaries(reader, count) : 0;
    if (!this.#readForms(reader, count)) return malformed('a form is unknown or its run too long');
    if (reader.failed) return malformed('they end too early');
    return varying > 0 ? this.#decodeMixed(reader, count, target) : this.#decodeConstants(reader, count, target);
  }

  #makeRoom(seriesCount: number, ticks: number): void {
    if (this.#order.length < seriesCount) {
      this.#order = new Uint32Array(seriesCount);
      this.#forms = new Uint8Array(seriesCount);
      this.#varies = new Uint8Array(seriesCount);
      this.#sources = new Uint32Array(seriesCount);
    }
    if (this.#integers.length < ticks) {
      this.#numbers = numbersFor(ticks);
      this.#integers = new Float64Array(ticks);
    }
  }

  /** Fills #order and answers its length. */
  #readNonzero(reader: ByteReader, seriesCount: number): number {
    const order = this.#order;
    let count = 0;
    for (let s = 0; s < seriesCount; s += 8) {
      let byte = reader.byte();
      if (seriesCount - s < 8 && byte >>> (seriesCount - s) !== 0) reader.fail();
      for (let i = s; byte !== 0 && i < seriesCount; i++) {
        if (byte & 1) order[count++] = i;
        byte >>>= 1;
      }
    }
    return count;
  }

  /** Fills #varies and answers how many do. */
  #readVaries(reader: ByteReader, count: number): number {
    const varies = this.#varies;
    let varying = 0;
    for (let k = 0; k < count; k += 8) {
      const byte = reader.byte();
      if (count - k < 8 && byte >>> (count - k) !== 0) reader.fail();
      for (let i = 0; i < 8 && k + i < count; i++) {
        const bit = (byte >>> i) & 1;
        varies[k + i] = bit;
        varying += bit;
      }
    }
    return varying;
  }

  #readForms(reader: ByteReader, count: number): boolean {
    const forms = this.#forms;
    let i = 0;
    while (i < count && !reader.failed) {
      const form = reader.byte();
      const stop = i + reader.varint() + 1;
      const known = form === RAW_FORM || (form & ~(CODE_MASK | PATCHED | NEGATIVE)) === 0;
      if (!known || stop > count) return false;
      for (; i < stop; i++) forms[i] = form;
    }
    return true;
  }

  #decodeConstants(reader: ByteReader, count: number, target: Target): Result<number> {
    for (let i = 0; i < count; i++) {
      const form = this.#forms[i] ?? 0;
      if (form & PATCHED) return malformed('a constant column has patches');
      decodeConstant(reader, form, this.#order[i] ?? 0, target);
    }
    return reader.failed ? malformed('they end too early') : ok(reader.at);
  }

  #decodeMixed(reader: ByteReader, count: number, target: Target): Result<number> {
    const { bytes, end } = reader;
    const headsLength = reader.varint();
    const leadsLength = reader.varint();
    const leadsAt = reader.at + headsLength;
    const bodyAt = leadsAt + leadsLength;
    if (reader.failed || bodyAt > end) return malformed('they end too early');
    const heads = new ByteReader(bytes, reader.at, leadsAt);
    const leads = new ByteReader(bytes, leadsAt, bodyAt);
    const parts = { heads, leads, body: new BitReader(bytes, bodyAt, end) };
    this.#sourceCount = 0;
    let patched = 0;
    for (let i = 0; i < count; i++) {
      const form = this.#forms[i] ?? 0;
      patched |= form & PATCHED;
      if (this.#varies[i] === 1) this.#decodeVarying(parts, i, form, target);
      else if (form & PATCHED) return malformed('a constant column has patches');
      else decodeConstant(leads, form, this.#order[i] ?? 0, target);
      if (heads.failed || leads.failed || parts.body.failed) return malformed('a column ends too early or has an unknown head');
    }
    if (heads.at !== leadsAt || leads.at !== bodyAt) return malformed('heads or leading numbers are left over');
    const offset = parts.body.offset;
    return patched === 0 ? ok(offset) : this.#readPatches(new ByteReader(bytes, offset, end), count, target);
  }

  #decodeVarying(parts: Parts, index: number, form: number, target: Target): void {
    const { values, ticks } = target;
    const from = (this.#order[index] ?? 0) * ticks;
    const tagged = readTaggedHead(parts.heads);
    if (tagged < 0) return void parts.heads.fail();
    const prediction = tagged >>> 8;
    if (form === RAW_FORM) return this.#decodeRaw(parts, tagged, from, target);
    if (prediction === COPY_TAG) {
      this.#decodeCopy(parts, tagged & 0xff, from, target);
    } else {
      const start = this.#start;
      const lead = parts.leads.varint();
      start.prediction = prediction;
      start.lead = form & NEGATIVE ? -lead : lead;
      start.extra = hasExtra(prediction) ? parts.leads.zigzag() : 0;
      readBlocks(this.#numbers, countOf(prediction, ticks), tagged & 0xff, parts.heads, parts.body);
      restore(values, from, ticks, start, this.#numbers);
    }
    this.#sources[this.#sourceCount++] = index;
    if (form & CODE_MASK) toValues(values, from, ticks, form);
  }

  #decodeRaw(parts: Parts, tagged: number, from: number, target: Target): void {
    if (tagged >>> 8 === COPY_TAG) return void parts.heads.fail();
    readPattern(parts.leads, target.words, from, 1);
    readBlocks(this.#numbers, target.ticks - 1, tagged & 0xff, parts.heads, parts.body);
    restoreRaw(target.words, 2 * from, target.ticks, this.#numbers);
  }

  #decodeCopy(parts: Parts, back: number, from: number, target: Target): void {
    const { values, ticks } = target;
    const source = this.#sourceCount - 1 - back;
    if (source < 0) return void parts.heads.fail();
    const index = this.#sources[source] ?? 0;
    toIntegers(values, (this.#order[index] ?? 0) * ticks, ticks, (this.#forms[index] ?? 0) & CODE_MASK, this.#integers);
    restoreCopy(values, from, ticks, parts.leads.zigzag(), this.#integers);
  }

  #readPatches(reader: ByteReader, count: number, target: Target): Result<number> {
    const { ticks } = target;
    for (let i = 0; i < count && !reader.failed; i++) {
      if (((this.#forms[i] ?? 0) & PATCHED) === 0) continue;
      const from = (this.#order[i] ?? 0) * ticks;
      const patchCount = reader.varint() + 1;
      if (patchCount > ticks) return malformed('a column has more patches than values');
      let next = 0;
      for (let k = 0; k < patchCount && !reader.failed; k++) {
        const index = next + reader.varint();
        if (index >= ticks) return malformed('a patch lies outside its column');
        readPattern(reader, target.words, from + index, 1);
        next = index + 1;
      }
    }
    return reader.failed ? malformed('the patches end too early') : ok(reader.at);
  }
}

function malformed(why: string): Result<number> {
  return fail('payload_malformed', `cannot decode the columns: ${why}`);
}

function decodeConstant(reader: ByteReader, form: number, s: number, target: Target): void {
  const { values, ticks } = target;
  const from = s * ticks;
  if (form === RAW_FORM) return readPattern(reader, target.words, from, ticks);
  const lead = reader.varint();
  const value = form === 0 ? lead : valueOf(form & NEGATIVE ? -lead : lead, form);
  for (let i = from; i < from + ticks; i++) values[i] = value;
}

/** One bit pattern to `count` values from `from` on. */
function readPattern(reader: ByteReader, words: Uint32Array, from: number, count: number): void {
  const { bytes, at } = reader;
  if (at + PATTERN_BYTES > reader.end) return void reader.fail();
  reader.at = at + PATTERN_BYTES;
  const low = wordAt(bytes, at);
  const high = wordAt(bytes, at + 4);
  for (let i = 2 * from; i < 2 * (from + count); i += 2) {
    words[i] = low;
    words[i + 1] = high;
  }
}

function wordAt(bytes: Uint8Array, at: number): number {
  return (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16) | ((bytes[at + 3] ?? 0) << 24);
}
