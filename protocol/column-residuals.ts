/** What is left of a column's integers after the best of five predictions. Not how it is packed. */
import { BLOCK, type Numbers } from './column-blocks.ts';

/** The tag of a column's first block head. */
export const PREDICTION = {
  /** Differences from the value before, none negative. */
  rise: 0,
  /** Differences from the value before, zigzag. */
  step: 1,
  /** Differences from the value before, less the smallest of them. */
  pace: 2,
  /** Differences of the differences, zigzag. */
  bend: 3,
  /** Values less the smallest of them. */
  level: 4,
} as const;

/** Differences below this, and the differences of those, fit 32 bits as zigzags. */
const NARROW_LIMIT = 2 ** 30;
const WORD = 2 ** 32;
/** Longer columns are judged by every second block, every third and so on, as many as fit this length: it chooses as well and costs less. */
const SAMPLED_FROM = 512;

/** Room for one column of differences. */
export type Steps = Int32Array;

/** Bits of a block of `count` numbers, the largest with `width` bits, `zeros` of them zero: as blocks are packed. */
function blockBits(count: number, width: number, zeros: number): number {
  return Math.min(count * width, count + (count - zeros) * width);
}

/** About the bits of the varint of a zigzag. */
function varintBits(n: number): number {
  const size = n < 0 ? -n : n;
  if (size >= 2 ** 31) return 48;
  return 8 * (((39 - Math.clz32(size)) / 7) | 0);
}

/** `bits` is about what the numbers will take, `count` how many they are. */
export type Choice = { prediction: number; lead: number; extra: number; count: number; bits: number };

/**
 * Chooses for integers[from .. from + ticks), ticks at least 2, and fills `numbers` and `steps`. `choice` is written, not made anew,
 * because this is hot.
 */
export function predict(integers: Float64Array, from: number, ticks: number, steps: Steps, numbers: Numbers, choice: Choice): void {
  let previous = integers[from] ?? 0;
  let smallestStep = Infinity;
  let largestStep = -Infinity;
  for (let t = 1; t < ticks; t++) {
    const integer = integers[from + t] ?? 0;
    const step = integer - previous;
    previous = integer;
    if (step < smallestStep) smallestStep = step;
    if (step > largestStep) largestStep = step;
    steps[t - 1] = step;
  }
  choice.lead = integers[from] ?? 0;
  choice.extra = 0;
  choice.count = ticks - 1;
  numbers.wide = smallestStep <= -NARROW_LIMIT || largestStep >= NARROW_LIMIT;
  if (numbers.wide) {
    choice.prediction = PREDICTION.step;
    return fillWideSteps(integers, from, ticks, numbers);
  }
  choose(ticks - 1, steps, smallestStep, choice);
  if (smallestStep < 0) proposeLevel(integers, from, ticks, choice);
  fill(integers, from, ticks, steps, numbers, choice, smallestStep);
}

/** Blocks that are looked at lie so far apart. */
function strideOf(count: number): number {
  return count <= SAMPLED_FROM ? BLOCK : BLOCK * Math.ceil(count / SAMPLED_FROM);
}

/** One pass over the blocks adds up the bits of each prediction from the steps. */
function choose(count: number, steps: Steps, smallestStep: number, choice: Choice): void {
  const rising = smallestStep >= 0;
  const widthOfZero = rising ? 32 : 33;
  const stride = strideOf(count);
  let step = 0;
  let pace = varintBits(smallestStep);
  let bend = varintBits(steps[0] ?? 0);
  for (let from = 0; from < count; from += stride) {
    const stop = Math.min(from + BLOCK, count);
    let before = steps[from === 0 ? 0 : from - 1] ?? 0;
    let stepBits = 0;
    let bendBits = 0;
    let largestStep = smallestStep;
    let zeros = 0;
    let straight = 0;
    for (let i = from; i < stop; i++) {
      const now = steps[i] ?? 0;
      const change = now - before;
      before = now;
      stepBits |= now ^ (now >> 31);
      bendBits |= change ^ (change >> 31);
      if (now > largestStep) largestStep = now;
      if (now === 0) zeros++;
      if (change === 0) straight++;
    }
    const size = stop - from;
    step += blockBits(size, zeros === size ? 0 : widthOfZero - Math.clz32(stepBits), zeros);
    bend += blockBits(size, straight === size ? 0 : 33 - Math.clz32(bendBits), straight);
    pace += size * (32 - Math.clz32(largestStep - smallestStep));
  }
  choice.prediction = rising ? PREDICTION.rise : PREDICTION.step;
  choice.bits = step;
  if (bend < choice.bits) propose(PREDICTION.bend, bend, choice);
  if (pace < choice.bits) propose(PREDICTION.pace, pace, choice);
}

