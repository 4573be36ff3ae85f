import * as l10n from '@vscode/l10n';
import type { Json } from '../common/json.js';
import { boundedProblem, fail, isError } from '../common/problem.js';
import type { Problem } from '../common/problem.js';
import type { InspectedModule, InspectedTensors } from '../methods/peftFormat.js';
import { STORED_NUMBERS } from '../methods/peftConfig.js';
import { elementCount } from '../models/tensorSpans.js';
import { INDEX_DTYPE } from './adapterFiles.js';
import { failIn } from './attachAdapter.js';
import { HEAD_MODULES, headKeys } from './adapterTask.js';
import { readBaseModules, unmatchedModules } from './findBase.js';
import type { AdapterOnDisk } from './readAdapter.js';
import { faultProblem, readMended } from './faults/readMended.js';
import type { Mended } from './faults/readMended.js';
import { wrongCount } from './storedNumbers.js';
import { trainedShares } from './trainedShares.js';
import type { TrainedShare } from './trainedShares.js';

export interface Inspection {
  readonly folder: string;
  readonly method: string;
  readonly base: string | undefined;
  readonly r: number | undefined;
  readonly alpha: number | undefined;
  readonly modules: readonly InspectedModule[];
  /** What the matrices of a module are: `A [r, in]`, `B [out, r]`. */
  readonly factors: readonly string[];
  /** Factors of which there is one for several modules. */
  readonly shared: NonNullable<InspectedTensors['shared']>;
  /** Parameters of the base that trained whole (`modules_to_save`, biases), by their key. */
  readonly whole: readonly {
    readonly key: string;
    readonly shape: readonly number[];
    readonly trainable: number;
  }[];
  /** Numbers that were trained: modules and whole parameters. */
  readonly trainable: number;
  /** What of them is in which layer, the last what stands beside them, and in which kind of module. */
  readonly layers: readonly TrainedShare[];
  readonly kinds: readonly TrainedShare[];
  /** The folder of the base model that the modules' shapes were compared with. */
  readonly checkedWith: string | undefined;
  readonly tensors: number;
  readonly problems: readonly Problem[];
}

/**
 * What an adapter folder holds. What is wrong with its content is reported in `problems`.
 *
 * @param basePlace says where the base model is that the adapter names: of a folder the headers are read, and modules of
 *   low-rank updates that are not there or do not fit are told
 * @throws ProblemError where the folder or its files cannot be read at all (see {@link readAdapter})
 */
export async function inspectAdapter(
  folder: string,
  basePlace: (named: string | undefined) => Promise<string | undefined> = () => Promise.resolve(undefined),
): Promise<Inspection> {
  return inspectMended(await readMended(folder), basePlace);
}

