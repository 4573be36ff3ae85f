import type { Static, TObject } from '@sinclair/typebox';
import * as l10n from '@vscode/l10n';
import type { JsonObject } from '../common/json.js';
import type { Problem } from '../common/problem.js';
import { peftTaskType } from '../models/task.js';
import type { MethodInfo } from './info.js';
import type { AttachContext, Prepared } from './method.js';
import { optionsOfOurs, readOptions } from './peftConfig.js';
import type { AdapterTensors, InspectedTensors, PeftFormat } from './peftFormat.js';
import { firstOutOfOrder } from './placeOrder.js';

const VALUES = /\.values$/;
const INDICES = '.indices';

/**
 * An `adapter_config.json` in PEFT's manner for a method that chooses numbers of weights: PEFT itself has none.
 *
 * @param peftType `FISH_MASK`
 * @param options as the run file has them
 */
export function sparseConfig(peftType: string, options: JsonObject, context: AttachContext): JsonObject {
  const config: JsonObject = {
    base_model_name_or_path: context.modelName,
    exclude_modules: null,
    inference_mode: true,
    layers_pattern: null,
    layers_to_transform: null,
    ...options,
    peft_type: peftType,
    revision: context.modelRevision ?? null,
    task_type: peftTaskType(context.model.task),
  };
  const keys = Object.keys(config).filter((key) => key !== 'type');
  return Object.fromEntries(keys.sort().map((key) => [key, config[key]!]));
}

/** How its adapters are read: values and their places (I32) beside a config as {@link sparseConfig} writes it. */
export function sparseFormat<Options extends TObject>(
  peftType: string,
  info: MethodInfo<Options>,
): PeftFormat<Static<Options>> {
  const options: PeftFormat<Static<Options>>['options'] = (config, source) =>
    optionsOfOurs(config, source, { schema: info.options, type: info.type, title: l10n.t(info.title) });
  return {
    type: peftType,
    options,
    differences: 'places',
    saysHowMany: true,
    prepared: placesOfAdapter,
    async inspect(adapter) {
      const problems: Problem[] = [];
      readOptions(options, adapter, problems);
      return inspected(adapter, problems);
    },
  };
}

/** The places of an adapter's numbers. */
async function placesOfAdapter(adapter: AdapterTensors): Promise<Prepared> {
  const prepared = new Map<string, Int32Array>();
  for (const [name, { dtype }] of adapter.tensors) {
    if (dtype === 'I32' && name.endsWith(INDICES)) prepared.set(name, await adapter.readIndices(name));
  }
  return prepared;
}

/** What its tensors are: pairs of values and rising indices of one length, per weight. */
async function inspected(adapter: AdapterTensors, ofConfig: readonly Problem[]): Promise<InspectedTensors> {
  const problems = [...ofConfig];
  const names = [...adapter.tensors.keys()];
  const whole = names.filter((name) => VALUES.test(name));
  const paired = new Set(whole.flatMap((name) => [name, name.replace(VALUES, INDICES)]));
  for (const name of whole) {
    const indices = name.replace(VALUES, INDICES);
    const lengths = [name, indices].map((each) => adapter.tensors.get(each)?.shape.join(' × '));
    if (lengths[0] === lengths[1] && adapter.tensors.get(indices)?.dtype === 'I32') {
      problems.push(
        ...wrongTypes(adapter, name),
        ...wrongOrder(adapter, indices, await adapter.readIndices(indices)),
      );
      continue;
    }
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
  return {
    r: undefined,
    alpha: undefined,
    modules: [],
    whole,
    unknown: names.filter((name) => !paired.has(name)),
    problems,
  };
}

/** Differences are no whole numbers. */
function wrongTypes({ tensors, weightsFile }: AdapterTensors, name: string): Problem[] {
  if (tensors.get(name)?.dtype !== 'I32') return [];
  return [
    {
      code: 'adapter.dtype',
      severity: 'error',
      message: l10n.t`${name} has type I32`,
      where: { file: weightsFile },
      expected: l10n.t`numbers in F32, F16, BF16 or F64`,
      mend: l10n.t`The file is damaged: export the adapter again.`,
    },
  ];
}

/** Each number of a weight has one place at most. Whether the last is within the weight, the base model knows. */
function wrongOrder({ weightsFile }: AdapterTensors, name: string, indices: Int32Array): Problem[] {
  const at = firstOutOfOrder(indices, Infinity);
  if (at < 0) return [];
  return [
    {
      code: 'sparse-delta.indices',
      severity: 'error',
      message: l10n.t`${name} holds ${String(indices[at])} at position ${at}`,
      where: { file: weightsFile },
      expected: l10n.t`rising numbers from 0 up`,
      mend: l10n.t`The file is damaged: export the adapter again.`,
    },
  ];
}
