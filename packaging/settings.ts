/**
 * Where the value of a setting comes from: command line, environment, configuration file, default, in this order. Which settings there are, what
 * they mean and what is allowed is said by agent/config.ts and collector/config.ts; this file only finds, checks and remembers.
 */
import { readFileSync } from 'node:fs';
import { ConfigError, reason, type ConfigErrorCode, type FileValues, type Found } from './config-error.ts';

/** One setting: its key in the file, and the variables that set it. `NAME_FILE` (and `key_file`) are read too when it is secret. */
export type Setting = {
  readonly key: string;
  readonly variable?: string;
  readonly secret?: boolean;
  /** Other systems' names for it; `unit` is appended to a bare number. */
  readonly aliases?: readonly { readonly variable: string; readonly unit?: string }[];
};

/** What was decided for one setting, for --print-config. */
export type Decision = { readonly key: string; readonly variable?: string | undefined; readonly text: string; readonly origin: string };

/** A variable that is accepted although what it configures is not there yet. */
export type Unused = { readonly variable: string; readonly about: string };

export type Sources = {
  readonly section: 'agent' | 'collector';
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** By key. */
  readonly flags?: Readonly<Record<string, string | undefined>>;
};

/** `optional`: no default; the fallback only serves as an example in errors. */
export type DurationBounds = {
  readonly min: string;
  readonly max: string;
  readonly off?: boolean;
  readonly multipleOf?: string;
  readonly optional?: boolean;
};

const MASK = '********';
/** Letters by which a variable may differ from one of ours to be taken for a slip; the variables of the two programs differ by more. */
const SLIPS_MAX = 2;

const DURATION_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
  y: 31_536_000_000,
};
const SIZE_BYTES: Readonly<Record<string, number>> = {
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
};

/** Reads PICKET_CONFIG if it names a file. Throws ConfigError. */
export async function openSettings(sources: Sources): Promise<Settings> {
  const path = sources.environment['PICKET_CONFIG'];
  if (path === undefined || path === '') return new Settings(sources, new Map());
  // Loaded only for a file: the reader of YAML would cost every agent 13 MB.
  const { readSettingsFile } = await import('./settings-file.ts');
  return new Settings(sources, readSettingsFile(path, sources.section));
}

/** The settings of one program, read once. `finish` must be called after the last read: it refuses keys that nobody read. */
export class Settings {
  readonly #section: string;
  readonly #environment: Readonly<Record<string, string | undefined>>;
  readonly #flags: Readonly<Record<string, string | undefined>>;
  readonly #file: ReadonlyMap<string, Found>;
  readonly #known = new Set<string>();
  readonly #variables = new Set<string>();
  readonly #decisions: Decision[] = [];
  readonly #unset: string[] = [];
  readonly #unused: Unused[] = [];

  constructor(sources: Sources, file: FileValues) {
    this.#section = sources.section;
    this.#environment = sources.environment;
    this.#flags = sources.flags ?? {};
    this.#file = file;
  }

  /** Text as it was written, or undefined. `check` answers what is wrong with it and what to write instead. */
  text(setting: Setting, fallback: string | undefined, check?: (text: string) => string | undefined): string | undefined {
    const found = this.#find(setting);
    this.#decide(setting, found, fallback);
    const problem = found === undefined ? undefined : check?.(found.text);
    if (found !== undefined && problem !== undefined) throw invalid(setting, found, problem);
    return found?.text ?? fallback;
  }

  /** `true` or `false`, also `yes`, `no`, `on`, `off`, `1`, `0`. */
  flag(setting: Setting, fallback: boolean): boolean {
    const found = this.#find(setting);
    this.#decide(setting, found, String(fallback));
    if (found === undefined) return fallback;
    const word = found.text.toLowerCase();
    if (['true', 'yes', 'on', '1'].includes(word)) return true;
    if (['false', 'no', 'off', '0'].includes(word)) return false;
    throw invalid(setting, found, 'is not a yes or no; write true or false');
  }

  /** Milliseconds; undefined for `off` where that is allowed. */
  durationMs(setting: Setting, fallback: string, bounds: DurationBounds): number | undefined {
    const example = fallback === 'off' ? bounds.max : fallback;
    const text = this.text(setting, bounds.optional === true ? undefined : fallback, (word) => durationProblem(word, bounds, example));
    return text === undefined || text === 'off' ? undefined : durationMs(text);
  }

