import { createHash } from 'node:crypto';
import * as l10n from '@vscode/l10n';
import type { Json, JsonObject } from '../common/json.js';
import { isJsonObject } from '../common/json.js';
import { fail } from '../common/problem.js';
import type { AttachContext, NamedTensor, Trainable, Values } from './method.js';
import { baseParameters } from './baseParameters.js';
import type { TrainedParameter } from './parameters.js';
import { parameterSize, readTrained } from './parameters.js';

/**
 * The base model where it trains along with a method's own numbers, and is written as a model of its own: what is trained on
 * it is of use on no other. `MARK` in its config tells that base: a parameter, by its module's path, and a hash of its numbers.
 */
export interface TrainedBase {
  readonly parameters: ReadonlyMap<string, TrainedParameter>;
  readonly trainables: readonly Trainable[];
  /** The base's weights by their names in the checkpoint, and what marks a config as trained on them. */
  saved(values: Values): SavedBase;
}

/** Weights of the base that trained, with what goes into the configs of what they are the base of. */
export interface SavedBase {
  readonly weights: readonly NamedTensor[];
  readonly mark: JsonObject;
}

/** The key of the mark in a config. */
const MARK = 'trained_base';

export function trainedBase(context: AttachContext): TrainedBase {
  const parameters = baseParameters(context);
  // Small, so that it is read at once; whatever trains changes it.
  const [marked] = [...parameters.values()].sort((a, b) => sizeOf(a) - sizeOf(b));
  return {
    parameters,
    trainables: [...parameters.values()].map((each) => readTrained(each, context)),
    saved: (values) => ({
      weights: [...parameters].map(([name, { variable }]) => ({
        name,
        shape: variable.shape as readonly number[],
        data: values.get(variable.name)!,
      })),
      mark: {
        [MARK]: {
          parameter: `${marked!.site.path}.${marked!.kind}`,
          sha256: hashOf(values.get(marked!.variable.name)!),
        },
      },
    }),
  };
}

/**
 * Refuses an adapter that was trained along with another base than the one that it is put on.
 * @param source its config's file
 * @throws ProblemError `adapter.trained-base`
 */
export async function checkTrainedBase(
  config: JsonObject,
  source: string,
  { model, read }: Pick<AttachContext, 'model' | 'read'>,
): Promise<void> {
  const { [MARK]: mark = null } = config;
  if (mark === null) return;
  const { parameter = null, sha256 = null } = isJsonObject(mark) ? mark : {};
  const site = model.sites.find(({ path }) => parameter === `${path}.weight` || parameter === `${path}.bias`);
  const name = site && (parameter === `${site.path}.weight` ? site.weight : site.bias);
  if (name !== undefined && hashOf(await read(name)) === sha256) return;
  const named = baseName(config);
  fail({
    code: 'adapter.trained-base',
    message: l10n.t`the adapter was trained along with its base model (stage1: MT-A), and this is another one`,
    where: { file: source },
    expected: named === undefined ? l10n.t`the model that the same run wrote` : l10n.t`the model ${named}`,
    mend: l10n.t`Name that folder as the model: the run wrote it beside the adapters, as 'model'.`,
  });
}

function baseName({
  model_name: library = null,
  base_model_name_or_path: own = null,
}: JsonObject): string | undefined {
  return [library, own].find((name: Json) => typeof name === 'string') as string | undefined;
}

function sizeOf({ variable }: TrainedParameter): number {
  return parameterSize(variable.shape);
}

function hashOf(numbers: Float32Array): string {
  return createHash('sha256')
    .update(new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength))
    .digest('hex');
}
