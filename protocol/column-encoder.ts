/** Chooses for each column how few bytes it can take, and writes it. Not the format's description: that is README.md. */
import assert from 'node:assert/strict';
import { ByteWriter } from './bytes.ts';
import { BitWriter, COPY_REACH, type Numbers, numbersFor, writeBlocks, writeCopyHead } from './column-blocks.ts';
import { formOf, integerOf, isExact, NEGATIVE, oddIndexes, PATCHED, RAW_FORM, toIntegers } from './column-forms.ts';
import { type Choice, hasExtra, predict, predictRaw } from './column-residuals.ts';

/** A column is all +0, all one bit pattern, or it varies. */
const KIND_ZERO = 0;
const KIND_CONSTANT = 1;
const KIND_VARYING = 2;
/** Constants of another form between two columns of one form take that form when they are at most this many: a new run costs 4 bytes. */
const ABSORBED_MAX = 2;
/** A copy costs a byte more than a column whose numbers take no bits; cheaper columns are not looked up. */
const COPY_BITS_MIN = 12;
/** Steps that the hash of a column takes in. */
const HASHED_STEPS_MAX = 64;
/** Bytes of a bit pattern. */
const PATTERN_BYTES = 8;

/** The columns of one call; `words` are the same values as pairs of low and high words. */
type Source = { values: Float64Array; words: Uint32Array; ticks: number };

/** Keeps room from call to call, because making it anew costs more than a small frame; nothing else. */
export class ColumnEncoder {
  readonly #heads = new ByteWriter();
  readonly #leads = new ByteWriter();
  readonly #body = new BitWriter();
  readonly #patches = new ByteWriter();
  /** By column. */
  #kinds = new Uint8Array(0);
  #forms = new Uint8Array(0);
  /** Columns that are not zero, in their order. */
  #order = new Uint32Array(0);
  /** Varying columns that are not raw, in their order: what copies count back in. The latest of them by the hash of its steps. */
  #copied = new Uint32Array(0);
  #copiedCount = 0;
  readonly #copiedByHash = new Int32Array(COPY_REACH);
  readonly #hashes = new Int32Array(COPY_REACH);
  #numbers: Numbers = numbersFor(0);
  #steps = new Int32Array(0);
  #integers = new Float64Array(0);
  #otherIntegers = new Float64Array(0);
  #indexes = new Uint32Array(0);
  readonly #choice: Choice = { prediction: 0, lead: 0, extra: 0, count: 0, bits: 0 };

