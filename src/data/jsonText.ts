import * as l10n from '@vscode/l10n';
import { isJsonObject } from '../common/json.js';
import type { JsonObject } from '../common/json.js';
import { messageOf } from '../common/problem.js';

/** Deepest nesting read in a row. Rows of text need 3 or 4; deep ones are bombs against whatever walks them. */
export const MAX_NESTING = 64;

/** Parses one row. It must be a JSON object nested at most {@link MAX_NESTING} deep, else the reason why not. */
export function parseJsonRow(text: string): { value: JsonObject } | { reason: string } {
  // Looked at before parsing: 16 MB of "[" would become a gigabyte of arrays.
  if (scanJsonValue(text, 0).deepest > MAX_NESTING)
    return { reason: l10n.t`nested deeper than ${MAX_NESTING} levels` };
  const [first] = text.trimStart();
  // Told without an exception, which takes longer than a short row: a file may be a million of these.
  if (first === undefined) return { reason: l10n.t`not valid JSON: there is nothing` };
  if (!/[{["\-\dtfn]/.test(first))
    return { reason: l10n.t`not valid JSON: it starts with ${JSON.stringify(first)}` };
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return { reason: l10n.t`not valid JSON: ${messageOf(error)}` };
  }
  return isJsonObject(value) ? { value } : { reason: l10n.t`${jsonKind(value)}, not an object` };
}

/** The kind of a JSON value, for messages. */
export function jsonKind(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return l10n.t`an array`;
  return typeof value === 'object' ? l10n.t`an object` : `a ${typeof value}`;
}

/**
 * Finds where the value that starts at `start` ends: the index of the first `,`, `]` or `}` outside it, or the
 * text's length. Brackets are counted, not matched; `JSON.parse` judges the slice afterwards.
 */
export function scanJsonValue(text: string, start: number): { end: number; deepest: number } {
  let depth = 0;
  let deepest = 0;
  let at = start;
  for (; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) at = endOfString(text, at) - 1;
    else if (code === OPEN_ARRAY || code === OPEN_OBJECT) deepest = Math.max(deepest, ++depth);
    else if (code === CLOSE_ARRAY || code === CLOSE_OBJECT) {
      if (depth-- === 0) break;
    } else if (code === COMMA && depth === 0) break;
  }
  return { end: at, deepest };
}

/** Index after the closing quote of the string that opens at `start`; the text's length when it never closes. */
export function endOfString(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === BACKSLASH) at++;
    else if (code === QUOTE) return at + 1;
  }
  return text.length;
}

const QUOTE = 0x22;
const COMMA = 0x2c;
const BACKSLASH = 0x5c;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
