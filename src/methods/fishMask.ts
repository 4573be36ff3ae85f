import { Type } from '@sinclair/typebox';
import type { Static } from '@sinclair/typebox';
import * as l10n from '@vscode/l10n';
import { fail } from '../common/problem.js';
import type { Problem } from '../common/problem.js';
import { parameterShape } from '../models/site.js';
import type { Site } from '../models/site.js';
import { addAt } from '../tensor/ops/indexing.js';
import { recomputed } from '../tensor/recompute.js';
import { constant, variable } from '../tensor/tensor.js';
import type { Constant, Tensor, Variable } from '../tensor/tensor.js';
import { fishConfigFromPeft, fishConfigToPeft, fishPrepared, inspectFish } from './fishMaskConfig.js';
import { checkedFisher } from './fisher.js';
import { FISH_ROWS } from './fishRows.js';
import { markLargest } from './largest.js';
import type { AttachContext, Attached, Method, NamedTensor, Prepared } from './method.js';
import { loadByKey, parameterSize } from './parameters.js';
import { TargetOptions, matchTargets } from './targets.js';
import type { TargetMatch } from './targets.js';

/** FISH Mask's options; defaults are those of the authors' code. */
export const FishMaskOptions = Type.Object(
  {
    type: Type.Literal('fish_mask'),
    keep_ratio: Type.Number({
      exclusiveMinimum: 0,
      maximum: 1,
      default: 0.005,
      description: 'Share of the numbers of the targeted weights that trains.',
    }),
    num_samples: Type.Integer({
      minimum: 1,
      default: 1024,
      description: 'Training rows that the Fisher information is taken from, one gradient each.',
    }),
    ...TargetOptions,
  },
  { additionalProperties: false },
);
export type FishMaskOptions = Static<typeof FishMaskOptions>;

/**
 * FISH Mask (Sung, Nair & Raffel 2021): the numbers of the targeted weights with the largest diagonal of the empirical
 * Fisher information, F̂ = 1/N Σᵢ (∇ log p(yᵢ | xᵢ))² (eq. 6), train; the others stay. The mask is taken once, before the
 * run, by one gradient per row with the true labels, and its threshold is one for all weights.
 *
 * What trains is a difference δ [k] per weight, at the k places chosen in it: W' = W + scatter(δ). It starts at zero, so
 * that a weight decay pulls towards the base model. W' is built again in the backward pass instead of kept.
 */
export const fishMask: Method<typeof FishMaskOptions> = {
  info: {
    type: 'fish_mask',
    family: 'selective',
    place: 'learned',
    title: 'FISH Mask',
    summary:
      'Trains the few numbers of the weights that matter most to the data, chosen once by Fisher information.',
    paper: {
      authors: 'Sung, Nair & Raffel',
      year: 2021,
      title: 'Training Neural Networks with Fixed Sparse Masks',
      arxiv: '2111.09839',
    },
    engines: ['embedded'],
    mergeable: true,
    options: FishMaskOptions,
  },
  async prepare(options, context) {
    const { weights } = targetsOf(options, context);
    const names = [...weights.keys()];
    const { squares, batches } = await context.squaredGradients({
      weights: names,
      batchSize: 1,
      batches: options.num_samples,
    });
    // The mean over the rows would have the same order as their sum.
    return chosen(weights, checkedFisher(names, squares).parts, options, batches);
  },
  check: (options, context) =>
    void countOf(options, [...targetsOf(options, context).weights.values()].map(sizeOf)),
  attach(options, context) {
    const { prepared } = context;
    if (prepared === undefined) {
      return fail({
        code: 'method.not-prepared',
        message: l10n.t`FISH Mask has no mask`,
        mend: l10n.t`Start the run anew, or complete the adapter’s files.`,
      });
    }
    const rows = prepared.get(FISH_ROWS)?.[0];
    // An adapter on disk says itself which weights it changes; targets are how they were found.
    const found = rows === undefined ? undefined : targetsOf(options, context);
    const deltas = deltasOf(prepared, context);
    const resting = [...(found?.weights ?? [])].flatMap(([weight, site]) => (deltas.has(weight) ? [] : [site]));
    return attached(options, context, deltas, {
      resting,
      targets: found?.match.entries ?? [],
      warnings: [...(found?.match.warnings ?? []), ...(found?.warnings ?? []), ...rowWarnings(options, rows)],
    });
  },
  peft: { type: 'FISH_MASK', options: fishConfigFromPeft, prepared: fishPrepared, inspect: inspectFish },
};

/** The difference that trains in one weight. */
interface Delta {
  /** The site that the weight is named after. */
  readonly site: Site;
  /** [k] */
  readonly values: Variable;
  /** Places in the weight as the checkpoint holds it, row-major, rising. */
  readonly indices: Int32Array;
  /** The same as rows and columns: [k, axes]. */
  readonly places: Constant;
}

