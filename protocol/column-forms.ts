/** How the float64 values of a column become integers without losing a bit: by a power of ten or of two. Not how integers become bytes. */

/**
 * Code 0: the value. 1 to 9: the value times a power of ten, rounded; decoding divides. 7 and 8 are how Go programs, node_exporter among them, turn
 * milliseconds and microseconds into seconds: times 0.001, and divided by 1000 twice; their last bits differ from those of one division.
 * 10 to 15: the value divided by a power of two.
 */
const DIVISOR = Float64Array.of(1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e3, 1e6, 1e9, 1, 1, 1, 1, 1, 1);
const TIMES_THOUSANDTH_CODE = 7;
const TWICE_DIVIDED_CODE = 8;
/** Pages counted in kibibytes; sectors, kibibytes, pages, large pages and mebibytes counted in bytes. */
const SHIFTS = [2, 9, 10, 12, 16, 20] as const;
/** A power of two is divided out when that saves at least so many bits of the column, about what a run of forms costs. */
const SHIFT_SAVES_BITS_MIN = 32;
/** The leading numbers of a frame's constants: fewer bytes at 2^9 and above. */
const SHIFT_OF_CONSTANT_MIN = 9;
const SHIFT_CODE_FIRST = 10;
const LARGEST_SHIFT = 20;
const LARGEST_SHIFT_CODE = 15;
const FACTOR = Float64Array.from({ length: 16 }, (_, code) => 2 ** (SHIFTS[code - SHIFT_CODE_FIRST] ?? 0));
/** What the encoder tries: hundredths, milli, micro, nano. Fewer forms make longer runs of equal forms; a decoder takes all codes. */
const DECIMAL_CODES = [2, 3, TIMES_THOUSANDTH_CODE, 6, TWICE_DIVIDED_CODE, 9] as const;

export const CODE_MASK = 0x0f;
/** The column's bit patterns themselves, 64-bit integers. */
export const RAW_FORM = 0x10;
/** Some values of the column stand in the list of patches. */
export const PATCHED = 0x20;
/** The leading number of the column is negative. */
export const NEGATIVE = 0x40;

/** Integers stay below this, so that their differences, the differences of those and their zigzags are exact in a double. */
const INTEGER_LIMIT = 2 ** 50;

/** NaN, the infinities and -0 are no integers: few of them are patched, many make the column raw. */
function isOdd(value: number): boolean {
  return value - value !== 0 || (value === 0 && 1 / value < 0);
}

/** The form that suits ticks values from `from` on. */
export function formOf(values: Float64Array, from: number, ticks: number): number {
  const stop = from + ticks;
  let bits = 0;
  let largest = 0;
  for (let i = from; i < stop; i++) {
    const value = values[i] ?? 0;
    if (Math.trunc(value) !== value || (value === 0 && 1 / value < 0)) return otherForm(values, from, ticks);
    bits |= value;
    const size = Math.abs(value);
    if (size > largest) largest = size;
  }
  return largest === Infinity ? otherForm(values, from, ticks) : wholeCode(bits, largest, ticks);
}

/** For columns that are not all whole numbers. */
function otherForm(values: Float64Array, from: number, ticks: number): number {
  let odd = 0;
  let bits = 0;
  let largest = 0;
  let whole = true;
  for (let i = from; i < from + ticks; i++) {
    const value = values[i] ?? 0;
    if (isOdd(value)) {
      odd++;
    } else {
      whole = whole && Math.trunc(value) === value;
      bits |= value;
      largest = Math.max(largest, Math.abs(value));
    }
  }
  if (odd > 0 && (odd === ticks || odd > Math.max(1, ticks >> 3))) return RAW_FORM;
  const code = whole ? wholeCode(bits, largest, ticks) : decimalCode(values, from, ticks, largest);
  return odd > 0 && code !== RAW_FORM ? code | PATCHED : code;
}

function wholeCode(bits: number, largest: number, ticks: number): number {
  const zeros = bits === 0 ? 32 : 31 - Math.clz32(bits & -bits);
  const least = ticks === 1 ? SHIFT_OF_CONSTANT_MIN : SHIFT_SAVES_BITS_MIN / (ticks - 1);
  let code = 0;
  for (let i = 0; i < SHIFTS.length; i++) {
    const shift = SHIFTS[i] ?? 0;
    if (zeros >= shift && shift >= least) code = SHIFT_CODE_FIRST + i;
  }
  if (largest >= INTEGER_LIMIT) code = zeros >= LARGEST_SHIFT ? LARGEST_SHIFT_CODE : RAW_FORM;
  return largest < INTEGER_LIMIT * (FACTOR[code] ?? 1) ? code : RAW_FORM;
}

