import * as l10n from '@vscode/l10n';
import type { Place, Problem } from '../common/problem.js';
import type { Entry, MapNode } from '../config/tree.js';
import { shorten } from '../config/tree.js';
import { changedText, differenceOf } from './changeText.js';
import type { RunDocument } from './runDocument.js';
import { offsetOf, positionOf } from './textPlaces.js';

/** One change of the text that mends a problem. */
export interface Fix {
  readonly title: string;
  /** What it replaces. */
  readonly at: Place;
  readonly text: string;
  /** The one that is most likely meant. */
  readonly preferred: boolean;
}

/** Problems of a key that can go. */
const IDLE_KEYS: ReadonlySet<string> = new Set([
  'config.unknown-key',
  'config.ignored-key',
  'config.unsupported-key',
  'config.unread-schedule-key',
]);

/** What could be changed in the file to mend a problem, best first. */
export function fixesOf({ parsed: { tree }, text, file }: RunDocument, problem: Problem): readonly Fix[] {
  const { where, replacement, code, changes = [] } = problem;
  if (where?.file !== file || where.line === undefined) return [];
  const fixes: Fix[] = [];
  if (replacement !== undefined && where.endColumn !== undefined) {
    const title = l10n.t`Write ${shorten(replacement)} instead`;
    fixes.push({ title, at: where, text: replacement, preferred: true });
  }
  const held = tree && IDLE_KEYS.has(code) ? entryAt(tree, where, text) : undefined;
  if (held !== undefined) {
    const preferred = fixes.length === 0;
    fixes.push({
      title: l10n.t`Remove ${shorten(held.entry.key)}`,
      at: extentOf(held, text),
      text: '',
      preferred,
    });
  }
  for (const { title, set } of changes) {
    const changed = changedText(text, file, set);
    if (changed === undefined) continue;
    fixes.push({ title, ...differenceOf(text, changed, file), preferred: fixes.length === 0 });
  }
  return fixes;
}

/** An entry, and whether it is in braces. */
interface Held {
  readonly entry: Entry;
  readonly inBraces: boolean;
}

/** The entry whose key is at a place. */
function entryAt(map: MapNode, { line, column }: Place, text: string): Held | undefined {
  for (const entry of map.entries) {
    if (entry.keyAt.line === line && entry.keyAt.column === column) {
      return { entry, inBraces: text[offsetOf(text, map.at.line!, map.at.column!)] === '{' };
    }
    const nodes = entry.value.kind === 'list' ? entry.value.items : [entry.value];
    for (const node of nodes) {
      const found = node.kind === 'map' ? entryAt(node, { file: '', line, column }, text) : undefined;
      if (found !== undefined) return found;
    }
  }
  return undefined;
}

/** What to remove for an entry to be gone: its lines where it stands alone on them, and in braces one comma with it. */
function extentOf({ entry: { keyAt, value }, inBraces }: Held, text: string): Place {
  let start = offsetOf(text, keyAt.line!, keyAt.column!);
  let end = offsetOf(text, value.at.endLine!, value.at.endColumn!);
  // Where no value is written, its place is that of the key.
  if (value.at === keyAt) end += /^\s*:/.exec(text.slice(end))?.[0].length ?? 0;
  // A block's value may end where the next line begins.
  if (text[end - 1] === '\n') end -= 1;
  if (inBraces) {
    const comma = /^\s*,/.exec(text.slice(end))?.[0].length;
    if (comma !== undefined) end += comma;
    else start -= /,\s*$/.exec(text.slice(0, start))?.[0].length ?? 0;
  }
  const lineStart = text.lastIndexOf('\n', start - 1) + 1;
  const nextLine = text.indexOf('\n', end) + 1 || text.length;
  const isAlone = text.slice(lineStart, start).trim() === '' && /^\s*(#.*)?\s*$/.test(text.slice(end, nextLine));
  if (isAlone) [start, end] = [lineStart, nextLine];
  else if (inBraces) end += /^[ \t]*(?=[^\s}#])/.exec(text.slice(end))?.[0].length ?? 0;
  const [from, to] = [positionOf(text, start), positionOf(text, end)];
  return { file: keyAt.file, ...from, endLine: to.line, endColumn: to.column };
}
