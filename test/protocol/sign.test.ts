/** Ed25519: node:crypto and tweetnacl held against each other, against RFC 8032 and against Wycheproof. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import nacl from 'tweetnacl';
import { agentIdOf, keyPairFromSeed, newKeyPair, Purpose, rawSigner, rawVerifier, sha256, signer, verifier } from '../../protocol/index.ts';
import { suites } from '../support/outside.ts';

const hex = (text: string): Uint8Array => Buffer.from(text, 'hex');

// RFC 8032 section 7.1: seed, public key, message, signature.
const RFC_8032 = [
  [
    '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60',
    'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a',
    '',
    'e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b',
  ],
  [
    '4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb',
    '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c',
    '72',
    '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00',
  ],
  [
    'c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7',
    'fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025',
    'af82',
    '6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a',
  ],
] as const;

test('the vectors of RFC 8032 sign and verify in both implementations', () => {
  for (const [seed, publicKey, message, signature] of RFC_8032) {
    const keys = keyPairFromSeed(hex(seed));
    assert.deepEqual(Buffer.from(keys.publicKey), hex(publicKey));
    assert.deepEqual(Buffer.from(rawSigner(keys.secretKey)(hex(message))), hex(signature));
    assert.deepEqual(Buffer.from(nacl.sign.detached(hex(message), keys.secretKey)), hex(signature));
    assert.ok(rawVerifier(hex(publicKey))(hex(message), hex(signature)));
    assert.ok(nacl.sign.detached.verify(hex(message), hex(signature), hex(publicKey)));
  }
});

test('both implementations make the same signatures and accept each other', () => {
  for (let i = 0; i < 8; i++) {
    const keys = newKeyPair();
    const digest = sha256(Buffer.from(`message ${i}`));
    const tagged = Buffer.concat([Buffer.from(`${Purpose.frame}\0`), digest]);
    const ours = signer(keys.secretKey)(Purpose.frame, digest);
    assert.deepEqual(Buffer.from(ours), Buffer.from(nacl.sign.detached(tagged, keys.secretKey)));
    assert.ok(nacl.sign.detached.verify(tagged, ours, keys.publicKey));
    assert.ok(verifier(keys.publicKey)(Purpose.frame, digest, nacl.sign.detached(tagged, keys.secretKey)));
  }
});

test('a signature made for one purpose verifies for no other', () => {
  const keys = newKeyPair();
  const digest = sha256(Buffer.from('x'));
  for (const made of Object.values(Purpose)) {
    const signature = signer(keys.secretKey)(made, digest);
    for (const asked of Object.values(Purpose)) assert.equal(verifier(keys.publicKey)(asked, digest, signature), made === asked);
  }
});

test('a malleated signature, which tweetnacl accepts, is refused', () => {
  const keys = newKeyPair();
  const digest = sha256(Buffer.from('x'));
  const signature = Buffer.from(signer(keys.secretKey)(Purpose.frame, digest));
  const order = (1n << 252n) + 27742317777372353535851937790883648493n;
  let s = BigInt(`0x${Buffer.from(signature.subarray(32)).reverse().toString('hex')}`) + order;
  const malleated = Buffer.from(signature);
  for (let i = 32; i < 64; i++, s >>= 8n) malleated[i] = Number(s & 255n);
  const tagged = Buffer.concat([Buffer.from(`${Purpose.frame}\0`), digest]);
  assert.ok(nacl.sign.detached.verify(tagged, malleated, keys.publicKey), 'the malleation is a real one');
  assert.equal(verifier(keys.publicKey)(Purpose.frame, digest, malleated), false);
});

test('the agent id is the beginning of the hash of its key', () => {
  const { publicKey } = keyPairFromSeed(hex(RFC_8032[0][0]));
  assert.equal(Buffer.from(agentIdOf(publicKey)).toString('hex'), sha256(publicKey).toString('hex').slice(0, 32));
});

type Wycheproof = { testGroups: { publicKey: { pk: string }; tests: { tcId: number; msg: string; sig: string; result: string }[] }[] };

test('every verdict of Wycheproof is ours', (t) => {
  const folder = suites();
  if (folder === undefined) {
    assert.notEqual(process.env['CI'], 'true', 'the suites are absent in CI');
    return t.skip('Wycheproof vectors are not on this machine');
  }
  const { testGroups } = JSON.parse(readFileSync(join(folder, 'wycheproof/ed25519_test.json'), 'utf8')) as Wycheproof;
  let count = 0;
  for (const { publicKey, tests } of testGroups) {
    const verify = rawVerifier(hex(publicKey.pk));
    for (const { tcId, msg, sig, result } of tests) {
      assert.equal(verify(hex(msg), hex(sig)), result === 'valid', `case ${tcId}`);
      count++;
    }
  }
  assert.ok(count >= 70);
});
