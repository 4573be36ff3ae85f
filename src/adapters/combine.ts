import * as l10n from '@vscode/l10n';
import type { JsonObject } from '../common/json.js';
import { fail } from '../common/problem.js';
import type { Problem } from '../common/problem.js';
import type { AttachContext, NamedTensor, SavedAdapter, WeightWork } from '../methods/method.js';
import { headKeys } from './adapterTask.js';
import { attachAdapter } from './attachAdapter.js';
import { combineFactors } from './combineFactors.js';
import type { FactorSum } from './combineFactors.js';
import { combinePlaces } from './combinePlaces.js';
import { combineTensors } from './combineTensors.js';
import { nameOf } from './combinedPart.js';
import type { Part, Sum, WeighedPart } from './combinedPart.js';
import { weightOfSites } from './layerWeights.js';
import type { AdapterOnDisk } from './readAdapter.js';

/** A sum of adapters, as one. */
export interface Combined extends Pick<Sum, 'overlap' | 'modules'> {
  readonly saved: SavedAdapter;
  /** What the adapters' tensors are. */
  readonly form: Differences;
  /** Numbers that it holds, its head's left out. */
  readonly numbers: number;
  readonly warnings: readonly Problem[];
}

export type Differences = NonNullable<AdapterOnDisk['format']['differences']>;

/**
 * Adds differences from one base model: θ = θ₀ + Σ w·δ (Ansell et al. 2022, section 3.2, where the weights are 1), so that
 * a language's and a task's give both. The sum is an adapter of the first one's kind. A head of a task is no difference:
 * it is that of the one adapter that has one.
 *
 * @param parts of a kind: low-rank updates (LoRA), single numbers of weights (FISH Mask, LT-SFT, …), or whole tensors (BitFit)
 * @param context of the base model; each adapter is attached to it alone, which finds what does not fit
 * @param how low-rank updates become one; the others are added as they are
 * @throws ProblemError `combine.count`, `combine.method`, `combine.base`, `combine.kinds`, `combine.how`, `combine.task`,
 *   `combine.heads`, `combine.biases`, `combine.rank`, `combine.infinite`, `combine.nothing`; those of `weightOfSites` and
 *   `attachAdapter`
 */
export async function combineAdapters(
  parts: readonly Part[],
  context: AttachContext,
  how: FactorSum = { sum: { kind: 'linear' }, seed: 0 },
  work?: WeightWork,
): Promise<Combined> {
  const form = checkParts(parts, how);
  const weighed = parts.map((part) => {
    return { ...part, weightIn: weightOfSites(part.weight, part.layerWeights ?? {}, context.model.sites) };
  });
  const [{ adapter: first }] = parts as [Part, ...Part[]];
  const headed = parts.find(({ adapter }) => headKeys(adapter).length > 0)?.adapter;
  const warnings = await fits(
    parts.map(({ adapter }) => adapter),
    headed,
    context,
  );
  const sum = await sumOf(form, weighed, context, how, work);
  checkFinite(sum.tensors);
  const task = headed ?? first;
  const head: NamedTensor[] = [];
  for (const name of headed === undefined ? [] : headKeys(headed)) {
    head.push({ name, shape: headed!.tensors.get(name)!.shape, data: await headed!.read(name) });
  }
  const config: JsonObject = {
    ...sum.config,
    // PEFT warns of keys that it does not know.
    ...(sum.modules === undefined ? { combined_from: parts.map(originOf) } : {}),
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
    warnings,
  };
}

