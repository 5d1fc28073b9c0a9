/** The configuration file: YAML read into keys with their places, and settings printed as such a file. Loaded only where there is one. */
import { readFileSync } from 'node:fs';
import { Document, isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument, type Node } from 'yaml';
import { ConfigError, reason, type FileValues, type Found } from './config-error.ts';

/** What was decided for the settings of a program. */
export type Decided = {
  readonly decisions: readonly { readonly key: string; readonly text: string; readonly origin: string }[];
  readonly unset: readonly string[];
  readonly unused: readonly { readonly variable: string; readonly about: string }[];
};

const SECTIONS = ['agent', 'collector'];
/** Keys that stand at the top of the file for both programs. */
const SHARED_KEYS = ['log_level'];
/** A megabyte: a configuration, not data. */
const FILE_BYTES_MAX = 1 << 20;
/** Bounds what an alias can multiply to. */
const LEAVES_MAX = 10_000;
const DEPTH_MAX = 8;

/** The leaves of the program's section, and of the keys that both share. Throws ConfigError with the place. */
export function readSettingsFile(path: string, section: string): FileValues {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    throw new ConfigError('config_unreadable', `PICKET_CONFIG: cannot read ${path}: ${reason(cause)}`, { cause });
  }
  if (text.length > FILE_BYTES_MAX)
    throw new ConfigError('config_unreadable', `PICKET_CONFIG: ${path} has more than ${FILE_BYTES_MAX} bytes; it is no configuration`);
  return leavesOf(path, text, section);
}

/** The leaves of this program's section, and of the shared keys, as text with their place. */
function leavesOf(path: string, text: string, section: string): FileValues {
  const lines = new LineCounter();
  const place = (offset: number): string => {
    const { line, col } = lines.linePos(offset);
    return `${path}:${line}:${col}`;
  };
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, stringKeys: true });
  const error = document.errors[0];
  if (error !== undefined) throw new ConfigError('config_syntax', `${place(error.pos[0])}: ${error.message}`);
  const leaves = new Map<string, Found>();
  if (document.contents === null) return leaves;
  for (const [key, value, at] of entriesOf(document, document.contents, path, place)) {
    if (key === section) collect(document, value, { path, place, prefix: '', depth: 0, leaves });
    else if (SHARED_KEYS.includes(key)) collect(document, value, { path, place, prefix: key, depth: 0, leaves });
    else if (!SECTIONS.includes(key)) {
      throw new ConfigError(
        'config_unknown_key',
        `${at}: there is no section ${key}; write agent:, collector: or ${SHARED_KEYS.join(', ')}:`,
      );
    }
  }
  return leaves;
}

type Walk = {
  readonly path: string;
  readonly place: (offset: number) => string;
  readonly prefix: string;
  readonly depth: number;
  readonly leaves: Map<string, Found>;
};

function collect(document: Document, node: Node | null, walk: Walk): void {
  const resolved = isAlias(node) ? node.resolve(document) : node;
  const at = walk.place(node?.range?.[0] ?? 0);
  if (walk.depth > DEPTH_MAX || walk.leaves.size > LEAVES_MAX)
    throw new ConfigError('config_syntax', `${at}: nested too deep or too large; write it flat`);
  if (resolved === undefined || resolved === null || (isScalar(resolved) && resolved.value === null)) return;
  if (isScalar(resolved)) {
    const source = typeof resolved.value === 'string' ? resolved.value : (resolved.source ?? String(resolved.value));
    // A key of the program's own section wins over a shared one.
    if (!walk.leaves.has(walk.prefix) || !SHARED_KEYS.includes(walk.prefix) || walk.depth > 0)
      walk.leaves.set(walk.prefix, { text: source, origin: at });
    return;
  }
  if (isSeq(resolved)) throw new ConfigError('config_invalid', `${at}: ${walk.prefix} is a list; write a single value`);
  for (const [key, value, keyAt] of entriesOf(document, resolved, walk.path, walk.place)) {
    if (key.includes('.')) throw new ConfigError('config_invalid', `${keyAt}: write the key ${key} as nested mappings`);
    collect(document, value, { ...walk, prefix: walk.prefix === '' ? key : `${walk.prefix}.${key}`, depth: walk.depth + 1 });
  }
}

function entriesOf(document: Document, node: unknown, path: string, place: (offset: number) => string): [string, Node | null, string][] {
  const resolved = isAlias(node) ? node.resolve(document) : node;
  if (!isMap<Node, Node | null>(resolved))
    throw new ConfigError('config_syntax', `${path}:1:1: expected keys and values; write for example "collector:"`);
  return resolved.items.map((pair) => [isScalar(pair.key) ? String(pair.key.value) : '', pair.value, place(pair.key.range?.[0] ?? 0)]);
}

/** The effective configuration as a file that could be used as PICKET_CONFIG (but for the masked secrets), with the origin of each value. */
export function printSettings(section: string, settings: Decided): string {
  const document = new Document({ [section]: {} });
  for (const { key, text, origin } of settings.decisions) {
    const value = document.createNode(plain(text));
    if (origin !== 'default') value.comment = ` from ${origin}`;
    document.setIn([section, ...key.split('.')], value);
  }
  const unused = settings.unused.map(({ variable, about }) => `# ${variable} is accepted, but not used yet: ${about}\n`);
  const unset = settings.unset.length === 0 ? '' : `# not set: ${settings.unset.join(', ')}\n`;
  return `${document.toString({ lineWidth: 0 })}${unset}${unused.join('')}`;
}

/** Numbers and switches are written without quotes, as people write them. */
function plain(text: string): string | number | boolean {
  if (text === 'true' || text === 'false') return text === 'true';
  return /^(0|[1-9]\d{0,14})$/.test(text) ? Number(text) : text;
}
