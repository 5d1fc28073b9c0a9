/** A growable byte buffer with the variable-length integers of the wire, and their readers. Not a codec of anything. */
import { assert } from './assert.ts';

/** First size of a writer: a frame of a usual host (about 1,000 series, 5 ticks) fits without growing. */
const INITIAL_BYTES = 4096;
/** A varint of a number up to 2^53 has at most 8 groups of 7 bits. */
export const VARINT_BYTES_MAX = 8;
