import path from 'node:path';

/** Farther up than this an absolute path is easier to read. */
const MAX_UP = 3;

/** A path as a run file in `folder` would write it: relative where it is near, with `/`. */
export function pathAsWritten(target: string, folder: string): string {
  const relative = path.relative(folder, target).split(path.sep).join('/');
  const up = relative.split('/').filter((part) => part === '..').length;
  return path.isAbsolute(relative) || up > MAX_UP ? target.split(path.sep).join('/') : relative;
}

/** A text as code in Markdown, whatever it holds. */
export function code(text: string): string {
  const line = text.replace(/\s+/g, ' ');
  const longest = Math.max(0, ...(line.match(/`+/g) ?? []).map((run) => run.length));
  const fence = '`'.repeat(longest + 1);
  const space = line.startsWith('`') || line.endsWith('`') ? ' ' : '';
  return `${fence}${space}${line}${space}${fence}`;
}

/** A block of code in Markdown. */
export function codeBlock(text: string, language: string): string {
  const longest = Math.max(2, ...(text.match(/`+/g) ?? []).map((run) => run.length));
  const fence = '`'.repeat(longest + 1);
  return `${fence}${language}\n${text}\n${fence}`;
}
