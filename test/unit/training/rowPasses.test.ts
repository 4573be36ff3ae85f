import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { describe, test } from 'node:test';
import { random } from '../../../src/common/random.js';
import { makeBatch } from '../../../src/data/batches.js';
import type { Example } from '../../../src/data/example.js';
import { markLargest } from '../../../src/methods/largest.js';
import type { GradientPasses, Values } from '../../../src/methods/method.js';
import { fixedSize } from '../../../src/tensor/dims.js';
import { gradients } from '../../../src/tensor/grad.js';
import { crossEntropy } from '../../../src/tensor/ops/crossEntropy.js';
import { mul } from '../../../src/tensor/ops/elementwise.js';
import { matmul } from '../../../src/tensor/ops/matmul.js';
import { reduceSum } from '../../../src/tensor/ops/reduce.js';
import { substitute } from '../../../src/tensor/substitute.js';
import { constant, input } from '../../../src/tensor/tensor.js';
import type { Weight } from '../../../src/tensor/tensor.js';
import { gradientPasses } from '../../../src/training/gradientPasses.js';
import { batchFeeds, lossGraph } from '../../../src/training/lossGraph.js';
import { frozenWeights } from '../../../src/training/passSetup.js';
import { hessianProducts, rowPrograms, scaledByRoot } from '../../../src/training/rowPrograms.js';
import { fixture, readTensors } from '../../support/fixtures.js';
import { openModel } from '../../support/model.js';
import type { Opened } from '../../support/model.js';
import { UNEVEN, jobOn } from './jobs.js';
import type { JobParts } from './jobs.js';

const llama = await openModel(fixture('lora-reference', 'tiny-llama'));
const bert = await openModel(fixture('encoders', 'tiny-bert-classes'));
const expected = await readTensors(fixture('fisher', 'fisher.safetensors'));
const reference = JSON.parse(await readFile(fixture('fisher', 'rows.json'), 'utf8')) as {
  seed: number;
  draws: number;
  llama: { input_ids: number[]; supervised: (0 | 1)[] }[];
  bert: { input_ids: number[]; label: number }[];
};
const place = { file: 'rows.json', line: 1 };
const llamaRows = reference.llama.map(({ input_ids: ids, supervised }): Example => ({
  ids,
  supervised,
  ...place,
}));
const bertRows = reference.bert.map(({ input_ids: ids, label }): Example => ({
  ids,
  supervised: ids.map(() => 0),
  label,
  ...place,
}));

function passes(opened: Opened, train: readonly Example[], parts: JobParts = {}): GradientPasses {
  return gradientPasses({
    ...jobOn(opened, { train, ...parts }),
    methods: [],
    stopRequested: () => false,
    stopped: { code: 'stopped', message: 'stopped' },
  });
}

/** Weights of the linear modules within the layers. */
function linear({ model }: Opened): string[] {
  return model.sites
    .filter(({ kind, layer }) => kind === 'linear' && layer !== undefined)
    .map((site) => site.weight!);
}

/** ‖a − b‖ / ‖b‖ over everything. */
function relative(found: Values, wanted: (name: string) => Float32Array): number {
  let [difference, size] = [0, 0];
  for (const [name, values] of found) {
    const other = wanted(name);
    assert.equal(values.length, other.length);
    values.forEach((value, at) => {
      difference += (value - other[at]!) ** 2;
      size += other[at]! ** 2;
    });
  }
  assert.ok(size > 0);
  return Math.sqrt(difference / size);
}

/** The places of the largest twentieth. */
function mask(values: Values, names: readonly string[]): number[][] {
  const parts = names.map((name) => values.get(name)!);
  const total = parts.reduce((sum, { length }) => sum + length, 0);
  return markLargest(parts, Math.floor(total / 20)).map((marks) => [...marks]);
}

const of = (kind: string) => (name: string) => Float32Array.from(expected.get(`${kind}/${name}`)!.data);

function sameAsReference(found: Values, kind: string): void {
  assert.equal([...expected.keys()].filter((name) => name.startsWith(`${kind}/`)).length, found.size);
  const difference = relative(found, of(kind));
  assert.ok(difference <= 1e-5, `${kind}: ${difference}`);
  const names = [...found.keys()];
  assert.deepEqual(mask(found, names), mask(new Map(names.map((name) => [name, of(kind)(name)])), names));
}

