/** The supervisor with real, tiny child processes: what dies comes back, what must end ends, what is final is final. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once, EventEmitter } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { test } from 'node:test';
import type { ChildMessage } from '../../packaging/child.ts';
import { pauseMs, Supervisor, type ChildPlan, type SupervisorEvent } from '../../packaging/supervisor.ts';

const LISTENING = `process.send({ kind: 'listening', url: String(process.pid), loginUrl: '', dataDir: '' });`;
const STAYS = 'setInterval(() => {}, 1000);';
const DEAF = `process.on('SIGTERM', () => {}); ${STAYS}`;

function plan(script: string, name = 'child'): ChildPlan {
  return { name, command: process.execPath, args: ['--eval', script], environment: () => process.env };
}

/** A supervisor whose messages and events can be awaited. */
function watched(options: { restartMs?: number; stopMs?: number } = {}): {
  supervisor: Supervisor;
  seen: EventEmitter;
  events: SupervisorEvent[];
} {
  const seen = new EventEmitter();
  const events: SupervisorEvent[] = [];
  const supervisor = new Supervisor({
    restartMs: 20,
    ...options,
    onMessage: (name, message) => void seen.emit('message', name, message),
    onEvent(event) {
      events.push(event);
      seen.emit(event.kind, event);
    },
  });
  return { supervisor, seen, events };
}

async function nextUrl(seen: EventEmitter): Promise<string> {
  const [, message] = (await once(seen, 'message')) as [string, ChildMessage];
  assert.equal(message.kind, 'listening');
  return message.url;
}

test('a child that is killed is started again', async () => {
  const { supervisor, seen, events } = watched();
  supervisor.start(plan(`${LISTENING} ${STAYS}`));
  const first = Number(await nextUrl(seen));
  assert.equal(supervisor.pidOf('child'), first);
  process.kill(first, 'SIGKILL');
  const second = Number(await nextUrl(seen));
  assert.notEqual(second, first);
  assert.deepEqual(events, [{ kind: 'ended', name: 'child', how: 'SIGKILL', againMs: 20, quickEnds: 1 }]);
  supervisor.stop();
  assert.equal(await supervisor.ended, 0);
});

test('the end of one child does not touch the other', async () => {
  const { supervisor, seen } = watched();
  supervisor.start(plan(`${LISTENING} ${STAYS}`, 'a'));
  await nextUrl(seen);
  supervisor.start(plan(`${LISTENING} ${STAYS}`, 'b'));
  const b = Number(await nextUrl(seen));
  process.kill(supervisor.pidOf('a') ?? 0, 'SIGKILL');
  await nextUrl(seen);
  assert.equal(supervisor.pidOf('b'), b);
  supervisor.stop();
  assert.equal(await supervisor.ended, 0);
});

test('a stop ends every child, also one that does not listen to SIGTERM', async () => {
  const { supervisor, seen, events } = watched({ stopMs: 200 });
  supervisor.start(plan(`${DEAF} ${LISTENING}`, 'deaf'));
  const pid = Number(await nextUrl(seen));
  supervisor.stop();
  assert.equal(await supervisor.ended, 0);
  assert.deepEqual(events, [{ kind: 'killed', name: 'deaf', afterMs: 200 }]);
  assert.throws(() => process.kill(pid, 0), { code: 'ESRCH' });
});

test('children end one after the other, the youngest first, and a deaf one does not take the time of the others', async () => {
  const { supervisor, seen } = watched({ stopMs: 1000 });
  const ends = `process.on('SIGTERM', () => process.send({ kind: 'listening', url: 'end ' + process.argv[1], loginUrl: '', dataDir: '' }, () => process.exit()));`;
  const order: string[] = [];
  for (const name of ['oldest', 'middle']) {
    supervisor.start({ ...plan('', name), args: ['--eval', `${ends} ${LISTENING} ${STAYS}`, name] });
    await nextUrl(seen);
  }
  supervisor.start(plan(`${DEAF} ${LISTENING}`, 'deaf'));
  await nextUrl(seen);
  seen.on('message', (_name: string, message: ChildMessage) => void (message.kind === 'listening' && order.push(message.url)));
  supervisor.stop();
  assert.equal(await supervisor.ended, 0);
  assert.deepEqual(order.toSorted(), ['end middle', 'end oldest'], 'both had their clean end');
  const { supervisor: second, seen: secondSeen } = watched();
  for (const name of ['oldest', 'youngest']) {
    second.start({ ...plan('', name), args: ['--eval', `${ends} ${LISTENING} ${STAYS}`, name] });
    await nextUrl(secondSeen);
  }
  const inTurn: string[] = [];
  secondSeen.on('message', (_name: string, message: ChildMessage) => void (message.kind === 'listening' && inTurn.push(message.url)));
  second.stop();
  assert.equal(await second.ended, 0);
  assert.deepEqual(inTurn, ['end youngest', 'end oldest']);
});

