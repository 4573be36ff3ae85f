import * as l10n from '@vscode/l10n';
import { fail, isError } from '../../common/problem.js';
import type { Problem } from '../../common/problem.js';
import type { PairValues } from '../../methods/lowRankPair.js';
import type { InspectedModule, PeftFormat } from '../../methods/peftFormat.js';
import type { MethodConfig } from '../../methods/registry.js';
import type { AdapterComparison, ComparedGroup, ComparedModule, SharedSpace, Two } from './adapterComparison.js';
import { compareUpdates } from './compareUpdates.js';
import { inspectAdapter } from '../inspect.js';
import type { Inspection } from '../inspect.js';
import { meanOfKnown } from '../meanOfKnown.js';
import { readAdapter } from '../readAdapter.js';
import type { AdapterOnDisk } from '../readAdapter.js';
import { inOrder } from '../trainedShares.js';

/**
 * Two adapters of low-rank updates of one base model, module by module: norms, cosine, signs, and the angles between what
 * they read from and write to. The base model is not needed.
 *
 * @param folders of adapters whose updates are s·B·A: LoRA and its kin, of any ranks
 * @param onModule called before each module that both have; may throw to end it
 * @throws ProblemError `compare-adapters.method`, `.nothing-shared`, `.shape`, `.non-finite`; those of `readAdapter`, and the
 *   first that `inspectAdapter` reports
 */
export async function compareAdapters(
  folders: Two<string>,
  onModule: (done: number, total: number) => Promise<void> = () => Promise.resolve(),
): Promise<AdapterComparison> {
  const opened: Two<Opened> = [await open(folders[0]), await open(folders[1])];
  const [one, other] = opened;
  const others = new Map(other.found.modules.map((module) => [module.path, module]));
  const both = one.found.modules.flatMap((module) => {
    const second = others.get(module.path);
    return second === undefined ? [] : [[module, second] as const];
  });
  if (both.length === 0) nothingShared(opened);
  for (const pair of both) checkShapes(pair, opened);
  const modules: ComparedModule[] = [];
  for (const [done, pair] of both.entries()) {
    await onModule(done, both.length);
    const values: Two<PairValues> = [await scaledPair(one, pair[0]), await scaledPair(other, pair[1])];
    modules.push(await compareUpdates(pair[0].path, shapeOf(pair[0]), values));
  }
  await onModule(both.length, both.length);
  const shared = new Set(both.map(([{ path }]) => path));
  const alone = ({ found }: Opened): string[] =>
    found.modules.map(({ path }) => path).filter((path) => !shared.has(path));
  return {
    adapters: [summaryOf(one), summaryOf(other)],
    modules,
    layers: grouped(modules, ({ layer }) => layer).sort(inOrder),
    kinds: grouped(modules, ({ kind }) => kind),
    total: addedUp('', modules),
    alone: [alone(one), alone(other)],
    problems: [
      ...otherBases(opened),
      ...opened.flatMap(({ found }) => found.problems),
      ...opened.flatMap(notCompared),
    ],
  };
}

interface Opened {
  readonly adapter: AdapterOnDisk;
  readonly pair: NonNullable<PeftFormat<MethodConfig>['pair']>;
  readonly found: Inspection;
}

async function open(folder: string): Promise<Opened> {
  const adapter = await readAdapter(folder);
  const { pair } = adapter.format;
  if (pair === undefined) return otherMethod(adapter);
  const found = await inspectAdapter(folder);
  // An adapter that never trained can be compared all the same: it changes nothing.
  const wrong = found.problems.find((each) => isError(each) && each.code !== 'adapter.untrained');
  return wrong === undefined ? { adapter, pair, found } : fail(wrong);
}

/** @throws ProblemError `compare-adapters.method` */
function otherMethod({ peftType, format, folder }: AdapterOnDisk): never {
  const masks = format.differences === 'places' || peftType === 'LEARNED_MASK';
  return fail({
    code: 'compare-adapters.method',
    message: l10n.t`${peftType} has no update B·A of each module to compare`,
    where: { file: folder },
    expected: l10n.t`two adapters of LORA, ADALORA, MELORA or LOTR`,
    mend: masks
      ? l10n.t`Which numbers two masks have in common says: peft-studio masks A B.`
      : l10n.t`Compare what they do instead: their runs, or their answers in the playground.`,
  });
}

/** [out, in] */
function shapeOf({ a, b = [] }: InspectedModule): Two<number> {
  return [b[0]!, a[1]!];
}

function checkShapes([first, second]: Two<InspectedModule>, [one, other]: Two<Opened>): void {
  const [left, right] = [shapeOf(first), shapeOf(second)];
  if (left.join() === right.join()) return;
  fail({
    code: 'compare-adapters.shape',
    message: l10n.t`${first.path} is [${left.join(', ')}] in ${one.adapter.folder} and [${right.join(', ')}] in ${other.adapter.folder}`,
    where: { file: other.adapter.weightsFile },
    expected: l10n.t`adapters of one base model`,
  });
}

