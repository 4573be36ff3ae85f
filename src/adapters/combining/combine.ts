import * as l10n from '@vscode/l10n';
import type { JsonObject } from '../../common/json.js';
import { fail } from '../../common/problem.js';
import type { Problem } from '../../common/problem.js';
import type { AttachContext, NamedTensor, SavedAdapter, WeightWork } from '../../methods/method.js';
import { headKeys } from '../adapterTask.js';
import { headedAdapter } from '../sameBase.js';
import { attachAdapter } from '../attachAdapter.js';
import type { AttachedAdapter } from '../attachAdapter.js';
import { checkParts, formOf } from './combineChecks.js';
import { combineFactors } from './combineFactors.js';
import type { FactorSum } from './combineFactors.js';
import { combinePlaces } from './combinePlaces.js';
import { combineTensors } from './combineTensors.js';
import { nameOf } from './combinedPart.js';
import type { Differences, Part, Sum, WeighedPart } from './combinedPart.js';
import { weightOfSites } from './layerWeights.js';
import type { AdapterOnDisk } from '../readAdapter.js';
import { updateSource } from './updateSources.js';
import type { UpdateSource } from './updateSources.js';

/** A sum of adapters, as one. */
export interface Combined extends Pick<Sum, 'overlap' | 'modules'> {
  readonly saved: SavedAdapter;
  /** What the tensors of the result are. */
  readonly form: Differences;
  /** Numbers that it holds, its head's left out. */
  readonly numbers: number;
  readonly warnings: readonly Problem[];
}

/**
 * Adds differences from one base model: θ = θ₀ + Σ w·δ (Ansell et al. 2022, section 3.2, where the weights are 1), so that
 * a language's and a task's give both. Adapters that all keep single numbers of weights (FISH Mask, LT-SFT, …), or all whole
 * tensors (BitFit), become one of the first one's kind; any others a LoRA. A head of a task is no difference: it is that of the
 * one adapter that has one.
 *
 * @param context of the base model; each adapter is attached to it alone, which finds what does not fit
 * @param how updates become one; differences that stay of their kind are added as they are
 * @throws ProblemError `combine.count`, `combine.method`, `combine.as-peft`, `combine.how`, `combine.task`,
 *   `combine.biases`, `combine.infinite`, `adapter.several-heads`; those of `weightOfSites`, `attachAdapter` and `combineFactors`
 */
export async function combineAdapters(
  parts: readonly Part[],
  context: AttachContext,
  how: FactorSum = { sum: { kind: 'linear' }, seed: 0 },
  work?: WeightWork,
): Promise<Combined> {
  const form = formOf(parts);
  checkParts(parts, form, how);
  const weighed = parts.map((part) => {
    return { ...part, weightIn: weightOfSites(part.weight, part.layerWeights ?? {}, context.model.sites) };
  });
  const [{ adapter: first }] = parts as [Part, ...Part[]];
  const adapters = parts.map(({ adapter }) => adapter);
  const headed = headedAdapter(adapters);
  const attached = await fits(adapters, headed, context);
  const sum = await sumOf(form, weighed, attached, context, how, work);
  checkFinite(sum.tensors);
  const task = headed ?? first;
  const head: NamedTensor[] = [];
  for (const name of headed === undefined ? [] : headKeys(headed)) {
    head.push({ name, shape: headed!.tensors.get(name)!.shape, data: await headed!.read(name) });
  }
  const config: JsonObject = {
    ...sum.config,
    // PEFT warns of keys that it does not know.
    ...(form === 'factors' ? {} : { combined_from: parts.map(originOf) }),
    task_type: task.config['task_type'] ?? null,
    ...(head.length === 0 ? {} : { modules_to_save: modulesToSave(sum.config, task.config) }),
  };
  return {
    saved: {
      kind: 'adapter',
      config: Object.fromEntries(Object.entries(config).sort(([a], [b]) => (a < b ? -1 : 1))),
      tensors: [...sum.tensors, ...head],
      ...(sum.indices === undefined ? {} : { indices: sum.indices }),
      ...(task.labels === undefined ? {} : { labels: task.labels }),
    },
    form,
    numbers: sum.tensors.reduce((count, { data }) => count + data.length, 0),
    ...(sum.overlap === undefined ? {} : { overlap: sum.overlap }),
    modules: sum.modules,
    warnings: [...alone(parts, how), ...zero(sum), ...new Set(attached.flatMap(({ warnings }) => warnings))],
  };
}