function attached(
  options: FishMaskOptions,
  context: AttachContext,
  deltas: ReadonlyMap<string, Delta>,
  found: Pick<Attached['coverage'], 'targets' | 'warnings'> & {
    /** Targeted sites of whose weights no number was chosen. */
    readonly resting: readonly Site[];
  },
): Attached {
  const { instance = '' } = context;
  const each = [...deltas.values()];
  const order = new Map(context.model.sites.map(({ path }, at) => [path, at]));
  const trainables = each.map(({ values, indices }) => ({
    variable: values,
    start: () => new Float32Array(indices.length),
    decays: true,
  }));
  const keyOf = (name: string): string => name.slice(instance.length);
  const total = each.reduce((sum, { site }) => sum + sizeOf(site), 0);
  const kept = each.reduce((sum, { indices }) => sum + indices.length, 0);
  return {
    type: 'fish_mask',
    hooks: {
      parameter(site, kind, base) {
        const delta = kind === 'weight' ? deltas.get(site.weight!) : undefined;
        return delta === undefined ? base : changed(base, delta);
      },
    },
    trainables,
    coverage: {
      targets: found.targets,
      modules: each.map(({ site, indices }) => ({
        path: site.path,
        shape: site.shape,
        trainable: indices.length,
      })),
      layersCovered: new Set(each.flatMap(({ site }) => (site.layer === undefined ? [] : [site.layer]))).size,
      saves: l10n.t`adapter_model.safetensors with ${kept} differences and their places, of ${total} numbers, and adapter_config.json`,
      warnings: found.warnings,
    },
    report: (values) =>
      [
        ...each.map(({ site, values: { name }, indices }) => ({
          path: site.path,
          density: indices.length / sizeOf(site),
          shape: parameterShape(site, 'weight'),
          norm: norm(values.get(name)),
        })),
        ...found.resting.map((site) => ({
          path: site.path,
          density: 0,
          shape: parameterShape(site, 'weight'),
          norm: 0,
        })),
      ].sort((a, b) => order.get(a.path)! - order.get(b.path)!),
    merge(site, kind, base, values) {
      const delta = kind === 'weight' ? deltas.get(site.weight!) : undefined;
      if (delta === undefined) return undefined;
      const merged = Float32Array.from(base);
      const numbers = values.get(delta.values.name)!;
      delta.indices.forEach((place, at) => (merged[place]! += numbers[at]!));
      return merged;
    },
    save: (values) => ({
      kind: 'adapter',
      config: fishConfigToPeft(options, context),
      tensors: each.map(({ values: { name }, indices }): NamedTensor => ({
        name: keyOf(name),
        shape: [indices.length],
        data: values.get(name)!,
      })),
      indices: each.map(({ site, indices }) => ({ name: indicesKey(site), data: indices })),
    }),
    load: (tensors, source) => loadByKey(trainables, keyOf, tensors, source),
  };
}

/** ‖δ‖; a trainable that never trained has no numbers yet. */
function norm(delta: Float32Array | undefined): number {
  return Math.sqrt(delta?.reduce((sum, value) => sum + value * value, 0) ?? 0);
}

/** W + scatter(δ), not kept for the backward pass. */
function changed(base: Tensor, { values, places }: Delta): Tensor {
  return recomputed(addAt(base, values, places), [base, values]);
}

/** The weights of the matched sites by their name in the checkpoint; one that two sites share is one weight. */
function targetsOf(
  options: FishMaskOptions,
  { model, before = [], idlePatterns }: AttachContext,
): { weights: ReadonlyMap<string, Site>; match: TargetMatch<Site>; warnings: readonly Problem[] } {
  const other = before.find(({ trainables }) =>
    trainables.some(({ variable: { name } }) => isWeight(model.sites, name)),
  );
  if (other !== undefined) {
    fail({
      code: 'method.combination',
      message: l10n.t`fish_mask cannot be combined with ${other.type}, which trains weights of the base model too`,
      mend: l10n.t`Take one of the two out of \`method\`.`,
    });
  }
  const match = matchTargets(options, model.sites, ({ weight }) => weight !== undefined, idlePatterns);
  const weights = new Map<string, Site>();
  for (const site of match.sites) if (!weights.has(site.weight!)) weights.set(site.weight!, site);
  const targeted = new Set(match.sites);
  const sharing = model.sites.filter((site) => !targeted.has(site) && weights.has(site.weight ?? ''));
  const warnings = sharing.map((site): Problem => {
    const shared = weights.get(site.weight!)!.path;
    return {
      code: 'fish-mask.shared',
      severity: 'warning',
      message: l10n.t`${shared} and ${site.path} are one matrix: what trains in it changes both`,
      mend: l10n.t`Nothing to do, if that is meant; else take ${shared} out of target_modules.`,
    };
  });
  return { weights, match, warnings };
}

