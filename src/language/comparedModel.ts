import * as l10n from '@vscode/l10n';
import { fail } from '../common/problem.js';
import type { LoadedRun } from '../config/loadRunFile.js';
import type { ComparedModel } from '../engines/compareMethods/planComparison.js';
import { factsWithoutWeights } from './configFacts.js';
import { besidesOf, estimateWith, trainableWith } from './estimateFile.js';
import { modelOnDisk } from './modelHub.js';

/**
 * The base model of a run file, by its header: what methods train on it and need.
 * @throws ProblemError `hub.not-cached` for a model of the hub that is not on this machine; what reading the model refuses
 */
export async function comparedModel({ config, file, folder }: LoadedRun): Promise<ComparedModel> {
  const place = await modelOnDisk(config.model, folder);
  if (place === undefined) {
    return fail({
      code: 'hub.not-cached',
      message: l10n.t`the model ${config.model} is not on this machine yet, and comparing methods needs its shapes`,
      where: { file },
      mend: l10n.t`Preview the data or train once: both download it.`,
    });
  }
  const { facts } = await factsWithoutWeights(place, undefined, config.task_type);
  const besides = await besidesOf(config, folder);
  return {
    parameters: facts.parameters,
    positions: facts.model.maxPositions,
    count: (run) => trainableWith(run.config, facts, besides, run.file),
    estimate: (run) => estimateWith(run.config, facts, besides, run.file),
  };
}
