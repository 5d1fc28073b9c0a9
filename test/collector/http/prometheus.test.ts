/** The Prometheus API over HTTP: envelopes, words and codes as Prometheus 3.5.3 gives them. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { request } from 'node:http';
import type { RunningServer } from '../../../collector/http/server.ts';
import { every } from '../query/fake-source.ts';
import { AUTHORIZED, fakes, getJson, serve, type Fakes, type Json } from './fake-deps.ts';

const NOW_MS = 1_700_000_000_000;
let made: Fakes;
let server: RunningServer;

before(async () => {
  made = fakes();
  for (const instance of ['a', 'b']) {
    made.source.add(
      { __name__: 'up', instance, job: 'node' },
      every(1000, NOW_MS - 60_000, 61, () => 1),
    );
    made.source.add(
      { __name__: 'node_load1', instance, job: 'node' },
      every(1000, NOW_MS - 60_000, 61, (i) => i / 100),
    );
  }
  server = await serve(made);
});
after(() => server.close());
beforeEach(() => {
  made.state = 'ready';
  made.asked.length = 0;
});

function ask(path: string, parameters: Record<string, string> = {}): Promise<{ status: number; body: Json }> {
  return getJson(server, `/api/v1/${path}?${new URLSearchParams(parameters)}`);
}

async function refused(
  path: string,
  parameters: Record<string, string>,
  error: string,
  status = 400,
  errorType = 'bad_data',
): Promise<void> {
  assert.deepEqual(await ask(path, parameters), { status, body: { status: 'error', errorType, error } });
}

test('an instant query answers a vector at the time asked, now by default', async () => {
  const { status, body } = await ask('query', { query: 'node_load1{instance="a"}' });
  assert.equal(status, 200);
  assert.deepEqual(body, {
    status: 'success',
    data: {
      resultType: 'vector',
      result: [{ metric: { __name__: 'node_load1', instance: 'a', job: 'node' }, value: [1_700_000_000, '0.6'] }],
    },
  });
  const past = await ask('query', { query: 'node_load1{instance="a"}', time: '2023-11-14T22:12:30.5Z' });
  assert.deepEqual(past.body.data.result[0].value, [1_699_999_950.5, '0.1']);
});

test('a range selector answers every raw sample', async () => {
  const { body } = await ask('query', { query: 'node_load1{instance="b"}[60s]' });
  assert.equal(body.data.resultType, 'matrix');
  assert.equal(body.data.result[0].values.length, 60);
  assert.deepEqual(body.data.result[0].values[59], [1_700_000_000, '0.6']);
});

test('a range query answers a matrix at its steps', async () => {
  const { body } = await ask('query_range', { query: 'up', start: '1699999999', end: '1700000000', step: '500ms' });
  assert.deepEqual(
    body.data.result.map((series: Json) => [series.metric.instance, series.values]),
    [
      [
        'a',
        [
          [1_699_999_999, '1'],
          [1_699_999_999.5, '1'],
          [1_700_000_000, '1'],
        ],
      ],
      [
        'b',
        [
          [1_699_999_999, '1'],
          [1_699_999_999.5, '1'],
          [1_700_000_000, '1'],
        ],
      ],
    ],
  );
});

test('a form body is read, and wins over the query string', async () => {
  const post = async (body: string, path: string): Promise<Json> => {
    const response = await fetch(`${server.url}/api/v1/${path}`, {
      method: 'POST',
      headers: { ...AUTHORIZED, 'content-type': 'application/x-www-form-urlencoded' },
      body,
    });
    return response.json();
  };
  assert.equal((await post('query=up', 'query?query=down')).data.result.length, 2);
  assert.deepEqual((await post('match[]=up&match[]=node_load1{instance="a"}', 'series')).data.length, 3);
  assert.deepEqual((await post('match[]=up', 'labels')).data, ['__name__', 'instance', 'job']);
});

test('what is wrong with a request is said in the words of Prometheus', async () => {
  await refused('query', {}, 'invalid parameter "query": unknown position: parse error: no expression found in input');
  await refused('query', { query: 'up{' }, 'invalid parameter "query": 1:4: parse error: unexpected end of input inside braces');
  await refused(
    'query',
    { query: 'up', time: 'abc' },
    `invalid parameter "time": invalid time value for 'time': cannot parse "abc" to a valid timestamp`,
  );
  await refused('query', { query: 'up', timeout: 'x' }, 'invalid parameter "timeout": cannot parse "x" to a valid duration');
  await refused('query', { query: 'up', limit: '-1' }, 'invalid parameter "limit": limit must be non-negative');
  await refused('query_range', { query: 'up' }, 'invalid parameter "start": cannot parse "" to a valid timestamp');
  await refused('query_range', { query: 'up', start: '1', end: 'x' }, 'invalid parameter "end": cannot parse "x" to a valid timestamp');
  await refused(
    'query_range',
    { query: 'up', start: '10', end: '5', step: '1' },
    'invalid parameter "end": end timestamp must not be before start time',
  );
  await refused('query_range', { query: 'up', start: '1', end: '5' }, 'invalid parameter "step": cannot parse "" to a valid duration');
  const zero = 'invalid parameter "step": zero or negative query resolution step widths are not accepted. Try a positive integer';
  await refused('query_range', { query: 'up', start: '1', end: '5', step: '0' }, zero);
  const many = 'exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)';
  await refused('query_range', { query: 'up', start: '0', end: '11001', step: '1' }, many);
  const matrix = 'invalid parameter "query": invalid expression type "range vector" for range query, must be Scalar or instant Vector';
  await refused('query_range', { query: 'up[5m]', start: '0', end: '10', step: '1' }, matrix);
  await refused('series', {}, 'no match[] parameter provided');
  await refused('series', { 'match[]': 'up{' }, 'invalid parameter "match[]": 1:4: parse error: unexpected end of input inside braces');
  await refused('labels', { 'match[]': '{}' }, 'invalid parameter "match[]": match[] must contain at least one non-empty matcher');
  await refused('metadata', { limit: 'x' }, 'limit must be a number');
});

test('a refused query names its code in a header, since the envelope is Prometheus’s', async () => {
  const response = await fetch(`${server.url}/api/v1/query?query=rate(up[5m])`, { headers: AUTHORIZED });
  assert.equal(response.status, 400);
  assert.equal(response.headers.get('picket-error'), 'query_unsupported');
});

test('limits cut the answer and say so', async () => {
  const vector = await ask('query', { query: 'up', limit: '1' });
  assert.equal(vector.body.data.result.length, 1);
  assert.deepEqual(vector.body.warnings, ['results truncated due to limit']);
  const names = await ask('labels', { limit: '2' });
  assert.deepEqual(names.body, { status: 'success', data: ['__name__', 'instance'], warnings: ['results truncated due to limit'] });
  assert.equal((await ask('query', { query: 'up', limit: '2' })).body.warnings, undefined);
});

test('names are listed, merged over several selections, and cut to the time asked', async () => {
  const series = await getJson(server, '/api/v1/series?match[]=up&match[]=%7Binstance="a"%7D');
  assert.deepEqual(
    series.body.data.map((one: Json) => `${one.__name__} ${one.instance}`),
    ['node_load1 a', 'up a', 'up b'],
  );
  assert.deepEqual((await ask('label/instance/values')).body.data, ['a', 'b']);
  assert.deepEqual((await ask('label/U__instance/values')).body.data, ['a', 'b'], 'escaped names are read back');
  assert.deepEqual((await ask('label/__name__/values', { 'match[]': '{instance="a"}' })).body.data, ['node_load1', 'up']);
  assert.deepEqual((await ask('label/none/values')).body.data, []);
  assert.deepEqual((await ask('labels', { end: '5' })).body.data, []);
});

test('metadata has type and help by metric', async () => {
  assert.deepEqual((await ask('metadata', { metric: 'up' })).body.data, { up: [{ type: 'gauge', unit: '', help: 'Help of up.' }] });
  assert.deepEqual(Object.keys((await ask('metadata', { limit: '1' })).body.data), ['node_load1']);
  assert.deepEqual((await ask('metadata', { metric: 'none' })).body.data, {});
});

test('build information is there for Grafana', async () => {
  const { body } = await ask('status/buildinfo');
  assert.deepEqual(Object.keys(body.data), ['version', 'revision', 'branch', 'buildUser', 'buildDate', 'goVersion']);
  assert.equal(body.data.revision, 'picket-0.1.0');
});

test('while the store is warming queries answer with a warning, and a closed store is 503', async () => {
  made.state = 'warming';
  for (const path of ['query?query=up', 'labels', 'series?match[]=up', 'metadata']) {
    const { status, body } = await getJson(server, `/api/v1/${path}`);
    assert.equal(status, 200);
    assert.match(body.warnings[0], /warming up/);
  }
  made.state = 'closed';
  const { status, body } = await ask('query', { query: 'up' });
  assert.equal(status, 503);
  assert.equal(body.errorType, 'unavailable');
});

test('coverage is added when asked for, for the hosts and the span of the query', async () => {
  made.coverage = { live: [[1, 2]], late: [], gaps: [{ fromMs: 2, toMs: 3, cause: 'power_loss', detail: 'd', host: 'a' }] };
  const parameters = { query: 'up{instance="a"}[30s]', picket: 'coverage' };
  assert.deepEqual((await ask('query', parameters)).body.coverage, made.coverage);
  assert.deepEqual(made.asked, [{ hosts: ['a'], fromMs: NOW_MS - 30_000, toMs: NOW_MS }]);
  const range = await ask('query_range', { query: 'up', start: '1', end: '2', step: '1', picket: 'coverage' });
  assert.deepEqual(made.asked[1], { hosts: 'all', fromMs: 1000, toMs: 2000 });
  assert.equal(range.body.status, 'success');
  assert.equal((await ask('query', { query: 'up' })).body.coverage, undefined);
});

test('a large answer is streamed and compressed for who accepts it', async () => {
  made.source.add(
    { __name__: 'long', instance: 'a' },
    every(1000, 0, 10_000, (i) => i / 7),
  );
  const query = { query: 'long', start: '0', end: '9999', step: '1' };
  const plain = await ask('query_range', query);
  assert.equal(plain.body.data.result[0].values.length, 10_000);
  const path = `/api/v1/query_range?${new URLSearchParams(query)}`;
  const bytes = await new Promise<Buffer>((resolve, reject) => {
    request(server.url + path, { headers: { ...AUTHORIZED, 'accept-encoding': 'gzip' } }, (response) => {
      assert.equal(response.headers['content-encoding'], 'gzip');
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk)).on('end', () => resolve(Buffer.concat(chunks)));
    })
      .on('error', reject)
      .end();
  });
  assert.deepEqual(JSON.parse(gunzipSync(bytes).toString()), plain.body);
});

test('a query ends when its time is over, and when its client goes away', async () => {
  let aborted: (reason: unknown) => void = () => undefined;
  const reason = new Promise<unknown>((resolve) => (aborted = resolve));
  made.source.before = (signal) =>
    new Promise((_, reject) =>
      signal.addEventListener('abort', () => {
        aborted(signal.reason);
        reject(signal.reason as Error);
      }),
    );
  try {
    const late = await ask('query', { query: 'up', timeout: '20ms' });
    assert.equal(late.status, 503);
    assert.equal(late.body.errorType, 'timeout');
    assert.match(String(await reason), /timed out after 20 ms/);

    const gone = new Promise<unknown>((resolve) => (aborted = resolve));
    const selectsBefore = made.source.selects.length;
    const client = request(`${server.url}/api/v1/query?query=up`, { headers: AUTHORIZED });
    client.on('error', () => undefined).end();
    await waitFor(() => made.source.selects.length > selectsBefore);
    client.destroy();
    assert.match(String(await gone), /the client closed the request/);
  } finally {
    made.source.before = async () => undefined;
  }
});

async function waitFor(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise(setImmediate);
}
