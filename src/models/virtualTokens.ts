import { greaterOrEqual, sub, where } from '../tensor/ops/elementwise.js';
import { gatherRows } from '../tensor/ops/indexing.js';
import { concat, reshape } from '../tensor/ops/shape.js';
import type { Tensor } from '../tensor/tensor.js';
import { scalar } from '../tensor/tensor.js';
import type { Hooks, Phase } from './site.js';

/** How many virtual tokens the methods put before every text, all together. */
export function virtualTokenCount(hooks: readonly Hooks[]): number {
  return hooks.reduce((sum, hook) => sum + (hook.virtualTokens ?? 0), 0);
}

/**
 * The ids of the virtual tokens before a text, in their order. They follow those of the vocabulary, method after method
 * and within a method task after task, so that a row's ids say of which task it is.
 *
 * @param task the row's; methods that do not tell tasks apart have the same ids for all
 */
export function virtualTokenIds(hooks: readonly Hooks[], vocabSize: number, task = 0): number[] {
  let next = vocabSize;
  return hooks.flatMap(({ virtualTokens = 0, virtualTasks = 1 }) => {
    const first = next + (virtualTasks > 1 ? task * virtualTokens : 0);
    next += virtualTasks * virtualTokens;
    return Array.from({ length: virtualTokens }, (_, at) => first + at);
  });
}

/**
 * Embeds tokens of which some may be virtual: an id from `vocabSize` up takes a row of the methods instead of the
 * model's. As ids they pass through packing, padding, positions and the key-value cache like any other token.
 *
 * @param ids [batch, sequence]
 * @param lookUp embeds ids of the vocabulary: [batch, sequence] → [batch, sequence, hidden]
 */
export function withVirtualTokens(
  ids: Tensor,
  vocabSize: number,
  hooks: readonly Hooks[],
  phase: Phase,
  lookUp: (known: Tensor) => Tensor,
): Tensor {
  const rows = hooks.flatMap((hook) => hook.virtualEmbeddings?.(phase) ?? []);
  if (rows.length === 0) return lookUp(ids);
  const isVirtual = greaterOrEqual(ids, scalar(vocabSize, ids.dtype));
  const first = scalar(0, ids.dtype);
  const real = lookUp(where(isVirtual, first, ids));
  const table = rows.length === 1 ? rows[0]! : concat(rows, 0);
  const virtual = gatherRows(table, where(isVirtual, sub(ids, scalar(vocabSize, ids.dtype)), first));
  return where(reshape(isVirtual, [...ids.shape, 1]), virtual, real);
}
