/**
 * Samples payloads: groups of series that share a time axis, as columns. `[[ticks, times, refs, columns], ...]` in msgpack, the last three as bin.
 * A series stands in at most one group of a frame per tick; groups exist because gatherers have different intervals and series come and go.
 */
import { decodeRefs, decodeTimes, encodeRefs, encodeTimes } from './axis.ts';
import { ByteWriter } from './bytes.ts';
import { decodeColumns, encodeColumns } from './columns.ts';
import { fail, ok, type Result } from './errors.ts';
import { FRAME_SPAN_MS_MAX, GROUPS_PER_FRAME_MAX, SAMPLES_PER_FRAME_MAX, TICKS_PER_GROUP_MAX } from './limits.ts';
import { pack, unpack } from './msgpack.ts';

export type SampleGroup = {
  /** Offsets (ms) from the frame's time, strictly rising integers. */
  readonly times: Float64Array;
  /** Dictionary entries, strictly rising. */
  readonly refs: Uint32Array;
  /** values[i * times.length + t] is series refs[i] at times[t]. */
  readonly values: Float64Array;
};

const timesOut = new ByteWriter();
const refsOut = new ByteWriter();
const columnsOut = new ByteWriter();

/** Encodes groups; the caller seals the result. */
export function encodeSamples(groups: readonly SampleGroup[]): Uint8Array {
  return pack(
    groups.map((group) => {
      timesOut.reset();
      refsOut.reset();
      columnsOut.reset();
      encodeTimes(group.times, timesOut);
      encodeRefs(group.refs, refsOut);
      encodeColumns(group.values, group.refs.length, group.times.length, columnsOut);
      return [group.times.length, group.refs.length, timesOut.copy(), refsOut.copy(), columnsOut.copy()];
    }),
  );
}

/** What stands in a group: ticks, series, times, refs, columns. */
const GROUP_VALUES = 5;
/** Of msgpack in a samples payload: the groups and what stands in each. */
const VALUES_MAX = GROUPS_PER_FRAME_MAX * (1 + GROUP_VALUES);
/** Bytes of a room at first: a frame of 1,000 series and 5 ticks fits. */
const ROOM_BYTES = 64 * 1024;

/** Memory for decoded groups that is used again for the next frame: arrays of their own cost a collector more than decoding does. */
export class SampleRoom {
  #bytes = new ArrayBuffer(ROOM_BYTES);
  #used = 0;

  /** What was decoded before is overwritten from now on. */
  clear(): void {
    this.#used = 0;
  }

  floats(count: number): Float64Array {
    // First the place, then the memory: taking may make it anew.
    const from = this.#take(count * 8);
    return new Float64Array(this.#bytes, from, count);
  }

  refs(count: number): Uint32Array {
    const from = this.#take(count * 4);
    return new Uint32Array(this.#bytes, from, count);
  }

  #take(bytes: number): number {
    const from = this.#used;
    // Every array begins at a multiple of eight.
    this.#used += (bytes + 7) & ~7;
    if (this.#used <= this.#bytes.byteLength) return from;
    // Arrays handed out before keep the old memory.
    this.#bytes = new ArrayBuffer(Math.max(this.#bytes.byteLength * 2, this.#used));
    this.#used = (bytes + 7) & ~7;
    return 0;
  }
}

/** Decodes and checks a samples payload: counts within limits before anything is allocated, refs below `dictionaryLength`, nothing left over. With a room the arrays are valid until it is used again. */
export function decodeSamples(payload: Uint8Array, dictionaryLength: number, room?: SampleRoom): Result<readonly SampleGroup[]> {
  room?.clear();
  const unpacked = unpack(payload, 'payload_malformed', VALUES_MAX);
  if (!unpacked.ok) return unpacked;
  const rows = unpacked.value;
  if (!Array.isArray(rows) || rows.length > GROUPS_PER_FRAME_MAX) return malformed('samples are an array of groups');
  const groups: SampleGroup[] = [];
  let samples = 0;
  for (const row of rows as unknown[]) {
    if (!Array.isArray(row) || row.length !== GROUP_VALUES) return malformed('a group is [ticks, series, times, refs, columns]');
    const [ticks, series, times, refs, columns] = row as [unknown, unknown, unknown, unknown, unknown];
    if (!isCount(ticks, TICKS_PER_GROUP_MAX) || !isCount(series, dictionaryLength))
      return malformed('a group has too many ticks or series');
    if (!(times instanceof Uint8Array) || !(refs instanceof Uint8Array) || !(columns instanceof Uint8Array)) {
      return malformed('times, refs and columns of a group are bin');
    }
    samples += ticks * series;
    if (samples > SAMPLES_PER_FRAME_MAX) return malformed(`a frame has at most ${SAMPLES_PER_FRAME_MAX} samples`);
    const into = roomFor(ticks, series, room);
    const group = readGroup(into, times, refs, columns, dictionaryLength);
    if (!group.ok) return group;
    groups.push(group.value);
  }
  return ok(groups);
}

function roomFor(ticks: number, series: number, room: SampleRoom | undefined): SampleGroup {
  if (room === undefined)
    return { times: new Float64Array(ticks), refs: new Uint32Array(series), values: new Float64Array(ticks * series) };
  return { times: room.floats(ticks), refs: room.refs(series), values: room.floats(ticks * series) };
}

function readGroup(
  into: SampleGroup,
  timesBytes: Uint8Array,
  refsBytes: Uint8Array,
  columnsBytes: Uint8Array,
  dictionaryLength: number,
): Result<SampleGroup> {
  const { times, refs, values } = into;
  const ticks = times.length;
  const series = refs.length;
  const timesEnd = decodeTimes(timesBytes, 0, timesBytes.length, ticks, times);
  if (!timesEnd.ok) return timesEnd;
  const refsEnd = decodeRefs(refsBytes, 0, refsBytes.length, refs);
  if (!refsEnd.ok) return refsEnd;
  const columnsEnd = decodeColumns(columnsBytes, 0, columnsBytes.length, series, ticks, values);
  if (!columnsEnd.ok) return columnsEnd;
  if (timesEnd.value !== timesBytes.length || refsEnd.value !== refsBytes.length || columnsEnd.value !== columnsBytes.length) {
    return malformed('bytes are left over in a group');
  }
  if ((times[0] as number) < 0 || (times[ticks - 1] as number) > FRAME_SPAN_MS_MAX) {
    return fail('time_range', `a frame spans at most ${FRAME_SPAN_MS_MAX} ms from its time on`);
  }
  if ((refs[series - 1] as number) >= dictionaryLength) return malformed('a group names a series beyond the dictionary');
  return ok(into);
}

function isCount(value: unknown, max: number): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= max;
}

function malformed<T>(detail: string): Result<T> {
  return fail('payload_malformed', detail);
}
