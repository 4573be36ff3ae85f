import type { Place, Problem } from '../common/problem.js';
import type { Entry, MapNode } from '../config/tree.js';
import { shorten } from '../config/tree.js';
import type { RunDocument } from './runDocument.js';

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
]);

/** What could be changed in the file to mend a problem, best first. */
export function fixesOf({ parsed: { tree }, text, file }: RunDocument, problem: Problem): readonly Fix[] {
  const { where, replacement, code } = problem;
  if (where?.file !== file || where.line === undefined) return [];
  const fixes: Fix[] = [];
  if (replacement !== undefined && where.endColumn !== undefined) {
    const title = `Write ${shorten(replacement)} instead`;
    fixes.push({ title, at: where, text: replacement, preferred: true });
  }
  const entry = tree && IDLE_KEYS.has(code) ? entryAt(tree, where) : undefined;
  if (entry !== undefined) {
    const preferred = fixes.length === 0;
    fixes.push({ title: `Remove ${shorten(entry.key)}`, at: linesOf(entry, text), text: '', preferred });
  }
  return fixes;
}

/** The entry whose key is at a place. */
function entryAt(map: MapNode, { line, column }: Place): Entry | undefined {
  for (const entry of map.entries) {
    if (entry.keyAt.line === line && entry.keyAt.column === column) return entry;
    const nodes = entry.value.kind === 'list' ? entry.value.items : [entry.value];
    for (const node of nodes) {
      const found = node.kind === 'map' ? entryAt(node, { file: '', line, column }) : undefined;
      if (found !== undefined) return found;
    }
  }
  return undefined;
}

/** The lines of an entry that stands alone on them; in braces, the entry with its comma. */
function linesOf({ keyAt, value: { at } }: Entry, text: string): Place {
  const lines = text.split('\n');
  const [first, last] = [keyAt.line!, at.endLine ?? keyAt.line!];
  const before = lines[first - 1]!.slice(0, keyAt.column! - 1);
  const endColumn = at.endColumn ?? keyAt.endColumn!;
  // A block's value may end where the next line begins.
  const lastLine = endColumn === 1 && last > first ? last - 1 : last;
  const behind = lastLine === last ? lines[last - 1]!.slice(endColumn - 1) : '';
  if (before.trim() === '' && /^\s*(#.*)?$/.test(behind)) {
    return { file: keyAt.file, line: first, column: 1, endLine: lastLine + 1, endColumn: 1 };
  }
  const comma = /^\s*,\s*/.exec(behind)?.[0].length ?? 0;
  return { file: keyAt.file, line: first, column: keyAt.column!, endLine: last, endColumn: endColumn + comma };
}