function sumOf(
  form: Differences,
  parts: readonly WeighedPart[],
  context: AttachContext,
  how: FactorSum,
  work: WeightWork | undefined,
): Promise<Sum> {
  switch (form) {
    case 'factors':
      return combineFactors(parts, context, how, work);
    case 'places':
      return combinePlaces(parts, context);
    case 'tensors':
      return combineTensors(parts, context);
  }
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

/** Attaches each adapter to the base model; one without a head beside that which has one. Returns what is worth a word. */
async function fits(
  adapters: readonly AdapterOnDisk[],
  headed: AdapterOnDisk | undefined,
  context: AttachContext,
): Promise<readonly Problem[]> {
  const head = headed && (await attachAdapter(headed, context));
  const beside = head === undefined ? context : { ...context, before: [head.method], instance: '1:' };
  const warnings = [...(head?.warnings ?? [])];
  for (const adapter of adapters) {
    if (adapter !== headed) warnings.push(...(await attachAdapter(adapter, beside)).warnings);
  }
  return warnings;
}

/** @returns what the tensors of all of them are */
function checkParts(parts: readonly Part[], how: FactorSum): Differences {
  if (parts.length < 2 && parts[0]?.adapter.format.differences !== 'factors') {
    fail({
      code: 'combine.count',
      message: l10n.t`one adapter alone has nothing to be added to`,
      expected: l10n.t`two adapters or more`,
    });
  }
  const [form] = checkMethods(parts) as readonly [Differences, ...Differences[]];
  const [first, ...others] = parts as [Part, ...Part[]];
  for (const other of others) {
    const [a, b] = [first.adapter, other.adapter];
    const where = { file: b.configFile };
    if (a.format.differences !== b.format.differences) {
      fail({
        code: 'combine.kinds',
        message: l10n.t`${nameOf(first)} (${a.peftType}) and ${nameOf(other)} (${b.peftType}) keep their differences in different forms`,
        where,
        expected: l10n.t`only LoRA's, only adapters of single numbers of weights, or only BitFit's`,
        mend: l10n.t`Add those of one form; the others stay adapters of their own.`,
      });
    }
  }
  if (form !== 'factors' && (how.sum.kind !== 'linear' || how.kept !== undefined)) {
    fail({
      code: 'combine.how',
      message: l10n.t`adapters of type ${first.adapter.peftType} are added as they are: they have no rank, and no other way`,
      where: { file: first.adapter.configFile },
      expected: l10n.t`the way 'linear', without a rank or an energy`,
    });
  }
  const headed = parts.filter(({ adapter }) => headKeys(adapter).length > 0);
  if (headed.length > 1) {
    const [one, two] = headed as [Part, Part];
    fail({
      code: 'combine.heads',
      message: l10n.t`${nameOf(one)} and ${nameOf(two)} each have a head for classes, and a model has one`,
      where: { file: two.adapter.folder },
      expected: l10n.t`at most one adapter with a head`,
    });
  }
  const tasks = new Set(parts.map(({ adapter }) => adapter.config['task_type'] ?? null));
  if (headed.length === 0 && tasks.size > 1) {
    fail({
      code: 'combine.task',
      message: l10n.t`the adapters are for different tasks: ${[...tasks].join(', ')}`,
      where: { file: first.adapter.configFile },
      expected: l10n.t`one task_type, or one adapter with a head for classes`,
    });
  }
  return form;
}

/** Adapters that cannot be added at all are told as such first. @throws ProblemError `combine.method` */
function checkMethods(parts: readonly Part[]): readonly Differences[] {
  return parts.map(({ adapter }) => {
    if (adapter.format.differences !== undefined) return adapter.format.differences;
    return fail({
      code: 'combine.method',
      message: l10n.t`${adapter.peftType} does not keep differences from the base model: what its tensors change depends on more than their sum`,
      where: { file: adapter.folder },
      expected: l10n.t`LORA, or adapters that change single numbers of weights, or biases: LT_SFT, FISH_MASK, FISH_DIP, PAFI, SAM, BITFIT`,
      mend: l10n.t`Merge it into the base model, and use the merged model.`,
    });
  });
}

/**
 * Differences add up from one base model only.
 * @returns warnings where the base is said to be the same though it is called otherwise
 * @throws ProblemError `combine.base` where it is not said; `combine.method` for what is no difference of any base
 */
export function checkSameBase(parts: readonly Part[], isNamed: boolean): readonly Problem[] {
  checkMethods(parts);
  const [first, ...others] = parts;
  const baseOf = ({ adapter }: Part): string => {
    const { baseModel, config } = adapter;
    return JSON.stringify([baseModel ?? null, config['revision'] ?? null]);
  };
  const other = first && others.find((part) => baseOf(part) !== baseOf(first));
  if (other === undefined) return [];
  const problem: Problem = {
    code: 'combine.base',
    message: l10n.t`${nameOf(first!)} is of the base model ${first!.adapter.baseModel ?? '?'}, ${nameOf(other)} of ${other.adapter.baseModel ?? '?'}`,
    where: { file: other.adapter.configFile },
    expected: l10n.t`adapters of one base model`,
    mend: l10n.t`If it is the same one in another place, name it with --model.`,
  };
  return isNamed ? [{ ...problem, severity: 'warning' }] : fail(problem);
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