/** Values that go up and down may be cheaper than their differences; the smallest is kept as the lead should it be so. */
function proposeLevel(integers: Float64Array, from: number, ticks: number, choice: Choice): void {
  let smallest = Infinity;
  let largest = -Infinity;
  for (let i = from; i < from + ticks; i++) {
    const integer = integers[i] ?? 0;
    if (integer < smallest) smallest = integer;
    if (integer > largest) largest = integer;
  }
  if (largest - smallest >= WORD) return;
  const stride = strideOf(ticks);
  let bits = varintBits(smallest) - varintBits(choice.lead);
  for (let start = 0; start < ticks; start += stride) {
    const size = Math.min(BLOCK, ticks - start);
    let top = smallest;
    for (let i = from + start; i < from + start + size; i++) if ((integers[i] ?? 0) > top) top = integers[i] ?? 0;
    bits += size * (32 - Math.clz32(top - smallest));
  }
  if (bits >= choice.bits) return;
  propose(PREDICTION.level, bits, choice);
  choice.lead = smallest;
}

function propose(prediction: number, bits: number, choice: Choice): void {
  choice.prediction = prediction;
  choice.bits = bits;
}

function fill(
  integers: Float64Array,
  from: number,
  ticks: number,
  steps: Steps,
  numbers: Numbers,
  choice: Choice,
  smallestStep: number,
): void {
  const low = numbers.low;
  const count = ticks - 1;
  switch (choice.prediction) {
    case PREDICTION.rise:
      for (let i = 0; i < count; i++) low[i] = steps[i] ?? 0;
      return;
    case PREDICTION.step:
      for (let i = 0; i < count; i++) low[i] = ((steps[i] ?? 0) << 1) ^ ((steps[i] ?? 0) >> 31);
      return;
    case PREDICTION.pace:
      choice.extra = smallestStep;
      for (let i = 0; i < count; i++) low[i] = (steps[i] ?? 0) - smallestStep;
      return;
    case PREDICTION.bend:
      choice.extra = steps[0] ?? 0;
      choice.count = count - 1;
      for (let i = 1; i < count; i++) {
        const change = (steps[i] ?? 0) - (steps[i - 1] ?? 0);
        low[i - 1] = (change << 1) ^ (change >> 31);
      }
      return;
    default:
      choice.count = ticks;
      for (let t = 0; t < ticks; t++) low[t] = (integers[from + t] ?? 0) - choice.lead;
  }
}

function fillWideSteps(integers: Float64Array, from: number, ticks: number, numbers: Numbers): void {
  for (let t = 1; t < ticks; t++) {
    const step = (integers[from + t] ?? 0) - (integers[from + t - 1] ?? 0);
    const zigzag = step < 0 ? -2 * step - 1 : 2 * step;
    const high = Math.floor(zigzag / WORD);
    numbers.high[t - 1] = high;
    numbers.low[t - 1] = zigzag - high * WORD;
  }
}

/** Bit patterns: the differences of neighbours modulo 2^64, zigzag. words holds low and high words by turns from index `from` on. */
export function predictRaw(words: Uint32Array, from: number, ticks: number, numbers: Numbers): void {
  numbers.wide = true;
  for (let t = 1; t < ticks; t++) {
    const i = from + 2 * t;
    const low = (words[i] ?? 0) - (words[i - 2] ?? 0);
    const high = ((words[i + 1] ?? 0) - (words[i - 1] ?? 0) - (low < 0 ? 1 : 0)) | 0;
    const sign = high >> 31;
    numbers.low[t - 1] = (low << 1) ^ sign;
    numbers.high[t - 1] = ((high << 1) | ((low | 0) < 0 ? 1 : 0)) ^ sign;
  }
}

