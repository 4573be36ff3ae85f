// SoRA (Ding et al. 2023): gates that a proximal step takes to zero, and what is left as a plain LoRA.
import assert from 'node:assert/strict';
import { stat } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { Value } from '@sinclair/typebox/value';
import { readAdapter } from '../../../src/adapters/readAdapter.js';
import { writeAdapter } from '../../../src/adapters/writeAdapter.js';
import { ProblemError } from '../../../src/common/problem.js';
import type { Attached, Values } from '../../../src/methods/method.js';
import { softThreshold } from '../../../src/methods/softThreshold.js';
import { SoraOptions, sora } from '../../../src/methods/sora.js';
import { threshold } from '../../../src/methods/soraSchedule.js';
import { onnxRuntime } from '../../../src/runtime/onnxruntime.js';
import { input } from '../../../src/tensor/tensor.js';
import { temporaryFolder, tokenizer } from '../../support/adapters.js';
import { fixture, largestDifference, readInputIds, readTensors } from '../../support/fixtures.js';
import { attachAdapter, logitsOf, openModel } from '../../support/model.js';
import { startValues } from '../../support/startValues.js';
import { changeErrors, readTorchSteps, readValues, takeSteps } from '../../support/torchSteps.js';

const opened = await openModel(fixture('lora-reference', 'tiny-llama'));
const reference = await readTorchSteps<{ term: number; ranks: Record<string, number> }>('sora', 'steps.json');
const initial = await readValues('sora', 'initial.safetensors');
const last = await readValues('sora', 'last.safetensors');
const folder = temporaryFolder();

function optionsOf(options: object): SoraOptions {
  return Value.Parse(SoraOptions, { type: 'sora', ...options });
}

function attach(options: object = reference.options): Attached {
  return sora.attach(optionsOf(options), opened.context);
}

function ranks(method: Attached, values: Values): Record<string, number> {
  return Object.fromEntries(method.report!(values).map(({ path: of, rank }) => [of, rank!]));
}

test('eight steps with the proximal step behind them are torch’s: losses, terms, norms, ranks, numbers', async () => {
  const method = attach();
  const taken = await takeSteps(opened, method, initial, reference);
  for (const [at, step] of reference.steps.entries()) {
    const { loss, terms, gradientNorm, values } = taken[at]!;
    assert.ok(Math.abs(loss - step.loss) <= 1e-4 * step.loss, `loss ${at + 1}: ${loss} for ${step.loss}`);
    assert.ok(Math.abs(terms['gates']! - step.term) <= 1e-4 * step.term, `term ${at + 1}: ${terms['gates']}`);
    assert.ok(Math.abs(gradientNorm - step.gradient_norm) <= 1e-3 * step.gradient_norm, `norm ${at + 1}`);
    assert.deepEqual(ranks(method, values), step.ranks, `ranks after step ${at + 1}`);
  }
  const values = taken.at(-1)!.values;
  for (const [name, error] of changeErrors(initial, values, last)) assert.ok(error <= 1e-2, `${name}: ${error}`);
  // Some modules have lost all, and not for lack of a proximal step.
  assert.ok(Object.values(reference.steps.at(-1)!.ranks).includes(0));
  const without = await takeSteps(
    opened,
    attach({ ...reference.options, sparse_lambda_2: 0 }),
    initial,
    reference,
  );
  assert.ok(Object.values(ranks(method, without.at(-1)!.values)).every((rank) => rank === 6));
});

test('the proximal step is the minimiser of ½(z − x)² + ξ·|z|', async () => {
  const x = Float32Array.of(-2, -0.31, -0.3, -0.1, -0, 0, 1e-8, 0.29, 0.3, 0.30001, 5);
  const xi = 0.3;
  const runtime = await onnxRuntime({ threads: 1 });
  const program = await runtime.compile({
    z: softThreshold(input('x', 'float32', [x.length]), input('xi', 'float32', [])),
  });
  const { z } = await program.run({
    x: { dtype: 'float32', shape: [x.length], data: x },
    xi: { dtype: 'float32', shape: [], data: Float32Array.of(xi) },
  });
  await program.dispose();
  const cost = (at: number, value: number): number => (value - x[at]!) ** 2 / 2 + xi * Math.abs(value);
  for (const [at, value] of (z!.data as Float32Array).entries()) {
    // No point of a fine grid is better, and none as good but its neighbours.
    for (let k = -6000; k <= 6000; k++)
      assert.ok(cost(at, k / 1000) >= cost(at, value) - 1e-7, `${x[at]} → ${value}`);
    if (Math.abs(x[at]!) <= xi) assert.ok(value === 0);
  }
});

