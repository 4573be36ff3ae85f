import * as l10n from '@vscode/l10n';
import type { JsonObject } from '../common/json.js';
import { problemOf } from '../common/problem.js';
import type { Problem } from '../common/problem.js';
import { peftTaskType } from '../models/task.js';
import { FishMaskOptions } from './fishMask.js';
import type { AttachContext, Prepared } from './method.js';
import { optionsFromPeft } from './peftConfig.js';
import type { AdapterTensors, InspectedTensors } from './peftFormat.js';

const VALUES = /\.values$/;
const INDICES = '.indices';

/** An `adapter_config.json` in PEFT's manner: PEFT itself has no such method. */
export function fishConfigToPeft(options: FishMaskOptions, context: AttachContext): JsonObject {
  return {
    base_model_name_or_path: context.modelName,
    exclude_modules: options.exclude_modules ?? null,
    inference_mode: true,
    keep_ratio: options.keep_ratio,
    layers_pattern: options.layers_pattern ?? null,
    layers_to_transform: options.layers_to_transform ?? null,
    num_samples: options.num_samples,
    peft_type: 'FISH_MASK',
    revision: context.modelRevision ?? null,
    target_modules: options.target_modules,
    task_type: peftTaskType(context.model.task),
  };
}

/**
 * FISH Mask's options out of an `adapter_config.json` (see {@link optionsFromPeft}).
 * @throws ProblemError `adapter.config`
 */
export function fishConfigFromPeft(
  config: JsonObject,
  source: string,
): { readonly options: FishMaskOptions; readonly warnings: readonly Problem[] } {
  return optionsFromPeft(config, source, {
    schema: FishMaskOptions,
    type: 'fish_mask',
    title: l10n.t`FISH Mask`,
    silent: new Set(),
    knownOff: new Set(),
    optional: new Set(),
    mend: l10n.t`Train it without this option.`,
  });
}

/** The places of an adapter's numbers. */
export async function fishPrepared(adapter: AdapterTensors): Promise<Prepared> {
  const prepared = new Map<string, Int32Array>();
  for (const [name, { dtype }] of adapter.tensors) {
    if (dtype === 'I32' && name.endsWith(INDICES)) prepared.set(name, await adapter.readIndices(name));
  }
  return prepared;
}

/** What its tensors are: pairs of values and indices of one length, per weight. */
export function inspectFish(adapter: AdapterTensors): Promise<InspectedTensors> {
  const problems: Problem[] = [];
  try {
    problems.push(...fishConfigFromPeft(adapter.config, adapter.configFile).warnings);
  } catch (error) {
    problems.push(problemOf(error));
  }
  const names = [...adapter.tensors.keys()];
  const whole = names.filter((name) => VALUES.test(name));
  const paired = new Set(whole.flatMap((name) => [name, name.replace(VALUES, INDICES)]));
  for (const name of whole) {
    const indices = name.replace(VALUES, INDICES);
    const lengths = [name, indices].map((each) => adapter.tensors.get(each)?.shape.join(' × '));
    if (lengths[0] === lengths[1] && adapter.tensors.get(indices)?.dtype === 'I32') continue;
    problems.push({
      code: 'adapter.shape',
      severity: 'error',
      message:
        lengths[1] === undefined
          ? l10n.t`${name} has ${String(lengths[0])} numbers and ${indices} is missing`
          : l10n.t`${name} has ${String(lengths[0])} numbers and ${indices} ${lengths[1]} places`,
      where: { file: adapter.weightsFile },
      expected: l10n.t`as many places (I32) as numbers`,
      mend: l10n.t`The file is incomplete: export the adapter again.`,
    });
  }
  return Promise.resolve({
    r: undefined,
    alpha: undefined,
    modules: [],
    whole,
    unknown: names.filter((name) => !paired.has(name)),
    problems,
  });
}
