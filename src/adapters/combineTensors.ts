import * as l10n from '@vscode/l10n';
import { fail } from '../common/problem.js';
import type { NamedTensor } from '../methods/method.js';
import { headKeys } from './adapterTask.js';
import { nameOf } from './combinedPart.js';
import type { Part, Sum } from './combinedPart.js';

/**
 * Sums of differences of whole tensors, which all of the adapters have.
 * @param parts of adapters whose `differences` are `tensors`
 * @throws ProblemError `combine.biases`
 */
export async function combineTensors(parts: readonly Part[]): Promise<Sum> {
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
  return {
    config: first.adapter.config,
    tensors,
    overlap: tensors.reduce((count, { data }) => count + data.length, 0),
  };
}
