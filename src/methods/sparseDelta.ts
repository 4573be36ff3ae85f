import * as l10n from '@vscode/l10n';
import { formatCount } from '../common/format.js';
import type { JsonObject } from '../common/json.js';
import { fail } from '../common/problem.js';
import type { Problem } from '../common/problem.js';
import { parameterShape } from '../models/site.js';
import type { Site } from '../models/site.js';
import { addAt } from '../tensor/ops/indexing.js';
import { concat } from '../tensor/ops/shape.js';
import { recomputed } from '../tensor/recompute.js';
import { constant, variable } from '../tensor/tensor.js';
import type { Constant, Tensor, Variable } from '../tensor/tensor.js';
import type { AttachContext, Attached, NamedTensor, Prepared, Trainable, Values } from './method.js';
import { loadByKey } from './parameters.js';
import { firstOutOfOrder } from './placeOrder.js';
import {
  indicesKey,
  isNote,
  leftIndicesKey,
  leftValuesKey,
  sparseTargets,
  valuesKey,
  weightSize,
} from './sparsePlaces.js';
import type { TargetOptions } from './targets.js';

/** The differences of one weight. */
interface Delta {
  /** The site that the weight is named after. */
  readonly site: Site;
  /** Those that train, and those that did; at least one of the two. */
  readonly parts: readonly Part[];
  /** Places of all parts, one behind the other: [k]. */
  readonly places: Constant;
}

