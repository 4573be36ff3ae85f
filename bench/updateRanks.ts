import { existsSync } from 'node:fs';
import path from 'node:path';
import { attachAdapter } from '../src/adapters/attachAdapter.js';
import { readAdapter } from '../src/adapters/readAdapter.js';
import { random } from '../src/common/random.js';
import { effectiveRank } from '../src/linalg/effectiveRank.js';
import { multiplied, transposed } from '../src/linalg/products.js';
import { symmetricEigenvalues } from '../src/linalg/symmetricEigen.js';
import { openCheckpoint } from '../src/models/openCheckpoint.js';
import { readModel } from '../src/models/readModel.js';
import type { Site } from '../src/models/site.js';

/** Ranks of what a run changed of its linear modules, means over those that it changed. */
export interface UpdateRanks {
  /** Modules with a change. */
  readonly modules: number;
  /** exp of the entropy of the singular values. */
  readonly effective: number;
  /** Singular values above 1 % of the largest. */
  readonly numerical: number;
}

const SHARE = 0.01;

/**
 * Of the adapter, or the whole model, that a run wrote.
 * @param base a checkpoint whose linears lie as [out, in]
 */
export async function updateRanks(base: string, result: string): Promise<UpdateRanks> {
  const checkpoint = await openCheckpoint(base);
  const model = readModel(checkpoint);
  const changed = await changesOf(checkpoint, model, result);
  const found: { effective: number; numerical: number }[] = [];
  for (const site of model.sites) {
    if (site.kind !== 'linear' || site.layer === undefined || site.weight === undefined) continue;
    const before = await checkpoint.read(site.weight);
    const after = await changed(site, before);
    if (after === undefined || after.every((value, at) => value === before[at])) continue;
    const values = singularValues(
      Float64Array.from(after, (value, at) => value - before[at]!),
      site.shape,
    );
    found.push({
      effective: effectiveRank(values),
      numerical: values.filter((value) => value > SHARE * values[0]!).length,
    });
  }
  const mean = (of: (each: (typeof found)[number]) => number): number =>
    found.reduce((sum, each) => sum + of(each), 0) / found.length;
  return {
    modules: found.length,
    effective: mean(({ effective }) => effective),
    numerical: mean(({ numerical }) => numerical),
  };
}

async function changesOf(
  checkpoint: Awaited<ReturnType<typeof openCheckpoint>>,
  model: ReturnType<typeof readModel>,
  result: string,
): Promise<(site: Site, before: Float32Array) => Promise<Float32Array | undefined> | Float32Array | undefined> {
  if (!existsSync(path.join(result, 'adapter_config.json'))) {
    const whole = await openCheckpoint(result);
    return ({ weight }) => whole.read(weight!);
  }
  const { method, values } = await attachAdapter(await readAdapter(result), {
    model,
    modelName: '',
    read: (name) => checkpoint.read(name),
    random: (...stream) => random(0, ...stream),
  });
  return (site, before) => method.merge?.(site, 'weight', before, values);
}

/** Largest first: square roots of the eigenvalues of the smaller Gram matrix. */
function singularValues(matrix: Float64Array, [rows, columns]: readonly number[]): Float64Array {
  const back = transposed(matrix, rows!, columns!);
  const [gram, n] =
    rows! <= columns!
      ? [multiplied(matrix, back, rows!, columns!), rows!]
      : [multiplied(back, matrix, columns!, rows!), columns!];
  return symmetricEigenvalues(gram, n).map((value) => Math.sqrt(Math.max(0, value)));
}