  /** Bytes; undefined for `off` where that is allowed. */
  bytes(setting: Setting, fallback: string, bounds: { min: string; max: string; off?: boolean }): number | undefined {
    const example = fallback === 'off' ? bounds.max : fallback;
    const text = this.text(setting, fallback, (word) => {
      if (bounds.off === true && word === 'off') return undefined;
      const bytes = sizeBytes(word);
      const [min, max] = [sizeBytes(bounds.min) ?? 0, sizeBytes(bounds.max) ?? Infinity];
      if (bytes === undefined) return `is not a size; write a number with a unit (KB, MB, GB), for example ${example}`;
      return bytes < min || bytes > max ? `is outside ${bounds.min} to ${bounds.max}; write for example ${example}` : undefined;
    });
    return text === undefined || text === 'off' ? undefined : sizeBytes(text);
  }

  integer(setting: Setting, fallback: number, bounds: { min: number; max: number }): number {
    const text = this.text(setting, String(fallback), (word) => {
      const value = /^\d{1,15}$/.test(word) ? Number(word) : NaN;
      return value >= bounds.min && value <= bounds.max
        ? undefined
        : `is not a whole number from ${bounds.min} to ${bounds.max}; write for example ${fallback}`;
    });
    return Number(text);
  }

  /** Names directly under a mapping of the file, for keys that users invent. */
  names(prefix: string): readonly string[] {
    const names = new Set<string>();
    for (const key of this.#file.keys()) if (key.startsWith(`${prefix}.`)) names.add(key.slice(prefix.length + 1).split('.', 1)[0] ?? '');
    return [...names];
  }

  /** Fails with the place where the setting was given. */
  fail(setting: Setting, code: ConfigErrorCode, sentence: string): never {
    const found = this.#find(setting);
    throw new ConfigError(code, found === undefined ? sentence : `${found.origin}: ${sentence}`);
  }

  /** Says that a variable is accepted, and names what it is waiting for. */
  notUsedYet(variables: readonly Unused[]): void {
    for (const unused of variables) if ((this.#environment[unused.variable] ?? '') !== '') this.#unused.push(unused);
  }

  /** Refuses keys of the file that nobody asked for, and variables that are one of ours but for a slip. */
  finish(): void {
    for (const name of Object.keys(this.#environment)) {
      if (!name.startsWith('PICKET_') || this.#variables.has(name)) continue;
      const near = nearest(name, [...this.#variables], SLIPS_MAX);
      if (near !== undefined) throw new ConfigError('config_unknown_key', `${name} is not a variable of Picket; did you mean ${near}?`);
    }
    for (const [key, found] of this.#file) {
      if (this.#known.has(key)) continue;
      const near = nearest(key, [...this.#known]);
      const hint = near === undefined ? `the keys are listed by: picket ${this.#section} --print-config` : `did you mean ${near}?`;
      throw new ConfigError('config_unknown_key', `${found.origin}: there is no setting ${this.#section}.${key}; ${hint}`);
    }
  }

  get decisions(): readonly Decision[] {
    return this.#decisions;
  }

  /** Keys that have neither a value nor a default. */
  get unset(): readonly string[] {
    return this.#unset;
  }

  get unused(): readonly Unused[] {
    return this.#unused;
  }

  #find(setting: Setting): Found | undefined {
    this.#known.add(setting.key);
    if (setting.variable !== undefined) this.#variables.add(setting.variable).add(`${setting.variable}_FILE`);
    const flag = this.#flags[setting.key];
    if (flag !== undefined) return { text: flag, origin: `--${setting.key.replaceAll('_', '-')}` };
    return this.#inEnvironment(setting) ?? this.#inFile(setting);
  }

  #inEnvironment(setting: Setting): Found | undefined {
    const name = setting.variable;
    const direct = name === undefined ? undefined : this.#variable(name);
    const path = name === undefined || setting.secret !== true ? undefined : this.#variable(`${name}_FILE`);
    if (direct !== undefined && path !== undefined) {
      throw new ConfigError('config_conflict', `${name} and ${name}_FILE are both set; keep one of them`);
    }
    if (direct !== undefined) return direct;
    if (path !== undefined) return secretFrom(path);
    for (const alias of setting.aliases ?? []) {
      const found = this.#variable(alias.variable);
      if (found !== undefined) return /^\d+$/.test(found.text) ? { ...found, text: `${found.text}${alias.unit ?? ''}` } : found;
    }
    return undefined;
  }

  #inFile(setting: Setting): Found | undefined {
    const direct = this.#file.get(setting.key);
    if (setting.secret !== true) return direct;
    this.#known.add(`${setting.key}_file`);
    const path = this.#file.get(`${setting.key}_file`);
    if (direct !== undefined && path !== undefined) {
      throw new ConfigError('config_conflict', `${path.origin}: ${setting.key} and ${setting.key}_file are both set; keep one of them`);
    }
    return path === undefined ? direct : secretFrom(path);
  }

  /** An empty variable counts as not set: that is how container files write "nothing". */
  #variable(name: string): Found | undefined {
    const text = this.#environment[name];
    return text === undefined || text === '' ? undefined : { text, origin: name };
  }

  #decide(setting: Setting, found: Found | undefined, fallback: string | undefined): void {
    const secret = setting.secret === true;
    const { key, variable } = setting;
    const text = found?.text ?? fallback;
    if (text === undefined) this.#unset.push(key);
    else this.#decisions.push({ key, variable, text: secret ? MASK : text, origin: found?.origin ?? 'default' });
  }
}

/** Milliseconds of `90d`, `1h30m`, `500ms`; undefined if it is none. */
export function durationMs(text: string): number | undefined {
  if (text === '0') return 0;
  let total = 0;
  let rest = text;
  while (rest !== '') {
    const part = /^(\d{1,12}(?:\.\d{1,3})?)(ms|s|m|h|d|w|y)/.exec(rest);
    if (part === null) return undefined;
    total += Number(part[1]) * (DURATION_MS[part[2] ?? ''] ?? NaN);
    rest = rest.slice(part[0].length);
  }
  return text === '' ? undefined : total;
}

/** Bytes of `50GB`, `512MiB`; undefined if it is none. */
export function sizeBytes(text: string): number | undefined {
  const part = /^(\d{1,12}(?:\.\d{1,3})?) ?(B|KB|MB|GB|TB|KiB|MiB|GiB|TiB)$/.exec(text);
  return part === null ? undefined : Math.round(Number(part[1]) * (SIZE_BYTES[part[2] ?? ''] ?? NaN));
}

/** The closest of the known words, if it is close enough to be meant. */
export function nearest(word: string, known: readonly string[], slipsMax = Math.max(2, Math.floor(word.length / 3))): string | undefined {
  let best: string | undefined;
  let bestDistance = slipsMax + 1;
  for (const candidate of known) {
    const distance = editDistance(word, candidate);
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best;
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

function durationProblem(text: string, bounds: DurationBounds, example: string): string | undefined {
  if (bounds.off === true && text === 'off') return undefined;
  const value = durationMs(text);
  const off = bounds.off === true ? ', or off' : '';
  if (value === undefined) return `is not a duration; write a number with a unit (ms, s, m, h, d), for example ${example}${off}`;
  const [min, max] = [durationMs(bounds.min) ?? 0, durationMs(bounds.max) ?? Infinity];
  if (value < min || value > max) return `is outside ${bounds.min} to ${bounds.max}; write for example ${example}${off}`;
  const unit = bounds.multipleOf === undefined ? 1 : (durationMs(bounds.multipleOf) ?? 1);
  return value % unit === 0 ? undefined : `is no multiple of ${bounds.multipleOf}; write for example ${example}`;
}

function invalid(setting: Setting, found: Found, problem: string): ConfigError {
  const shown = setting.secret === true ? 'the value' : JSON.stringify(found.text.slice(0, 200));
  const key = found.origin.includes(':') ? `${setting.key}: ` : '';
  return new ConfigError('config_invalid', `${found.origin}: ${key}${shown} ${problem}`);
}

function secretFrom(path: Found): Found {
  try {
    const text = readFileSync(path.text, 'utf8').trim();
    if (text !== '') return { text, origin: `${path.origin} (${path.text})` };
  } catch (cause) {
    throw new ConfigError('config_unreadable', `${path.origin}: cannot read ${path.text}: ${reason(cause)}`, { cause });
  }
  throw new ConfigError('config_invalid', `${path.origin}: ${path.text} is empty; write the secret into it`);
}