interface Part {
  /** [k] */
  readonly values: Variable;
  /** Places in the weight as the checkpoint holds it, row-major, rising. */
  readonly indices: Int32Array;
  /** What it starts from, where it no longer trains. */
  readonly left?: Float32Array;
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
 * Where places are chosen anew in the course of a run, differences of places that were left stay in W' and rest. All of
 * them are saved, by their places.
 *
 * @param context `prepared` holds the places: in a run as `preparedPlaces` made them, for an adapter as its file does; and
 *   the differences that rest
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
  const parts = each.flatMap((delta) => delta.parts);
  const trained = parts.filter(({ left }) => left === undefined);
  const trainables = parts.map(({ values, indices, left }): Trainable => ({
    variable: values,
    start: () => left?.slice() ?? new Float32Array(indices.length),
    decays: left === undefined,
    ...(left === undefined ? {} : { readAtRest: true }),
  }));
  const active = new Set(trained.map(({ values }) => values));
  const keyOf = (name: string): string => name.slice(instance.length);
  const total = each.reduce((sum, { site }) => sum + weightSize(site), 0);
  const kept = partsSize(parts);
  return {
    type,
    hooks: {
      parameter(site, kind, base) {
        const delta = kind === 'weight' ? deltas.get(site.weight!) : undefined;
        return delta === undefined ? base : changed(base, delta);
      },
    },
    trainables,
    ...(trained.length < parts.length ? { active: () => active } : {}),
    coverage: {
      targets: found.targets,
      modules: each
        .map((delta) => ({ path: delta.site.path, shape: delta.site.shape, trainable: trainedCount(delta) }))
        .filter(({ trainable }) => trainable > 0),
      layersCovered: new Set(each.flatMap(({ site }) => (site.layer === undefined ? [] : [site.layer]))).size,
      saves: l10n.t`adapter_model.safetensors with ${formatCount(kept)} differences and their places, of ${formatCount(total)} numbers, and adapter_config.json`,
      warnings: found.warnings,
    },
    report: (values) =>
      [
        ...each.map((delta) => ({
          path: delta.site.path,
          density: trainedCount(delta) / weightSize(delta.site),
          shape: parameterShape(delta.site, 'weight'),
          norm: Math.hypot(...delta.parts.map((part) => norm(values.get(part.values.name)))),
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
      for (const { values: own, indices } of delta.parts) {
        const numbers = values.get(own.name)!;
        indices.forEach((place, at) => (merged[place]! += numbers[at]!));
      }
      return merged;
    },
    save(values) {
      const saved = each.map((delta) => ({ site: delta.site, ...together(delta, values) }));
      return {
        kind: 'adapter',
        config,
        tensors: saved.map(({ site, numbers }): NamedTensor => ({
          name: valuesKey(site),
          shape: [numbers.length],
          data: numbers,
        })),
        indices: saved.map(({ site, indices }) => ({ name: indicesKey(site), data: indices })),
      };
    },
    load: (tensors, source) => loadByKey(trainables, keyOf, tensors, source),
  };
}

/** ‖δ‖; a trainable that never trained has no numbers yet. */
function norm(delta: Float32Array | undefined): number {
  return Math.sqrt(delta?.reduce((sum, value) => sum + value * value, 0) ?? 0);
}

function trainedCount({ parts }: Delta): number {
  return partsSize(parts.filter(({ left }) => left === undefined));
}

/** W + scatter(δ), not kept for the backward pass. */
function changed(base: Tensor, { parts, places }: Delta): Tensor {
  const values = parts.map((part) => part.values);
  return recomputed(addAt(base, concat(values, 0), places), [base, ...values]);
}

/** The differences of all parts, by rising places. */
function together({ parts }: Delta, values: Values): { numbers: Float32Array; indices: Int32Array } {
  const size = partsSize(parts);
  const [numbers, indices] = [new Float32Array(size), new Int32Array(size)];
  const next = parts.map(() => 0);
  const own = parts.map((part) => values.get(part.values.name)!);
  for (let at = 0; at < size; at++) {
    const places = parts.map((part, index) => part.indices[next[index]!] ?? Infinity);
    const first = places.indexOf(Math.min(...places));
    indices[at] = places[first]!;
    numbers[at] = own[first]![next[first]!++]!;
  }
  return { numbers, indices };
}

function partsSize(parts: readonly Part[]): number {
  return parts.reduce((sum, { indices }) => sum + indices.length, 0);
}

/** What was prepared, at the sites of this model, by the weights' names in the checkpoint. */
function deltasOf(prepared: Prepared, { model, instance = '' }: AttachContext): ReadonlyMap<string, Delta> {
  const bySite = new Map<Site, Part[]>();
  const known = new Map(
    model.sites.flatMap((site) => [
      [indicesKey(site), { site, valuesName: valuesKey(site) }] as const,
      [leftIndicesKey(site), { site, valuesName: leftValuesKey(site) }] as const,
    ]),
  );
  const leftValues = new Set(model.sites.map(leftValuesKey));
  for (const [key, indices] of prepared) {
    if (isNote(key) || leftValues.has(key)) continue;
    const place = known.get(key);
    if (place?.site.weight === undefined || !(indices instanceof Int32Array)) {
      fail({
        code: 'sparse-delta.weight',
        message: l10n.t`${key} names no weight of the model`,
        mend: l10n.t`Use the base model that the adapter was trained on.`,
      });
    }
    const { site, valuesName } = place;
    checkPlaces(key, indices, weightSize(site));
    const left = prepared.get(valuesName);
    const part: Part = {
      values: variable(`${instance}${valuesName}`, [indices.length]),
      indices,
      ...(left instanceof Float32Array ? { left } : {}),
    };
    bySite.set(site, [...(bySite.get(site) ?? []), part]);
  }
  return new Map([...bySite].map(([site, parts]) => [site.weight!, { site, parts, places: placesIn(parts) }]));
}

function placesIn(parts: readonly Part[]): Constant {
  const [first, ...others] = parts;
  // Millions of places are there once: the graph reads those that were prepared.
  if (first !== undefined && others.length === 0) return constant(first.indices, [first.indices.length], 'int32');
  const all = new Int32Array(partsSize(parts));
  let filled = 0;
  for (const { indices } of parts) {
    all.set(indices, filled);
    filled += indices.length;
  }
  return constant(all, [all.length], 'int32');
}

/** Rising and within the weight: each number at most once. */
function checkPlaces(key: string, indices: Int32Array, size: number): void {
  const wrong = firstOutOfOrder(indices, size);
  if (wrong < 0) return;
  fail({
    code: 'sparse-delta.indices',
    message: l10n.t`${key} holds ${String(indices[wrong])} at position ${wrong}`,
    expected: l10n.t`rising numbers from 0 to ${size - 1}`,
    mend: l10n.t`Use the base model that the adapter was trained on; or the file is damaged: export the adapter again.`,
  });
}
