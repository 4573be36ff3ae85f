import type { MatrixProducts } from '../linalg/products.js';
import { dim } from '../tensor/dims.js';
import { matmul } from '../tensor/ops/matmul.js';
import { input } from '../tensor/tensor.js';
import type { Runtime, Value } from './runtime.js';

/** Products of matrices on a runtime. */
export interface RuntimeProducts {
  /** @param matrix [rows, columns] row-major */
  of(matrix: Float64Array, rows: number, columns: number): MatrixProducts;
  dispose(): Promise<void>;
}

/** Compiles one product, and one with a transposed matrix, for matrices of any size, in double precision. */
export async function runtimeProducts(runtime: Runtime): Promise<RuntimeProducts> {
  const [rows, columns, count] = [dim('rows'), dim('columns'), dim('count')];
  const w = input('w', 'float64', [rows, columns]);
  const forward = await runtime.compile({ product: matmul(w, input('x', 'float64', [columns, count])) });
  const backward = await runtime.compile({
    product: matmul(w, input('x', 'float64', [rows, count]), { transposeA: true }),
  });
  return {
    of(matrix, height, width) {
      const value = (data: Float64Array, length: number): Value => ({
        dtype: 'float64',
        shape: [length, data.length / length],
        data,
      });
      const known = value(matrix, height);
      const product = async (program: typeof forward, x: Value): Promise<Float64Array> => {
        const { data } = (await program.run({ w: known, x }))['product']!;
        if (!(data instanceof Float64Array)) throw new Error('a product of doubles is not of doubles');
        return data;
      };
      return {
        matrix,
        rows: height,
        columns: width,
        times: (x) => product(forward, value(x, width)),
        transposedTimes: (x) => product(backward, value(x, height)),
      };
    },
    dispose: async () => {
      await forward.dispose();
      await backward.dispose();
    },
  };
}
