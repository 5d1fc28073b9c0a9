/** The handshake and the control messages: a whole exchange, and every way to bend it. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import {
  decodeAnswer,
  decodeChallenge,
  decodeControl,
  decodeHello,
  decodeToken,
  encodeChallenge,
  encodeControl,
  encodeHello,
  encodeRejected,
  encodeToken,
  encodeWelcome,
  enrollProof,
  enrollProofMatches,
  isControl,
  newKeyPair,
  openConfig,
  pack,
  sealConfig,
  sha256,
  signer,
  tokenKey,
  verifier,
  type Challenge,
  type ControlMessage,
  type Hello,
  type Result,
  type Welcome,
} from '../../protocol/index.ts';

const collector = newKeyPair();
const agent = newKeyPair();
const fleetId = randomBytes(16);

const challengeValue = (): Challenge => ({
  versions: [1],
  fleetId,
  key: collector.publicKey,
  nonce: randomBytes(32),
  timeMs: 1_790_000_000_000,
});
const helloValue: Hello = {
  version: 1,
  versions: [1],
  key: agent.publicKey,
  nonce: randomBytes(32),
  epoch: randomBytes(16),
  bootId: 'b07',
  machine: randomBytes(32),
  name: 'web-1',
  agentVersion: '0.1.0',
  wallMs: 1_790_000_000_100,
  clockSegment: 0,
  clockBaseMs: 1_789_000_000_000,
  held: [{ epoch: randomBytes(16), lanes: [{ lane: 0, floor: 3, next: 9, bytes: 100, oldestMs: 5 }] }],
};
const welcomeValue: Welcome = {
  version: 1,
  name: 'web-1',
  timeMs: 1_790_000_000_200,
  received: [
    {
      epoch: helloValue.epoch,
      dictionaryLength: 7,
      lanes: [
        {
          lane: 0,
          ranges: [
            [0, 4],
            [6, 9],
          ],
        },
      ],
    },
  ],
  credit: [1, 2, 3],
};

function code(result: Result<unknown>): string {
  return result.ok ? 'accepted' : result.code;
}

test('challenge, hello and welcome go through and carry everything', () => {
  const said = decodeChallenge(encodeChallenge(challengeValue()).bytes);
  assert.ok(said.ok);
  const hello = encodeHello(said.value, helloValue, signer(agent.secretKey));
  assert.ok(isControl(hello.bytes));
  const heard = decodeHello(said.value, hello.bytes);
  assert.ok(heard.ok);
  assert.deepEqual(
    JSON.stringify(heard.value.value),
    JSON.stringify({
      ...helloValue,
      key: Uint8Array.from(agent.publicKey),
      nonce: Uint8Array.from(helloValue.nonce),
      epoch: Uint8Array.from(helloValue.epoch),
      machine: Uint8Array.from(helloValue.machine),
      held: [{ epoch: Uint8Array.from(helloValue.held[0]!.epoch), lanes: helloValue.held[0]!.lanes }],
    }),
  );
  const answer = decodeAnswer(said.value, hello, encodeWelcome(said.value, heard.value, welcomeValue, signer(collector.secretKey)));
  assert.ok(answer.ok && 'welcome' in answer.value);
  assert.deepEqual(answer.value.welcome.received[0]?.lanes, [
    {
      lane: 0,
      ranges: [
        [0, 4],
        [6, 9],
      ],
    },
  ]);
  assert.deepEqual(answer.value.welcome.credit, [1, 2, 3]);
});

test('a hello replayed or relayed to another challenge does not verify', () => {
  const first = encodeChallenge(challengeValue());
  const second = encodeChallenge(challengeValue());
  const hello = encodeHello(first, helloValue, signer(agent.secretKey));
  assert.equal(code(decodeHello(second, hello.bytes)), 'handshake_signature');
});

test('a hello signed by another key, or for another version, is refused', () => {
  const challenge = encodeChallenge(challengeValue());
  assert.equal(
    code(decodeHello(challenge, encodeHello(challenge, helloValue, signer(newKeyPair().secretKey)).bytes)),
    'handshake_signature',
  );
  const older = { ...helloValue, version: 0, versions: [0] };
  assert.equal(code(decodeHello(challenge, encodeHello(challenge, older, signer(agent.secretKey)).bytes)), 'handshake_version');
  // A choice below the best of both is a downgrade that somebody forced.
  const forced = { ...helloValue, version: 0, versions: [0, 1] };
  assert.equal(code(decodeHello(challenge, encodeHello(challenge, forced, signer(agent.secretKey)).bytes)), 'handshake_version');
  assert.equal(code(decodeChallenge(encodeChallenge({ ...challengeValue(), versions: [2, 3] }).bytes)), 'handshake_version');
});

test('a welcome of another collector, or for another hello, is refused', () => {
  const challenge = encodeChallenge(challengeValue());
  const hello = encodeHello(challenge, helloValue, signer(agent.secretKey));
  const stranger = encodeWelcome(challenge, hello, welcomeValue, signer(newKeyPair().secretKey));
  assert.equal(code(decodeAnswer(challenge, hello, stranger)), 'handshake_signature');
  const otherHello = encodeHello(challenge, { ...helloValue, nonce: randomBytes(32) }, signer(agent.secretKey));
  const forOther = encodeWelcome(challenge, otherHello, welcomeValue, signer(collector.secretKey));
  assert.equal(code(decodeAnswer(challenge, hello, forOther)), 'handshake_signature');
});

test('a rejection carries its code, and one with an unknown code is malformed', () => {
  const challenge = encodeChallenge(challengeValue());
  const hello = encodeHello(challenge, helloValue, signer(agent.secretKey));
  const answer = decodeAnswer(challenge, hello, encodeRejected({ code: 'identity_revoked', message: 'gone', retryMs: 60_000 }));
  assert.deepEqual(answer.ok && answer.value, { rejected: { code: 'identity_revoked', message: 'gone', retryMs: 60_000 } });
  assert.equal(code(decodeAnswer(challenge, hello, pack([4, { code: 'own_invention', message: '', retryMs: 0 }]))), 'handshake_malformed');
});

test('the proof of a token fits one exchange, one key and one secret', () => {
  const challenge = encodeChallenge(challengeValue());
  const key = tokenKey(randomBytes(24));
  const proof = enrollProof(key, challenge, agent.publicKey, helloValue.nonce);
  const hello: Hello = { ...helloValue, enroll: { tokenId: randomBytes(8), proof } };
  assert.ok(enrollProofMatches(key, challenge, hello));
  assert.equal(enrollProofMatches(tokenKey(randomBytes(24)), challenge, hello), false);
  assert.equal(enrollProofMatches(key, encodeChallenge(challengeValue()), hello), false);
  assert.equal(enrollProofMatches(key, challenge, { ...hello, key: newKeyPair().publicKey }), false);
  assert.equal(enrollProofMatches(key, challenge, helloValue), false);
});

test('a token goes through text and a slip of copying is found', () => {
  const token = { tokenId: randomBytes(8), fleetId, fingerprint: sha256(collector.publicKey), secret: randomBytes(24) };
  const text = encodeToken(token);
  const decoded = decodeToken(` ${text}\n`);
  assert.ok(decoded.ok);
  assert.deepEqual(Buffer.from(decoded.value.secret), token.secret);
  for (const slip of [text.slice(1), text.slice(0, -1), `${text}A`, text.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A')), '']) {
    assert.equal(code(decodeToken(slip)), 'token_invalid');
  }
});

test('control messages go through', () => {
  const epoch = Uint8Array.from(randomBytes(16));
  const messages: ControlMessage[] = [
    {
      kind: 'ack',
      epoch,
      lane: 1,
      ranges: [
        [0, 3],
        [5, 900],
      ],
    },
    { kind: 'need', epoch, from: 12 },
    { kind: 'refuse', epoch, lane: 0, sequence: 77, code: 'time_range' },
    { kind: 'credit', lanes: [0, 1, 2] },
    {
      kind: 'state',
      wallMs: 1,
      clockSegment: 2,
      clockBaseMs: -3,
      held: [{ epoch, lanes: [{ lane: 2, floor: 1, next: 1, bytes: 0, oldestMs: 0 }] }],
    },
  ];
  for (const message of messages) {
    const decoded = decodeControl(encodeControl(message));
    assert.ok(decoded.ok, decoded.ok ? '' : decoded.detail);
    assert.deepEqual(decoded.value, message);
  }
});

test('a configuration must be signed for this agent, and keep to its bounds', () => {
  const agentId = randomBytes(16);
  const sign = signer(collector.secretKey);
  const verify = verifier(collector.publicKey);
  const hints = [{ metric: 'node_load1', labels: [], operator: '>' as const, threshold: 4 }];
  const sealed = sealConfig(fleetId, agentId, { revision: 5, liveMs: 60_000, hints }, sign);
  const wire = decodeControl(encodeControl(sealed));
  assert.ok(wire.ok && wire.value.kind === 'sealedConfig');
  const opened = openConfig(fleetId, agentId, wire.value, verify);
  assert.deepEqual(opened.ok && opened.value, { kind: 'config', revision: 5, liveMs: 60_000, hints });
  assert.equal(code(openConfig(fleetId, randomBytes(16), sealed, verify)), 'signature_invalid');
  assert.equal(code(openConfig(fleetId, agentId, sealed, verifier(agent.publicKey))), 'signature_invalid');
  assert.equal(
    code(openConfig(fleetId, agentId, sealConfig(fleetId, agentId, { revision: 5, liveMs: 1e9, hints }, sign), verify)),
    'control_malformed',
  );
});

test('control messages that are wrong are refused by code', () => {
  const check = (value: unknown, expected: string): void => assert.equal(code(decodeControl(pack(value))), expected, JSON.stringify(value));
  const epoch = randomBytes(16);
  check([99, {}], 'control_unknown');
  check([5], 'control_malformed');
  check({ kind: 5 }, 'control_malformed');
  check([5, { epoch, lane: 3, ranges: [] }], 'control_malformed');
  check([5, { epoch: randomBytes(15), lane: 0, ranges: [] }], 'control_malformed');
  check([5, { epoch, lane: 0, ranges: [5, 5] }], 'control_malformed');
  check([5, { epoch, lane: 0, ranges: [5, 9, 3, 4] }], 'control_malformed');
  check([5, { epoch, lane: 0, ranges: [-1, 9] }], 'control_malformed');
  check([5, { epoch, lane: 0, ranges: Array.from({ length: 4000 }, (_, i) => i * 2) }], 'control_malformed');
  check([7, { epoch, lane: 0, sequence: 1, code: 'nonsense' }], 'control_malformed');
  check([8, { lanes: [1, 2] }], 'control_malformed');
  check(
    [10, { wallMs: 1, clockSegment: 0, clockBaseMs: 0, held: [{ epoch, lanes: [{ lane: 0, floor: 5, next: 4, bytes: 0, oldestMs: 0 }] }] }],
    'control_malformed',
  );
});
