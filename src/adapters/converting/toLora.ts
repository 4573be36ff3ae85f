import * as l10n from '@vscode/l10n';
import { fail } from '../../common/problem.js';
import { factored } from '../../linalg/lowRankFactors.js';
import type { Kept } from '../../linalg/lowRankFactors.js';
import { lowRankNorm, plainProducts, transposed } from '../../linalg/products.js';
import { moduleNames } from '../../methods/loraConfig.js';
import { trainedParameters } from '../../methods/loraParameters.js';
import { takesPair } from '../../methods/lowRankPair.js';
import type {
  AttachContext,
  Attached,
  NamedTensor,
  SavedAdapter,
  Values,
  WeightWork,
} from '../../methods/method.js';
import { plainLora } from '../../methods/plainLora.js';
import type { FinishedPair } from '../../methods/plainLora.js';
import type { Checkpoint } from '../../models/checkpoint.js';
import { readModel } from '../../models/readModel.js';
import { liesTransposed, parameterShape } from '../../models/site.js';
import type { ParameterKind, Site } from '../../models/site.js';
import type { TaskType } from '../../models/task.js';

/**
 * What training made of a parameter of the base; undefined where it left it alone. In double precision where that keeps small
 * differences from large numbers.
 */
export type Tuned = (
  site: Site,
  kind: ParameterKind,
  base: Float32Array,
) => Promise<Float32Array | Float64Array | undefined>;

/** One module as a pair of A and B. */
export interface ApproximatedModule {
  readonly path: string;
  readonly rank: number;
  /** ‖ΔW‖ (Frobenius), before. */
  readonly norm: number;
  /** ‖ΔW − B·A‖ / ‖ΔW‖ */
  readonly error: number;
}

export interface ToLora {
  readonly saved: SavedAdapter;
  readonly modules: readonly ApproximatedModule[];
  /** Biases and norms that changed, `model.norm.weight`: they are kept as they are. */
  readonly whole: readonly string[];
}

/**
 * What an adapter makes of its base.
 * @throws ProblemError `convert.not-mergeable`
 */
export function tunedByAdapter(method: Attached, values: Values): Tuned {
  const { merge } = method;
  if (merge === undefined) {
    return fail({
      code: 'convert.not-mergeable',
      message: l10n.t`an adapter of type '${method.type}' has no update per weight that a LoRA could come near`,
      expected: l10n.t`an adapter that can be merged into its base`,
    });
  }
  return (site, kind, base) => Promise.resolve(merge(site, kind, base, values));
}

/**
 * What is in a model's checkpoint instead of the base's, module by module: where the base has one matrix as embedding and
 * head, the model may have two.
 *
 * @param task the base's
 * @throws ProblemError those of `readModel`; when it is asked for a parameter: `convert.other-model`
 */
export function tunedModel(tuned: Checkpoint, task: TaskType): Tuned {
  const sites = new Map(readModel(tuned, { type: task }).sites.map((site) => [site.path, site]));
  return async (site, kind, base) => {
    const own = sites.get(site.path)?.[kind];
    const numbers = own === undefined ? undefined : await tuned.read(own);
    if (numbers?.length === base.length) return numbers;
    const name = own ?? `${site.path}.${kind}`;
    const shape = tuned.tensors.get(name)?.shape.join(', ');
    if (numbers !== undefined && (site.kind === 'embedding' || site.isOutput)) {
      otherVocabulary(name, tuned, site, numbers.length);
    }
    return fail({
      code: 'convert.other-model',
      message:
        shape === undefined
          ? l10n.t`the model has no tensor ${name}`
          : l10n.t`the model's ${name} is [${shape}], the base's [${parameterShape(site, kind).join(', ')}]`,
      where: { file: tuned.source },
      expected: l10n.t`a model that was trained from the base, with the same tensors`,
    });
  };
}

/** How much of each matrix to keep, or what ΔW is a product of as it stands: by the module's path, s, A and B. */
export type Wanted = Kept | { readonly factors: ReadonlyMap<string, Omit<FinishedPair, 'site'>> };

/**
 * The nearest LoRA to what training made of a base: of each matrix that changed the largest singular values of ΔW (Eckart &
 * Young 1936), biases and norms as they are (`modules_to_save`). Matrices that did not change are no targets. Where the
 * factors are given, they are the pairs, and nothing is lost.
 *
 * @throws ProblemError `convert.nothing`, `convert.head`, and what `tuned` throws
 */
export async function toLora(
  tuned: Tuned,
  wanted: Wanted,
  context: AttachContext,
  work?: WeightWork,
): Promise<ToLora> {
  const { model } = context;
  if (model.classes !== undefined) headToo();
  const pairs: FinishedPair[] = [];
  const modules: ApproximatedModule[] = [];
  const whole: Whole[] = [];
  for (const [done, site] of model.sites.entries()) {
    await work?.progress(done, model.sites.length);
    for (const kind of ['weight', 'bias'] as const) {
      const name = site[kind];
      if (name === undefined) continue;
      const factors = kind === 'weight' && 'factors' in wanted ? wanted.factors.get(site.path) : undefined;
      if (factors !== undefined) {
        if (factors.r === 0) continue;
        pairs.push({ site, ...factors });
        const norm = factors.scale * lowRankNorm(factors.b, factors.a, factors.r);
        modules.push({ path: site.path, rank: factors.r, norm, error: 0 });
        continue;
      }
      const base = await context.read(name);
      const now = await tuned(site, kind, base);
      if (now === undefined || now.every((value, at) => value === base[at])) continue;
      if (kind === 'weight' && takesPair(site) && !('factors' in wanted)) {
        const { pair, module } = await approximated(site, base, now, wanted, work);
        pairs.push(pair);
        modules.push(module);
      } else whole.push({ site, kind, data: Float32Array.from(now) });
    }
  }
  await work?.progress(model.sites.length, model.sites.length);
  if (pairs.length === 0) nothingChanged(whole.length > 0);
  return {
    saved: await savedAs(pairs, whole, context),
    modules,
    whole: whole.map(({ site, kind }) => `${site.path}.${kind}`),
  };
}

