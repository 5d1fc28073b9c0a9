/** The stream that is kept alive: back-off, watchdog, end of session. Time is fake, the network is a function. */
import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { Connection, SILENCE_MAX_MS } from '../../../collector/dashboard/src/connection.ts';
import type { ServerEvent } from '../../../collector/dashboard/src/event-stream.ts';

type Stage = {
  readonly connection: Connection;
  readonly events: ServerEvent[];
  /** One per attempt; undefined while the attempt waits for its answer. */
  readonly attempts: {
    readonly signal: AbortSignal;
    readonly answer: (response: Response) => void;
    readonly fail: (error: Error) => void;
  }[];
  readonly unauthorized: () => number;
  readonly pass: (ms: number) => Promise<void>;
};

async function staged(run: (stage: Stage) => Promise<void>): Promise<void> {
  mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 1_000_000 });
  const events: ServerEvent[] = [];
  const attempts: Stage['attempts'] = [];
  let refusals = 0;
  const connection = new Connection({
    url: () => `/stream?${attempts.length}`,
    onEvent: (event) => events.push(event),
    onUnauthorized: () => refusals++,
    fetch: (_, init) =>
      new Promise((resolve, reject) => {
        const signal = init?.signal as AbortSignal;
        signal.addEventListener('abort', () => reject(signal.reason));
        attempts.push({ signal, answer: resolve, fail: reject });
      }),
    random: () => 0.5,
  });
  try {
    await run({ connection, events, attempts, unauthorized: () => refusals, pass });
  } finally {
    connection.stop();
    mock.timers.reset();
  }
}

/** Lets fake time pass and then what it set free. */
async function pass(ms: number): Promise<void> {
  mock.timers.tick(ms);
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
}

function streaming(): { readonly response: Response; readonly push: (text: string) => void; readonly end: () => void } {
  let controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  const body = new ReadableStream<Uint8Array>({ start: (given) => (controller = given) });
  return {
    response: new Response(body, { status: 200 }),
    push: (text) => controller?.enqueue(new TextEncoder().encode(text)),
    end: () => controller?.close(),
  };
}

test('events arrive while the stream lives, a letter of two bytes cut in half included', async () => {
  await staged(async ({ connection, attempts, events }) => {
    const stream = streaming();
    connection.start();
    attempts[0]?.answer(stream.response);
    await pass(0);
    assert.equal(connection.state.value.kind, 'live');
    const bytes = new TextEncoder().encode('data: ü\n\n');
    let controller: ReadableStreamDefaultController<Uint8Array> | undefined;
    connection.start();
    attempts[1]?.answer(new Response(new ReadableStream<Uint8Array>({ start: (given) => (controller = given) })));
    await pass(0);
    controller?.enqueue(bytes.slice(0, 7));
    await pass(0);
    controller?.enqueue(bytes.slice(7));
    await pass(0);
    assert.deepEqual(events, [{ name: 'message', data: 'ü' }]);
  });
});

test('failures wait 1, 2, 4 ... and at most 30 s, and say when they try again', async () => {
  await staged(async ({ connection, attempts }) => {
    connection.start();
    const waits: number[] = [];
    for (let i = 0; i < 8; i++) {
      attempts[i]?.fail(new TypeError('Failed to fetch'));
      await pass(0);
      const state = connection.state.value;
      assert.ok(state.kind === 'waiting');
      assert.equal(state.reason, 'the collector cannot be reached');
      const wait = state.retryAtMs - Date.now();
      waits.push(wait);
      await pass(wait - 1);
      assert.equal(attempts.length, i + 1, 'not before its time');
      await pass(1);
      assert.equal(attempts.length, i + 2);
    }
    assert.deepEqual(waits, [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
  });
});

test('a stream that had spoken and ends begins its waits anew', async () => {
  await staged(async ({ connection, attempts }) => {
    connection.start();
    for (let i = 0; i < 3; i++) {
      attempts[i]?.fail(new TypeError('gone'));
      await pass(0);
      await pass(1000 * 2 ** i);
    }
    const stream = streaming();
    attempts[3]?.answer(stream.response);
    await pass(0);
    stream.push('data: x\n\n');
    await pass(0);
    stream.end();
    await pass(0);
    const state = connection.state.value;
    assert.ok(state.kind === 'waiting');
    assert.equal(state.retryAtMs - Date.now(), 1000);
    assert.equal(state.reason, 'the collector ended the stream');
  });
});

test('a socket that is silent for too long is given up, one that only comments is not', async () => {
  await staged(async ({ connection, attempts }) => {
    const stream = streaming();
    connection.start();
    attempts[0]?.answer(stream.response);
    await pass(0);
    for (let i = 0; i < 4; i++) {
      stream.push(':\n\n');
      await pass(0);
      await pass(SILENCE_MAX_MS - 1);
      assert.equal(connection.state.value.kind, 'live');
    }
    await pass(1);
    assert.equal(connection.state.value.kind, 'waiting');
    assert.equal(attempts[0]?.signal.aborted, true);
  });
});

test('an attempt that gets no answer is given up after ten seconds', async () => {
  await staged(async ({ connection, attempts }) => {
    connection.start();
    await pass(9999);
    assert.equal(connection.state.value.kind, 'connecting');
    await pass(1);
    assert.equal(connection.state.value.kind, 'waiting');
    assert.equal(attempts[0]?.signal.aborted, true);
  });
});

test('the end of the session is told once and nothing is tried again', async () => {
  await staged(async ({ connection, attempts, unauthorized }) => {
    connection.start();
    attempts[0]?.answer(new Response(null, { status: 401 }));
    await pass(120_000);
    assert.equal(unauthorized(), 1);
    assert.equal(attempts.length, 1);
    assert.equal(connection.state.value.kind, 'idle');
  });
});

test('an error answer is waited out, with its number in the reason', async () => {
  await staged(async ({ connection, attempts }) => {
    connection.start();
    attempts[0]?.answer(new Response('busy', { status: 503 }));
    await pass(0);
    const state = connection.state.value;
    assert.ok(state.kind === 'waiting' && state.reason.includes('503'));
  });
});

test('stop ends the attempt under way, and its late answer changes nothing', async () => {
  await staged(async ({ connection, attempts, events }) => {
    connection.start();
    connection.stop();
    const stream = streaming();
    attempts[0]?.answer(stream.response);
    stream.push('data: x\n\n');
    await pass(60_000);
    assert.equal(connection.state.value.kind, 'idle');
    assert.equal(attempts[0]?.signal.aborted, true);
    assert.deepEqual(events, []);
    assert.equal(attempts.length, 1);
  });
});

test('resume begins at once what waits, and leaves alone what lives', async () => {
  await staged(async ({ connection, attempts }) => {
    connection.start();
    attempts[0]?.fail(new TypeError('gone'));
    await pass(0);
    connection.resume();
    assert.equal(attempts.length, 2);
    attempts[1]?.answer(streaming().response);
    await pass(0);
    connection.resume();
    assert.equal(attempts.length, 2);
  });
});
