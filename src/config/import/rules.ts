import type { ConfigNode, Entry } from '../tree.js';
import { describeNode, plainValue } from '../tree.js';

/** Why a setting of another tool is not in the run file. */
export type LeftKind =
  /** It changes what is learned. */
  | 'result'
  /** It changes only speed, memory or the machine. */
  | 'speed'
  /** It is off, as it is here. */
  | 'off'
  /** Logs, names, uploads, files. */
  | 'other';

/** A setting without a counterpart. */
export interface Left {
  readonly key: string;
  readonly line: number | undefined;
  /** As written, shortened. */
  readonly value: string;
  readonly kind: LeftKind;
  /** One sentence without a full stop. */
  readonly reason: string;
}

/** A run file in the making. */
export interface Draft {
  /** By path: `training.learning_rate`, `method.r`. */
  readonly values: Map<string, unknown>;
  /** Which setting a path came from, for what is said of it later. */
  readonly sources: Map<string, Entry>;
  /** Paths that stand for a default of the tool that differs from ours. */
  readonly defaults: Set<string>;
  readonly left: Left[];
  /** What the user should look at, though it was carried over. */
  readonly notes: string[];
}

/** What a rule knows of the other settings. */
export interface Source {
  /** Settings at the top, plain. */
  readonly all: Readonly<Record<string, unknown>>;
  /** How the tool is called. */
  readonly tool: string;
  /** The file of a data set that LLaMA-Factory knows by name. */
  readonly datasetFile?: (name: string) => string | undefined;
}

/** What becomes of one setting. */
export type Rule = (entry: Entry, draft: Draft, source: Source) => void;

/** The rules of a tool, by key. */
export type Rules = Readonly<Record<string, Rule>>;

/** A conversion's outcome: the value, or why there is none. */
export type Converted = { readonly value: unknown; readonly note?: string } | { readonly reason: string };

export function emptyDraft(): Draft {
  return { values: new Map(), sources: new Map(), defaults: new Set(), left: [], notes: [] };
}

/** Carries a value over to a path; an empty one is off. */
export function to(path: string, convert: (value: unknown, source: Source) => Converted = same): Rule {
  return (entry, draft, source) => {
    const value = plainValue(entry.value);
    if (value === null) {
      leave(draft, entry, 'off', 'empty: the default is used');
      return;
    }
    const converted = convert(value, source);
    if ('reason' in converted) {
      leave(draft, entry, 'result', converted.reason);
      return;
    }
    set(draft, path, converted.value, entry);
    if (converted.note !== undefined) draft.notes.push(converted.note);
  };
}

/** Another spelling of a word. */
export function word(table: Readonly<Record<string, string>>, what: string): (value: unknown) => Converted {
  return (value) => {
    const found = typeof value === 'string' && Object.hasOwn(table, value) ? table[value] : undefined;
    return found === undefined
      ? { reason: `there is no such ${what} here; the default is used` }
      : { value: found };
  };
}

/** A setting that only matters while it is on. */
function unlessOff(kind: LeftKind, reason: string): Rule {
  return (entry, draft) => {
    if (isOff(entry.value)) leave(draft, entry, 'off', 'off, as here');
    else leave(draft, entry, kind, reason);
  };
}

/** It changes what is learned, and is not known here. */
export const result = (reason: string): Rule => unlessOff('result', reason);
/** It changes speed, memory or the machine only. */
export const speed = (reason: string): Rule => unlessOff('speed', reason);
/** Logs, names, uploads. */
export const other = (reason: string): Rule => unlessOff('other', reason);

export function set(draft: Draft, path: string, value: unknown, entry?: Entry): void {
  draft.values.set(path, value);
  if (entry) draft.sources.set(path, entry);
}

/** Settings whose values must not be repeated anywhere; `pad_token` and its like are words of the tokenizer. */
const SECRET =
  /(?:^token|(?<!\b(?:pad|eos|bos|unk|mask|sep|cls))_token|api_?key|secret|passw(?:or)?d|credentials?)$/i;
const HIDDEN = '(hidden)';

export function leave(draft: Draft, entry: Entry, kind: LeftKind, reason: string): void {
  const { key, keyAt, value } = entry;
  const text = SECRET.test(key) && value.kind === 'scalar' && value.value !== null ? HIDDEN : shown(value);
  draft.left.push({ key, line: keyAt.line, value: text, kind, reason });
}

/** Writes what a tool does where nothing is written, and we would do otherwise. */
export function fallback(draft: Draft, path: string, value: unknown): void {
  if (draft.values.has(path)) return;
  set(draft, path, value);
  draft.defaults.add(path);
}

function same(value: unknown): Converted {
  return { value };
}

function shown(node: ConfigNode): string {
  if (node.kind === 'scalar')
    return node.value === null ? '' : String(node.value).replace(/\s+/g, ' ').slice(0, 60);
  const text = JSON.stringify(plainValue(node), (key, value: unknown) =>
    SECRET.test(key) && typeof value === 'string' ? HIDDEN : value,
  );
  return text.length > 60 ? describeNode(node) : text;
}

/** Empty, false, zero, `none`, or a list or mapping without anything in it. */
function isOff(node: ConfigNode): boolean {
  if (node.kind === 'map') return node.entries.length === 0;
  if (node.kind === 'list') return node.items.length === 0;
  const { value } = node;
  return (
    value === null ||
    value === false ||
    value === 0 ||
    (typeof value === 'string' && ['', 'none', 'no', 'disabled', 'false'].includes(value.toLowerCase()))
  );
}