test('the larger ξ, the more gates are 0, and none comes back for it', async () => {
  const counts: number[] = [];
  let zero = new Set<string>();
  // One step from the same numbers: the optimizer's update is the same for all.
  for (const xi of [0, 0.02, 0.05, 0.1, 0.2]) {
    const method = attach({ ...reference.options, sparse_lambda_2: xi });
    const [taken] = await takeSteps(opened, method, initial, { ...reference, steps: reference.steps.slice(0, 1) });
    const now = new Set(
      [...taken!.values].flatMap(([name, data]) =>
        name.endsWith('.gate') ? [...data].flatMap((value, at) => (value === 0 ? [`${name} ${at}`] : [])) : [],
      ),
    );
    assert.ok(
      [...zero].every((each) => now.has(each)),
      `ξ ${xi}`,
    );
    counts.push(now.size);
    zero = now;
  }
  assert.deepEqual(counts[0], 0);
  assert.equal(counts.at(-1), 36);
  assert.ok(
    counts.every((count, at) => at === 0 || count > counts[at - 1]!),
    counts.join(),
  );
});

test('what is left is saved as the LoRA that real PEFT wrote of it, and gives PEFT’s logits, merged too', async () => {
  const method = attach();
  const saved = method.save(last);
  assert.ok(saved.kind === 'adapter');
  const theirs = await readAdapter(fixture('sora/final'));
  const tensors = await readTensors(theirs.weightsFile);
  assert.deepEqual(saved.tensors.map(({ name }) => name).sort(), [...tensors.keys()].sort());
  for (const { name, shape, data } of saved.tensors) {
    assert.deepEqual(shape, tensors.get(name)!.shape, name);
    assert.ok(largestDifference(data, tensors.get(name)!.data) <= 1e-6, name);
  }
  for (const key of ['peft_type', 'r', 'lora_alpha', 'rank_pattern', 'alpha_pattern'])
    assert.deepEqual(saved.config[key], theirs.config[key], key);
  assert.deepEqual([...(saved.config['target_modules'] as string[])].sort(), theirs.config['target_modules']);

  // Written and read it is a LoRA.
  const own = path.join(folder, 'adapter');
  await writeAdapter(own, saved, { tokenizer, card: '' });
  const adapter = await attachAdapter(opened, own);
  assert.deepEqual([adapter.method.type, adapter.warnings], ['lora', []]);
  const { logits } = Object.fromEntries(await readTensors(fixture('sora/final/logits.safetensors')));
  const ids = await readInputIds(fixture('sora/final/logits.safetensors'));
  assert.ok(largestDifference(await logitsOf(opened, ids, adapter), logits!.data) <= 1e-4);
  assert.ok(largestDifference(await logitsOf(opened, ids, { method, values: last }), logits!.data) <= 1e-4);
  assert.ok(largestDifference(await logitsOf(opened, ids), logits!.data) > 1e-2);
  for (const site of opened.model.sites.filter(({ kind }) => kind === 'linear')) {
    const base = await opened.context.read(site.weight!);
    const [ours, lora] = [method, adapter.method].map((each, at) =>
      each.merge!(site, 'weight', base, at === 0 ? last : adapter.values),
    );
    // A module without a gate that is not 0 is no module of the LoRA's.
    assert.ok(largestDifference(ours ?? base, lora ?? base) <= 1e-6, site.path);
  }
});

test('components whose gates are 0 cost nothing on disk; without any left the adapter is the base model', async () => {
  const size = async (values: Values, name: string): Promise<number> => {
    const saved = attach().save(values);
    assert.ok(saved.kind === 'adapter');
    const codes = (saved.warnings ?? []).map(({ code }) => code);
    assert.deepEqual(codes, name === 'none' ? ['adapter.nothing-left'] : []);
    await writeAdapter(path.join(folder, name), saved, { tokenizer, card: '' });
    return (await stat(path.join(folder, name, 'adapter_model.safetensors'))).size;
  };
  const closed = (share: number): Values =>
    new Map(
      [...initial].map(([name, data]) => [
        name,
        name.endsWith('.gate') ? data.map((value, at) => (at < share * data.length ? 0 : value)) : data,
      ]),
    );
  const [all, half] = [await size(closed(0), 'all'), await size(closed(0.5), 'half')];
  const numbers = [...initial].reduce((sum, [name, { length }]) => sum + (name.endsWith('.gate') ? 0 : length), 0);
  // To the header, and padding behind it.
  assert.ok(Math.abs(all - half - 2 * numbers) < 64, `${all}, ${half}`);
  await size(closed(1), 'none');
  const onDisk = await attachAdapter(opened, path.join(folder, 'none'));
  const ids = [[5, 6, 70, 12, 9]];
  assert.equal(largestDifference(await logitsOf(opened, ids, onDisk), await logitsOf(opened, ids)), 0);
});

