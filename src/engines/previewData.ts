import * as l10n from '@vscode/l10n';
import type { LoadedRun } from '../config/loadRunFile.js';
import { rowLength } from '../data/batches.js';
import type { Example } from '../data/example.js';
import { loadSplits, reportOf } from '../data/loadDataset.js';
import type { Loaded } from '../data/loadFiles.js';
import { DEFAULT_MAX_LENGTH } from '../data/options.js';
import { specialTokens, tokenTexts } from '../data/tokenTexts.js';
import type { HubOptions } from '../models/hub/context.js';
import { locateModel } from '../models/hub/resolveModel.js';
import { loadTokenizer } from '../models/loadTokenizer.js';
import type { Tokenizer } from '../models/tokenizer.js';
import { taskOfModel } from './taskOfModel.js';
import type { DataPreview, SplitPreview, LengthCounts, PreviewSample } from './dataPreview.js';

/** Samples of each kind (first rows, cut rows) where the caller does not say. */
export const DEFAULT_SAMPLES = 50;

/** Tokens shown of a sample; a row of a million of them would fill the page's memory. */
const MAX_TOKENS = 4096;

const BINS = 20;

/**
 * Reads, formats and tokenizes the data of a run file, as training does, and shows samples token by token. The model's
 * tokenizer is loaded; its weights are not. Throws what reading tokenizer and data throws.
 * @param most samples of each split and kind
 */
export async function previewData(
  { config, file, folder }: LoadedRun,
  hub: HubOptions = {},
  most: number = DEFAULT_SAMPLES,
): Promise<DataPreview> {
  const { place } = await locateModel(config.model, { ...hub, folder });
  const tokenizer = await loadTokenizer(place);
  const { train, validation, warnings } = await loadSplits(config.data, tokenizer, {
    folder,
    seed: config.training.seed,
    taskType: await taskOfModel(place, config.task_type),
    hub,
  });
  return {
    file,
    model: config.model,
    maxLength: config.data.max_length ?? DEFAULT_MAX_LENGTH,
    packing: config.data.packing ?? false,
    splits: [
      splitPreview('train', train, tokenizer, most),
      ...(validation === undefined ? [] : [splitPreview('validation', validation, tokenizer, most)]),
    ],
    warnings,
  };
}

/** One split of the data, with samples. */
export function splitPreview(
  split: SplitPreview['split'],
  loaded: Loaded,
  tokenizer: Tokenizer,
  most: number,
): SplitPreview {
  const isSpecial = specialTokens(tokenizer);
  const samples: PreviewSample[] = [];
  let truncatedShown = 0;
  for (const [index, { example, truncated, label }] of loaded.rows.entries()) {
    const isShown = index < most || (truncated && truncatedShown < most);
    if (truncated && isShown) truncatedShown++;
    if (isShown) samples.push(sampleOf(index + 1, example, { truncated, label }, tokenizer, isSpecial));
    else if (truncatedShown >= most) break;
  }
  return {
    split,
    report: reportOf(loaded),
    dropped: loaded.unsupervisedRows.map(({ file, line, truncated }) => ({
      file,
      line,
      reason: truncated
        ? l10n.t`no supervised token is left before the cut`
        : l10n.t`no token is supervised: there is no answer in it`,
    })),
    lengths: lengthCounts(loaded.rows.map(({ example }) => rowLength(example))),
    samples,
  };
}

function sampleOf(
  number: number,
  { ids: own, supervised: mask, source = [], file, line }: Example,
  { truncated, label }: { readonly truncated: boolean; readonly label: string | undefined },
  tokenizer: Tokenizer,
  isSpecial: (id: number) => boolean,
): PreviewSample {
  const ids = [...source, ...own];
  const supervised = [...source.map(() => 0), ...mask];
  const shown = ids.slice(0, MAX_TOKENS);
  const texts = tokenTexts(shown, tokenizer);
  return {
    number,
    file,
    line,
    truncated,
    ...(label === undefined ? {} : { label }),
    length: ids.length,
    supervised: supervised.reduce<number>((sum, bit) => sum + bit, 0),
    tokens: shown.map((id, at) => ({
      id,
      text: texts[at] ?? '',
      supervised: supervised[at] === 1,
      ...(isSpecial(id) ? { special: true } : {}),
    })),
  };
}

/** @param lengths tokens of each row; at least one */
export function lengthCounts(lengths: readonly number[]): LengthCounts {
  const sorted = [...lengths].sort((a, b) => a - b);
  const at = (share: number): number => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0;
  const [shortest, longest] = [at(0), at(1)];
  const width = Math.max(1, Math.ceil((longest - shortest + 1) / BINS));
  const count = Math.ceil((longest - shortest + 1) / width);
  const bins = Array.from({ length: count }, (_, bin) => ({
    from: shortest + bin * width,
    to: shortest + (bin + 1) * width - 1,
    rows: 0,
  }));
  for (const length of sorted) bins[Math.floor((length - shortest) / width)]!.rows++;
  return { shortest, median: at(0.5), p95: at(0.95), longest, bins };
}