async function sumOf(
  form: Differences,
  parts: readonly WeighedPart[],
  attached: readonly AttachedAdapter[],
  context: AttachContext,
  how: FactorSum,
  work: WeightWork | undefined,
): Promise<Sum> {
  switch (form) {
    case 'factors': {
      const sources: UpdateSource[] = [];
      for (const [at, part] of parts.entries()) sources.push(await updateSource(part, attached[at]!, context));
      return combineFactors(sources, context, how, work);
    }
    case 'places':
      return combinePlaces(parts, context);
    case 'tensors':
      return combineTensors(parts, context);
  }
}

/** PEFT leaves one adapter as it is, whatever the way. */
function alone(parts: readonly Part[], { asPeft, sum, kept }: FactorSum): readonly Problem[] {
  if (asPeft !== true || parts.length > 1 || (sum.kind === 'linear' && kept === undefined)) return [];
  return [
    {
      code: 'combine.alone',
      severity: 'warning',
      message: l10n.t`PEFT combines one adapter alone as linear: nothing is left out of it, and its rank stays`,
      mend: l10n.t`Leave out --as-peft to have it combined so.`,
    },
  ];
}

/** Pruning may leave no number. */
function zero({ modules }: Sum): readonly Problem[] {
  if (modules.some(({ norm }) => norm > 0)) return [];
  return [
    {
      code: 'combine.zero',
      severity: 'warning',
      message: l10n.t`the updates add up to 0 in all modules: nothing is left of them`,
      mend: l10n.t`Choose a larger density, or other weights.`,
    },
  ];
}

function originOf(part: Part): JsonObject {
  const { adapter, weight, layerWeights } = part;
  return {
    adapter: nameOf(part),
    peft_type: adapter.peftType,
    weight,
    ...(layerWeights === undefined ? {} : { layer_weights: layerWeights }),
  };
}

/** Of the sum, and of the adapter that has a head. */
function modulesToSave(sum: JsonObject, headed: JsonObject): JsonObject['modules_to_save'] {
  const lists = [sum, headed].flatMap(({ modules_to_save: modules }) => (Array.isArray(modules) ? modules : []));
  return lists.length === 0 ? null : [...new Set(lists)];
}

/** Attaches each adapter to the base model; one without a head beside that which has one. */
async function fits(
  adapters: readonly AdapterOnDisk[],
  headed: AdapterOnDisk | undefined,
  context: AttachContext,
): Promise<readonly AttachedAdapter[]> {
  const head = headed && (await attachAdapter(headed, context));
  const beside = head === undefined ? context : { ...context, before: [head.method], instance: '1:' };
  const attached: AttachedAdapter[] = [];
  for (const adapter of adapters) {
    const found = head !== undefined && adapter === headed ? head : await attachAdapter(adapter, beside);
    // A LoRA's numbers are read module by module.
    attached.push(adapter.format.differences === 'factors' ? { ...found, values: new Map() } : found);
  }
  return attached;
}

function checkFinite(tensors: readonly NamedTensor[]): void {
  const wrong = tensors.find(({ data }) => !data.every(Number.isFinite));
  if (wrong === undefined) return;
  fail({
    code: 'combine.infinite',
    message: l10n.t`the sum of ${wrong.name} is not finite`,
    mend: l10n.t`Choose smaller weights.`,
  });
}