/** {@link inspectAdapter} of an adapter that is read. */
export async function inspectMended(
  { adapter, faults }: Mended,
  basePlace: (named: string | undefined) => Promise<string | undefined> = () => Promise.resolve(undefined),
): Promise<Inspection> {
  const head = headKeys(adapter);
  const {
    modules,
    unknown,
    shared = [],
    factors = ['A [r, in]', 'B [out, r]'],
    ...found
  } = await adapter.format
    .inspect(withoutKeys(adapter, head))
    .catch((error: unknown) => failIn(adapter.configFile, error));
  // What a repair would mend is told as it is, and the rest as it would be then.
  const problems = [...faults.map((fault) => faultProblem(fault, adapter.folder)), ...found.problems];
  const report = (code: string, problem: Pick<Problem, 'message' | 'mend'>): void => {
    problems.push({ code, severity: 'error', where: { file: adapter.weightsFile }, ...problem });
  };
  for (const [name, { dtype }] of adapter.tensors) {
    if (dtype === INDEX_DTYPE) continue;
    const values = await adapter.read(name);
    const at = values.findIndex((value) => !Number.isFinite(value));
    if (at < 0) continue;
    report('adapter.non-finite', {
      message: l10n.t`${name} holds ${String(values[at])} at position ${at}`,
      mend: l10n.t`The run that made it diverged: train again with a lower learning rate.`,
    });
  }
  const nothing = modules.filter(({ norm }) => norm === 0);
  // Where ranks are shared out, a module may have been left without any.
  const untrained = nothing.length === modules.length ? nothing : nothing.filter(({ rank }) => rank > 0);
  if (untrained.length > 0) {
    report('adapter.untrained', {
      message:
        untrained.length === modules.length
          ? l10n.t`every module has ΔW = 0 (such as ${untrained[0]!.path}): never trained`
          : l10n.t`${untrained.length} of ${modules.length} modules have ΔW = 0 (such as ${untrained[0]!.path}): never trained`,
      mend: l10n.t`No gradient reached them, or the file was written before the first step: look at the run that made it.`,
    });
  }
  problems.push(...unknownTensors(adapter, unknown), ...wrongCount(adapter));
  // Differences that came to nothing are not written, which their count says.
  if (adapter.tensors.size === 0 && adapter.config[STORED_NUMBERS] !== 0 && !problems.some(isError)) {
    report('adapter.untrained', {
      message: l10n.t`the adapter's tensors hold ${0} numbers`,
      mend: l10n.t`No gradient reached them, or the file was written before the first step: look at the run that made it.`,
    });
  }
  const place = adapter.format.pair === undefined ? undefined : await basePlace(adapter.baseModel);
  const base = place === undefined ? undefined : await readBaseModules(place);
  const matrices = modules.flatMap(({ path, rank, a, b }) =>
    a.length === 2 && b?.length === 2 ? [{ path, rank, a, b }] : [],
  );
  for (const message of base === undefined ? [] : unmatchedModules(matrices, base)) {
    report('adapter.unmatched', {
      message,
      mend: l10n.t`Name the base model that the adapter was trained on.`,
    });
  }
  const whole = [...found.whole, ...head].map((key) => {
    const { shape } = adapter.tensors.get(key)!;
    return { key, shape, trainable: found.numbers?.get(key) ?? elementCount(shape) ?? 0 };
  });
  return {
    folder: adapter.folder,
    method: adapter.peftType.toLowerCase(),
    base: adapter.baseModel,
    r: found.r,
    alpha: found.alpha,
    modules,
    factors,
    shared,
    whole,
    trainable: [...modules, ...shared, ...whole].reduce((sum, each) => sum + each.trainable, 0),
    ...trainedShares({ modules, shared, whole }),
    checkedWith: base === undefined ? undefined : place,
    tensors: adapter.tensors.size,
    problems: problems.map(boundedProblem),
  };
}

/**
 * Refuses an adapter whose tensors do not belong together, as far as that shows without its base model.
 *
 * @throws ProblemError `adapter.*`, `sparse-delta.indices`: what {@link inspectAdapter} reports first, numbers apart
 */
export async function checkTensors(adapter: AdapterOnDisk): Promise<void> {
  const { problems, unknown } = await adapter.format
    .inspect(withoutKeys(adapter, headKeys(adapter)))
    .catch((error: unknown) => failIn(adapter.configFile, error));
  const wrong = [...problems, ...unknownTensors(adapter, unknown), ...wrongCount(adapter)].find(isError);
  if (wrong !== undefined) fail(wrong);
}

function unknownTensors({ weightsFile }: AdapterOnDisk, unknown: readonly string[]): readonly Problem[] {
  if (unknown.length === 0) return [];
  return [
    {
      code: 'adapter.unknown-tensors',
      severity: 'error',
      where: { file: weightsFile },
      message: l10n.t`${unknown.length} tensors belong to nothing that the config names: ${unknown.slice(0, 3).join(', ')}${unknown.length > 3 ? ', …' : ''}`,
      mend: l10n.t`The adapter was made by another method or another version: load it where it was made.`,
    },
  ];
}

/** An adapter as a method made it: without the head of the task, which the method does not know. */
function withoutKeys(adapter: AdapterOnDisk, keys: readonly string[]): AdapterOnDisk {
  if (keys.length === 0) return adapter;
  const left = [...adapter.tensors].filter(([key]) => !keys.includes(key));
  const { modules_to_save: saved, ...config } = adapter.config;
  const isOfHead = (name: Json): boolean => typeof name === 'string' && HEAD_MODULES.includes(name);
  const rest = Array.isArray(saved) ? saved.filter((name: Json) => !isOfHead(name)) : [];
  return {
    ...adapter,
    config: rest.length === 0 ? config : { ...config, modules_to_save: rest },
    tensors: new Map(left),
  };
}
