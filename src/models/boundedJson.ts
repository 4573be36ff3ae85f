import * as l10n from '@vscode/l10n';
import { open } from 'node:fs/promises';
import type { Json, JsonObject } from '../common/json.js';
import { refuseDevice } from '../common/files.js';
import { isJsonObject } from '../common/json.js';
import { fail, messageOf } from '../common/problem.js';

/** Deepest nesting accepted in `config.json`, `tokenizer.json` and their like; real ones stay below 12. */
const MAX_DEPTH = 64;

/**
 * Parses JSON that comes from others: nesting is bounded before anything is built, and a key that occurs twice
 * in one object is an error (`JSON.parse` would silently keep the last). Errors have code `<code>.json` and
 * name the line and column.
 */
export function parseJson(text: string, context: { file: string; code: string; maxDepth?: number }): Json {
  const { file, code, maxDepth = MAX_DEPTH } = context;
  const refuse = (at: number, message: string): never => {
    const before = text.slice(0, at);
    const line = before.split('\n').length;
    fail({
      code: `${code}.json`,
      message,
      where: { file, line, column: at - before.lastIndexOf('\n') },
      mend: l10n.t`Download or export the file again.`,
    });
  };
  scan(text, maxDepth, refuse);
  try {
    return JSON.parse(text) as Json;
  } catch (error) {
    const message = messageOf(error);
    const at = /position (\d+)/.exec(message);
    return refuse(at ? Number(at[1]) : text.length, l10n.t`this is not valid JSON (${message})`);
  }
}

/** Reads a JSON object from a file of at most `maxBytes`. Errors: `<code>.json`, `<code>.too-long`. */
export async function readJsonObject(
  file: string,
  context: { code: string; maxBytes: number },
): Promise<JsonObject> {
  const text = await readBoundedText(file, context);
  const value = parseJson(text, { file, code: context.code });
  if (isJsonObject(value)) return value;
  return fail({
    code: `${context.code}.json`,
    message: l10n.t`the file holds no JSON object`,
    where: { file },
    expected: l10n.t`an object: { … }`,
  });
}

/** Reads a UTF-8 text file of at most `maxBytes`, without its byte-order mark. Errors: `<code>.too-long`, `<code>.no-file`. */
export async function readBoundedText(
  file: string,
  { code, maxBytes }: { code: string; maxBytes: number },
): Promise<string> {
  await refuseDevice(file, code);
  const handle = await open(file, 'r');
  try {
    const { size } = await handle.stat();
    if (size > maxBytes) {
      fail({
        code: `${code}.too-long`,
        message: l10n.t`the file has ${size} bytes`,
        where: { file },
        expected: l10n.t`at most ${maxBytes} bytes`,
      });
    }
    const text = await handle.readFile('utf8');
    return text.startsWith('\uFEFF') ? text.slice(1) : text;
  } finally {
    await handle.close();
  }
}

/** Walks the text once without building anything; the syntax itself is left to `JSON.parse`. */
function scan(text: string, maxDepth: number, refuse: (at: number, message: string) => never): void {
  const keys: (Set<string> | undefined)[] = [];
  for (let at = 0; at < text.length; at++) {
    const char = text[at];
    if (char === '{' || char === '[') {
      keys.push(char === '{' ? new Set() : undefined);
      if (keys.length > maxDepth) refuse(at, l10n.t`nested deeper than ${maxDepth} levels`);
    } else if (char === '}' || char === ']') {
      keys.pop();
    } else if (char === '"') {
      const end = stringEnd(text, at);
      const seen = keys.at(-1);
      if (seen && startsWithColon(text, end)) {
        const key = unescaped(text.slice(at, end));
        if (seen.has(key)) refuse(at, l10n.t`the key ${key.slice(0, 200)} occurs twice`);
        seen.add(key);
      }
      at = end - 1;
    }
  }
}

/** Where the string that opens at `start` ends: the index after its closing quote. */
function stringEnd(text: string, start: number): number {
  for (let at = start + 1; ;) {
    const quote = text.indexOf('"', at);
    if (quote < 0) return text.length;
    let backslashes = 0;
    while (text[quote - 1 - backslashes] === '\\') backslashes++;
    if (backslashes % 2 === 0) return quote + 1;
    at = quote + 1;
  }
}

/** "\\u0061" and "a" are one key. A wrong escape is left as it is: `JSON.parse` reports it. */
function unescaped(quoted: string): string {
  if (!quoted.includes('\\')) return quoted;
  try {
    return JSON.stringify(JSON.parse(quoted));
  } catch {
    return quoted;
  }
}

function startsWithColon(text: string, at: number): boolean {
  while (text[at] === ' ' || text[at] === '\n' || text[at] === '\r' || text[at] === '\t') at++;
  return text[at] === ':';
}
