import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import type { TrainingOptions } from '../../../../src/config/schema.js';
import { onnxRuntime } from '../../../../src/runtime/onnxruntime.js';
import type { Value } from '../../../../src/runtime/runtime.js';
import { fixedShape } from '../../../../src/tensor/dims.js';
import type { SlotRule } from '../../../../src/methods/method.js';
import type { Shape } from '../../../../src/tensor/tensor.js';
import { mul } from '../../../../src/tensor/ops/elementwise.js';
import { transpose } from '../../../../src/tensor/ops/shape.js';
import { input, variable } from '../../../../src/tensor/tensor.js';
import { createOptimizer } from '../../../../src/training/optimizers/optimizer.js';
import { inSlots } from '../../../../src/training/optimizers/slots.js';
import { learningRate } from '../../../../src/training/schedule.js';
import { fixture, largestDifference } from '../../../support/fixtures.js';
import { trainingOptions } from '../jobs.js';

/** See test/fixtures/optimizers/make.py. */
interface Made {
  readonly rates: readonly number[];
  readonly tensors: Readonly<Record<string, Trained>>;
  readonly cases: readonly {
    readonly options: Partial<TrainingOptions>;
    readonly values: Readonly<Record<string, Readonly<Record<string, readonly number[]>>>>;
  }[];
}
interface Trained {
  readonly shape: readonly number[];
  readonly decays: boolean;
  readonly start: readonly number[];
  readonly gradients: readonly (readonly number[])[];
}

const made = JSON.parse(readFileSync(fixture('optimizers/optimizers.json'), 'utf8')) as Made;
const runtime = await onnxRuntime({ threads: 1 });
const vector = (values: ArrayLike<number>, shape: readonly number[]): Value => ({
  dtype: 'float32',
  shape,
  data: Float32Array.from(values),
});

/** The values of each tensor after each step, by the graph. */
async function steps(
  options: TrainingOptions,
  tensors: Readonly<Record<string, Trained>> = made.tensors,
  rules: Readonly<Record<string, SlotRule>> = {},
): Promise<Record<string, Float32Array>[]> {
  const optimizer = createOptimizer(options);
  const slotShapes = new Map<string, Shape>();
  const outputs = Object.entries(tensors).flatMap(([name, { shape, decays }]) => {
    const rule = rules[name];
    const updated = { variable: variable(name, shape), decays, ...(rule === undefined ? {} : { slots: rule }) };
    const gradient = inSlots(updated, input(`gradient ${name}`, 'float32', shape));
    const { parameter, slots } = optimizer.update(updated, gradient);
    const known = optimizer.slots(updated);
    assert.equal(known.length, slots.length);
    return [
      [name, parameter] as const,
      ...known.map((slot, at) => {
        assert.equal(slot.variable.name, `${name}/${slot.name}`);
        assert.deepEqual(slot.variable.shape, slots[at]!.shape);
        slotShapes.set(slot.variable.name, slot.variable.shape);
        return [slot.variable.name, slots[at]!] as const;
      }),
    ];
  });
  const program = await runtime.compile(
    Object.fromEntries(outputs.map(([name, tensor]) => [`new ${name}`, tensor])),
  );
  const zeros = [...slotShapes].map(([name, shape]): [string, Value] => {
    const sizes = fixedShape(shape);
    return [name, vector(new Float32Array(sizes.reduce((a, b) => a * b, 1)), sizes)];
  });
  const starts = Object.entries(tensors).map(([name, { start, shape }]) => [name, vector(start, shape)] as const);
  let state: Record<string, Value> = Object.fromEntries([...starts, ...zeros]);
  const found: Record<string, Float32Array>[] = [];
  for (const [at, given] of made.rates.entries()) {
    const rate = options.adafactor_relative_step ? learningRate(options, at + 1, made.rates.length) : given;
    const scalars = Object.entries(optimizer.scalars(at + 1, rate)).filter(([name]) => program.reads.has(name));
    const results = await program.run({
      ...state,
      ...Object.fromEntries(scalars.map(([name, value]) => [name, vector([value], [])])),
      ...Object.fromEntries(
        Object.entries(tensors).map(([name, { gradients, shape }]) => [
          `gradient ${name}`,
          vector(gradients[at]!, shape),
        ]),
      ),
    });
    state = Object.fromEntries(outputs.map(([name]) => [name, results[`new ${name}`]!]));
    found.push(
      Object.fromEntries(Object.keys(tensors).map((name) => [name, Float32Array.from(state[name]!.data, Number)])),
    );
  }
  await program.dispose();
  return found;
}

for (const { options, values } of made.cases) {
  const { optim, ...rest } = options;
  test(`${optim} ${JSON.stringify(rest)} takes the steps of ${optim === 'adafactor' ? 'Transformers' : 'PyTorch'}`, async (t) => {
    const found = await steps(trainingOptions(options));
    let worst = 0;
    for (const [step, tensors] of Object.entries(values)) {
      for (const [name, expected] of Object.entries(tensors)) {
        const size = Math.max(...expected.map(Math.abs));
        const difference = largestDifference(found[Number(step) - 1]![name]!, expected) / size;
        assert.ok(difference <= 1e-6, `step ${step}, ${name}: ${difference}`);
        worst = Math.max(worst, difference);
      }
    }
    t.diagnostic(`largest relative difference ${worst}`);
    for (const [name, { start }] of Object.entries(made.tensors)) {
      const moves = found.map((each) => largestDifference(each[name]!, start));
      assert.ok(Math.max(...moves) > 1e-3, `${name} has moved`);
    }
  });
}