  encode(values: Float64Array, seriesCount: number, ticks: number, out: ByteWriter): void {
    const given = values.length;
    if (!(given >= seriesCount * ticks)) assert.fail(`${seriesCount} columns of ${ticks} values are more than the ${given} given`);
    if (seriesCount === 0 || ticks === 0) return;
    this.#makeRoom(seriesCount, ticks);
    const source = { values, words: new Uint32Array(values.buffer, values.byteOffset, given * 2), ticks };
    const count = this.#classify(source, seriesCount);
    this.#absorbForms(source, count);
    const varying = this.#encodeAll(source, count);
    this.#writeBitmaps(seriesCount, ticks, count, out);
    this.#writeForms(count, out);
    if (varying > 0) {
      out.varint(this.#heads.length);
      out.varint(this.#leads.length);
      out.bytes(this.#heads.view());
    }
    out.bytes(this.#leads.view());
    if (varying === 0) return;
    out.bytes(this.#body.finish());
    out.bytes(this.#patches.view());
  }

  #makeRoom(seriesCount: number, ticks: number): void {
    if (this.#kinds.length < seriesCount) {
      this.#kinds = new Uint8Array(seriesCount);
      this.#forms = new Uint8Array(seriesCount);
      this.#order = new Uint32Array(seriesCount);
      this.#copied = new Uint32Array(seriesCount);
    }
    if (this.#steps.length < ticks) {
      this.#numbers = numbersFor(ticks);
      this.#steps = new Int32Array(ticks);
      this.#integers = new Float64Array(ticks);
      this.#otherIntegers = new Float64Array(ticks);
      this.#indexes = new Uint32Array(ticks);
    }
  }

  /** Fills #kinds, #forms and #order; answers the length of #order. */
  #classify(source: Source, seriesCount: number): number {
    const { values, ticks } = source;
    let count = 0;
    for (let s = 0; s < seriesCount; s++) {
      const kind = kindOf(source, s * ticks);
      this.#kinds[s] = kind;
      if (kind === KIND_ZERO) continue;
      this.#forms[s] = formOf(values, s * ticks, kind === KIND_CONSTANT ? 1 : ticks);
      this.#order[count++] = s;
    }
    return count;
  }

  #formAt(index: number): number {
    return this.#forms[this.#order[index] ?? 0] ?? 0;
  }

  /** Makes longer runs of one form: a constant 12.5 among hundredths is 1250 hundredths. */
  #absorbForms(source: Source, count: number): void {
    let i = 1;
    while (i < count) {
      const form = this.#formAt(i - 1);
      let stop = i;
      while (stop < count && stop - i <= ABSORBED_MAX && this.#formAt(stop) !== form) stop++;
      const enclosed = stop > i && stop < count && stop - i <= ABSORBED_MAX && form < RAW_FORM;
      if (enclosed && this.#allTake(source, i, stop, form)) {
        for (let k = i; k < stop; k++) this.#forms[this.#order[k] ?? 0] = form;
        i = stop;
      }
      i++;
    }
  }

  #allTake(source: Source, start: number, stop: number, form: number): boolean {
    for (let k = start; k < stop; k++) {
      const s = this.#order[k] ?? 0;
      if (this.#kinds[s] !== KIND_CONSTANT || !isExact(source.values[s * source.ticks] ?? 0, form)) return false;
    }
    return true;
  }

  /** Fills heads, leads, body and patches; answers how many columns vary. */
  #encodeAll(source: Source, count: number): number {
    this.#heads.reset();
    this.#leads.reset();
    this.#body.reset();
    this.#patches.reset();
    this.#copiedCount = 0;
    if (source.ticks > 1) this.#copiedByHash.fill(-1);
    let varying = 0;
    for (let i = 0; i < count; i++) {
      const s = this.#order[i] ?? 0;
      if (this.#kinds[s] === KIND_VARYING) {
        varying++;
        this.#encodeVarying(source, s);
      } else {
        this.#encodeConstant(source, s);
      }
    }
    return varying;
  }

  #encodeConstant(source: Source, s: number): void {
    const form = this.#forms[s] ?? 0;
    const from = s * source.ticks;
    if (form === RAW_FORM) writePattern(source.words, from, this.#leads);
    else this.#writeLead(form === 0 ? (source.values[from] ?? 0) : integerOf(source.values[from] ?? 0, form), s);
  }

  #encodeVarying(source: Source, s: number): void {
    const { values, ticks } = source;
    const form = this.#forms[s] ?? 0;
    const from = s * ticks;
    if (form === RAW_FORM) return this.#encodeRaw(source, from);
    const asIs = form === 0;
    const integers = asIs ? values : this.#integers;
    const integersFrom = asIs ? from : 0;
    if (!asIs) toIntegers(values, from, ticks, form, integers);
    const choice = this.#choice;
    predict(integers, integersFrom, ticks, this.#steps, this.#numbers, choice);
    const distance = this.#numbers.wide || choice.bits < COPY_BITS_MIN ? 0 : this.#distanceOfSame(source);
    this.#copied[this.#copiedCount++] = s;
    if (distance > 0) {
      this.#leads.zigzag((integers[integersFrom] ?? 0) - (this.#otherIntegers[0] ?? 0));
      writeCopyHead(distance, this.#heads);
    } else {
      this.#writeLead(choice.lead, s);
      if (hasExtra(choice.prediction)) this.#leads.zigzag(choice.extra);
      writeBlocks(this.#numbers, choice.count, choice.prediction, this.#heads, this.#body);
    }
    if (form & PATCHED) this.#writePatches(source, from);
  }

  #encodeRaw(source: Source, from: number): void {
    predictRaw(source.words, 2 * from, source.ticks, this.#numbers);
    writePattern(source.words, from, this.#leads);
    writeBlocks(this.#numbers, source.ticks - 1, 0, this.#heads, this.#body);
  }

  /** How many columns back one has the very steps of this one, 0 if none is found; this one can be found from now on. */
  #distanceOfSame(source: Source): number {
    const { values, ticks } = source;
    const steps = this.#steps;
    let hash = 0;
    for (let i = 0; i < ticks - 1 && i < HASHED_STEPS_MAX; i++) hash = Math.imul(hash ^ (steps[i] ?? 0), 0x9e37_79b1);
    const slot = (hash ^ (hash >>> 15)) & (COPY_REACH - 1);
    const candidate = this.#copiedByHash[slot] ?? -1;
    const likely = this.#hashes[slot] === hash;
    this.#copiedByHash[slot] = this.#copiedCount;
    this.#hashes[slot] = hash;
    const distance = this.#copiedCount - candidate;
    if (candidate < 0 || !likely || distance > COPY_REACH) return 0;
    const s = this.#copied[candidate] ?? 0;
    const others = this.#otherIntegers;
    toIntegers(values, s * ticks, ticks, this.#forms[s] ?? 0, others);
    for (let t = 1; t < ticks; t++) if ((others[t] ?? 0) - (others[t - 1] ?? 0) !== steps[t - 1]) return 0;
    return distance;
  }

  #writeLead(lead: number, s: number): void {
    if (lead < 0) this.#forms[s] = (this.#forms[s] ?? 0) | NEGATIVE;
    this.#leads.varint(lead < 0 ? -lead : lead);
  }

  #writePatches(source: Source, from: number): void {
    const patches = this.#patches;
    const count = oddIndexes(source.values, from, source.ticks, this.#indexes);
    patches.varint(count - 1);
    let next = 0;
    for (let i = 0; i < count; i++) {
      const index = this.#indexes[i] ?? 0;
      patches.varint(index - next);
      writePattern(source.words, from + index, patches);
      next = index + 1;
    }
  }

  #writeBitmaps(seriesCount: number, ticks: number, count: number, out: ByteWriter): void {
    for (let s = 0; s < seriesCount; s += 8) {
      let byte = 0;
      for (let i = 0; i < 8 && s + i < seriesCount; i++) if (this.#kinds[s + i] !== KIND_ZERO) byte |= 1 << i;
      out.byte(byte);
    }
    if (ticks === 1) return;
    for (let k = 0; k < count; k += 8) {
      let byte = 0;
      for (let i = 0; i < 8 && k + i < count; i++) if (this.#kinds[this.#order[k + i] ?? 0] === KIND_VARYING) byte |= 1 << i;
      out.byte(byte);
    }
  }

  #writeForms(count: number, out: ByteWriter): void {
    let i = 0;
    while (i < count) {
      const form = this.#formAt(i);
      const start = i;
      while (i < count && this.#formAt(i) === form) i++;
      out.byte(form);
      out.varint(i - start - 1);
    }
  }
}

function kindOf(source: Source, from: number): number {
  const { values, words } = source;
  const stop = from + source.ticks;
  const first = values[from] ?? 0;
  if (first === first && first !== 0) {
    for (let i = from + 1; i < stop; i++) if (values[i] !== first) return KIND_VARYING;
    return KIND_CONSTANT;
  }
  const low = words[2 * from] ?? 0;
  const high = words[2 * from + 1] ?? 0;
  for (let i = from + 1; i < stop; i++) if (words[2 * i] !== low || words[2 * i + 1] !== high) return KIND_VARYING;
  return low === 0 && high === 0 ? KIND_ZERO : KIND_CONSTANT;
}

function writePattern(words: Uint32Array, index: number, to: ByteWriter): void {
  const bytes = to.reserve(PATTERN_BYTES);
  const at = to.length;
  for (let i = 0; i < PATTERN_BYTES; i++) bytes[at + i] = (words[2 * index + (i >> 2)] ?? 0) >>> (8 * (i & 3));
  to.advance(at + PATTERN_BYTES);
}
