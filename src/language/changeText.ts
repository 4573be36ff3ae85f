import { isDeepStrictEqual } from 'node:util';
import { isJsonObject } from '../common/json.js';
import type { Json } from '../common/json.js';
import type { Place } from '../common/problem.js';
import { asValue } from '../config/asValue.js';
import { readYaml } from '../config/readYaml.js';
import { setIn } from '../config/setIn.js';
import type { ConfigChange } from '../config/setIn.js';
import { entryOf, plainValue } from '../config/tree.js';
import type { ConfigNode, ConfigPath, Entry, MapNode } from '../config/tree.js';
import { offsetOf, positionOf } from './textPlaces.js';

/**
 * A run file's text with changes in it and everything else as it is, comments and layout, too: a value is replaced where
 * it stands, a key that is absent is added at the end of its section. Undefined where that cannot be done with certainty
 * (aliases, unusual layout): what comes out is read again and compared.
 */
export function changedText(text: string, file: string, changes: readonly ConfigChange[]): string | undefined {
  let wanted = plainOf(text, file);
  let current: string | undefined = text;
  for (const { path, value } of changes) {
    wanted = wanted === undefined ? undefined : setIn(wanted, path, value);
    current = current === undefined ? undefined : withValue(current, file, path, value);
  }
  if (current === undefined || wanted === undefined) return undefined;
  return isDeepStrictEqual(plainOf(current, file), wanted) ? current : undefined;
}

/** The one stretch in which two texts differ: where it is in the first, and what the second has there. */
export function differenceOf(
  before: string,
  after: string,
  file: string,
): { readonly at: Place; readonly text: string } {
  const shorter = Math.min(before.length, after.length);
  let same = 0;
  while (same < shorter && before[same] === after[same]) same += 1;
  let end = 0;
  while (end < shorter - same && before.at(-1 - end) === after.at(-1 - end)) end += 1;
  const [from, to] = [positionOf(before, same), positionOf(before, before.length - end)];
  return {
    at: { file, ...from, endLine: to.line, endColumn: to.column },
    text: after.slice(same, after.length - end),
  };
}

/** What a text holds; undefined for what cannot be read. */
function plainOf(text: string, file: string): Json | undefined {
  const { root } = readYaml(text, file);
  return root === undefined ? undefined : (JSON.parse(JSON.stringify(plainValue(root))) as Json);
}

function withValue(text: string, file: string, path: ConfigPath, value: Json): string | undefined {
  let node: ConfigNode | undefined = readYaml(text, file).root;
  let entry: Entry | undefined;
  for (const [depth, step] of path.entries()) {
    if (typeof step === 'number') {
      if (node?.kind === 'list') node = node.items[step];
      else if (step !== 0) return undefined;
      continue;
    }
    if (node?.kind === 'scalar' && node.value === null && entry !== undefined) {
      // A section without anything in it.
      const below = path.slice(depth).reduceRight<Json>((inner, key) => ({ [key]: inner }), value);
      return replaced(text, file, entry, below);
    }
    if (node?.kind !== 'map') return undefined;
    entry = entryOf(node, step);
    if (entry === undefined) return added(text, file, node, path.slice(depth), value);
    node = entry.value;
  }
  return entry && replaced(text, file, entry, value);
}

/** With another value of an entry. */
function replaced(text: string, file: string, { keyAt, value: old }: Entry, value: Json): string {
  const written = inline(value, file);
  if (old.at === keyAt) {
    // No value is written: it comes after the colon.
    const key = offsetOf(text, keyAt.endLine!, keyAt.endColumn!);
    const colon = key + (/^\s*:/.exec(text.slice(key))?.[0].length ?? 0);
    return `${text.slice(0, colon)} ${written}${text.slice(colon)}`;
  }
  const start = offsetOf(text, old.at.line!, old.at.column!);
  const end = start + text.slice(start, offsetOf(text, old.at.endLine!, old.at.endColumn!)).trimEnd().length;
  return text.slice(0, start) + written + text.slice(end);
}

/** With a key that the mapping has not: in braces after the last one, else on a line of its own. */
function added(
  text: string,
  file: string,
  map: MapNode,
  [key = '', ...rest]: ConfigPath,
  value: Json,
): string | undefined {
  const nested = rest.reduceRight<Json>((inner, step) => ({ [step]: inner }), value);
  const last = map.entries.at(-1);
  const [start, end] = [
    offsetOf(text, map.at.line!, map.at.column!),
    offsetOf(text, map.at.endLine!, map.at.endColumn!),
  ];
  const eol = text.includes('\r\n') ? '\r\n' : '\n';
  if (text[start] === '{') {
    const pair = `${name(key, file)}: ${inline(nested, file)}`;
    if (last === undefined) return `${text.slice(0, start)}{ ${pair} }${text.slice(end)}`;
    const after = endOf(last, text);
    const lead = leadOf(last, text);
    return `${text.slice(0, after)},${lead === undefined ? ' ' : `${eol}${lead}`}${pair}${text.slice(after)}`;
  }
  if (last === undefined) return undefined;
  const after = endOf(last, text);
  const line = text.indexOf('\n', after);
  // A file may have lines of both endings.
  const place = line < 0 ? text.length : text[line - 1] === '\r' ? line - 1 : line;
  const indent = ' '.repeat((map.entries[0]?.keyAt.column ?? 1) - 1);
  const lines = block(String(key), nested, file, indent).map((each) => `${eol}${each}`);
  return text.slice(0, place) + lines.join('') + text.slice(place);
}

/** Where an entry ends: a block's place may end where the next line begins. */
function endOf({ keyAt, value }: Entry, text: string): number {
  const start = offsetOf(text, keyAt.line!, keyAt.column!);
  const end = offsetOf(text, value.at.endLine!, value.at.endColumn!);
  const colon = value.at === keyAt ? (/^\s*:/.exec(text.slice(end))?.[0].length ?? 0) : 0;
  return start + text.slice(start, end + colon).trimEnd().length;
}

/** What stands before an entry's key in its line, if that is space alone. */
function leadOf({ keyAt }: Entry, text: string): string | undefined {
  const key = offsetOf(text, keyAt.line!, keyAt.column!);
  const before = text.slice(text.lastIndexOf('\n', key - 1) + 1, key);
  return before.trim() === '' ? before : undefined;
}

/** A key with its value in lines of their own. */
function block(key: string, value: Json, file: string, indent: string): readonly string[] {
  if (!isJsonObject(value)) return [`${indent}${key}: ${inline(value, file)}`];
  const below = Object.entries(value).flatMap(([each, inner]) => block(each, inner, file, `${indent}  `));
  return [`${indent}${key}:`, ...below];
}

/** A value in one line, as the file writes it. */
function inline(value: Json, file: string): string {
  if (typeof value === 'string') return asValue(value, file);
  if (Array.isArray(value)) return `[${value.map((each) => inline(each, file)).join(', ')}]`;
  if (!isJsonObject(value)) return String(value);
  const pairs = Object.entries(value).map(([key, inner]) => `${name(key, file)}: ${inline(inner, file)}`);
  return pairs.length === 0 ? '{}' : `{ ${pairs.join(', ')} }`;
}

function name(key: string | number, file: string): string {
  return asValue(String(key), file);
}