function decimalCode(values: Float64Array, from: number, ticks: number, largest: number): number {
  for (const code of DECIMAL_CODES) {
    const divisor = DIVISOR[code] ?? 1;
    if (largest * divisor >= INTEGER_LIMIT) return RAW_FORM;
    let i = from;
    for (; i < from + ticks; i++) {
      const value = values[i] ?? 0;
      if (decimalOf(Math.round(value * divisor), code) !== value && !isOdd(value)) break;
    }
    if (i === from + ticks) return code;
  }
  return RAW_FORM;
}

/** Whether a finite value survives being stored as an integer of this form. */
export function isExact(value: number, form: number): boolean {
  if (form >= RAW_FORM) return false;
  const integer = integerOf(value, form);
  return Math.abs(integer) < INTEGER_LIMIT && valueOf(integer, form) === value && !isOdd(value);
}

export function integerOf(value: number, form: number): number {
  const code = form & CODE_MASK;
  return code < SHIFT_CODE_FIRST ? Math.round(value * (DIVISOR[code] ?? 1)) : Math.trunc(value / (FACTOR[code] ?? 1));
}

export function valueOf(integer: number, form: number): number {
  const code = form & CODE_MASK;
  return code < SHIFT_CODE_FIRST ? decimalOf(integer, code) : integer * (FACTOR[code] ?? 1);
}

function decimalOf(integer: number, code: number): number {
  if (code === TIMES_THOUSANDTH_CODE) return integer * 0.001;
  if (code === TWICE_DIVIDED_CODE) return integer / 1000 / 1000;
  return integer / (DIVISOR[code] ?? 1);
}

/** Integers of a column that is not raw. Where a value is odd the one before it stands again, so that the hole costs nothing. */
export function toIntegers(values: Float64Array, from: number, ticks: number, form: number, integers: Float64Array): void {
  const code = form & CODE_MASK;
  if (form & PATCHED) return toIntegersAroundOdd(values, from, ticks, form, integers);
  if (code === 0) {
    for (let t = 0; t < ticks; t++) integers[t] = values[from + t] ?? 0;
  } else if (code < SHIFT_CODE_FIRST) {
    const divisor = DIVISOR[code] ?? 1;
    for (let t = 0; t < ticks; t++) integers[t] = Math.round((values[from + t] ?? 0) * divisor);
  } else {
    const factor = 1 / (FACTOR[code] ?? 1);
    for (let t = 0; t < ticks; t++) integers[t] = (values[from + t] ?? 0) * factor;
  }
}

function toIntegersAroundOdd(values: Float64Array, from: number, ticks: number, form: number, integers: Float64Array): void {
  let first = 0;
  while (first < ticks - 1 && isOdd(values[from + first] ?? 0)) first++;
  let last = integerOf(values[from + first] ?? 0, form);
  for (let t = 0; t < ticks; t++) {
    const value = values[from + t] ?? 0;
    if (!isOdd(value)) last = integerOf(value, form);
    integers[t] = last;
  }
}

/** How many values of the column are odd, and where: their indexes are written to `indexes`. */
export function oddIndexes(values: Float64Array, from: number, ticks: number, indexes: Uint32Array): number {
  let count = 0;
  for (let t = 0; t < ticks; t++) if (isOdd(values[from + t] ?? 0)) indexes[count++] = t;
  return count;
}

/** Turns the integers in into[from .. from + ticks) into the values of this form. */
export function toValues(into: Float64Array, from: number, ticks: number, form: number): void {
  const code = form & CODE_MASK;
  if (code === 0) return;
  if (code === TIMES_THOUSANDTH_CODE) {
    for (let i = from; i < from + ticks; i++) into[i] = (into[i] ?? 0) * 0.001;
  } else if (code === TWICE_DIVIDED_CODE) {
    for (let i = from; i < from + ticks; i++) into[i] = (into[i] ?? 0) / 1000 / 1000;
  } else if (code < SHIFT_CODE_FIRST) {
    const divisor = DIVISOR[code] ?? 1;
    for (let i = from; i < from + ticks; i++) into[i] = (into[i] ?? 0) / divisor;
  } else {
    const factor = FACTOR[code] ?? 1;
    for (let i = from; i < from + ticks; i++) into[i] = (into[i] ?? 0) * factor;
  }
}
