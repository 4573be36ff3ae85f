import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { Problem } from '../../common/problem.js';
import { pathKind } from '../../common/files.js';
import type { SavedAdapter } from '../../methods/method.js';
import { cutLine } from '../card.js';
import { filesBeside } from '../filesBeside.js';
import { atRank } from './rankCut.js';
import type { AdapterOnDisk } from '../readAdapter.js';
import { writeAdapter } from '../writeAdapter.js';

export interface Converted {
  readonly saved: SavedAdapter;
  /** What was done, a sentence for the card. */
  readonly cardLine: string;
  readonly warnings: readonly Problem[];
}

/**
 * A LoRA of the first components of one (DyLoRA). Reads all of its numbers.
 * @throws ProblemError `convert.*`, and those of the adapter's files
 */
export async function cutAdapter(adapter: AdapterOnDisk, rank: number): Promise<Converted> {
  const { adapter: cut, from, warnings } = atRank(adapter, rank);
  return {
    saved: {
      kind: 'adapter',
      config: cut.config,
      tensors: [...(await cut.loadTensors()).values()],
      ...(cut.labels === undefined ? {} : { labels: cut.labels }),
      ...(cut.nested ? { nested: true } : {}),
    },
    cardLine: cutLine(from, rank),
    warnings,
  };
}

/**
 * Writes what an adapter was converted to, whole or not at all, with the tokenizer that lay beside the adapter and its card.
 * @param from the folder of the adapter
 * @throws ProblemError `folder.exists`, `folder.no-space`, `adapter.link-outside`
 */
export async function writeConverted(folder: string, { saved, cardLine }: Converted, from: string): Promise<void> {
  const card = path.join(from, 'README.md');
  const before = (await pathKind(card)) === 'file' ? await readFile(card, 'utf8') : '# Adapter\n';
  await writeAdapter(folder, saved, {
    tokenizer: { files: () => filesBeside(from) },
    card: `${before.trimEnd()}\n\n${cardLine}\n`,
  });
}