/** Writes into words[from + 2 ..) what `predictRaw` took off; words[from] and words[from + 1] are there already. */
export function restoreRaw(words: Uint32Array, from: number, ticks: number, numbers: Numbers): void {
  const { low, high, wide } = numbers;
  for (let t = 1; t < ticks; t++) {
    const i = from + 2 * t;
    const below = low[t - 1] ?? 0;
    const above = wide ? (high[t - 1] ?? 0) : 0;
    const sign = -(below & 1);
    const sum = (words[i - 2] ?? 0) + ((((below >>> 1) | (above << 31)) ^ sign) >>> 0);
    words[i] = sum;
    words[i + 1] = (words[i - 1] ?? 0) + ((above >>> 1) ^ sign) + (sum >= WORD ? 1 : 0);
  }
}

/** How many numbers a column of `ticks` has under a prediction. */
export function countOf(prediction: number, ticks: number): number {
  return prediction === PREDICTION.level ? ticks : prediction === PREDICTION.bend ? ticks - 2 : ticks - 1;
}

/** The second leading number, where a prediction has one. */
export function hasExtra(prediction: number): boolean {
  return prediction === PREDICTION.pace || prediction === PREDICTION.bend;
}

/** What a column begins with. */
export type Lead = { prediction: number; lead: number; extra: number };

/** Writes the integers into into[from .. from + ticks). */
export function restore(into: Float64Array, from: number, ticks: number, start: Lead, numbers: Numbers): void {
  const low = numbers.low;
  const { prediction, lead, extra } = start;
  if (numbers.wide) return restoreWide(into, from, ticks, start, numbers);
  let integer = lead;
  if (prediction !== PREDICTION.level) into[from] = lead;
  switch (prediction) {
    case PREDICTION.rise:
      for (let t = 1; t < ticks; t++) into[from + t] = integer += low[t - 1] ?? 0;
      return;
    case PREDICTION.step:
      for (let t = 1; t < ticks; t++) {
        const zigzag = low[t - 1] ?? 0;
        into[from + t] = integer += (zigzag >>> 1) ^ -(zigzag & 1);
      }
      return;
    case PREDICTION.pace:
      for (let t = 1; t < ticks; t++) into[from + t] = integer += extra + (low[t - 1] ?? 0);
      return;
    case PREDICTION.bend: {
      let step = extra;
      into[from + 1] = integer += step;
      for (let t = 2; t < ticks; t++) {
        const zigzag = low[t - 2] ?? 0;
        step += (zigzag >>> 1) ^ -(zigzag & 1);
        into[from + t] = integer += step;
      }
      return;
    }
    default:
      for (let t = 0; t < ticks; t++) into[from + t] = lead + (low[t] ?? 0);
  }
}

/** Numbers above 32 bits, whatever the prediction: encoders write them as steps only, hostile bytes may say otherwise. */
function restoreWide(into: Float64Array, from: number, ticks: number, start: Lead, numbers: Numbers): void {
  const { low, high } = numbers;
  const { prediction, lead, extra } = start;
  const zigzagged = prediction === PREDICTION.step || prediction === PREDICTION.bend;
  const skipped = ticks - countOf(prediction, ticks);
  let integer = lead;
  let step = extra;
  if (skipped > 0) into[from] = lead;
  if (skipped > 1) into[from + 1] = integer += step;
  for (let t = skipped; t < ticks; t++) {
    const number = (high[t - skipped] ?? 0) * WORD + (low[t - skipped] ?? 0);
    const half = Math.floor(number / 2);
    const signed = !zigzagged ? number : half * 2 === number ? half : -half - 1;
    if (prediction === PREDICTION.level) {
      into[from + t] = lead + signed;
    } else {
      step = prediction === PREDICTION.bend ? step + signed : prediction === PREDICTION.pace ? extra + signed : signed;
      into[from + t] = integer += step;
    }
  }
}

/** The integers of a column that moves as another, whose integers stand in `source`, at a constant distance from it. */
export function restoreCopy(into: Float64Array, from: number, ticks: number, apart: number, source: Float64Array): void {
  for (let t = 0; t < ticks; t++) into[from + t] = (source[t] ?? 0) + apart;
}