test('a child that waits to be started again is not started after a stop', async () => {
  const { supervisor, seen } = watched({ restartMs: 60_000 });
  supervisor.start(plan('process.exit(3)'));
  await once(seen, 'ended');
  supervisor.stop();
  assert.equal(await supervisor.ended, 0);
});

test('exit code 2 is final and ends the others', async () => {
  const { supervisor, seen } = watched();
  supervisor.start(plan(`${LISTENING} ${STAYS}`, 'other'));
  await nextUrl(seen);
  supervisor.start(plan('process.exit(2)', 'misconfigured'));
  assert.equal(await supervisor.ended, 2);
});

test('a failure that a child explains before it ever ran is final', async () => {
  const { supervisor } = watched();
  supervisor.start(plan(`process.send({ kind: 'failed', code: 'port_in_use', sentence: 's', exitCode: 1 }, () => process.exit(1));`));
  assert.equal(await supervisor.ended, 1);
});

test('the same failure after it ran is tried again', async () => {
  const { supervisor, seen } = watched();
  supervisor.start(plan(`${LISTENING} process.send({ kind: 'failed', code: 'x', sentence: 's', exitCode: 1 }, () => process.exit(1));`));
  const [event] = (await once(seen, 'ended')) as [SupervisorEvent];
  assert.equal(event.kind === 'ended' && event.how, 'exit code 1');
  supervisor.stop();
  assert.equal(await supervisor.ended, 0);
});

test('a command that is not there is told and tried again', async () => {
  const { supervisor, seen } = watched();
  supervisor.start({ ...plan(''), command: '/nonexistent/picket' });
  const [event] = (await once(seen, 'ended')) as [SupervisorEvent];
  assert.match(event.kind === 'ended' ? event.how : '', /ENOENT/);
  supervisor.stop();
  assert.equal(await supervisor.ended, 0);
});

test('children end when the supervisor is killed', async () => {
  const outer = `
    const { Supervisor } = await import(${JSON.stringify(new URL('../../packaging/supervisor.ts', import.meta.url).href)});
    const supervisor = new Supervisor({ onMessage: (_, message) => process.send(message) });
    supervisor.start({ name: 'x', command: process.execPath, environment: () => process.env,
      args: ['--eval', ${JSON.stringify(`${LISTENING} process.once('disconnect', () => process.exit()); ${STAYS}`)}] });`;
  const parent = spawn(process.execPath, ['--input-type=module', '--eval', outer], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  const [message] = (await once(parent, 'message')) as [ChildMessage];
  const pid = Number(message.kind === 'listening' ? message.url : NaN);
  parent.kill('SIGKILL');
  await gone(pid);
});

test('pauses grow only after five quick ends, and not for ever', () => {
  const check = (quickEnds: number, expected: number): void => assert.equal(pauseMs(quickEnds, 1000), expected, String(quickEnds));
  check(0, 1000);
  check(4, 1000);
  check(5, 2000);
  check(6, 4000);
  check(9, 32_000);
  check(10, 60_000);
  check(1000, 60_000);
});

/** Nobody may be there to reap it, so a zombie counts as gone. */
async function gone(pid: number): Promise<void> {
  for (let i = 0; i < 200; i++) {
    const state = existsSync(`/proc/${pid}/stat`) ? /\) (\w)/.exec(readFileSync(`/proc/${pid}/stat`, 'latin1'))?.[1] : 'Z';
    if (state === 'Z') return;
    await wait(10);
  }
  assert.fail(`process ${pid} is still there`);
}
