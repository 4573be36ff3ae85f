import * as l10n from '@vscode/l10n';
import type { JsonObject } from '../common/json.js';
import { fail } from '../common/problem.js';
import type { Problem } from '../common/problem.js';
import { parameterShape } from '../models/site.js';
import type { Site } from '../models/site.js';
import { addAt } from '../tensor/ops/indexing.js';
import { recomputed } from '../tensor/recompute.js';
import { constant, variable } from '../tensor/tensor.js';
import type { Constant, Tensor, Variable } from '../tensor/tensor.js';
import type { AttachContext, Attached, NamedTensor, Prepared } from './method.js';
import { loadByKey } from './parameters.js';
import { indicesKey, isNote, sparseTargets, valuesKey, weightSize } from './sparsePlaces.js';
import type { TargetOptions } from './targets.js';

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

/** What tells one method that chooses numbers of weights from another. */
export interface SparseMethod {
  /** In a run file. */
  readonly type: string;
  /** Its English title, as `info` has it. */
  readonly title: string;
  /** What is written as `adapter_config.json`. */
  readonly config: JsonObject;
  readonly warnings?: readonly Problem[];
}

/**
 * Trains the numbers of weights that `prepare` chose. What trains is a difference δ [k] per weight, at the k places
 * chosen in it: W' = W + scatter(δ). It starts at zero, so that a weight decay pulls towards the base model, and gradient
 * and optimizer slots have the size of δ. W' is built again in the backward pass instead of kept.
 *
 * @param context `prepared` holds the places: in a run as `preparedPlaces` made them, for an adapter as its file does
 * @throws ProblemError `method.not-prepared`, `sparse-delta.weight`, `sparse-delta.indices`; those of `sparseTargets`
 */
export function attachDeltas(options: TargetOptions, context: AttachContext, method: SparseMethod): Attached {
  const { prepared } = context;
  if (prepared === undefined) {
    return fail({
      code: 'method.not-prepared',
      message: l10n.t`${l10n.t(method.title)} has no mask`,
      mend: l10n.t`Start the run anew, or complete the adapter’s files.`,
    });
  }
  // An adapter on disk says itself which weights it changes; targets are how they were found.
  const inRun = [...prepared.keys()].some(isNote);
  const found = inRun ? sparseTargets(method.type, options, context) : undefined;
  const deltas = deltasOf(prepared, context);
  const resting = [...(found?.weights ?? [])].flatMap(([weight, site]) => (deltas.has(weight) ? [] : [site]));
  return attached(context, method, deltas, {
    resting,
    targets: found?.match.entries ?? [],
    warnings: [...(found?.match.warnings ?? []), ...(found?.warnings ?? []), ...(method.warnings ?? [])],
  });
}

function attached(
  { model, instance = '' }: AttachContext,
  { type, config }: SparseMethod,
  deltas: ReadonlyMap<string, Delta>,
  found: Pick<Attached['coverage'], 'targets' | 'warnings'> & {
    /** Targeted sites of whose weights no number was chosen. */
    readonly resting: readonly Site[];
  },
): Attached {
  const each = [...deltas.values()];
  const order = new Map(model.sites.map(({ path }, at) => [path, at]));
  const trainables = each.map(({ values, indices }) => ({
    variable: values,
    start: () => new Float32Array(indices.length),
    decays: true,
  }));
  const keyOf = (name: string): string => name.slice(instance.length);
  const total = each.reduce((sum, { site }) => sum + weightSize(site), 0);
  const kept = each.reduce((sum, { indices }) => sum + indices.length, 0);
  return {
    type,
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
          density: indices.length / weightSize(site),
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
      config,
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

/** What was prepared, at the sites of this model, by the weights' names in the checkpoint. */
function deltasOf(prepared: Prepared, { model, instance = '' }: AttachContext): ReadonlyMap<string, Delta> {
  const byKey = new Map(model.sites.map((site) => [indicesKey(site), site]));
  const deltas = new Map<string, Delta>();
  for (const [key, indices] of prepared) {
    const site = byKey.get(key);
    if (isNote(key)) continue;
    if (site?.weight === undefined || !(indices instanceof Int32Array)) {
      fail({
        code: 'sparse-delta.weight',
        message: l10n.t`${key} names no weight of the model`,
        mend: l10n.t`Use the base model that the adapter was trained on.`,
      });
    }
    checkPlaces(key, indices, weightSize(site));
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
    code: 'sparse-delta.indices',
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
