import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ProblemError } from '../../../../src/common/problem.js';
import { random } from '../../../../src/common/random.js';
import { parseRunFile } from '../../../../src/config/parseRunFile.js';
import type { RunConfig } from '../../../../src/config/schema.js';
import { changedConfig } from '../../../../src/engines/savings/changedConfig.js';
import { largestThatFits } from '../../../../src/engines/savings/largestThatFits.js';
import { suggestChanges } from '../../../../src/engines/savings/suggestChanges.js';
import type { Saving } from '../../../../src/engines/savings/suggestChanges.js';
import { goesThrough, needOf, verdictOf } from '../../../../src/engines/verdict.js';
import type { MemoryPlan, MomentName, PartName } from '../../../../src/memory/plan.js';
import { startRank } from '../../../../src/methods/doraRank.js';

function configOf(method: string, rest = ''): RunConfig {
  const text = `model: a\ndata: { train: b.jsonl, max_length: 512 }\nmethod: ${method}\n${rest}`;
  const { config, problems } = parseRunFile(text, 'a.peft.yaml');
  assert.ok(config, JSON.stringify(problems));
  return config;
}

const SLOTS = { adamw: 2, adafactor: 0.1, sgd: 0 };
const WEIGHTS = 1_000_000;

/** A plan that grows with what a real one grows with; weights are pages of a file. */
function planOf({ training, data, method }: RunConfig): { plan: MemoryPlan } {
  const trained = method.reduce((sum, each) => {
    switch (each.type) {
      case 'full':
      case 'galore':
        return sum + WEIGHTS / 4;
      case 'lora':
        return sum + each.r * 500 + (each.modules_to_save ?? []).length * 10_000;
      case 'sora':
      case 'dylora':
      case 'relora':
      case 'cola':
      case 'melora':
      case 'mora':
        return sum + each.r * 500;
      case 'sltrain':
        return sum + each.r * 500 + each.sp_ratio * WEIGHTS;
      case 'adalora':
        return sum + each.init_r * 500;
      case 'dora_rank':
        return sum + startRank(each) * 500;
      case 'bitfit':
        return sum + 100;
      case 'last_layers':
        return sum + (each.num_layers ?? 8 * each.fraction) * 5000;
      case 'lisa':
        return sum + each.lisa_activated_layers * 5000;
      case 'fish_mask':
      case 'fish_dip':
      case 'pafi':
      case 'sam':
        return sum + each.keep_ratio * WEIGHTS;
      case 'prompt_tuning':
      case 'prefix_tuning':
        return sum + each.num_virtual_tokens * 64;
      case 'ia3':
      case 'lokr':
      case 'lotr':
        return sum + 500;
      case 'intrinsic':
        return sum + each.intrinsic_dim;
      case 'ciat':
      case 'adapter_fusion':
      case 'adapter':
        return sum + 64 * (each.bottleneck_size ?? 64);
      case 'learned_mask':
      case 'lt_sft':
        return sum + WEIGHTS / 4;
      case 'child_tuning':
        return sum;
    }
  }, 0);
  const dropout = method.some((each) => 'lora_dropout' in each && each.lora_dropout > 0) ? 1 : 0;
  const tokens = (data.max_length ?? 512) * (100 + 20 * dropout);
  const optimizer =
    4 * trained * (SLOTS[training.optim] + (training.optim === 'sgd' && training.momentum > 0 ? 1 : 0));
  const fixed = [part('weights', WEIGHTS), part('adapter', 4 * trained), part('optimizer', optimizer)];
  const step = [
    ...fixed,
    part('gradients', 4 * trained * (training.sam_rho > 0 ? 2 : 1)),
    part('activations', training.per_device_train_batch_size * tokens),
  ];
  const evaluation = [
    ...fixed,
    part('logits', training.per_device_eval_batch_size * (data.max_length ?? 512) * 60),
  ];
  const moments = (
    [
      ['step', step],
      ['evaluation', data.validation === undefined ? fixed : evaluation],
    ] as const
  ).map(([name, parts]) => ({
    name: name as MomentName,
    parts,
    bytes: parts.reduce((sum, { bytes }) => sum + bytes, 0),
  }));
  const peak = moments.reduce((most, each) => (each.bytes > most.bytes ? each : most));
  return {
    plan: {
      total: peak.bytes,
      parts: peak.parts,
      peak: peak.name,
      moments,
      parameters: WEIGHTS / 4,
      trainable: trained,
      adapterFileBytes: 4 * trained,
      assumptions: [],
    },
  };
}

function part(name: PartName, bytes: number): MemoryPlan['parts'][number] {
  return { name, bytes, formula: '', ...(name === 'weights' ? { fileBacked: true as const } : {}) };
}

