import * as l10n from '@vscode/l10n';
import type { Problem } from '../../common/problem.js';
import { createDecoder, createTogether } from '../../generation/decoder.js';
import type { Decoder } from '../../generation/decoder.js';
import { checkSameVocabulary } from '../../generation/proxyTuning.js';
import type { Tokenizer } from '../../models/tokenizer.js';
import type { Runtime } from '../../runtime/runtime.js';
import { attachAdapters, openAdapters } from '../openAdapters.js';
import { openModel, vocabularyWarnings } from '../session.js';

/** A small model as its adapter tuned it, and as it was before: two programs over one mapping of its weights. */
export interface SmallModel {
  readonly expert: Decoder;
  readonly antiExpert: Decoder;
  readonly warnings: readonly Problem[];
}

/**
 * Opens a small tuned model that is to steer a base: one of the hub is downloaded, weights that are not float32 are
 * converted once.
 *
 * @param folder of the adapter
 * @param small the model that the adapter was trained on
 * @param base what the base reads texts with, and up to how many positions
 * @throws ProblemError `proxy.vocabulary`, and those of the model, of reading and of attaching
 */
export async function openSmall(
  folder: string,
  small: string,
  base: {
    readonly tokenizer: Tokenizer;
    readonly runtime: Runtime;
    readonly positionLimit: number;
    readonly progress: (activity: string, done: number, total: number) => void;
  },
): Promise<SmallModel> {
  const onDisk = await openAdapters(folder);
  const warnings: Problem[] = [...onDisk.warnings];
  const { model, tokenizer, checkpoint, context } = await openModel(small, 0, {
    progress: ({ activity, done, total }) => base.progress(activity, done, total),
    warn: (problem) => warnings.push(problem),
  });
  checkSameVocabulary(base.tokenizer, tokenizer);
  const { methods, values, warnings: said } = await attachAdapters(onDisk, context);
  const weights = await checkpoint.mapped((done, total) =>
    base.progress(l10n.t`Converting the weights to float32`, done, total),
  );
  base.progress(l10n.t`Compiling the model`, 0, 0);
  const positionLimit = Math.min(base.positionLimit, model.maxPositions);
  const setup = { model, weights, runtime: base.runtime, positionLimit };
  const [expert, antiExpert] = await createTogether([
    () => createDecoder({ ...setup, methods, values }),
    () => createDecoder({ ...setup, methods: [], values: new Map() }),
  ]);
  return {
    expert: expert!,
    antiExpert: antiExpert!,
    warnings: [...warnings, ...vocabularyWarnings(model, tokenizer), ...said],
  };
}