function nothingShared([one, other]: Two<Opened>): never {
  const example = ({ found }: Opened): string => found.modules[0]?.path ?? '–';
  return fail({
    code: 'compare-adapters.nothing-shared',
    message: l10n.t`no module is changed by both (${example(one)} and the like; ${example(other)} and the like)`,
    where: { file: other.adapter.folder },
    expected: l10n.t`adapters of one base model that have modules in common`,
  });
}

/** s·B·A with s in B. @throws ProblemError `compare-adapters.non-finite` */
async function scaledPair({ adapter, pair }: Opened, module: InspectedModule): Promise<PairValues> {
  if (module.rank === 0) return { r: 0, a: new Float32Array(0), b: new Float32Array(0) };
  const { r, a, b } = await pair(adapter, module);
  const { scale = 1 } = module;
  const scaled = scale === 1 ? b : b.map((value) => scale * value);
  if (![a, scaled].every((values) => values.every(Number.isFinite))) {
    return fail({
      code: 'compare-adapters.non-finite',
      message: l10n.t`the update of ${module.path}, scale included, is not finite`,
      where: { file: adapter.weightsFile },
    });
  }
  return { r, a, b: scaled };
}

function summaryOf({ adapter, found }: Opened): AdapterComparison['adapters'][number] {
  const { folder, method, trainable, modules } = found;
  return { folder, method, base: adapter.baseModel ?? null, trainable, modules: modules.length };
}

/** Two names may stand for one model. */
function otherBases([one, other]: Two<Opened>): readonly Problem[] {
  const [first, second] = [one.adapter.baseModel, other.adapter.baseModel];
  if (first === second) return [];
  return [
    {
      code: 'compare-adapters.base-names',
      severity: 'warning',
      message: l10n.t`the adapters name different base models: ${first ?? '?'} and ${second ?? '?'}`,
      mend: l10n.t`Nothing to do if that is one model; of different ones the comparison says little.`,
    },
  ];
}

/** What an adapter changes beside updates s·B·A. */
function notCompared({ adapter, found }: Opened): readonly Problem[] {
  const warn = (code: string, message: string): Problem => ({
    code: `compare-adapters.${code}`,
    severity: 'warning',
    message,
    where: { file: adapter.configFile },
  });
  const { whole } = found;
  return [
    ...(adapter.config['use_dora'] === true
      ? [
          warn(
            'dora',
            l10n.t`with use_dora the whole weight is scaled, too: s·B·A is compared, magnitudes are not`,
          ),
        ]
      : []),
    ...(whole.length > 0
      ? [
          warn(
            'whole',
            l10n.t`${whole.length} tensors that trained whole, such as ${whole[0]!.key}, are not compared: what changed in them shows beside the base model only`,
          ),
        ]
      : []),
  ];
}

function grouped(modules: readonly ComparedModule[], nameOf: (module: ComparedModule) => string): ComparedGroup[] {
  const groups = new Map<string, ComparedModule[]>();
  for (const module of modules) {
    const group = groups.get(nameOf(module)) ?? [];
    groups.set(nameOf(module), group);
    group.push(module);
  }
  return [...groups].map(([name, group]) => addedUp(name, group));
}

/** Modules as one update: all their numbers in one vector. Of spaces the means. */
function addedUp(name: string, modules: readonly ComparedModule[]): ComparedGroup {
  const norm = (at: 0 | 1): number => Math.sqrt(modules.reduce((sum, { norms: own }) => sum + own[at] ** 2, 0));
  const norms: Two<number> = [norm(0), norm(1)];
  const product = norms[0] * norms[1];
  const inner = modules.reduce((sum, each) => sum + (each.cosine ?? 0) * each.norms[0] * each.norms[1], 0);
  const sizeOf = ({ shape: [out, inputs] }: ComparedModule): number => out * inputs;
  return {
    name,
    modules: modules.length,
    norms,
    cosine: product === 0 ? null : inner / product,
    signConflicts: meanOfKnown(modules.map((each) => [each.signConflicts, sizeOf(each)])),
    outputs: meanSpace(modules.map(({ outputs }) => outputs)),
    inputs: meanSpace(modules.map(({ inputs }) => inputs)),
  };
}

function meanSpace(spaces: readonly SharedSpace[]): SharedSpace {
  return {
    shared: meanOfKnown(spaces.map(({ shared }) => [shared, 1])),
    sharedByChance: meanOfKnown(spaces.map(({ sharedByChance }) => [sharedByChance, 1])),
  };
}
