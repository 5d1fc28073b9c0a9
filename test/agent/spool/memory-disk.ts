/**
 * A disk in memory for the spool's tests: keeps what is synced apart from what is not, crashes at a chosen operation, and comes back as after
 * kill -9 (all that was written is there) or after a power cut (per file a prefix of what was not synced, the last write torn; of the names a prefix).
 */
import type { OpenMode, SpoolFs } from '../../../agent/spool/disk.ts';

/** Ends a run at an operation of the disk. Not an errno error: the spool must not take it for one. */
export class Crash extends Error {}

export type Random = () => number;

type FileOperation =
  | { readonly kind: 'write'; readonly position: number; readonly bytes: Uint8Array }
  | { readonly kind: 'truncate'; readonly size: number };
type NameOperation =
  | { readonly kind: 'set'; readonly path: string; readonly node: Node }
  | { readonly kind: 'remove'; readonly path: string }
  | { readonly kind: 'rename'; readonly from: string; readonly to: string };
type Node = { bytes: Uint8Array; durable: Uint8Array; pending: FileOperation[]; readonly word?: string };

export class MemoryDisk implements SpoolFs {
  /** Operations that change something, since the disk was made. */
  operations = 0;
  /** The operation at which `Crash` is thrown; from then on every call throws it. */
  crashAt = Infinity;
  /** Asked before each operation that changes something, and each read: an errno to fail with. `grows`: it needs room on the disk. */
  fault: (operation: string, path: string, grows: boolean) => string | undefined = () => undefined;
  /** Calls by name, for tests of what an append costs. */
  readonly calls = new Map<string, number>();
  /** Since the last restart. */
  syncsFailed = 0;
  #crashed = false;
  #names = new Map<string, Node>();
  #durableNames = new Map<string, Node>();
  #pendingNames: NameOperation[] = [];
  readonly #directories = new Set<string>();
  readonly #open = new Map<number, { readonly node: Node; readonly path: string; readonly mode: OpenMode }>();
  #fdNext = 3;
  readonly #syncing = new Set<number>();
  readonly #random: Random;

  constructor(random: Random = () => 0.5) {
    this.#random = random;
  }

