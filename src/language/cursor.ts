import { isCollection, isMap, isScalar, isSeq, LineCounter, parseDocument } from 'yaml';
import type { Document, Node } from 'yaml';
import type { Place } from '../common/problem.js';
import { RunFile } from '../config/schema.js';
import { schemaAt } from './schemaAt.js';
import { shapeOf } from '../config/shape.js';
import type { ConfigPath } from '../config/tree.js';
import type { Cursor } from './runDocument.js';

/** Stands for what is being typed while the text around it is read; letters that nobody writes. */
const HERE = 'ꙮꙮꙮ';

/** A cursor, and what the text says around it. */
export interface LocatedCursor extends Cursor {
  /** The keys of the mapping that the cursor's key is in, without that key. */
  readonly siblings: readonly string[];
  /** The `type` of the method that the cursor is in, as far as it is written. */
  readonly methodType?: string;
  /**
   * `block`: lines and indentation. `flow`: within braces or brackets. `bare`: in such a text, where braces have yet to
   * be opened before a key can stand.
   */
  readonly style: 'block' | 'flow' | 'bare';
}

/** Longer texts are files taken for run files by mistake; the checks say so. */
const MAX_CHARACTERS = 200_000;

/**
 * What is being typed at an offset of a text that need not be whole: the word there is read as one unknown word, and
 * its place in the tree is where the cursor is. Undefined in comments, and where no key or value can stand.
 */
