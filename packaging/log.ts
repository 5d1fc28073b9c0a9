/** The logger of the processes: JSON lines for programs, short lines for people at a terminal. */
import { writeSync } from 'node:fs';
import pino from 'pino';
import { printable } from './terminal.ts';

const LEVELS: Readonly<Record<number, string>> = { 10: 'trace', 20: 'debug', 30: 'info', 40: 'warn', 50: 'error', 60: 'fatal' };
/** Fields that every line has, or that are shown elsewhere in it. */
const PLAIN = new Set(['level', 'time', 'pid', 'hostname', 'name', 'part', 'msg']);

/** Writes at once (no worker): what is logged before a crash is there after it. */
export function logger(name: string, options: { level: string; terminal: boolean }): pino.Logger {
  const settings = { name, level: options.level };
  if (!options.terminal) return pino(settings, pino.destination({ dest: 1, sync: true }));
  return pino(settings, { write: (line: string) => writeOut(humanLine(line)) });
}

/** `12:00:01 collector warn  frame refused  code=frame_oversized` of a JSON line; the line itself if it is none. */
export function humanLine(line: string): string {
  let fields: Readonly<Record<string, unknown>>;
  try {
    fields = JSON.parse(line) as Readonly<Record<string, unknown>>;
  } catch {
    return line;
  }
  const time = new Date(Number(fields['time'])).toTimeString().slice(0, 8);
  const rest = Object.entries(fields).filter(([key]) => !PLAIN.has(key));
  const shown = rest.map(([key, value]) => `${key}=${printable(fieldText(value))}`).join(' ');
  const level = (LEVELS[Number(fields['level'])] ?? String(fields['level'])).padEnd(5);
  return `${time} ${String(fields['name'])} ${level} ${printable(String(fields['msg']))}${shown === '' ? '' : `  ${shown}`}\n`;
}

function fieldText(value: unknown): string {
  if (typeof value === 'object' && value !== null && 'message' in value) return JSON.stringify(value.message);
  return typeof value === 'string' && !/\s/.test(value) ? value : JSON.stringify(value);
}

/** A terminal that is gone must not end the process: the log is the least of its work. */
function writeOut(text: string): void {
  try {
    writeSync(1, text);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && ['EPIPE', 'EIO', 'EAGAIN'].includes(String(error.code)))) throw error;
  }
}
