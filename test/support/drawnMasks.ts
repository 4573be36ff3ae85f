import { fixedShape } from '../../src/tensor/dims.js';
import { constant, input } from '../../src/tensor/tensor.js';
import type { Variable } from '../../src/tensor/tensor.js';
import type { Attached } from '../../src/methods/method.js';
import type { Runtime } from '../../src/runtime/runtime.js';
import { intFeed } from '../../src/training/lossGraph.js';

/**
 * What a method makes of gradients that are all one, at each of some seeds: by the seed, by the trainable's name. Of
 * Child-Tuning-F it is the mask, times 1/p where gradients are rescaled.
 */
export async function gradientsOfOne(
  runtime: Runtime,
  method: Attached,
  variables: readonly Variable[],
  seeds: readonly number[],
): Promise<Map<number, Map<string, Float32Array>>> {
  const dropoutSeed = input('dropout_seed', 'int32', []);
  const governed = variables.map((each) => {
    const shape = fixedShape(each.shape);
    const ones = new Float32Array(shape.reduce((product, length) => product * length, 1)).fill(1);
    return [each.name, method.gradient!(each, constant(ones, shape), { dropoutSeed })] as const;
  });
  const program = await runtime.compile(Object.fromEntries(governed));
  const found = new Map<number, Map<string, Float32Array>>();
  for (const seed of seeds) {
    const results = await program.run({ dropout_seed: intFeed(seed) });
    found.set(
      seed,
      new Map(Object.entries(results).map(([name, { data }]) => [name, Float32Array.from(data, Number)])),
    );
  }
  await program.dispose();
  return found;
}
