import { fail, isError } from '../common/problem.js';
import type { LoadedRun } from '../config/loadRunFile.js';
import { estimateRun } from '../engines/estimate.js';
import type { Estimate } from '../engines/estimate.js';
import { modelIdAt } from '../models/hub/ids.js';
import { attachToHeader } from './modelAttach.js';
import { modelFacts } from './modelFacts.js';
import { cachedModelPlace } from './modelHub.js';
import { maskedNumbers } from './trainable.js';

/**
 * What a run needs, from the headers alone: no weight is read, nothing is downloaded.
 * @throws ProblemError `hub.not-cached` for a model of the hub that is not on this machine; what reading the model and
 *   attaching the methods refuses
 */
export async function estimateFile({ config, file, folder }: LoadedRun): Promise<Estimate> {
  const id = await modelIdAt(config.model, folder);
  const place = id === undefined ? config.model : await cachedModelPlace(id);
  const reading = place === undefined ? undefined : await modelFacts(place);
  if (reading === undefined) {
    return fail({
      code: 'hub.not-cached',
      message: `the model ${config.model} is not on this machine yet, and an estimate downloads nothing`,
      where: { file },
      mend: 'Preview the data or train once: both download it.',
    });
  }
  if ('problem' in reading) return fail(reading.problem);
  const { facts } = reading;
  const { methods, findings } = attachToHeader(config.method, facts);
  const wrong = findings.find(({ problem }) => isError(problem));
  if (wrong !== undefined) fail({ ...wrong.problem, where: wrong.problem.where ?? { file } });
  return estimateRun(
    facts.checkpoint,
    facts.parameters,
    config.method.map((each, at) => ({
      config: each,
      attached: methods[at],
      masked: methods[at] === undefined ? maskedNumbers(each, facts.model) : 0,
    })),
    config.training,
  );
}