test('a saved adapter loads into SoRA again and does the same', async () => {
  const method = attach();
  const saved = method.save(last);
  assert.ok(saved.kind === 'adapter');
  const { values } = method.load(new Map(saved.tensors.map((each) => [each.name, each])), 'here');
  const ids = [[5, 6, 70, 12, 9]];
  const [before, after] = [
    await logitsOf(opened, ids, { method, values: last }),
    await logitsOf(opened, ids, { method, values }),
  ];
  assert.ok(largestDifference(before, after) <= 1e-5);
  assert.deepEqual(ranks(method, values), ranks(method, last));
  const cut = saved.tensors.map(
    (each) => [each.name, { ...each, shape: [1, 2], data: new Float32Array(2) }] as const,
  );
  assert.throws(() => method.load(new Map(cut), 'here'), { name: 'ProblemError' });
});

test('starts as the base model, with normal gates; trains A, B and a gate for each component', async () => {
  const method = attach({ r: 3 });
  const values = await startValues(method.trainables);
  const ids = [[5, 6, 70, 12, 9]];
  assert.equal(largestDifference(await logitsOf(opened, ids, { method, values }), await logitsOf(opened, ids)), 0);
  const gates = [...values].flatMap(([name, data]) => (name.endsWith('.gate') ? [...data] : []));
  assert.ok(new Set(gates).size === gates.length && Math.max(...gates.map(Math.abs)) > 1);
  const counted = method.coverage.modules.reduce((sum, { trainable }) => sum + trainable, 0);
  const linear = opened.model.sites.filter((site) => site.kind === 'linear' && !site.isOutput);
  assert.equal(
    counted,
    linear.reduce((sum, { shape: [out, own] }) => sum + 3 * (out! + own! + 1), 0),
  );
  assert.equal(
    counted,
    [...values.values()].reduce((sum, { length }) => sum + length, 0),
  );
});

test('ξ rises in levels over the run, as linspace has them', () => {
  const of = (lambda_schedule: string): number[] => {
    const options = optionsOf({ sparse_lambda_2: 1e-4, max_lambda: 7e-4, lambda_num: 4, lambda_schedule });
    return Array.from({ length: 8 }, (_, at) => threshold(options, { step: at + 1, totalSteps: 8 }));
  };
  const close = (found: number[], wanted: number[]): void =>
    found.forEach((value, at) => assert.ok(Math.abs(value - wanted[at]!) < 1e-9, found.join()));
  close(
    of('linear'),
    [1, 1, 3, 3, 5, 5, 7, 7].map((value) => value * 1e-4),
  );
  // numpy's exp(linspace(log(1e-4), log(7e-4), 4))
  close(of('exp_linear'), [1e-4, 1e-4, 1.912931e-4, 1.912931e-4, 3.659306e-4, 3.659306e-4, 7e-4, 7e-4]);
  close(of('log_linear'), [1e-4, 1e-4, 3.0004e-4, 3.0004e-4, 5.0004e-4, 5.0004e-4, 7e-4, 7e-4]);
  assert.equal(threshold(optionsOf({}), { step: 5, totalSteps: 8 }), 3e-4);
});

for (const [name, options, option] of [
  ['a schedule without an end', { lambda_schedule: 'linear' }, 'lambda_schedule'],
  ['an end below the beginning', { lambda_schedule: 'linear', max_lambda: 1e-4 }, 'max_lambda'],
  ['an end without a schedule', { max_lambda: 1 }, 'max_lambda'],
  [
    'equal factors from 0',
    { lambda_schedule: 'exp_linear', max_lambda: 1, sparse_lambda_2: 0 },
    'sparse_lambda_2',
  ],
] as const) {
  test(`refused: ${name}`, () => {
    assert.throws(
      () => attach(options),
      (error) => {
        assert.ok(error instanceof ProblemError);
        assert.equal(error.problem.code, 'sora.schedule');
        assert.deepEqual('option' in error.problem && error.problem.option, [option]);
        return true;
      },
    );
  });
}

test('options of a schedule that has no say are warned of', () => {
  const warnings = (options: object): string[] => attach(options).coverage.warnings.map(({ message }) => message);
  assert.deepEqual(warnings({ lambda_num: 5 }), ['lambda_num is not used: lambda_schedule is none']);
  const schedule = { lambda_schedule: 'linear', max_lambda: 0.1 };
  assert.deepEqual(warnings({ ...schedule, lambda_num: 1 }), ['max_lambda is not used: lambda_num is 1']);
  assert.deepEqual(warnings({ ...schedule, lambda_num: 2 }), []);
  assert.deepEqual(warnings({}), []);
});
