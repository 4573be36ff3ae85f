import * as l10n from '@vscode/l10n';
import { fail } from '../common/problem.js';
import { MAX_LINE_BYTES } from './lines.js';
import type { Line } from './lines.js';
import { isBroken } from './row.js';
import type { BrokenRow, ReadRow } from './row.js';

/**
 * Documents of a plain text file: paragraphs, parted by blank lines; the lines of one are joined by newlines.
 * Throws `data.line-too-long` for a paragraph over the limit of a line.
 */
export async function* textRows(lines: AsyncIterable<Line | BrokenRow>, file: string): AsyncGenerator<ReadRow> {
  let paragraph: string[] = [];
  let length = 0;
  let first = 0;
  for await (const line of lines) {
    const blank = !isBroken(line) && line.text.trim() === '';
    if ((blank || isBroken(line)) && paragraph.length > 0) {
      yield { line: first, value: paragraph.join('\n') };
      paragraph = [];
      length = 0;
    }
    if (isBroken(line)) yield line;
    else if (!blank) {
      if (paragraph.length === 0) first = line.line;
      paragraph.push(line.text);
      length += line.text.length + 1;
      if (length > MAX_LINE_BYTES) {
        fail({
          code: 'data.line-too-long',
          message: l10n.t`the paragraph is longer than ${MAX_LINE_BYTES / 2 ** 20} MiB`,
          where: { file, line: first },
          expected: l10n.t`documents parted by blank lines`,
          mend: l10n.t`Put blank lines between the documents.`,
        });
      }
    }
  }
  if (paragraph.length > 0) yield { line: first, value: paragraph.join('\n') };
}
