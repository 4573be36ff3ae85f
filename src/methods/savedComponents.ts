import type { Variable } from '../tensor/tensor.js';
import { peftKey } from './loraParameters.js';
import type { AttachContext, LoadedValues, NamedTensor, Values } from './method.js';
import { padded } from './pairComponents.js';
import { loadByKey, parameterSize } from './parameters.js';
import type { FinishedPair } from './plainLora.js';
import { componentsOf, liveComponents, scaledRows } from './scaledPair.js';
import type { ScaledPair } from './scaledPair.js';

/** Only the components whose λ is not 0, with λ in A: [k, in] and [out, k]. */
export function finishedPair(each: ScaledPair, values: Values): FinishedPair {
  const { site, scale } = each.pair;
  const { r, a, b, lambda } = componentsOf(each, values, liveComponents(each, values));
  return { site, scale, r, a: scaledRows(a, lambda), b };
}

/**
 * The components that a plain LoRA was saved with, their λ 1; the others are nothing, their λ 0.
 * @throws ProblemError `adapter.keys`, `adapter.shape`
 */
export function loadedPairs(
  pairs: readonly ScaledPair[],
  { instance = '' }: AttachContext,
  tensors: ReadonlyMap<string, NamedTensor>,
  source: string,
): LoadedValues {
  const keyOf = (name: string): string => peftKey(name.slice(instance.length));
  const whole = new Map(tensors);
  const factors = pairs.map(({ pair, e }): [string, Float32Array] => {
    const { a, b, r } = pair;
    const [ofA, ofB] = [a, b].map(({ name }) => tensors.get(keyOf(name)));
    const k = ofA?.shape[0] ?? 0;
    const zeros = (of: Variable): NamedTensor => ({
      name: keyOf(of.name),
      shape: of.shape as readonly number[],
      data: new Float32Array(parameterSize(of.shape)),
    });
    if (ofA === undefined && ofB === undefined) {
      for (const each of [a, b]) whole.set(keyOf(each.name), zeros(each));
    } else if (ofA !== undefined && ofB !== undefined && k > 0 && k < r && ofB.shape[1] === k) {
      const full = padded({ r: k, a: ofA.data, b: ofB.data }, r);
      whole.set(ofA.name, { ...ofA, shape: [r, ...ofA.shape.slice(1)], data: full.a });
      whole.set(ofB.name, { ...ofB, shape: [ofB.shape[0]!, r], data: full.b });
    }
    return [e.name, Float32Array.from({ length: r }, (_, at) => (at < k ? 1 : 0))];
  });
  const stored = pairs.flatMap(({ pair: { a, b } }) => [{ variable: a }, { variable: b }]);
  const { values, warnings } = loadByKey(stored, keyOf, whole, source);
  return { values: new Map([...values, ...factors]), warnings };
}
