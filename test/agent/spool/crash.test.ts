/** Random histories of the spool on a disk that crashes at any operation. The seed of a history that fails is in the failure's message. */
import { test } from 'node:test';
import { runHistories } from './history.ts';

const HISTORIES = 80;

test('kill -9 at any moment loses no frame whose append had returned, sends none after its ack, takes no floor back', () =>
  runHistories({ faults: false, power: false }, 1, HISTORIES));

test('a power cut at any moment loses no frame that was synced and not acked, and invents none', () =>
  runHistories({ faults: false, power: true }, 1, HISTORIES));

test('full, failing and read-only disks with crashes between lose nothing in silence', () =>
  runHistories({ faults: true, power: true }, 1, HISTORIES));