export function cursorAt(text: string, file: string, offset: number): LocatedCursor | undefined {
  if (text.length > MAX_CHARACTERS) return undefined;
  const word = wordAt(text, offset);
  if (word === undefined) return undefined;
  // A key that is begun between others is one only with its colon.
  const read = locate(text, word, HERE) ?? locate(text, word, `${HERE}:`);
  if (read === undefined) return undefined;
  const { document, found } = read;
  const counter = new LineCounter();
  parseLines(text, counter);
  const [from, to] = [counter.linePos(word.start), counter.linePos(word.end)];
  const replaces: Place = { file, line: from.line, column: from.col, endLine: to.line, endColumn: to.col };
  const typed = text.slice(word.start, offset).replace(/^["']/, '');
  const whole = text.slice(word.start, word.end).replace(/^["']|["']$/g, '');
  const here = settled(found, whole);
  const isFlow = file.endsWith('.json') || flowAt(document, found.path);
  const isBare = here.part === 'key' && found.part === 'value';
  return {
    ...here,
    typed,
    replaces,
    siblings: isBare ? [] : keysAt(document, found.path.slice(0, -1)),
    ...methodTypeOf(document, found, whole),
    style: !isFlow ? 'block' : isBare ? 'bare' : 'flow',
  };
}

/** Whether what holds the value at a path is written in braces or brackets. */
function flowAt(document: Document, path: ConfigPath): boolean {
  const holder = path.length === 0 ? undefined : nodeIn(document, path.slice(0, -1));
  return isCollection(holder) && holder.flow === true;
}

function keysAt(document: Document, path: ConfigPath): readonly string[] {
  const node = nodeIn(document, path);
  if (!isMap<Node, Node>(node)) return [];
  return node.items.flatMap(({ key }) => (isScalar(key) && key.value !== HERE ? [String(key.value)] : []));
}

/** The type may be what the cursor is in itself, as value or by its key. */
function methodTypeOf(document: Document, { path, part }: Found, word: string): Pick<LocatedCursor, 'methodType'> {
  const [section, second] = path;
  if (section !== 'method') return {};
  const holder = path.slice(0, typeof second === 'number' ? 2 : 1);
  const isKey = part === 'key' && word === 'type' && path.length === holder.length + 1;
  const type = document.getIn([...holder, isKey ? HERE : 'type']);
  const text = type === HERE ? word : type;
  return typeof text === 'string' && text !== '' ? { methodType: text } : {};
}

function nodeIn(document: Document, path: ConfigPath): unknown {
  return path.length === 0 ? document.contents : document.getIn(path, true);
}

/** Reads the text with other words in place of the one at the cursor, and finds them in the tree. */
function locate(
  text: string,
  { start, end }: Span,
  words: string,
): { readonly document: Document; readonly found: Found } | undefined {
  const document = parseDocument(`${text.slice(0, start)}${words}${text.slice(end)}`, {
    version: '1.2',
    uniqueKeys: false,
    prettyErrors: false,
    logLevel: 'silent',
  });
  const found = find(document.contents, []);
  return found && { document, found };
}

interface Span {
  readonly start: number;
  readonly end: number;
}

interface Found {
  readonly path: ConfigPath;
  readonly part: 'key' | 'value';
}

/** Where the unknown word is in the tree. */
function find(node: unknown, path: ConfigPath): Found | undefined {
  if (isScalar(node)) return node.value === HERE ? { path, part: 'value' } : undefined;
  if (isSeq(node)) {
    for (const [index, item] of node.items.entries()) {
      const found = find(item, [...path, index]);
      if (found !== undefined) return found;
    }
  }
  if (isMap<Node, Node>(node)) {
    for (const { key, value } of node.items) {
      const name = isScalar(key) ? String(key.value) : '';
      if (name === HERE) return { path: [...path, HERE], part: 'key' };
      const found = find(value, [...path, name]);
      if (found !== undefined) return found;
    }
  }
  return undefined;
}

/** One method counts as a list of one; a word where a mapping belongs is its first key. */
function settled({ path, part }: Found, word: string): Found {
  const [first, second, ...rest] = path;
  const listed: ConfigPath =
    first === 'method' && path.length > 1 && typeof second !== 'number' ? ['method', 0, second!, ...rest] : path;
  if (part === 'key') return { path: [...listed.slice(0, -1), word], part };
  if (wantsKeys(listed))
    return { path: [...(listed.length === 1 && first === 'method' ? ['method', 0] : listed), word], part: 'key' };
  return { path: listed, part };
}

/** Whether keys stand at a path rather than a value. */
function wantsKeys(path: ConfigPath): boolean {
  const schema = path.length === 0 ? RunFile : schemaAt(path);
  if (path.length === 1 && path[0] === 'method') return true;
  if (schema === undefined) return false;
  const shape = shapeOf(schema);
  return shape.kind === 'object' || shape.kind === 'record' || shape.kind === 'variants';
}

/** The key or value around an offset, quotes included. Undefined in a comment. */
function wordAt(text: string, offset: number): Span | undefined {
  const lineStart = text.lastIndexOf('\n', offset - 1) + 1;
  const lineEnd = text.indexOf('\n', offset);
  const before = text.slice(lineStart, offset);
  const after = text.slice(offset, lineEnd < 0 ? text.length : lineEnd).replace(/\r$/, '');
  const lead = leading(before);
  if (lead === undefined) return undefined;
  const start = lineStart + lead;
  const quote = /^["']/.exec(before.slice(lead))?.[0];
  if (quote !== undefined) {
    const close = after.indexOf(quote);
    return { start, end: offset + (close < 0 ? after.length : close + 1) };
  }
  const rest = /^(?:(?!\s+#|:(?:\s|$)|[,\]}]).)*/.exec(after)?.[0] ?? '';
  return { start, end: offset + rest.trimEnd().length };
}

/** How far into a line the word begins that its end belongs to; undefined in a comment. */
function leading(before: string): number | undefined {
  let start = /^\s*/.exec(before)![0].length;
  let quote: string | undefined;
  for (let at = start; at < before.length; at++) {
    const char = before[at]!;
    if (quote !== undefined) {
      if (char === quote) quote = undefined;
      continue;
    }
    const next = before[at + 1];
    const blank = next === undefined || /\s/.test(next);
    if ((char === '"' || char === "'") && at === start) quote = char;
    else if (char === '#' && (at === 0 || /\s/.test(before[at - 1]!))) return undefined;
    else if (
      char === '[' ||
      char === '{' ||
      char === ',' ||
      ((char === ':' || (char === '-' && at === start)) && blank)
    ) {
      start = at + 1 + /^\s*/.exec(before.slice(at + 1))![0].length;
    }
  }
  return start;
}

function parseLines(text: string, counter: LineCounter): void {
  counter.addNewLine(0);
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) counter.addNewLine(at + 1);
}