const named = (savings: readonly Saving[], start: string): Saving => {
  const found = savings.find(({ name }) => name.startsWith(start));
  assert.ok(found, `${start} among ${savings.map(({ name }) => name).join(', ')}`);
  return found;
};

test('half the batch with twice the accumulation is the same step', async () => {
  const config = configOf(
    '{ type: lora }',
    'training: { per_device_train_batch_size: 8, gradient_accumulation_steps: 2 }\n',
  );
  const [first] = await suggestChanges(config, planOf);
  assert.equal(first?.name, 'Batch 4 × 4');
  assert.equal(first.keepsResult, true);
  assert.match(first.title, /^Batch 4 × 4 saves 200 KiB: the same step/);
  assert.equal(first.saved, 4 * 512 * 100);
  assert.deepEqual(first.changes, [
    { path: ['training', 'per_device_train_batch_size'], value: 4 },
    { path: ['training', 'gradient_accumulation_steps'], value: 4 },
  ]);
});

test('with a limit the mildest form that suffices is offered, and it is said which suffice', async () => {
  const config = configOf('{ type: lora, r: 8 }', 'training: { per_device_train_batch_size: 8 }\n');
  const anonymous = needOf(planOf(config).plan).anonymous;
  const batch = 512 * 100;
  const savings = await suggestChanges(config, planOf, (anonymous - 5.5 * batch) / 0.9);
  assert.equal(named(savings, 'Batch').name, 'Batch 2 × 4');
  assert.ok(goesThrough(named(savings, 'Batch').verdict!));
  // A quarter of the length saves as much, and changes what is learned: it comes after.
  assert.equal(named(savings, 'Row length').name, 'Row length 128');
  assert.ok(savings.indexOf(named(savings, 'Batch')) < savings.indexOf(named(savings, 'Row length')));
  assert.equal(named(savings, 'SGD').verdict, 'too-large');
});

test('of several methods a change names and changes the right one', async () => {
  const config = configOf('[{ type: prompt_tuning, num_virtual_tokens: 200 }, { type: lora, r: 64 }]');
  const savings = await suggestChanges(config, planOf);
  const rank = named(savings, 'Rank 32');
  assert.equal(rank.name, 'Rank 32 of method 2 (lora)');
  assert.deepEqual(rank.changes, [{ path: ['method', 1, 'r'], value: 32 }]);
  assert.equal(await largestThatFits(config, planOf, 1e12, 'rank', 100), 100);
});

test('where ranks fall, the first one is lowered, and the last with it where it would be above', async () => {
  for (const [method, first, last] of [
    ['{ type: adalora, init_r: 12, target_r: 8 }', 'init_r', 'target_r'],
    ['{ type: dora_rank, r: 8, start_rank: 12, lora_dropout: 0 }', 'start_rank', 'r'],
    ['{ type: dora_rank, r: 8, lora_dropout: 0 }', 'start_rank', 'r'],
  ] as const) {
    const config = configOf(method);
    const anonymous = needOf(planOf(config).plan).anonymous;
    const six = named(await suggestChanges(config, planOf, anonymous / 0.9 - 1), 'First rank');
    assert.equal(six.name, 'First rank 6');
    assert.deepEqual(six.changes, [
      { path: ['method', 0, first], value: 6 },
      { path: ['method', 0, last], value: 4 },
    ]);
    assert.ok(changedConfig(config, six.changes));
  }
});

test('training everything: LoRA at a learning rate that suits it, other optimizers', async () => {
  const config = configOf('{ type: full }', 'training: { learning_rate: 2e-5 }\n');
  const savings = await suggestChanges(config, planOf);
  const lora = named(savings, 'LoRA');
  const changed = changedConfig(config, lora.changes)!;
  assert.equal(changed.method[0]?.type, 'lora');
  assert.equal(changed.training.learning_rate, 2e-4);
  assert.deepEqual(changed.method[0], configOf('{ type: lora, r: 8 }').method[0]);
  assert.ok(named(savings, 'SGD').saved > named(savings, 'Adafactor').saved);
});

test('an evaluation at the peak: its own batch; a smaller training batch takes it along', async () => {
  const text = 'model: a\ndata: { train: b, validation: c }\nmethod: { type: lora, r: 1 }\n';
  const config = parseRunFile(
    `${text}training: { per_device_train_batch_size: 2, per_device_eval_batch_size: 64 }\n`,
    'a',
  ).config!;
  assert.equal(planOf(config).plan.peak, 'evaluation');
  const saving = named(await suggestChanges(config, planOf), 'Evaluation batch 32');
  assert.equal(saving.keepsResult, true);
  const even = parseRunFile(
    `${text}training: { per_device_train_batch_size: 8, per_device_eval_batch_size: 8 }\n`,
    'a',
  ).config!;
  assert.equal(named(await suggestChanges(even, planOf), 'Batch 4').changes[2]?.value, 4);
});

