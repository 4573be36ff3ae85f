import * as l10n from '@vscode/l10n';
import path from 'node:path';
import type { JsonObject } from '../common/json.js';
import { fail } from '../common/problem.js';
import type { Problem } from '../common/problem.js';
import type { AttachContext, NamedIndices, NamedTensor, SavedAdapter } from '../methods/method.js';
import { indicesKey, valuesKey, weightSize } from '../methods/sparsePlaces.js';
import type { Site } from '../models/site.js';
import { headKeys } from './adapterTask.js';
import { attachAdapter } from './attachAdapter.js';
import type { AdapterOnDisk } from './readAdapter.js';
import { sparseSum } from './sparseSum.js';
import type { SparseDifference } from './sparseSum.js';

/** A sum of adapters, as one. */
export interface Combined {
  readonly saved: SavedAdapter;
  /** Numbers of the base model that it changes. */
  readonly numbers: number;
  /** Those that more than one of the adapters changes. */
  readonly overlap: number;
  readonly warnings: readonly Problem[];
}

/** An adapter and what its differences are multiplied by. */
export interface Part {
  readonly adapter: AdapterOnDisk;
  readonly weight: number;
}

/**
 * Adds differences from one base model: θ = θ₀ + Σ w·δ (Ansell et al. 2022, section 3.2, where the weights are 1), so that
 * a language's and a task's give both. The sum is an adapter of the first one's kind. A head of a task is no difference:
 * it is that of the one adapter that has one.
 *
 * @param parts of a kind: single numbers of weights (FISH Mask, LT-SFT, …), or whole tensors (BitFit)
 * @param context of the base model; each adapter is attached to it alone, which finds what does not fit
 * @throws ProblemError `combine.count`, `combine.method`, `combine.base`, `combine.kinds`, `combine.task`, `combine.heads`,
 *   `combine.biases`, `combine.infinite`; those of `attachAdapter`
 */
