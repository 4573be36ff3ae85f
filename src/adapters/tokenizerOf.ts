import path from 'node:path';
import { pathKind } from '../common/files.js';
import { ProblemError } from '../common/problem.js';
import type { Problem } from '../common/problem.js';
import { TOKENIZERS, loadTokenizer } from '../models/loadTokenizer.js';
import type { Tokenizer } from '../models/tokenizer.js';
import { filesBeside } from './filesBeside.js';
import type { AdapterOnDisk } from './readAdapter.js';

/**
 * The tokenizer that lies beside an adapter where it knows tokens that the base's does not: they were added before it was
 * trained. What ends an answer of the base model ends it still.
 *
 * @param warn told of a tokenizer that cannot be read: the base's is used
 * @throws ProblemError `adapter.link-outside` when its files are asked for
 */
export async function tokenizerOf(
  adapters: readonly Pick<AdapterOnDisk, 'folder'>[],
  base: Tokenizer,
  warn: (problem: Problem) => void,
): Promise<Tokenizer> {
  for (const { folder } of adapters) {
    const kinds = await Promise.all(TOKENIZERS.map((name) => pathKind(path.join(folder, name))));
    if (!kinds.includes('file')) continue;
    const own = await loadTokenizer(folder).catch((error: unknown) => {
      if (!(error instanceof ProblemError)) throw error;
      warn({ ...error.problem, severity: 'warning' });
    });
    if (own === undefined || own.vocabSize <= base.vocabSize) continue;
    return {
      ...own,
      eosTokenIds: [...new Set([...own.eosTokenIds, ...base.eosTokenIds])],
      files: () => filesBeside(folder),
    };
  }
  return base;
}
