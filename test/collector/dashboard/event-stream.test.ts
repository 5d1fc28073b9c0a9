/** Server-sent events, however the network cuts them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EventStreamParser } from '../../../collector/dashboard/src/event-stream.ts';
import type { ServerEvent } from '../../../collector/dashboard/src/event-stream.ts';

const TEXT =
  'retry: 2000\n\nevent: hosts\ndata: {"a":1}\n\n:\n\nevent: points\r\ndata: one\r\ndata: two\r\n\r\ndata:bare\n\nevent: nothing\n\n';
const EVENTS: readonly ServerEvent[] = [
  { name: 'hosts', data: '{"a":1}' },
  { name: 'points', data: 'one\ntwo' },
  { name: 'message', data: 'bare' },
];

test('events, comments and both line ends are read from one chunk', () => {
  assert.deepEqual(new EventStreamParser().push(TEXT), EVENTS);
});

test('wherever the text is cut into two, the events are the same', () => {
  for (let cut = 0; cut <= TEXT.length; cut++) {
    const parser = new EventStreamParser();
    assert.deepEqual([...parser.push(TEXT.slice(0, cut)), ...parser.push(TEXT.slice(cut))], EVENTS, `cut at ${cut}`);
  }
});

test('one character at a time gives the same events', () => {
  const parser = new EventStreamParser();
  assert.deepEqual(
    TEXT.split('').flatMap((letter) => parser.push(letter)),
    EVENTS,
  );
});

test('an event without an end is not an event', () => {
  const parser = new EventStreamParser();
  assert.deepEqual(parser.push('event: hosts\ndata: {}\n'), []);
  assert.deepEqual(parser.push('\n'), [{ name: 'hosts', data: '{}' }]);
});

test('an event that outgrows the bound is refused instead of filling the memory', () => {
  const parser = new EventStreamParser();
  const megabyte = 'x'.repeat(1024 * 1024);
  assert.throws(() => {
    for (let i = 0; i < 70; i++) parser.push(`data: ${megabyte}\n`);
  }, RangeError);
});

test('a long line in many chunks is read once, not once per chunk', () => {
  const parser = new EventStreamParser();
  const chunk = 'x'.repeat(1024);
  const beganMs = performance.now();
  parser.push('data: ');
  for (let i = 0; i < 16_000; i++) parser.push(chunk);
  assert.equal(parser.push('\n\n')[0]?.data.length, 16_000 * 1024);
  assert.ok(performance.now() - beganMs < 5000, 'quadratic work would take minutes');
});
