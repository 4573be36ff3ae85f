import * as l10n from '@vscode/l10n';
import { fail } from '../../common/problem.js';
import type { AttachContext, NamedTensor } from '../../methods/method.js';
import { headKeys } from '../adapterTask.js';
import type { CombinedModule } from './combination.js';
import { combinedNumbers } from './combinedNumbers.js';
import type { NumbersTerm } from './combinedNumbers.js';
import { nameOf, nothingLeft } from './combinedPart.js';
import type { Part, Sum, WeighedPart } from './combinedPart.js';
import { sparseSum } from '../sparseSum.js';

/**
 * Sums of differences of whole tensors, which all of the adapters have.
 * @param parts of adapters whose `differences` are `tensors`
 * @throws ProblemError `combine.biases`, `combine.nothing`
 */
export async function combineTensors(parts: readonly WeighedPart[], { model }: AttachContext): Promise<Sum> {
  const namesOf = ({ adapter }: Part): string[] => {
    const ofHead = new Set(headKeys(adapter));
    return [...adapter.tensors.keys()].filter((name) => !ofHead.has(name));
  };
  const [first, ...others] = parts as [WeighedPart, ...WeighedPart[]];
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
  const siteAt = new Map(model.sites.map((site) => [site.path, site]));
  const tensors: NamedTensor[] = [];
  const modules: CombinedModule[] = [];
  for (const name of names) {
    const { shape } = first.adapter.tensors.get(name)!;
    const site = siteAt.get(name.replace(/\.bias\.difference$/, ''))!;
    const size = shape.reduce((product, length) => product * length, 1);
    const places = Int32Array.from({ length: size }, (_, at) => at);
    const terms: NumbersTerm[] = [];
    for (const [at, { adapter, weightIn }] of parts.entries()) {
      const weight = weightIn(site);
      if (weight !== 0) terms.push({ at, weight, difference: { places, values: await adapter.read(name) } });
    }
    const sum = { places, values: terms.length === 0 ? new Float32Array(size) : sparseSum(terms).values };
    tensors.push({ name, shape, data: sum.values });
    modules.push(combinedNumbers(site, size, terms, parts, sum));
  }
  if (modules.every(({ weights }) => weights.every((weight) => weight === 0))) nothingLeft();
  return {
    config: first.adapter.config,
    tensors,
    modules,
    overlap: tensors.reduce((count, { data }) => count + data.length, 0),
  };
}
