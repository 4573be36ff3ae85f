// Products with a block-diagonal matrix, forward and backward, by three ways: a product per block on a slice, one batched
// product over blocks, and one product with the whole matrix, zeros included (see src/methods/miniPairs.ts).
//
//   node --import tsx bench/blockProducts.ts
//
// Prints the table and writes bench/results/blockProducts.md. The best of several rounds: others use the machine too.
import { writeFileSync } from 'node:fs';
import { random } from '../src/common/random.js';
import { onnxRuntime } from '../src/runtime/onnxruntime.js';
import type { Program, Value } from '../src/runtime/runtime.js';
import { gradients } from '../src/tensor/grad.js';
import { mul } from '../src/tensor/ops/elementwise.js';
import { matmul } from '../src/tensor/ops/matmul.js';
import { reduceSum } from '../src/tensor/ops/reduce.js';
import { concat, reshape, slice, transpose } from '../src/tensor/ops/shape.js';
import { constant, input } from '../src/tensor/tensor.js';
import type { Tensor } from '../src/tensor/tensor.js';

interface Case {
  readonly tokens: number;
  readonly width: number;
  readonly n: number;
  readonly r: number;
}

/** A [n, r, width / n], B [n, width / n, r]: y = diag(B)·diag(A)·x */
type Way = (x: Tensor, a: Tensor, b: Tensor, each: Case) => Tensor;

const ROUNDS = 30;
const WAYS: Readonly<Record<string, Way>> = { slices, batched, whole };
const CASES: readonly Case[] = [576, 2048].flatMap((width) =>
  [
    { n: 2, r: 8 },
    { n: 8, r: 1 },
    { n: 8, r: 8 },
    { n: 32, r: 4 },
  ].map((sizes) => ({ tokens: 512, width, ...sizes })),
);

const runtime = await onnxRuntime({ threads: 2 });
const lines = [
  `| tokens | width | n | r | ${Object.keys(WAYS).join(' | ')} |`,
  '| ---: | ---: | ---: | ---: | ---: | ---: | ---: |',
];
for (const each of CASES) {
  const times = await measure(each);
  lines.push(
    `| ${[each.tokens, each.width, each.n, each.r, ...times.map((ms) => `${ms.toFixed(2)} ms`)].join(' | ')} |`,
  );
}
console.log(lines.join('\n'));
writeFileSync('bench/results/blockProducts.md', `${lines.join('\n')}\n`);

/** Milliseconds of y and the gradients of x, A and B, way after way; they have to agree. */
async function measure(each: Case): Promise<number[]> {
  const { tokens, width, n, r } = each;
  const x = input('x', 'float32', [1, tokens, width]);
  const a = input('a', 'float32', [n, r, width / n]);
  const b = input('b', 'float32', [n, width / n, r]);
  const v = input('v', 'float32', x.shape);
  const feeds = { x: drawn('x', x.shape), a: drawn('a', a.shape), b: drawn('b', b.shape), v: drawn('v', v.shape) };
  const programs: Program[] = [];
  for (const way of Object.values(WAYS)) {
    const y = way(x, a, b, each);
    const [ofX, ofA, ofB] = gradients(reduceSum(mul(y, v), [0, 1, 2]), [x, a, b]);
    programs.push(await runtime.compile({ y, ofX: ofX!, ofA: ofA!, ofB: ofB! }));
  }
  const [first, ...others] = await Promise.all(programs.map((program) => program.run(feeds)));
  for (const other of others)
    for (const name of ['y', 'ofX', 'ofA', 'ofB']) checkSame(first![name]!, other[name]!, name);
  const best = programs.map(() => Infinity);
  for (let round = 0; round < ROUNDS; round++) {
    for (const [at, program] of programs.entries()) {
      const from = performance.now();
      await program.run(feeds);
      best[at] = Math.min(best[at]!, performance.now() - from);
    }
  }
  for (const program of programs) await program.dispose();
  return best;
}

function slices(x: Tensor, a: Tensor, b: Tensor, { width, n, r }: Case): Tensor {
  const size = width / n;
  const parts = Array.from({ length: n }, (_, at) => {
    const own = slice(x, 2, at * size, (at + 1) * size);
    const down = matmul(own, reshape(slice(a, 0, at, at + 1), [r, size]), { transposeB: true });
    return matmul(down, reshape(slice(b, 0, at, at + 1), [size, r]), { transposeB: true });
  });
  return concat(parts, 2);
}

function batched(x: Tensor, a: Tensor, b: Tensor, { tokens, width, n }: Case): Tensor {
  const blocks = transpose(reshape(x, [tokens, n, width / n]), [1, 0, 2]);
  const y = matmul(matmul(blocks, a, { transposeB: true }), b, { transposeB: true });
  return reshape(transpose(y, [1, 0, 2]), x.shape);
}

function whole(x: Tensor, a: Tensor, b: Tensor, { width, n, r }: Case): Tensor {
  const down = matmul(x, reshape(diagonal(a), [n * r, width]), { transposeB: true });
  return matmul(down, reshape(diagonal(b), [width, n * r]), { transposeB: true });
}

/** [n, rows, columns] → [n, rows, n, columns], with zeros off the diagonal */
function diagonal(blocks: Tensor): Tensor {
  const [n, rows, columns] = blocks.shape as [number, number, number];
  const one = Array.from({ length: n * n }, (_, at) => (at % (n + 1) === 0 ? 1 : 0));
  return mul(reshape(blocks, [n, rows, 1, columns]), constant(one, [n, 1, n, 1]));
}

function drawn(name: string, shape: Tensor['shape']): Value {
  const numbers = random(1, name);
  const size = (shape as number[]).reduce((a, b) => a * b);
  return {
    dtype: 'float32',
    shape: shape as number[],
    data: Float32Array.from({ length: size }, () => numbers.normal()),
  };
}

function checkSame(a: Value, b: Value, name: string): void {
  let scale = 0;
  for (const value of a.data) scale = Math.max(scale, Math.abs(Number(value)));
  const far = a.data.findIndex((value, at) => Math.abs(Number(value) - Number(b.data[at])) > 1e-4 * scale);
  if (far >= 0) throw new Error(`${name} differs at ${far}: ${a.data[far]}, ${b.data[far]}`);
}
