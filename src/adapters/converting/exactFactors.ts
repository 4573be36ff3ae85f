import * as l10n from '@vscode/l10n';
import { fail } from '../../common/problem.js';
import type { PairValues } from '../../methods/lowRankPair.js';
import type { AdapterOnDisk } from '../readAdapter.js';

/** ΔW = s·B·A of a module. */
export type Factors = PairValues & {
  /** s */
  readonly scale: number;
};

/**
 * What the updates of an adapter are products of, by the module's path, where its method's are such products and nothing more:
 * AdaLoRA (λ goes into A), MELoRA (blocks become block-diagonal matrices), LoTR (L·M is B). A module may have rank 0.
 *
 * @returns undefined for adapters of other methods, and for LoRA, whose pairs already are what they would become
 * @throws ProblemError those of the adapter's files
 */
export async function exactFactors(adapter: AdapterOnDisk): Promise<ReadonlyMap<string, Factors> | undefined> {
  const { pair, inspect, type } = adapter.format;
  if (pair === undefined || type === 'LORA') return undefined;
  const { modules, problems } = await inspect(adapter);
  const [wrong] = problems.filter(({ severity }) => severity !== 'warning');
  if (wrong !== undefined) fail(wrong);
  const factors = new Map<string, Factors>();
  for (const module of modules) {
    const { path, rank, scale } = module;
    if (scale === undefined) {
      return fail({
        code: 'adapter.config',
        message: l10n.t`the config does not say what the update of ${path} is multiplied by`,
        where: { file: adapter.configFile },
      });
    }
    const found =
      rank === 0 ? { r: 0, a: new Float32Array(0), b: new Float32Array(0) } : await pair(adapter, module);
    factors.set(path, { ...found, scale });
  }
  return factors;
}