  /** The machine comes back: what was open is closed, what was not durable may be gone. */
  restart(how: 'kill' | 'power'): void {
    this.#crashed = false;
    this.syncsFailed = 0;
    this.crashAt = Infinity;
    this.#open.clear();
    this.#syncing.clear();
    if (how === 'kill') return;
    const kept = Math.floor(this.#random() * (this.#pendingNames.length + 1));
    const names = this.#durableNames;
    for (const operation of this.#pendingNames.slice(0, kept)) applyName(names, operation);
    this.#names = new Map(names);
    this.#pendingNames = [];
    for (const node of new Set(names.values())) {
      node.bytes = this.#survivor(node);
      node.durable = node.bytes.slice();
      node.pending = [];
    }
  }

  /** All files with their bytes; the very arrays may be changed, to flip bits. */
  files(): Map<string, Uint8Array> {
    return new Map([...this.#names].filter(([, node]) => node.word === undefined).map(([path, node]) => [path, node.bytes]));
  }

  openFiles(): number {
    return this.#open.size;
  }

  set(path: string, bytes: Uint8Array): void {
    this.#names.set(path, { bytes, durable: bytes.slice(), pending: [] });
    this.#durableNames = new Map(this.#names);
    this.#pendingNames = [];
  }

  makeDirectory(path: string): void {
    this.#change('makeDirectory', path, true);
    const parts = path.split('/');
    for (let i = 2; i <= parts.length; i++) this.#directories.add(parts.slice(0, i).join('/'));
  }

  list(path: string): string[] {
    this.#alive('list');
    if (!this.#directories.has(path)) throw errno('ENOENT', path);
    return [...this.#names.keys()]
      .filter((name) => name.startsWith(`${path}/`) && !name.slice(path.length + 1).includes('/'))
      .map((name) => name.slice(path.length + 1));
  }

  open(path: string, mode: OpenMode): number {
    if (mode === 'create') this.#change('create', path, true);
    else this.#alive(mode);
    let node = this.#names.get(path);
    if (mode === 'create') {
      if (node !== undefined) throw errno('EEXIST', path);
      if (!this.#directories.has(path.slice(0, path.lastIndexOf('/')))) throw errno('ENOENT', path);
      node = { bytes: new Uint8Array(), durable: new Uint8Array(), pending: [] };
      this.#name({ kind: 'set', path, node });
    }
    if (node === undefined) throw errno('ENOENT', path);
    const fd = this.#fdNext++;
    this.#open.set(fd, { node, path, mode });
    return fd;
  }

  close(fd: number): void {
    this.#alive('close');
    // The kernel gives the number to the next file that is opened, which is then what the sync is about.
    if (this.#syncing.has(fd)) throw new Error('closed under a running sync');
    if (!this.#open.delete(fd)) throw errno('EBADF', String(fd));
  }

  size(fd: number): number {
    this.#alive('size');
    return this.#file(fd).node.bytes.length;
  }

  read(fd: number, into: Uint8Array, position: number): number {
    const { node, path } = this.#file(fd);
    this.#alive('read');
    const code = this.fault('read', path, false);
    if (code !== undefined) throw errno(code, path);
    const part = node.bytes.subarray(position, position + into.length);
    into.set(part);
    return part.length;
  }

  write(fd: number, bytes: Uint8Array, position: number): number {
    const { node, path, mode } = this.#file(fd);
    if (mode === 'read') throw errno('EBADF', path);
    // A write that fails or is interrupted leaves part of itself behind.
    const torn = (): void =>
      this.#apply(node, { kind: 'write', position, bytes: copyOf(bytes, Math.floor(this.#random() * bytes.length)) });
    const grows = position + bytes.length > node.bytes.length;
    this.#change('write', path, grows, torn);
    const count = this.#random() < 0.1 ? Math.ceil(bytes.length / 2) : bytes.length;
    this.#apply(node, { kind: 'write', position, bytes: copyOf(bytes, count) });
    return count;
  }

  truncate(fd: number, size: number): void {
    const { node, path } = this.#file(fd);
    this.#change('truncate', path);
    this.#apply(node, { kind: 'truncate', size });
  }

  async sync(fd: number): Promise<void> {
    const { node, path } = this.#file(fd);
    const pending = [...node.pending];
    this.#syncing.add(fd);
    await Promise.resolve();
    this.#syncing.delete(fd);
    this.#change(
      'sync',
      path,
      false,
      () => undefined,
      () => this.#forget(node),
    );
    this.#settle(node, pending);
  }

  syncNow(fd: number): void {
    const { node, path } = this.#file(fd);
    this.#change(
      'sync',
      path,
      false,
      () => undefined,
      () => this.#forget(node),
    );
    this.#settle(node, [...node.pending]);
  }

  async syncDirectory(path: string): Promise<void> {
    await Promise.resolve();
    this.#change('syncDirectory', path);
    // A journal makes the names of other directories durable too.
    for (const operation of this.#pendingNames) applyName(this.#durableNames, operation);
    this.#pendingNames = [];
  }

  remove(path: string): void {
    this.#change('remove', path);
    if (!this.#names.has(path)) throw errno('ENOENT', path);
    this.#name({ kind: 'remove', path });
  }

  rename(from: string, to: string): void {
    this.#change('rename', from);
    if (!this.#names.has(from)) throw errno('ENOENT', from);
    this.#name({ kind: 'rename', from, to });
  }

  link(word: string, path: string): void {
    this.#change('link', path, true);
    if (this.#names.has(path)) throw errno('EEXIST', path);
    this.#name({ kind: 'set', path, node: { bytes: new Uint8Array(), durable: new Uint8Array(), pending: [], word } });
  }

  readLink(path: string): string {
    this.#alive('readLink');
    const word = this.#names.get(path)?.word;
    if (word === undefined) throw errno('ENOENT', path);
    return word;
  }

  #alive(call: string): void {
    if (this.#crashed) throw new Crash();
    this.calls.set(call, (this.calls.get(call) ?? 0) + 1);
  }

  #change(call: string, path: string, grows = false, interrupted: () => void = () => undefined, failed: () => void = interrupted): void {
    this.#alive(call);
    this.operations++;
    if (this.operations >= this.crashAt) {
      interrupted();
      this.#crashed = true;
      throw new Crash();
    }
    const code = this.fault(call, path, grows);
    if (code === undefined) return;
    failed();
    throw errno(code, path);
  }

  #file(fd: number): { readonly node: Node; readonly path: string; readonly mode: OpenMode } {
    if (this.#crashed) throw new Crash();
    const file = this.#open.get(fd);
    if (file === undefined) throw errno('EBADF', String(fd));
    return file;
  }

  #name(operation: NameOperation): void {
    applyName(this.#names, operation);
    this.#pendingNames.push(operation);
  }

  #apply(node: Node, operation: FileOperation): void {
    node.bytes = applied(node.bytes, operation);
    node.pending.push(operation);
  }

  /** What was pending when the sync began is durable; what came while it ran is not. */
  #settle(node: Node, pending: readonly FileOperation[]): void {
    for (const operation of pending) node.durable = applied(node.durable, operation);
    node.pending = node.pending.filter((operation) => !pending.includes(operation));
  }

  /** A failed sync: the kernel gives up what it could not write and calls it clean, so that a later sync succeeds without it. */
  #forget(node: Node): void {
    node.pending = [];
    this.syncsFailed++;
  }

  #survivor(node: Node): Uint8Array {
    const kept = Math.floor(this.#random() * (node.pending.length + 1));
    let bytes: Uint8Array = node.durable.slice();
    for (const operation of node.pending.slice(0, kept)) bytes = applied(bytes, operation);
    const torn = node.pending[kept];
    if (torn?.kind === 'write')
      bytes = applied(bytes, { ...torn, bytes: torn.bytes.slice(0, Math.floor(this.#random() * torn.bytes.length)) });
    return bytes;
  }
}

export function errno(code: string, path: string): Error {
  // Not made by `new`: a stack for each of the many is most of what they cost.
  return Object.assign(Object.create(Error.prototype) as Error, { message: `${code}: ${path}`, code, errno: -1 });
}

/** Numbers in [0, 1) from a seed (mulberry32): the same seed gives the same history. */
export function seeded(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000;
  };
}

/** Not `slice`: a Buffer's is a view. */
function copyOf(bytes: Uint8Array, count: number): Uint8Array {
  return Uint8Array.from(bytes.subarray(0, count));
}

/** In place if there is room. */
function applied(bytes: Uint8Array, operation: FileOperation): Uint8Array {
  if (operation.kind === 'truncate') {
    const cut = new Uint8Array(operation.size);
    cut.set(bytes.subarray(0, operation.size));
    return cut;
  }
  const end = operation.position + operation.bytes.length;
  const grown = end <= bytes.length ? bytes : new Uint8Array(end);
  if (grown !== bytes) grown.set(bytes);
  grown.set(operation.bytes, operation.position);
  return grown;
}

function applyName(names: Map<string, Node>, operation: NameOperation): void {
  if (operation.kind === 'set') {
    names.set(operation.path, operation.node);
    return;
  }
  const from = operation.kind === 'remove' ? operation.path : operation.from;
  const node = names.get(from);
  names.delete(from);
  if (operation.kind === 'rename' && node !== undefined) names.set(operation.to, node);
}
