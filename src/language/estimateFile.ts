import * as l10n from '@vscode/l10n';
import { fail, isError } from '../common/problem.js';
import type { LoadedRun } from '../config/loadRunFile.js';
import type { RunConfig } from '../config/schema.js';
import { estimateRun } from '../engines/estimate.js';
import type { BatchShape, Estimate } from '../engines/estimate.js';
import { modelIdAt } from '../models/hub/ids.js';
import { factsWithoutWeights } from './configFacts.js';
import { attachToHeader } from './modelAttach.js';
import type { ModelFacts } from './modelFacts.js';
import { cachedModelPlace } from './modelHub.js';

/**
 * What a run needs, from the headers alone, or from the model's config where the weights are not there: no weight
 * is read, nothing is downloaded.
 * @throws ProblemError `hub.not-cached` for a model of the hub that is not on this machine; what reading the model and
 *   attaching the methods refuses
 */
export async function estimateFile({ config, file, folder }: LoadedRun): Promise<Estimate> {
  const id = await modelIdAt(config.model, folder);
  const place = id === undefined ? config.model : await cachedModelPlace(id);
  if (place === undefined) {
    return fail({
      code: 'hub.not-cached',
      message: l10n.t`the model ${config.model} is not on this machine yet, and an estimate downloads nothing`,
      where: { file },
      mend: l10n.t`Preview the data or train once: both download it.`,
    });
  }
  const { facts } = await factsWithoutWeights(place, undefined, config.task_type);
  return estimateWith(config, facts, undefined, file);
}

/**
 * The same for a model that is read already, and batches as they will come: for questions, many a second.
 * @param file the run file, named where a method is refused
 * @throws ProblemError what attaching the methods refuses
 */
export function estimateWith(config: RunConfig, facts: ModelFacts, batch?: BatchShape, file?: string): Estimate {
  const { methods, findings } = attachToHeader(config.method, facts);
  const wrong = findings.find(({ problem }) => isError(problem));
  if (wrong !== undefined) {
    const where = wrong.problem.where ?? (file === undefined ? undefined : { file });
    fail({ ...wrong.problem, ...(where === undefined ? {} : { where }) });
  }
  return estimateRun(
    facts,
    config.method.map((each, at) => ({ config: each, attached: methods[at] })),
    config,
    batch,
  );
}
