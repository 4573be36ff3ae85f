import type { TSchema } from '@sinclair/typebox';
import { asValue } from '../config/asValue.js';
import { shapeOf } from '../config/shape.js';
import type { ConfigPath } from '../config/tree.js';
import type { LocatedCursor } from './cursor.js';
import type { RunDocument } from './runDocument.js';
import { isMethodType } from './schemaAt.js';

/** What stands around the key or value at the cursor in its line. */
export interface LineAround {
  /** The quote that it opens with, if any: the editor filters suggestions by what is typed, quotes included. */
  readonly quote: string;
  /** What is typed of it, quote included. */
  readonly typed: string;
  /** Whether a colon follows, so that a key is being replaced rather than begun. */
  readonly hasColon: boolean;
  /** What has to come before a key: a line of its own, when the cursor is beside the key of its section. */
  readonly lead: string;
  /** How much farther a block below a key is indented than the line (the editor adds the line's own indentation). */
  readonly indent: string;
}

/** Reads the line of a cursor. */
export function lineAround({ text }: RunDocument, cursor: LocatedCursor): LineAround {
  const { line = 1, column = 1, endColumn = column } = cursor.replaces;
  const whole = text.split('\n')[line - 1] ?? '';
  const [before, after] = [whole.slice(0, column - 1), whole.slice(endColumn - 1)];
  const quote = /^["']/.exec(whole.slice(column - 1, endColumn - 1))?.[0] ?? '';
  // The dashes of a list that begin the line count as indentation.
  const dashes = /^\s*((?:- +)*)/.exec(before)![1]!;
  const besideKey = cursor.style === 'block' && cursor.part === 'key' && /:\s+$/.test(before);
  const keyIndent = ' '.repeat(dashes.length + (besideKey ? 2 : 0));
  return {
    quote,
    typed: `${quote}${cursor.typed}`,
    hasColon: /^\s*:/.test(after),
    lead: besideKey ? `\n${keyIndent}` : '',
    indent: `${keyIndent}  `,
  };
}

/** What follows a key: colon and, as a snippet, what its value begins with; and whether the value is chosen from a list. */
export function beginningOf(
  path: ConfigPath,
  schema: TSchema,
  { style }: LocatedCursor,
  { indent }: LineAround,
  file: string,
): { readonly text: string; readonly asksNext: boolean } {
  const shape = shapeOf(schema);
  const isMethod = path.length === 1 && path[0] === 'method';
  if (isMethod || shape.kind === 'object' || shape.kind === 'record') {
    const block = `:\n${indent}${isMethod ? 'type: ' : ''}`;
    return { text: style === 'block' ? block : `: ${openingOf(path, file)}`, asksNext: true };
  }
  const isScalar = shape.kind === 'number' || shape.kind === 'text';
  if (!isScalar || isMethodType(path)) return { text: ': ', asksNext: true };
  const value: unknown = schema.default;
  if (value === undefined) return { text: ': ', asksNext: shape.kind === 'text' };
  const written = typeof value === 'string' ? asValue(value, file) : String(value);
  return { text: `: \${1:${written.replace(/[\\$}]/g, '\\$&')}}`, asksNext: false };
}

/** The braces of a mapping at a path, as a snippet; those of a method with its first key. */
export function openingOf(path: ConfigPath, file: string): string {
  const type = file.endsWith('.json') ? '"type"' : 'type';
  if (path[0] === 'method' && path.length <= 2) return `{ ${type}: $1 }`;
  return path.length === 0 ? '{\n  $1\n}' : '{ $1 }';
}