describe('PyTorch sums the same', () => {
  const seeded = { options: { seed: reference.seed } };

  test('expected Fisher information of a language model: answers drawn from its own distribution', async () => {
    const { squares, rows } = await passes(llama, llamaRows, seeded).fisher({
      weights: linear(llama),
      fisher: 'expected',
      draws: reference.draws,
    });
    assert.equal(rows, llamaRows.length);
    sameAsReference(squares, 'expected');
  });

  test('of classes: those of the rows, and all of them, each by its probability', async () => {
    const request = { weights: linear(bert) };
    sameAsReference(
      (await passes(bert, bertRows).fisher({ ...request, fisher: 'empirical' })).squares,
      'empirical',
    );
    sameAsReference((await passes(bert, bertRows).fisher({ ...request, fisher: 'expected' })).squares, 'classes');
  });

  test('gradients with their signs', async () => {
    const { sums } = await passes(llama, llamaRows).rowGradients({ weights: linear(llama) });
    const difference = relative(sums, of('gradient'));
    assert.ok(difference <= 1e-5, String(difference));
  });

  test('products of the Hessian and a vector', async () => {
    const frozen = frozenWeights(linear(llama));
    const { losses } = lossGraph(llama.model, [frozen.hooks], { training: false, positionLimit: 16 });
    const loss = reduceSum(mul(losses, input('row_weights', 'float32', losses.shape)), [0]);
    const weights = frozen.found();
    const vectors = weights.map(({ shape }) => {
      const size = fixedSize(shape);
      const sign = (at: number): number => ((at * 2654435761) % 2 ** 32 < 2 ** 31 ? 1 : -1);
      return constant(
        Float32Array.from({ length: size }, (_, at) => sign(at)),
        shape,
      );
    });
    const products = hessianProducts(loss, weights, vectors);
    const program = await llama.runtime.compile(
      Object.fromEntries(weights.map(({ name }, at) => [name, products[at]!])),
      llama.weights,
    );
    const sums = new Map(weights.map(({ name, shape }) => [name, new Float32Array(fixedSize(shape))]));
    for (const row of llamaRows.keys()) {
      const batch = makeBatch(llamaRows, [[row]]);
      const n = batch.targets.length;
      const found = await program.run({
        ...batchFeeds(batch),
        row_weights: { dtype: 'float32', shape: [n], data: new Float32Array(n).fill(1 / n) },
      });
      for (const [name, sum] of sums) {
        (found[name]!.data as Float32Array).forEach((value, at) => (sum[at]! += value));
      }
    }
    await program.dispose();
    const difference = relative(sums, of('product'));
    assert.ok(difference <= 1e-5, String(difference));
  });

  test("the mean of probes approaches the Hessian's diagonal", async () => {
    const name = 'model.layers.1.self_attn.k_proj.weight';
    const errorOf = async (probes: number): Promise<number> => {
      const { sums } = await passes(llama, llamaRows).hessianDiagonal({ weights: [name], probes });
      return relative(sums, of('diagonal'));
    };
    const [few, many] = [await errorOf(20), await errorOf(2000)];
    // The error falls with the square root of the number: by ten.
    assert.ok(many < 0.25 && many < few / 7, `${few}, ${many}`);
  });
});

