/** The agent's identity file: made once, private, pinned at enrolment, and refused with a sentence when it cannot be used. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { AgentError, type AgentErrorCode } from '../../agent/error.ts';
import { Identity, readBootId } from '../../agent/identity.ts';
import { agentIdOf, encodeToken, Purpose, sha256, verifier } from '../../protocol/index.ts';

const FLEET = new Uint8Array(16).fill(7);
const OTHER_FLEET = new Uint8Array(16).fill(8);

function tokenOf(fleetId: Uint8Array): string {
  return encodeToken({ tokenId: new Uint8Array(8), fleetId, fingerprint: new Uint8Array(32), secret: new Uint8Array(24) });
}

function scene(t: TestContext) {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), 'picket-identity-'));
  t.after(() => fs.rmSync(root, { recursive: true, force: true }));
  fs.mkdirSync(path.join(root, 'etc'));
  fs.writeFileSync(path.join(root, 'etc/machine-id'), 'f00dfeed\n');
  const directory = path.join(root, 'agent');
  return {
    root,
    directory,
    file: path.join(directory, 'identity.json'),
    options: { directory, rootfs: root, enrollToken: tokenOf(FLEET) },
  };
}

function refuses(code: AgentErrorCode, words: RegExp, open: () => unknown): void {
  assert.throws(open, (error) => {
    assert.ok(error instanceof AgentError);
    assert.equal(error.code, code);
    assert.match(error.message, words);
    return true;
  });
}

test('the key is made once, for its user alone, and signs under the id that is named after it', (t) => {
  const { options, file, directory } = scene(t);
  const first = Identity.open(options);
  const second = Identity.open(options);
  assert.deepEqual(second.publicKey, first.publicKey);
  assert.deepEqual(first.agentId, agentIdOf(first.publicKey));
  assert.equal(fs.statSync(file).mode & 0o777, 0o600);
  assert.equal(fs.statSync(directory).mode & 0o777, 0o700);
  const digest = new Uint8Array(32);
  assert.ok(verifier(first.publicKey)(Purpose.frame, digest, second.sign(Purpose.frame, digest)));
  assert.deepEqual(fs.readdirSync(directory), ['identity.json']);
});

test('the pinned collector survives a restart and needs no token any more', (t) => {
  const { options } = scene(t);
  const collectorKey = new Uint8Array(32).fill(3);
  const first = Identity.open(options);
  assert.equal(first.enrolment, undefined);
  first.enrol({ fleetId: FLEET, collectorKey, name: 'alpha' });
  const second = Identity.open({ ...options, enrollToken: undefined });
  assert.deepEqual(second.enrolment, { fleetId: FLEET, collectorKey, name: 'alpha' });
  assert.deepEqual(second.fleetId, FLEET);
});

test('the machine is named by a hash that the fleet id salts', (t) => {
  const { options } = scene(t);
  assert.deepEqual(Identity.open(options).machine, sha256(FLEET, Buffer.from('f00dfeed')));
});

test('a machine without an id of its own keeps one in the identity file', (t) => {
  const { options, root } = scene(t);
  fs.rmSync(path.join(root, 'etc/machine-id'));
  const first = Identity.open(options);
  assert.deepEqual(Identity.open(options).machine, first.machine);
  assert.notDeepEqual(first.machine, sha256(FLEET, Buffer.from('f00dfeed')));
});

test('neither enrolled nor given a token: the sentence says how to make one', (t) => {
  const { options } = scene(t);
  refuses('identity_not_enrolled', /picket enroll.*PICKET_ENROLL_TOKEN/, () => Identity.open({ ...options, enrollToken: undefined }));
  refuses('token_invalid', /copied whole/, () => Identity.open({ ...options, enrollToken: `${tokenOf(FLEET).slice(0, -1)}!` }));
});

test('a token of another collector is not taken while enrolled with one', (t) => {
  const { options } = scene(t);
  Identity.open(options).enrol({ fleetId: FLEET, collectorKey: new Uint8Array(32), name: 'alpha' });
  refuses('identity_other_fleet', /delete .*identity.json/, () => Identity.open({ ...options, enrollToken: tokenOf(OTHER_FLEET) }));
});

test('a key that others can read is refused, with the command that mends it', (t) => {
  const { options, file } = scene(t);
  Identity.open(options);
  for (const mode of [0o640, 0o604]) {
    fs.chmodSync(file, mode);
    refuses('identity_permissions', /chmod 600/, () => Identity.open(options));
  }
});

test('a damaged file is refused and left as it is', (t) => {
  const { options, file } = scene(t);
  Identity.open(options);
  const good = fs.readFileSync(file, 'utf8');
  const key = /"publicKey": "(.)/.exec(good) as RegExpExecArray;
  const flipped = good.replace(`"publicKey": "${key[1]}`, `"publicKey": "${key[1] === 'A' ? 'B' : 'A'}`);
  for (const text of [
    good.slice(0, 50),
    '[]',
    'null',
    good.replace('"version": 1', '"version": 2'),
    flipped,
    good.replace('"secretKey"', '"x"'),
  ]) {
    fs.writeFileSync(file, text);
    refuses('identity_damaged', /enrol this host anew/, () => Identity.open(options));
    assert.equal(fs.readFileSync(file, 'utf8'), text);
  }
});

test('a directory that cannot be made is named', (t) => {
  const { root, options } = scene(t);
  fs.writeFileSync(path.join(root, 'taken'), '');
  refuses('identity_unwritable', /taken.*PICKET_AGENT_DIR/, () => Identity.open({ ...options, directory: path.join(root, 'taken/agent') }));
});

test('the boot id is read from the host that is watched', (t) => {
  const { root } = scene(t);
  assert.equal(readBootId(root), 'unknown');
  fs.mkdirSync(path.join(root, 'sys/kernel/random'), { recursive: true });
  fs.writeFileSync(path.join(root, 'sys/kernel/random/boot_id'), 'abc\n');
  assert.equal(readBootId(root), 'abc');
});
