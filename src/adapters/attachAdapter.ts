import * as l10n from '@vscode/l10n';
import { ProblemError, boundedProblem, fail, isError } from '../common/problem.js';
import type { Problem } from '../common/problem.js';
import type { AttachContext, Attached, Values } from '../methods/method.js';
import { attachMethod } from '../methods/registry.js';
import { optionsWithoutHead } from '../methods/taskHead.js';
import { checkTrainedBase } from '../methods/trainedBase.js';
import { diagnose, formOf } from './faults/diagnose.js';
import { withRepair } from './faults/repairMend.js';
import type { AdapterOnDisk } from './readAdapter.js';
import { wrongCount } from './storedNumbers.js';

export interface AttachedAdapter {
  readonly method: Attached;
  readonly values: Values;
  /** What was passed over (unknown keys that are switched off, patterns that match nothing), or is worth a word. */
  readonly warnings: readonly Problem[];
}

/**
 * An adapter's method on a model, with the adapter's numbers.
 *
 * @throws ProblemError `adapter.config` (a key that changes the arithmetic, a start from a changed base),
 *   `targets.*` (none of the modules is in the model), `adapter.keys` (with the prefix map where only a prefix differs),
 *   `adapter.shape` (both sizes), `adapter.incomplete`, `adapter.non-finite`, `adapter.trained-base`, `adapter.other-base`
 */
export async function attachAdapter(adapter: AdapterOnDisk, context: AttachContext): Promise<AttachedAdapter> {
  try {
    return await attached(adapter, context);
  } catch (error) {
    return failMendable(error, adapter, context);
  }
}

/** What does not attach and could be repaired says how, beside what it says. */
function failMendable(error: unknown, adapter: AdapterOnDisk, { model }: AttachContext): never {
  if (!(error instanceof ProblemError) || !/^(?:adapter|targets)\./.test(error.problem.code)) throw error;
  const { folder, config, tensors } = adapter;
  const { faults } = diagnose(formOf(config, tensors), { ...adapter, model });
  const errors = faults.filter(({ problem }) => isError(problem));
  if (errors.length === 0 || errors.some(({ repair }) => repair === undefined)) throw error;
  return fail(withRepair(error.problem, folder), error);
}

async function attached(adapter: AdapterOnDisk, context: AttachContext): Promise<AttachedAdapter> {
  const { configFile, weightsFile } = adapter;
  const { config, format } = adapter;
  const { options, warnings } = format.options(
    format.adaptsHead?.(config) === true ? config : optionsWithoutHead(config, context.model.classes),
    configFile,
  );
  await checkTrainedBase(config, configFile, context);
  format.checkBase?.(adapter, options, context);
  const prepared = await adapter.format.prepared?.(adapter);
  const found = {
    ...context,
    idlePatterns: 'warning' as const,
    ...(prepared === undefined ? {} : { prepared }),
  };
  // What was prepared lies in the weights: the config has no part in it any more.
  const method = inFile(prepared === undefined ? configFile : weightsFile, () => attachMethod(options, found));
  const loaded = method.load(await adapter.loadTensors(), weightsFile);
  const [incomplete] = wrongCount(adapter);
  if (incomplete !== undefined) fail(incomplete);
  for (const [name, values] of loaded.values) {
    const at = values.findIndex((value) => !Number.isFinite(value));
    if (at >= 0) {
      fail({
        code: 'adapter.non-finite',
        message: l10n.t`the adapter's tensor ${name} holds ${String(values[at])} at position ${at}`,
        where: { file: weightsFile },
        mend: l10n.t`The run that made it diverged: train again with a lower learning rate.`,
      });
    }
  }
  // The config holds every option, used or not.
  const told = method.coverage.warnings
    .filter(({ code }) => code !== 'method.idle-option')
    .map((warning) => ({ where: { file: configFile }, ...warning }));
  return {
    method,
    values: loaded.values,
    warnings: [...warnings, ...told, ...loaded.warnings].map(boundedProblem),
  };
}

function inFile<T>(file: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    return failIn(file, error);
  }
}

/** Methods know no files: problems that name no place get this one. Other errors are thrown as they are. */
export function failIn(file: string, error: unknown): never {
  if (!(error instanceof ProblemError) || error.problem.where !== undefined) throw error;
  return fail({ ...error.problem, where: { file } }, error);
}
