import { messageOf } from '../common/problem.js';
/** Characters that no module path has and that mean something in a regular expression. */
const REGEX_MARKS = /[\\^$*+?()[\]{}|]/;

/** Whether an entry of a list, which is matched as a path ending, was meant as a regular expression. */
export function looksLikeRegex(entry: string): boolean {
  return REGEX_MARKS.test(entry);
}

/** Why a pattern is no regular expression, if so. */
export function regexFault(pattern: string): string | undefined {
  try {
    new RegExp(pattern);
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}

/**
 * The pattern with its lone dots escaped, when it has any: a dot that no quantifier follows, outside a character
 * class, is nearly always the dot of a module path. Undefined when there is none.
 */
export function escapeLoneDots(pattern: string): string | undefined {
  let escaped = '';
  let inClass = false;
  for (let i = 0; i < pattern.length; i++) {
    const character = pattern[i] ?? '';
    const next = pattern[i + 1] ?? '';
    if (character === '\\') {
      escaped += character + next;
      i++;
      continue;
    }
    if (character === '[') inClass = true;
    if (character === ']') inClass = false;
    escaped += character === '.' && !inClass && !/[*+?{]/.test(next) ? '\\.' : character;
  }
  return escaped === pattern ? undefined : escaped;
}