describe('many rows in a pass sum what each row by itself does', () => {
  const generator = random(3, 'rows');
  const ids = (length: number, below = 100): number[] =>
    Array.from({ length }, () => generator.integer(below - 4) + 4);
  const answered = (length: number, known: number, more: Partial<Example> = {}): Example => {
    const own = ids(length);
    return { ids: own, supervised: own.map((_, at) => (at >= known ? 1 : 0)), ...place, ...more };
  };
  // Seven: the last pass holds fewer than the others.
  const LENGTHS = [9, 4, 17, 6, 6, 12, 3];
  const decoderRows = LENGTHS.map((length) => answered(length, 2));
  const everyWeight = ({ model }: Opened): string[] => [
    ...new Set(model.sites.flatMap(({ weight }) => weight ?? [])),
  ];

  async function same(opened: Opened, train: readonly Example[], weights: readonly string[]): Promise<void> {
    const { squares: single } = await passes(opened, train).squaredGradients({ weights, batchSize: 1 });
    const own = { options: { per_device_train_batch_size: 3 }, packing: true };
    const { squares, rows } = await passes(opened, train, own).fisher({ weights, fisher: 'empirical' });
    assert.equal(rows, train.length);
    assert.deepEqual([...squares.keys()].sort(), [...weights].sort());
    for (const name of weights) {
      const found = new Map([[name, squares.get(name)!]]);
      const difference = relative(found, () => single.get(name)!);
      assert.ok(difference <= 1e-5, `${name}: ${difference}`);
    }
    assert.deepEqual(mask(squares, weights), mask(single, weights));
  }

  const models: readonly [string, () => Promise<Opened>, readonly Example[]][] = [
    ['Llama: layers, norms, embedding and head', () => Promise.resolve(llama), decoderRows],
    ['a head tied to the embedding', () => openModel(fixture('lora-reference', 'tiny-llama-tied')), decoderRows],
    ['GPT-2, whose weights lie the other way round', () => openModel(fixture('gpt2', 'tiny-gpt2')), decoderRows],
    [
      'T5: encoder and decoder',
      () => openModel(fixture('t5', 'tiny-t5')),
      LENGTHS.map((length) => answered(5, 1, { source: ids(length, 60) })),
    ],
  ];
  for (const [title, open, rows] of models) {
    test(title, async () => {
      const opened = await open();
      await same(opened, rows, everyWeight(opened));
    });
  }

  test('each of them has a second derivative: v ⊙ Hv is finite and not zero', async () => {
    const encoder = [bert, bertRows] as const;
    const others = await Promise.all(models.slice(1).map(async ([, open, rows]) => [await open(), rows] as const));
    for (const [opened, rows] of [encoder, ...others]) {
      const weights = linear(opened);
      const { sums } = await passes(opened, rows.slice(0, 2)).hessianDiagonal({ weights, probes: 1 });
      for (const name of weights) {
        const size = Math.hypot(...sums.get(name)!);
        assert.ok(Number.isFinite(size) && size > 0, `${name}: ${size}`);
      }
    }
  });

  test('the layers of all of these go many at a time; what many rows read at one place, one at a time', async () => {
    for (const [, open] of models) {
      const opened = await open();
      const limits = { positionLimit: 32, most: 4 };
      const [many, single] = rowPrograms(opened.model, [], { weights: everyWeight(opened) }, 'empirical', limits);
      assert.deepEqual([many!.rows, single!.rows], [4, 1]);
      assert.deepEqual(many!.weights.map(({ name }) => name).sort(), linear(opened).sort());
    }
  });

  test('BERT with classes', () => same(bert, bertRows, linear(bert)));

  test('masked tokens and drawn answers are those of a row, whatever rows are beside it', async () => {
    const masked = await openModel(fixture('encoders', 'tiny-bert'), { type: 'MASKED_LM' });
    const train = LENGTHS.map((length) => answered(length, 0));
    const masking = { maskTokenId: 4, vocabSize: 100 };
    const found = async (size: number, fisher: 'empirical' | 'expected'): Promise<Values> => {
      const own = { masking, options: { per_device_train_batch_size: size } };
      return (await passes(masked, train, own).fisher({ weights: linear(masked), fisher, draws: 2 })).squares;
    };
    for (const fisher of ['empirical', 'expected'] as const) {
      const [one, three] = [await found(1, fisher), await found(3, fisher)];
      assert.ok(relative(three, (name) => one.get(name)!) <= 1e-5);
    }
  });

  test('gradients and the diagonal of the Hessian do not depend on what rows are together', async () => {
    const weights = linear(llama).slice(0, 3);
    const found = async (size: number): Promise<[Values, Values]> => {
      const own = passes(llama, decoderRows, { options: { per_device_train_batch_size: size } });
      const [first, second] = [
        await own.rowGradients({ weights }),
        await own.hessianDiagonal({ weights, probes: 3 }),
      ];
      return [first.sums, second.sums];
    };
    const [one, three] = [await found(1), await found(3)];
    for (const at of [0, 1] as const) assert.ok(relative(three[at], (name) => one[at].get(name)!) <= 1e-5);
  });

  test('the first rows of the first epoch are taken, as many as were asked for', async () => {
    const request = { weights: linear(llama).slice(0, 1) };
    const own = passes(llama, UNEVEN);
    const { squares, batches } = await own.squaredGradients({ ...request, batchSize: 1, batches: 5 });
    const { squares: same, rows } = await own.fisher({ ...request, fisher: 'empirical', rows: 5 });
    assert.deepEqual([rows, batches], [5, 5]);
    assert.ok(relative(same, (name) => squares.get(name)!) <= 1e-5);
    assert.equal((await own.fisher({ ...request, fisher: 'empirical', rows: 100 })).rows, UNEVEN.length);
  });
});

test('expected Fisher information of a softmax regression is p(1 − p)x², by hand', async () => {
  // A head alone: one matrix W [2, 3] and a row x, whose classes have the probabilities p and 1 − p.
  const x = [0.5, -2, 1.5];
  const w = [0.3, -0.1, 0.2, -0.4, 0.2, 0.7];
  const weight: Weight = { kind: 'weight', name: 'head.weight', dtype: 'float32', shape: [2, 3] };
  const hidden = constant(x, [1, 3]);
  const losses = crossEntropy(matmul(hidden, weight, { transposeB: true }), input('targets', 'int32', [1]));
  const scores = [0, 1].map((row) => x.reduce((sum, each, at) => sum + each * w[3 * row + at]!, 0));
  const p = 1 / (1 + Math.exp(scores[1]! - scores[0]!));
  const [gradient] = gradients(reduceSum(scaledByRoot(losses), [0]), [weight]);
  const plain = substitute([mul(gradient!, gradient!)], new Map([[weight, input('w', 'float32', [2, 3])]]));
  const program = await llama.runtime.compile({ squares: plain[0]! });
  const sum = new Float64Array(6);
  for (const target of [0, 1]) {
    const { squares } = await program.run({
      targets: { dtype: 'int32', shape: [1], data: Int32Array.of(target) },
      w: { dtype: 'float32', shape: [2, 3], data: Float32Array.from(w) },
    });
    (squares!.data as Float32Array).forEach((value, at) => (sum[at]! += value));
  }
  await program.dispose();
  sum.forEach((value, at) => {
    const byHand = p * (1 - p) * x[at % 3]! ** 2;
    assert.ok(Math.abs(value - byHand) <= 1e-5 * byHand, `${value} for ${byHand}`);
  });
});