function isWeight(sites: readonly Site[], name: string): boolean {
  return sites.some(({ weight }) => weight !== undefined && name.endsWith(weight));
}

/** int(keep_ratio · N) for N numbers in weights of these sizes. */
function countOf({ keep_ratio: ratio }: FishMaskOptions, sizes: readonly number[]): number {
  const total = sizes.reduce((sum, size) => sum + size, 0);
  const count = Math.floor(ratio * total);
  if (count === 0) {
    fail({
      code: 'fish-mask.nothing',
      message: l10n.t`keep_ratio ${ratio} of ${total} numbers is not one number`,
      expected: l10n.t`a keep_ratio of at least ${(1 / total).toExponential(1)}`,
      mend: l10n.t`Raise keep_ratio, or target more modules.`,
    });
  }
  return count;
}

/** The places with the largest Fisher information, of equal ones the first. */
function chosen(
  weights: ReadonlyMap<string, Site>,
  fisher: readonly Float32Array[],
  options: FishMaskOptions,
  rows: number,
): Prepared {
  const count = countOf(
    options,
    fisher.map(({ length }) => length),
  );
  const prepared = new Map<string, Int32Array>([[FISH_ROWS, Int32Array.of(rows)]]);
  const marks = markLargest(fisher, count);
  [...weights.values()].forEach((site, at) => {
    const indices = placesOf(marks[at]!);
    if (indices.length > 0) prepared.set(indicesKey(site), indices);
  });
  return prepared;
}

function placesOf(marks: Uint8Array): Int32Array {
  const indices = new Int32Array(marks.reduce((sum, mark) => sum + mark, 0));
  let next = 0;
  marks.forEach((mark, place) => {
    if (mark === 1) indices[next++] = place;
  });
  return indices;
}

/** What was prepared, at the sites of this model, by the weights' names in the checkpoint. */
function deltasOf(prepared: Prepared, { model, instance = '' }: AttachContext): ReadonlyMap<string, Delta> {
  const byKey = new Map(model.sites.map((site) => [indicesKey(site), site]));
  const deltas = new Map<string, Delta>();
  for (const [key, indices] of prepared) {
    const site = byKey.get(key);
    if (key === FISH_ROWS) continue;
    if (site?.weight === undefined || !(indices instanceof Int32Array)) {
      fail({
        code: 'fish-mask.weight',
        message: l10n.t`${key} names no weight of the model`,
        mend: l10n.t`Use the base model that the adapter was trained on.`,
      });
    }
    checkPlaces(key, indices, sizeOf(site));
    deltas.set(site.weight, {
      site,
      values: variable(`${instance}${valuesKey(site)}`, [indices.length]),
      indices,
      places: constant(
        coordinates(indices, site),
        [indices.length, parameterShape(site, 'weight').length],
        'int64',
      ),
    });
  }
  return deltas;
}

/** Rising and within the weight: each number at most once. */
function checkPlaces(key: string, indices: Int32Array, size: number): void {
  const wrong = indices.findIndex((place, at) => place >= size || place <= (at === 0 ? -1 : indices[at - 1]!));
  if (wrong < 0) return;
  fail({
    code: 'fish-mask.indices',
    message: l10n.t`${key} holds ${String(indices[wrong])} at position ${wrong}`,
    expected: l10n.t`rising numbers from 0 to ${size - 1}`,
    mend: l10n.t`Use the base model that the adapter was trained on; or the file is damaged: export the adapter again.`,
  });
}

/** Flat places as one number per axis. */
function coordinates(indices: Int32Array, site: Site): Int32Array {
  const shape = parameterShape(site, 'weight');
  const places = new Int32Array(indices.length * shape.length);
  indices.forEach((place, at) => {
    let rest = place;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      places[at * shape.length + axis] = rest % shape[axis]!;
      rest = Math.floor(rest / shape[axis]!);
    }
  });
  return places;
}

function rowWarnings({ num_samples: asked }: FishMaskOptions, rows: number | undefined): Problem[] {
  if (rows === undefined || rows >= asked) return [];
  return [
    {
      code: 'fish-mask.rows',
      severity: 'warning',
      message: l10n.t`the mask was taken from ${rows} rows, all that there are, instead of ${asked} (num_samples)`,
      mend: l10n.t`Nothing to do, unless more data are at hand.`,
    },
  ];
}

function sizeOf(site: Site): number {
  return parameterSize(parameterShape(site, 'weight'));
}

/** Names on disk: what changes in a weight, and where. */
function valuesKey({ path }: Site): string {
  return `${path}.weight.values`;
}

function indicesKey({ path }: Site): string {
  return `${path}.weight.indices`;
}
