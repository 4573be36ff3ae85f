import * as l10n from '@vscode/l10n';
import { fixedSize } from '../tensor/dims.js';
import type { Shape, Variable } from '../tensor/tensor.js';
import { fail } from '../common/problem.js';
import type { ParameterKind, Site } from '../models/site.js';
import type { MethodCoverage } from './coverage.js';
import type { AttachContext, LoadedValues, NamedTensor, Trainable } from './method.js';

/** A parameter of the base model that trains in full. */
export interface TrainedParameter {
  readonly site: Site;
  readonly kind: ParameterKind;
  /** Its tensor's name in the adapter's file. */
  readonly key: string;
  readonly variable: Variable;
}

/** The trainable of a base parameter: it starts from the checkpoint's numbers. */
export function readTrained({ site, kind, variable }: TrainedParameter, context: AttachContext): Trainable {
  const name = (kind === 'weight' ? site.weight : site.bias)!;
  // As Transformers' Trainer has it: no decay on biases and norms.
  const decays = kind === 'weight' && site.kind !== 'norm';
  return { variable, start: () => context.read(name), decays };
}

/** Parameters as modules that train. */
export function coveredParameters(trained: readonly TrainedParameter[]): MethodCoverage['modules'] {
  return trained.map(({ site, kind, variable: { shape } }) => ({
    path: `${site.path}.${kind}`,
    shape: shape as readonly number[],
    trainable: parameterSize(shape),
  }));
}

/** Number of elements of a trainable's shape. */
export function parameterSize(shape: Shape): number {
  return fixedSize(shape);
}

/**
 * The values of trainables from an adapter's tensors.
 *
 * @param keyOf the name on disk of a trainable
 * @throws ProblemError `adapter.keys` with the names missing or left over, `adapter.shape` with both shapes
 */
export function loadByKey(
  trainables: readonly Pick<Trainable, 'variable'>[],
  keyOf: (name: string) => string,
  tensors: ReadonlyMap<string, NamedTensor>,
  source: string,
): LoadedValues {
  const expected = new Map(trainables.map(({ variable }) => [keyOf(variable.name), variable]));
  const missing = [...expected.keys()].filter((key) => !tensors.has(key));
  const others = [...tensors.keys()].filter((key) => !expected.has(key));
  const copies = others.filter(isBaseCopy);
  const left = others.filter((key) => !isBaseCopy(key) && !isWrittenTwice(key, tensors));
  if (missing.length > 0 || left.length > 0) {
    fail({
      code: 'adapter.keys',
      message: l10n.t`the adapter's tensors do not fit the model: ${misfits(missing, left)}`,
      where: { file: source },
      expected: l10n.t`${expected.size} tensors such as ${[...expected.keys()][0] ?? l10n.t`none`}`,
      mend:
        prefixMend(missing, left) ??
        l10n.t`Use the base model that the adapter was trained on (base_model_name_or_path).`,
    });
  }
  const values = new Map(
    [...expected].map(([key, { name, shape }]) => {
      const tensor = tensors.get(key)!;
      if (tensor.shape.join() !== shape.join()) {
        fail({
          code: 'adapter.shape',
          message: l10n.t`the adapter's tensor ${key} is [${tensor.shape.join(', ')}], the base model needs [${shape.join(', ')}]`,
          where: { file: source },
          mend: l10n.t`Use the base model that the adapter was trained on. Where only a vocabulary differs, resize the base model to the adapter's first.`,
        });
      }
      return [name, tensor.data] as const;
    }),
  );
  const warnings = copies.map((key) => ({
    code: 'adapter.base-copy',
    severity: 'warning' as const,
    message: l10n.t`${key} is a copy of the base model's matrix and was passed over: the base model's own is used`,
    where: { file: source },
    mend: l10n.t`Nothing to do, unless the vocabulary was resized before training: then use the resized base model.`,
  }));
  return { values, warnings };
}

/** PEFT stores the base's own matrix beside an adapted embedding or head: it is in the base model already. */
export function isBaseCopy(key: string): boolean {
  return key.endsWith('.base_layer.weight');
}

/**
 * Where the vocabulary was resized, PEFT writes an embedding or head of `modules_to_save` as `lm_head.weight`, and both as it is
 * kept in memory: `lm_head.modules_to_save.weight`, the same, and `lm_head.original_module.weight`, the base's. And Transformers has
 * the bias of a head for masked tokens at two places: `cls.predictions.bias` and `cls.predictions.decoder.bias` are one.
 */
export function isWrittenTwice(key: string, tensors: Pick<ReadonlyMap<string, unknown>, 'has'>): boolean {
  const [, path, kind] = /^(.+)\.(?:modules_to_save|original_module)\.(weight|bias)$/.exec(key) ?? [];
  if (path !== undefined) return tensors.has(`${path}.${kind}`);
  const head = /^(.+\.(?:cls\.predictions|lm_head))\.bias$/.exec(key)?.[1];
  return ['decoder.bias', 'decoder.base_layer.bias'].some((bias) => tensors.has(`${head}.${bias}`));
}

function misfits(missing: readonly string[], left: readonly string[]): string {
  return [
    ...(missing.length > 0 ? [l10n.t`${missing.length} missing (${some(missing)})`] : []),
    ...(left.length > 0 ? [l10n.t`${left.length} not used (${some(left)})`] : []),
  ].join('; ');
}

function some(keys: readonly string[]): string {
  return `${keys.slice(0, 3).join(', ')}${keys.length > 3 ? ', …' : ''}`;
}

/** An adapter trained on the bare backbone lacks one `model.` in its names, or has one too many. */
function prefixMend(missing: readonly string[], left: readonly string[]): string | undefined {
  const rest = (key: string): string => key.replace(/^base_model\.model\.(model\.)?/, '');
  const found = new Set(left.map(rest));
  const [wanted] = missing;
  if (wanted === undefined || !missing.every((key) => found.has(rest(key)))) return undefined;
  const other = left.find((key) => rest(key) === rest(wanted))!;
  return l10n.t`The names differ in their prefix only: rename '${other}' to '${wanted}', and the others alike (the adapter was trained on another wrapping of the same model).`;
}
