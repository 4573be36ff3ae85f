import path from 'node:path';

/** Farther up than this an absolute path is easier to read. */
const MAX_UP = 3;

/** A path as a run file in `folder` would write it: relative where it is near, with `/`. */
export function pathAsWritten(target: string, folder: string): string {
  const relative = path.relative(folder, target).split(path.sep).join('/');
  const up = relative.split('/').filter((part) => part === '..').length;
  return path.isAbsolute(relative) || up > MAX_UP ? target.split(path.sep).join('/') : relative;
}

/** A text as it is in Markdown, on one line: with every sign escaped, nothing of what a file holds is markup. */
export function plain(text: string): string {
  return text.replace(/\s+/g, ' ').replace(/[!-/:-@[-`{-~]/g, '\\$&');
}

/** A text as code in Markdown, whatever it holds. */
export function code(text: string): string {
  const line = text.replace(/\s+/g, ' ');
  const fence = '`'.repeat(longestRun(line) + 1);
  const space = line.startsWith('`') || line.endsWith('`') ? ' ' : '';
  return `${fence}${space}${line}${space}${fence}`;
}

/** A block of code in Markdown. */
export function codeBlock(text: string, language: string): string {
  const fence = '`'.repeat(Math.max(2, longestRun(text)) + 1);
  return `${fence}${language}\n${text}\n${fence}`;
}

/** The longest run of backticks: a fence has to be longer. */
function longestRun(text: string): number {
  return (text.match(/`+/g) ?? []).reduce((longest, { length }) => Math.max(longest, length), 0);
}
