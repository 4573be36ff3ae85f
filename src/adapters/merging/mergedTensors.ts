import * as l10n from '@vscode/l10n';
import { fail } from '../../common/problem.js';
import type { Problem } from '../../common/problem.js';
import { rewrites } from '../../methods/conflicts.js';
import type { Attached, Values } from '../../methods/method.js';
import type { LanguageModel } from '../../models/architecture.js';
import type { Checkpoint } from '../../models/checkpoint.js';
import { FLOAT_DTYPES } from '../../models/safetensors.js';
import { parameterUses } from '../../models/parameterUses.js';
import type { ParameterUse } from '../../models/parameterUses.js';
import { parameterShape } from '../../models/site.js';
import type { Site } from '../../models/site.js';
import { fixedSize } from '../../tensor/dims.js';

/** What happened to an output layer that shares its matrix with the embedding. */
export type Tied = 'kept' | 'untied' | 'not tied';

export interface MergedTensor {
  readonly name: string;
  readonly shape: readonly number[];
  /** Reads the base's tensor and merges into it: float32, row-major. */
  readonly data: () => Promise<Float32Array>;
}

export interface MergedTensors {
  /** In the checkpoint's order. */
  readonly tensors: readonly MergedTensor[];
  readonly tied: Tied;
  /** Names of the tensors, among those produced so far, whose numbers differ from the base's. */
  readonly changed: ReadonlySet<string>;
  readonly warnings: readonly Problem[];
}

/** Of a checkpoint what merging reads. */
export type BaseTensors = Pick<Checkpoint, 'source' | 'format' | 'tensors' | 'read'>;

/**
 * The tensors of a merged model, to be produced one at a time; several methods are merged one after the other. A matrix
 * that two sites share stays one where the method leaves both equal; otherwise the second site gets a tensor of its own.
 *
 * @throws ProblemError `merge.not-mergeable`; and, when a tensor is produced, `merge.non-finite`
 */
export async function mergedTensors(parts: {
  readonly checkpoint: BaseTensors;
  readonly model: LanguageModel;
  readonly methods: readonly Attached[];
  readonly values: Values;
  /** Where the methods are from, for messages. Default: the checkpoint. */
  readonly from?: string;
}): Promise<MergedTensors> {
  const { checkpoint, model, methods, values } = parts;
  const stays = methods.find(({ merge }) => merge === undefined);
  if (stays !== undefined) {
    return fail({
      code: 'merge.not-mergeable',
      message: l10n.t`an adapter of type '${stays.type}' cannot be merged: it has no update per weight that could be added to the base`,
      where: { file: parts.from ?? checkpoint.source },
      expected: l10n.t`a method that changes weights by a sum, such as lora`,
      mend:
        stays.type === 'full'
          ? l10n.t`Full fine-tuning writes a whole model: use that folder as it is.`
          : l10n.t`Keep it as an adapter beside the base model.`,
    });
  }
  const changed = new Set<string>();
  const warnings: Problem[] = [];
  const merge = ({ site, kind }: ParameterUse, base: Float32Array): Float32Array => {
    // What a method makes of a parameter stands inside of what others make of the module's result, whatever their order.
    const inner = methods.filter(({ hooks }) => rewrites(hooks, site, kind));
    const ordered = [...inner, ...methods.filter((method) => !inner.includes(method))];
    const merged = ordered.reduce((sofar, method) => method.merge?.(site, kind, sofar, values) ?? sofar, base);
    if (equal(merged, base)) return base;
    changed.add(ownName({ site, kind }));
    return finite(merged, ownName({ site, kind }), checkpoint.source);
  };
  const uses = usesByTensor(model.sites);
  // A tied head's stored copy, which Transformers does not read either.
  const unread = new Set(
    [...uses.values()]
      .flat()
      .map(ownName)
      .filter((name) => !uses.has(name)),
  );
  const fresh = model.classes?.fresh ?? new Set<string>();
  const tensors: MergedTensor[] = [];
  let tied: Tied = model.tiedHead ? 'kept' : 'not tied';
  for (const [name, { shape, dtype }] of checkpoint.tensors) {
    const users = uses.get(name);
    const read = (): Promise<Float32Array> => checkpoint.read(name);
    if (model.buffers?.has(name) === true || fresh.has(name)) continue;
    if (users === undefined) {
      const isFloat = checkpoint.format === 'gguf' || FLOAT_DTYPES.includes(dtype);
      if (isFloat && !unread.has(name)) tensors.push({ name, shape, data: read });
      if (!isFloat) warnings.push(leftOut(name, dtype, checkpoint.source));
      continue;
    }
    const [first, ...others] = users as [ParameterUse, ...ParameterUse[]];
    // An adapter may bring more rows than the checkpoint has.
    const own = parameterShape(first.site, first.kind);
    const isShared = others.length === 0 || (await staysShared(users, read, merge));
    if (!isShared) tied = 'untied';
    tensors.push({ name: ownName(first), shape: own, data: async () => merge(first, await read()) });
    for (const use of isShared ? [] : others) {
      tensors.push({ name: ownName(use), shape: own, data: async () => merge(use, await read()) });
    }
  }
  // A head that started anew is the adapter's alone.
  for (const use of [...uses].flatMap(([name, users]) => (fresh.has(name) ? users : []))) {
    const shape = parameterShape(use.site, use.kind);
    const data = (): Promise<Float32Array> => Promise.resolve(merge(use, new Float32Array(fixedSize(shape))));
    tensors.push({ name: ownName(use), shape, data });
  }
  return { tensors, tied, changed, warnings };
}

/** Users of each tensor, the one it is named after first (or, in a checkpoint of the bare backbone, the first). */
function usesByTensor(sites: readonly Site[]): Map<string, ParameterUse[]> {
  const uses = parameterUses(sites);
  for (const [name, users] of uses)
    users.sort((a, b) => Number(ownName(b) === name) - Number(ownName(a) === name));
  return uses;
}

function ownName({ site, kind }: ParameterUse): string {
  return `${site.path}.${kind}`;
}

async function staysShared(
  users: readonly ParameterUse[],
  read: () => Promise<Float32Array>,
  merge: (use: ParameterUse, base: Float32Array) => Float32Array,
): Promise<boolean> {
  const base = await read();
  const [first, ...others] = users.map((use) => merge(use, base));
  return others.every((each) => equal(each, first!));
}

function equal(a: Float32Array, b: Float32Array): boolean {
  return a === b || (a.length === b.length && a.every((value, at) => value === b[at]));
}

function finite(values: Float32Array, name: string, file: string): Float32Array {
  let at = 0;
  while (at < values.length && Number.isFinite(values[at]!)) at++;
  if (at === values.length) return values;
  return fail({
    code: 'merge.non-finite',
    message: l10n.t`merging makes ${name} ${String(values[at])} at position ${at}`,
    where: { file },
    expected: l10n.t`finite numbers`,
    mend: l10n.t`The adapter or the base holds numbers that are not finite, or too large: inspect the adapter; if its run diverged, train again with a lower learning rate.`,
  });
}

function leftOut(name: string, dtype: string, file: string): Problem {
  return {
    code: 'merge.left-out',
    severity: 'warning',
    message: l10n.t`${name} (${dtype}) is no weight that the model reads and was left out`,
    where: { file },
  };
}