export async function combineAdapters(parts: readonly Part[], context: AttachContext): Promise<Combined> {
  checkParts(parts);
  const [{ adapter: first }] = parts as [Part, ...Part[]];
  const headed = parts.find(({ adapter }) => headKeys(adapter).length > 0)?.adapter;
  const warnings = await fits(
    parts.map(({ adapter }) => adapter),
    headed,
    context,
  );
  const sum = first.format.differences === 'places' ? await sparse(parts, context) : await whole(parts);
  checkFinite(sum.tensors);
  const task = headed ?? first;
  const head: NamedTensor[] = [];
  for (const name of headed === undefined ? [] : headKeys(headed)) {
    head.push({ name, shape: headed!.tensors.get(name)!.shape, data: await headed!.read(name) });
  }
  const from = parts.map((part) => ({
    adapter: nameOf(part),
    peft_type: part.adapter.peftType,
    weight: part.weight,
  }));
  const config: JsonObject = {
    ...first.config,
    ...sum.options,
    combined_from: from,
    task_type: task.config['task_type'] ?? null,
    ...(task.config['modules_to_save'] === undefined ? {} : { modules_to_save: task.config['modules_to_save'] }),
  };
  return {
    saved: {
      kind: 'adapter',
      config: Object.fromEntries(Object.entries(config).sort(([a], [b]) => (a < b ? -1 : 1))),
      tensors: [...sum.tensors, ...head],
      ...(sum.indices === undefined ? {} : { indices: sum.indices }),
      ...(task.labels === undefined ? {} : { labels: task.labels }),
    },
    numbers: sum.tensors.reduce((count, { data }) => count + data.length, 0),
    overlap: sum.overlap,
    warnings,
  };
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

/** What differences add up to. */
interface Sum {
  readonly tensors: readonly NamedTensor[];
  readonly indices?: readonly NamedIndices[];
  readonly overlap: number;
  /** What the config says otherwise than the first adapter's. */
  readonly options: JsonObject;
}

async function sparse(parts: readonly Part[], { model }: AttachContext): Promise<Sum> {
  // Two adapters may name a matrix that modules share after different ones of them.
  const siteOf = new Map<string, Site>();
  for (const site of model.sites) {
    if (site.weight !== undefined && !siteOf.has(site.weight)) siteOf.set(site.weight, site);
  }
  const weightOf = new Map(
    model.sites.flatMap((site) => (site.weight === undefined ? [] : [[site.path, site.weight]])),
  );
  const terms = new Map<string, { difference: SparseDifference; weight: number }[]>();
  for (const { adapter, weight } of parts) {
    for (const name of adapter.tensors.keys()) {
      const own = VALUES.exec(name)?.[1];
      const tensor = own === undefined ? undefined : weightOf.get(own);
      if (tensor === undefined) continue;
      const difference = {
        places: await adapter.readIndices(name.replace(/values$/, 'indices')),
        values: await adapter.read(name),
      };
      terms.set(tensor, [...(terms.get(tensor) ?? []), { difference, weight }]);
    }
  }
  const sums = [...siteOf].flatMap(([tensor, site]) => {
    const own = terms.get(tensor);
    return own === undefined ? [] : [{ site, ...sparseSum(own) }];
  });
  const numbers = sums.reduce((count, { places }) => count + places.length, 0);
  const share = numbers / sums.reduce((size, { site }) => size + weightSize(site), 0);
  const { config } = parts[0]!.adapter;
  return {
    tensors: sums.map(({ site, values }) => ({ name: valuesKey(site), shape: [values.length], data: values })),
    indices: sums.map(({ site, places }) => ({ name: indicesKey(site), data: places })),
    overlap: sums.reduce((count, each) => count + each.overlap, 0),
    options: {
      target_modules: sums.map(({ site }) => site.path),
      exclude_modules: null,
      layers_to_transform: null,
      layers_pattern: null,
      ...Object.fromEntries(SHARES.filter((key) => key in config).map((key) => [key, share])),
    },
  };
}

const VALUES = /^(.*)\.weight\.values$/;
/** Options that say which share of the targeted numbers an adapter changes. */
const SHARES = ['keep_ratio', 'ft_params_proportion'] as const;

async function whole(parts: readonly Part[]): Promise<Sum> {
  const namesOf = ({ adapter }: Part): string[] => {
    const ofHead = new Set(headKeys(adapter));
    return [...adapter.tensors.keys()].filter((name) => !ofHead.has(name));
  };
  const [first, ...others] = parts as [Part, ...Part[]];
  const names = namesOf(first);
  const other = others.find((part) => namesOf(part).sort().join() !== [...names].sort().join());
  if (other !== undefined) {
    fail({
      code: 'combine.biases',
      message: l10n.t`${nameOf(first)} and ${nameOf(other)} change different biases`,
      expected: l10n.t`adapters that were trained with the same bias_terms`,
      where: { file: other.adapter.configFile },
    });
  }
  const tensors: NamedTensor[] = [];
  for (const name of names) {
    const { shape } = first.adapter.tensors.get(name)!;
    const sum = new Float64Array(shape.reduce((size, length) => size * length, 1));
    for (const { adapter, weight } of parts) {
      (await adapter.read(name)).forEach((value, at) => (sum[at]! += weight * value));
    }
    tensors.push({ name, shape, data: Float32Array.from(sum) });
  }
  return { tensors, overlap: tensors.reduce((count, { data }) => count + data.length, 0), options: {} };
}

function checkParts(parts: readonly Part[]): void {
  if (parts.length < 2) {
    fail({
      code: 'combine.count',
      message: l10n.t`one adapter alone has nothing to be added to`,
      expected: l10n.t`two adapters or more`,
    });
  }
  checkMethods(parts);
  const [first, ...others] = parts as [Part, ...Part[]];
  for (const other of others) {
    const [a, b] = [first.adapter, other.adapter];
    const where = { file: b.configFile };
    if (a.format.differences !== b.format.differences) {
      fail({
        code: 'combine.kinds',
        message: l10n.t`${nameOf(first)} (${a.peftType}) and ${nameOf(other)} (${b.peftType}) keep their differences in different forms`,
        where,
        expected: l10n.t`only adapters of single numbers of weights, or only BitFit's`,
        mend: l10n.t`Add those of one form; the others stay adapters of their own.`,
      });
    }
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
}

/** Adapters that cannot be added at all are told as such first. @throws ProblemError `combine.method` */
function checkMethods(parts: readonly Part[]): void {
  for (const { adapter } of parts) {
    if (adapter.format.differences !== undefined) continue;
    fail({
      code: 'combine.method',
      message: l10n.t`${adapter.peftType} does not keep differences from the base model: what its tensors change depends on more than their sum`,
      where: { file: adapter.folder },
      expected: l10n.t`adapters that change single numbers of weights, or biases: LT_SFT, FISH_MASK, FISH_DIP, PAFI, SAM, BITFIT`,
      mend: l10n.t`Merge it into the base model, and use the merged model.`,
    });
  }
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

/** The end of its path: a run's adapters are all called alike. */
export function nameOf({ adapter }: Part): string {
  return adapter.folder.split(path.sep).slice(-3).join('/');
}