/** Rows of an embedding or head stand for tokens: other numbers of them are no change that could be added. */
function otherVocabulary(name: string, { source, tensors }: Checkpoint, { shape }: Site, count: number): void {
  const [tokens] = shape as [number];
  const own = (count * tokens) / shape.reduce((product, size) => product * size, 1);
  if (!Number.isInteger(own) || own === tokens) return;
  fail({
    code: 'convert.vocabulary',
    message: l10n.t`the model has ${own} tokens, the base ${tokens}: ${name} is [${tensors.get(name)!.shape.join(', ')}] there`,
    where: { file: source },
    expected: l10n.t`vocabularies of one size`,
    mend: l10n.t`Resize the base's embeddings to ${own} tokens as the model's were (resize_token_embeddings in Transformers), and name that model as the base.`,
  });
}

async function approximated(
  site: Site,
  base: Float32Array,
  now: Float32Array | Float64Array,
  kept: Kept,
  work: WeightWork | undefined,
): Promise<{ readonly pair: FinishedPair; readonly module: ApproximatedModule }> {
  const [rows, columns] = parameterShape(site, 'weight') as [number, number];
  // A loop: `from` takes ten times as long, of millions of numbers.
  const delta = new Float64Array(now.length);
  for (let at = 0; at < delta.length; at++) delta[at] = now[at]! - base[at]!;
  const isTurned = liesTransposed(site);
  const [height, width] = isTurned ? [columns, rows] : [rows, columns];
  const matrix = isTurned ? transposed(delta, rows, columns) : delta;
  const products = work?.products ?? plainProducts;
  const { r, a, b, error } = await factored(products(matrix, height, width), kept);
  const norm = Math.sqrt(delta.reduce((sum, each) => sum + each * each, 0));
  return { pair: { site, r, a, b, scale: 1 }, module: { path: site.path, rank: r, norm, error } };
}

/** A parameter that is kept as it is. */
interface Whole {
  readonly site: Site;
  readonly kind: ParameterKind;
  readonly data: Float32Array;
}

/** PEFT has all biases of a model in an adapter, or none; and of a module that trained whole all parameters. */
async function savedAs(
  pairs: readonly FinishedPair[],
  whole: readonly Whole[],
  context: AttachContext,
): Promise<SavedAdapter> {
  const r = Math.max(...pairs.map((pair) => pair.r));
  // The scale that lora_alpha gives is that of all modules of this rank.
  const scale = pairs.find((pair) => pair.r === r)!.scale;
  const adapted = new Map(pairs.map(({ site }) => [site.path, site]));
  const target_modules = moduleNames([...adapted.values()], context.model.sites);
  const saved = plainLora(pairs, { r, lora_alpha: scale * r, lora_dropout: 0, target_modules }, context);
  const modules = whole
    .filter(({ site, kind }) => kind === 'weight' || !takesPair(site))
    .map(({ site }) => site.path);
  const choice = {
    bias: whole.some(({ site, kind }) => kind === 'bias' && takesPair(site)) ? 'all' : 'none',
    modules_to_save: [...new Set(modules)],
  } as const;
  const tensors: NamedTensor[] = [];
  for (const { site, kind, key, variable } of trainedParameters(choice, context, adapted).trained) {
    const changed = whole.find((each) => each.site === site && each.kind === kind);
    const data = changed?.data ?? (await context.read(site[kind]!));
    tensors.push({ name: key, shape: variable.shape as readonly number[], data });
  }
  return {
    ...saved,
    config: {
      ...saved.config,
      bias: choice.bias,
      modules_to_save: choice.modules_to_save.length === 0 ? null : choice.modules_to_save,
    },
    tensors: [...saved.tensors, ...tensors],
  };
}

function headToo(): never {
  return fail({
    code: 'convert.head',
    message: l10n.t`the model has a head for classes, which is no part of a LoRA`,
    expected: l10n.t`a model that writes text, or an encoder without a head`,
  });
}

/** @param hasWhole whether biases or norms did */
function nothingChanged(hasWhole: boolean): never {
  if (hasWhole) {
    fail({
      code: 'convert.nothing',
      message: l10n.t`only biases or norms have changed, and a LoRA is made of what matrices change`,
      expected: l10n.t`a change of at least one matrix`,
      mend: l10n.t`Make a delta of it: --to delta.`,
    });
  }
  return fail({
    code: 'convert.nothing',
    message: l10n.t`no matrix of the base has changed`,
    expected: l10n.t`an adapter or a model that was trained from this base`,
    mend: l10n.t`Name the base with --model BASE.`,
  });
}
