import { spawnSync } from 'node:child_process';
import type { Random } from '../../src/common/random.js';
import { shuffle } from '../../src/common/random.js';
import { fail } from '../../src/common/problem.js';

/** Verses in the King James Version, as Debian's `bible-kjv-text` counts them. */
const verseCount = 31_102;
/** A passage ends with the verse that takes it past this many characters: about one training window. */
const passageLength = 800;

/**
 * Passages of the King James Version, read with the `bible` command of Debian's packages `bible-kjv` and
 * `bible-kjv-text`: runs of verses of one chapter, without their numbers, in random order, until `characters` are
 * reached. Throws a ProblemError when the command is missing or prints something else.
 */
export function kjvPassages(rng: Random, characters: number): string[] {
  const run = spawnSync('bible', ['-f', 'Gen1:1-Rev22:21'], { encoding: 'utf8', maxBuffer: 16 * 2 ** 20 });
  const lines = run.error || run.status !== 0 ? [] : run.stdout.split('\n').filter((line) => line !== '');
  if (lines.length !== verseCount) {
    fail({
      code: 'corpus.no-kjv',
      message: `The command bible printed ${lines.length} verses${run.error ? ` (${run.error.message})` : ''}.`,
      expected: `${verseCount} verses`,
      mend: 'Install them with: apt-get install bible-kjv bible-kjv-text',
    });
  }
  const passages: string[] = [];
  let [open, text] = ['', ''];
  for (const line of lines) {
    const match = /^(\w+):\d+ (.*)$/.exec(line);
    if (!match)
      fail({ code: 'corpus.no-kjv', message: `Not a verse: ${line.slice(0, 80)}`, expected: 'Ge1:1 In …' });
    const [, chapter, verse] = match;
    if (chapter !== open || text.length > passageLength) {
      if (text !== '') passages.push(text);
      text = '';
    }
    open = chapter!;
    text = text === '' ? verse!.trim() : `${text} ${verse!.trim()}`;
  }
  passages.push(text);
  let left = characters;
  return shuffle(passages, rng).filter((passage) => {
    const wanted = left > 0;
    left -= passage.length;
    return wanted;
  });
}