test('where no change alone suffices, the first few together are offered first', async () => {
  const config = configOf('{ type: lora, r: 256 }', 'training: { per_device_train_batch_size: 4 }\n');
  const both = changedConfig(config, [
    { path: ['training', 'per_device_train_batch_size'], value: 1 },
    { path: ['method', 0, 'r'], value: 32 },
  ])!;
  const limit = needOf(planOf(both).plan).anonymous / 0.9;
  const savings = await suggestChanges(config, planOf, limit);
  assert.ok(goesThrough(savings[0]!.verdict!));
  assert.match(savings[0]!.name, /^Batch 1 × 4 \+ /);
  assert.ok(savings.slice(1).every(({ verdict }) => !goesThrough(verdict!)));
});

test('a change that cannot be planned is left out; another error is not hidden', async () => {
  const config = configOf('{ type: lora, r: 64 }');
  const refusing = (error: Error) => (changed: RunConfig) => {
    if (changed.method[0]?.type === 'lora' && changed.method[0].r < 64) throw error;
    return planOf(changed);
  };
  const savings = await suggestChanges(config, refusing(new ProblemError({ code: 'a', message: 'b' })));
  assert.ok(savings.length > 0 && savings.every(({ name }) => !name.startsWith('Rank')));
  await assert.rejects(suggestChanges(config, refusing(new TypeError('fault'))), TypeError);
});

test('the largest that fits goes through, one more does not', async () => {
  const lora = configOf('{ type: lora, r: 8 }');
  const rank = (value: number) => ({ path: ['method', 0, 'r'], value });
  for (const [config, quantity, change] of [
    [lora, 'batch', (value: number) => ({ path: ['training', 'per_device_train_batch_size'], value })],
    [lora, 'length', (value: number) => ({ path: ['data', 'max_length'], value })],
    [lora, 'rank', rank],
    [configOf('{ type: cola, r: 4, chain_length: 2 }'), 'rank', rank],
  ] as const) {
    const limit = 2 * needOf(planOf(config).plan).anonymous;
    const found = (await largestThatFits(config, planOf, limit, quantity))!;
    const verdicts = [found, found + 1].map((value) =>
      verdictOf(needOf(planOf(changedConfig(config, [change(value)])!).plan), limit),
    );
    assert.deepEqual(verdicts.map(goesThrough), [true, false], `${quantity} ${found}`);
    assert.equal(await largestThatFits(config, planOf, 1, quantity), 0);
  }
  assert.equal(await largestThatFits(configOf('{ type: full }'), planOf, 1e12, 'rank'), undefined);
});

test('every suggestion is a valid run file that saves what it says (random runs)', async () => {
  const draw = random(7, 'savings');
  const pick = <T>(values: readonly T[]): T => values[draw.integer(values.length)]!;
  for (let round = 0; round < 40; round += 1) {
    const methods = [
      `{ type: lora, r: ${pick([1, 3, 8, 64])}, lora_dropout: ${pick([0, 0.1])}, modules_to_save: ${pick(['[]', '[lm_head]'])} }`,
      `{ type: adalora, init_r: ${pick([12, 24])}, target_r: ${pick([1, 8, 12])} }`,
      '{ type: full }',
      `{ type: lisa, lisa_activated_layers: ${pick([1, 2, 5])} }`,
      `{ type: fish_mask, keep_ratio: ${pick([0.005, 0.5, 1])} }`,
      `{ type: prompt_tuning, num_virtual_tokens: ${pick([1, 20, 300])} }`,
    ];
    const method = pick([
      pick(methods),
      `[${methods[5]}, ${methods[0]}]`,
      '[{ type: full }, { type: child_tuning }]',
    ]);
    const optim = pick(['adamw', 'sgd', 'adafactor']);
    const momentum = optim === 'sgd' ? ', momentum: 0.9' : '';
    const config = configOf(
      method,
      `training: { per_device_train_batch_size: ${pick([1, 2, 5, 16])}, gradient_accumulation_steps: ${pick([1, 3])}, optim: ${optim}${momentum} }\n`,
    );
    const { plan } = planOf(config);
    const limit = pick([undefined, 0.3, 0.7, 2]);
    const savings = await suggestChanges(config, planOf, limit === undefined ? undefined : limit * plan.total);
    for (const { changes, saved, plan: left, title, name } of savings) {
      const changed = changedConfig(config, changes);
      assert.ok(changed, `${name}: ${JSON.stringify(changes)}`);
      assert.equal(saved, plan.total - planOf(changed).plan.total, title);
      assert.equal(left.total, plan.total - saved);
      assert.ok(saved >= plan.total / 100, title);
    }
  }
});
