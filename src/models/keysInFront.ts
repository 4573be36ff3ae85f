import { add } from '../tensor/ops/elementwise.js';
import { concat, expand, reshape } from '../tensor/ops/shape.js';
import type { Tensor } from '../tensor/tensor.js';
import type { DecoderInputs } from './architecture.js';
import { virtualTokenCount } from './virtualTokens.js';
import type { AttentionPlace, Hooks, KeyValues, Phase } from './site.js';

/** How many keys the methods put before those of every text, all together. */
export function keysInFrontCount(hooks: readonly Hooks[]): number {
  return hooks.reduce((sum, hook) => sum + (hook.keysInFront?.length ?? 0), 0);
}

/** Positions that the methods take before every text: virtual tokens, and keys in front. */
export function positionsInFront(hooks: readonly Hooks[]): number {
  return virtualTokenCount(hooks) + keysInFrontCount(hooks);
}

/** Tokens stand behind the keys in front: their positions start at `count`. */
export function behindKeys(inputs: DecoderInputs, count: number): DecoderInputs {
  if (count === 0) return inputs;
  return { ...inputs, positions: add(inputs.positions, count), positionLimit: inputs.positionLimit + count };
}

/**
 * The keys and values in front of a place's own, those of the method attached first before the others'.
 *
 * @param own keys and values [batch, keyHeads, n, headSize]
 * @returns [batch, keyHeads, count + n, headSize]
 */
export function withKeysInFront(
  place: AttentionPlace,
  own: KeyValues,
  hooks: readonly Hooks[],
  phase: Phase,
): KeyValues {
  const front = hooks.flatMap((hook) => hook.keysInFront?.at(place, phase) ?? []);
  if (front.length === 0) return own;
  const join = (each: readonly Tensor[], behind: Tensor): Tensor =>
    concat([...each.map((tensor) => forEveryRow(tensor, behind)), behind], 2);
  return {
    keys: join(
      front.map(({ keys }) => keys),
      own.keys,
    ),
    values: join(
      front.map(({ values }) => values),
      own.values,
    ),
  };
}

/** [keyHeads, n, headSize] → [batch, keyHeads, n, headSize] with the batch of `like` */
function forEveryRow(x: Tensor, like: Tensor): Tensor {
  return expand(reshape(x, [1, ...x.shape]), [like.shape[0]!, ...x.shape]);
}
