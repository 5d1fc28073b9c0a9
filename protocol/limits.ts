/** Bounds of the wire. One table, read by both sides; what exceeds one is refused with the code named beside it. */

/** Version of the protocol in every envelope and handshake. */
export const PROTOCOL_VERSION = 1;
/** A whole frame as sent. `frame_oversized`. A log block of 1 MiB raw fits many times compressed. */
export const FRAME_BYTES_MAX = 1024 * 1024;
/** A payload after decompression. `payload_bomb`. */
export const PAYLOAD_BYTES_MAX = 8 * 1024 * 1024;
/** A control message. `control_malformed`. */
export const CONTROL_BYTES_MAX = 256 * 1024;
/** Entries of one epoch's dictionary. `dictionary_full`: the agent must draw a new epoch. */
export const DICTIONARY_ENTRIES_MAX = 65_536;
/** UTF-8 bytes of a metric name, a label name, a label value, and of a whole series. `limit_label`. */
export const METRIC_NAME_BYTES_MAX = 256;
export const LABEL_NAME_BYTES_MAX = 256;
export const LABEL_VALUE_BYTES_MAX = 2048;
export const SERIES_BYTES_MAX = 8192;
export const LABELS_PER_SERIES_MAX = 64;
/** UTF-8 bytes of a metric's help text; longer is cut by the agent. `payload_malformed`. */
export const HELP_BYTES_MAX = 1024;
/** Ticks in one samples group and samples in one frame. `payload_malformed`. */
export const TICKS_PER_GROUP_MAX = 600;
export const SAMPLES_PER_FRAME_MAX = 1_000_000;
export const GROUPS_PER_FRAME_MAX = 1024;
/** A frame covers at most this span of time. `time_range`. */
export const FRAME_SPAN_MS_MAX = 10 * 60 * 1000;
/** How far ahead of the collector's clock a sample may lie. `time_range`. */
export const FUTURE_MS_MAX = 2 * 60 * 1000;
/** How far a sequence may lie ahead of the highest one received in its lane. `sequence_far`. */
export const SEQUENCE_AHEAD_MAX = 10_000_000;
/** Ranges in one ack, and received ranges kept per lane before the collector asks for the floor. */
export const ACK_RANGES_MAX = 1024;
/** Depth of nested msgpack, checked before any decoder runs. `payload_malformed`. */
export const MSGPACK_DEPTH_MAX = 16;
/** Epochs that hello and state may name as held, all lanes of each within a control message. `control_malformed`. */
export const EPOCHS_HELD_MAX = 1024;
/** Host name bytes (a DNS name's bound). */
export const HOST_NAME_BYTES_MAX = 253;
/** A handshake must be over within this time. `handshake_timeout`. */
export const HANDSHAKE_MS_MAX = 10_000;
/** Hints one collector may set on one agent. */
export const HINTS_MAX = 256;
