import { readFile } from 'node:fs/promises';
import { fail } from '../../src/common/problem.js';

/** The documents of a JSONL file with one {"text": …} a line. Throws a ProblemError that names a broken line. */
export async function readDocuments(file: string): Promise<string[]> {
  const lines = (await readFile(file, 'utf8')).split('\n').filter((line) => line !== '');
  return lines.map((line, index) => {
    const row: unknown = JSON.parse(line);
    if (typeof row === 'object' && row !== null && 'text' in row && typeof row.text === 'string') return row.text;
    return fail({
      code: 'corpus.no-text',
      message: 'The line has no text.',
      where: { file, line: index + 1 },
      expected: '{"text": "…"}',
      mend: 'Build the corpus again with corpus.ts.',
    });
  });
}