test('elementwise rules update a vector of many as each by itself, bit for bit', async () => {
  const { matrix, stack } = made.tensors as { matrix: Trained; stack: Trained };
  const packed: Trained = {
    shape: [matrix.start.length + stack.start.length],
    decays: true,
    start: [...matrix.start, ...stack.start],
    gradients: matrix.gradients.map((each, at) => [...each, ...stack.gradients[at]!]),
  };
  for (const optim of ['adamw', 'sgd'] as const) {
    const options = trainingOptions({ optim, momentum: 0.9, weight_decay: 0.1 });
    assert.equal(createOptimizer(options).elementwise, true);
    const alone = (await steps(options, { matrix, stack })).at(-1)!;
    const together = (await steps(options, { packed })).at(-1)!;
    assert.deepEqual([...together['packed']!], [...alone['matrix']!, ...alone['stack']!], optim);
  }
  assert.equal(createOptimizer(trainingOptions({ optim: 'adafactor' })).elementwise, false);
});

/** The coordinates of a matrix's transpose, in which a step is `scale` times as long. */
function turned([rows, columns]: readonly number[], scale = 1): SlotRule {
  return {
    shape: [columns!, rows!],
    project: (gradient) => transpose(gradient, [1, 0]),
    projectBack: (update) => mul(transpose(update, [1, 0]), scale),
  };
}

test('slots in other coordinates: the gradient is taken there, the update back', async () => {
  const { matrix } = made.tensors as { matrix: Trained };
  const [rows, columns] = matrix.shape;
  for (const given of [
    { optim: 'adamw' },
    { optim: 'sgd', momentum: 0.9, weight_decay: 0.1 },
    { optim: 'sgd', nesterov: true, momentum: 0.9 },
    { optim: 'sgd' },
    { optim: 'adafactor', adafactor_beta1: 0.9, weight_decay: 0.1 },
  ] as const) {
    const options = trainingOptions({ weight_decay: 0, ...given });
    const plain = (await steps(options, { matrix })).at(-1)!['matrix']!;
    const there = (await steps(options, { matrix }, { matrix: turned(matrix.shape) })).at(-1)!['matrix']!;
    // Of 1/√(R C / mean(R)) the mean is over the rows, whichever these are.
    assert.ok(largestDifference(there, plain) <= 1e-6, JSON.stringify(given));
  }
  const updated = { variable: variable('w', matrix.shape), decays: true, slots: turned(matrix.shape) };
  const slots = createOptimizer(trainingOptions()).slots(updated);
  for (const { variable: slot } of slots) assert.deepEqual(slot.shape, [columns, rows]);
});

test('AdamW with slots in other coordinates: the update is scaled, the decay comes last', async () => {
  const { matrix } = made.tensors as { matrix: Trained };
  const rules = { matrix: turned(matrix.shape, 0.25) };
  const [decay, rate] = [0.1, made.rates[0]!];
  const at = async (weight_decay: number, own = {}): Promise<Float32Array> =>
    (await steps(trainingOptions({ weight_decay }), { matrix }, own))[0]!['matrix']!;
  const [plain, quarter, decayed] = [await at(0), await at(0, rules), await at(decay, rules)];
  const expected = matrix.start.map((value, i) => value + 0.25 * (plain[i]! - value));
  assert.ok(largestDifference(quarter, expected) <= 1e-6);
  assert.ok(
    largestDifference(
      decayed,
      expected.map((value) => value * (1 - rate * decay)),
    ) <= 1e-6,
  );
});

test('what each optimizer keeps', () => {
  const slots = (options: Partial<TrainingOptions>, shape: readonly number[]): Record<string, Shape> =>
    Object.fromEntries(
      createOptimizer(trainingOptions(options))
        .slots({ variable: variable('w', shape), decays: true })
        .map((slot) => [slot.name, slot.variable.shape]),
    );
  assert.deepEqual(slots({}, [5, 3]), { exp_avg: [5, 3], exp_avg_sq: [5, 3] });
  assert.deepEqual(slots({ optim: 'sgd' }, [5, 3]), {});
  assert.deepEqual(slots({ optim: 'sgd', momentum: 0.5 }, [5, 3]), { momentum_buffer: [5, 3] });
  assert.deepEqual(slots({ optim: 'adafactor' }, [5, 3]), { exp_avg_sq_row: [5], exp_avg_sq_col: [3] });
  assert.deepEqual(slots({ optim: 'adafactor' }, [2, 5, 3]), { exp_avg_sq_row: [2, 5], exp_avg_sq_col: [2, 3] });
  assert.deepEqual(slots({ optim: 'adafactor', adafactor_beta1: 0.9 }, [5]), { exp_avg_sq: [5], exp_avg: [5] });
});

test('the slots of a trainable are the same variables at every call', () => {
  const optimizer = createOptimizer(trainingOptions());
  const trainable = { variable: variable('w', [2]), decays: true };
  assert.equal(optimizer.slots(trainable)[0]!.variable, optimizer.slots(trainable)[0]!.variable);
});
