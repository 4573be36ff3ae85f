import type { Attached } from '../methods/method.js';
import type { LanguageModel } from '../models/architecture.js';
import { planProgram } from '../runtime/replay.js';
import { fixedSize } from '../tensor/dims.js';
import type { Tensor } from '../tensor/tensor.js';
import { rowPrograms } from './rowPrograms.js';
import type { RowSum } from './rowPrograms.js';
import { groups, session } from './stepMemory.js';
import type { PreparationMemory } from './stepMemory.js';

/** Passes over single rows that a method makes before a run. */
export interface RowPass {
  /** Frozen weights, by their name in the checkpoint. */
  readonly weights: readonly string[];
  /** What is summed, one after the other; earlier sums are kept. */
  readonly sums: readonly RowSum[];
}

/**
 * Plans the passes of rowPasses.ts, one for each graph.
 * @param limits.most rows of a training batch
 */
export function rowPassMemory(
  model: LanguageModel,
  before: readonly Attached[],
  pass: RowPass,
  limits: { readonly positionLimit: number; readonly most: number },
): PreparationMemory[] {
  const hooks = before.map((method) => method.hooks);
  const trainables = bytesOf(before.flatMap((method) => method.trainables.map(({ variable }) => variable)));
  const groupOf = groups(model, new Set(), new Set());
  let kept = 0;
  return pass.sums.flatMap((what) => {
    const programs = rowPrograms(model, hooks, pass, what, limits);
    kept += bytesOf(programs.flatMap(({ sums }) => sums));
    return programs.map(({ rows, outputs }) => {
      const program = planProgram(outputs, groupOf, () => true);
      return { rows, sums: kept, trainables, session: session([{ kind: 'preparation', program }]) };
    });
  });
}

/** As float32. */
function bytesOf(tensors: readonly Tensor[]): number {
  return tensors.reduce((sum, { shape }) => sum + 4 * fixedSize(shape), 0);
}
