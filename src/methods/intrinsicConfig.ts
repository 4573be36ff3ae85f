import * as l10n from '@vscode/l10n';
import type { JsonObject } from '../common/json.js';
import { fail, problemOf } from '../common/problem.js';
import type { Problem } from '../common/problem.js';
import { peftTaskType } from '../models/task.js';
import { FASTFOOD_VERSION } from './fastfoodNumbers.js';
import { IntrinsicOptions } from './intrinsic.js';
import type { AttachContext } from './method.js';
import { optionsOfOurs } from './peftConfig.js';
import type { AdapterTensors, InspectedTensors } from './peftFormat.js';

/** Names on disk: the point in the subspace, and SAID's factors. */
export const POINT = 'z';
export const FACTORS = 'lambda';

/** The key of how many numbers of the base move: z alone has the same shape for any model. */
const SPANNED = 'spanned_numbers';

/**
 * An `adapter_config.json` in PEFT's manner: PEFT itself has no such method. What the projection is drawn from is in it.
 * @param spanned numbers of the base model that move, those of a head apart
 */
export function intrinsicConfigToPeft(
  options: IntrinsicOptions,
  context: AttachContext,
  spanned: number,
): JsonObject {
  return {
    base_model_name_or_path: context.modelName,
    exclude_modules: options.exclude_modules ?? null,
    head_in_subspace: options.head_in_subspace,
    inference_mode: true,
    intrinsic_dim: options.intrinsic_dim,
    layers_pattern: options.layers_pattern ?? null,
    layers_to_transform: options.layers_to_transform ?? null,
    peft_type: 'INTRINSIC',
    projection: 'fastfood',
    projection_prng_key: options.projection_prng_key ?? null,
    projection_version: FASTFOOD_VERSION,
    revision: context.modelRevision ?? null,
    [SPANNED]: spanned,
    target_modules: options.target_modules,
    task_type: peftTaskType(context.model.task),
    variant: options.variant,
  };
}

/**
 * The method's options out of an `adapter_config.json` (see {@link optionsOfOurs}).
 * @throws ProblemError `adapter.config`
 */
export function intrinsicConfigFromPeft(
  config: JsonObject,
  source: string,
): { readonly options: IntrinsicOptions; readonly warnings: readonly Problem[] } {
  const { projection, projection_version: version, projection_prng_key: key } = config;
  const where = { file: source };
  if (projection !== 'fastfood' || version !== FASTFOOD_VERSION) {
    fail({
      code: 'adapter.config',
      message: l10n.t`the adapter's projection is ${JSON.stringify(projection)}, version ${JSON.stringify(version)}`,
      where,
      expected: l10n.t`"fastfood", version ${FASTFOOD_VERSION}: its random numbers are drawn again, not stored`,
      mend: l10n.t`Load it with the version of PEFT Studio that made it, and merge it there.`,
    });
  }
  if (typeof key !== 'number') {
    fail({
      code: 'adapter.config',
      message: l10n.t`the config has no projection_prng_key, from which the projection is drawn again`,
      where,
      mend: l10n.t`The file is incomplete: export the adapter again.`,
    });
  }
  return optionsOfOurs(
    config,
    source,
    { schema: IntrinsicOptions, type: 'intrinsic', title: l10n.t`Intrinsic dimension` },
    ['projection', 'projection_version', SPANNED],
  );
}

/**
 * Refuses a base model of which another count of numbers would move. An adapter that does not say how many is taken.
 * @throws ProblemError `adapter.other-base`
 */
export function checkSpanned(config: JsonObject, spanned: number, source: string): void {
  const { [SPANNED]: expected = null } = config;
  if (expected === null || expected === spanned) return;
  fail({
    code: 'adapter.other-base',
    message: l10n.t`the adapter moves ${JSON.stringify(expected)} numbers of its base model, and of this one ${spanned}`,
    where: { file: source },
    mend: l10n.t`Use the base model that the adapter was trained on.`,
  });
}

/** What its tensors are: a point of as many numbers as the config says, with SAID's factors. */
export function inspectIntrinsic(adapter: AdapterTensors): Promise<InspectedTensors> {
  const problems: Problem[] = [];
  const whole = [POINT, FACTORS].filter((name) => adapter.tensors.has(name));
  const found = whole.reduce((sum, name) => sum + (adapter.tensors.get(name)!.shape[0] ?? 0), 0);
  try {
    const { options, warnings } = intrinsicConfigFromPeft(adapter.config, adapter.configFile);
    problems.push(...warnings);
    if (found !== options.intrinsic_dim || whole.includes(FACTORS) !== (options.variant === 'SAID')) {
      problems.push({
        code: 'adapter.shape',
        severity: 'error',
        message: l10n.t`${whole.join(' + ')} hold ${found} numbers, the config says ${options.intrinsic_dim} (${options.variant})`,
        where: { file: adapter.weightsFile },
        expected: l10n.t`intrinsic_dim numbers: z alone for DID, z and lambda for SAID`,
        mend: l10n.t`The file is incomplete: export the adapter again.`,
      });
    }
  } catch (error) {
    problems.push(problemOf(error));
  }
  return Promise.resolve({
    r: undefined,
    alpha: undefined,
    modules: [],
    whole,
    unknown: [...adapter.tensors.keys()].filter((name) => name !== POINT && name !== FACTORS),
    problems,
  });
}
