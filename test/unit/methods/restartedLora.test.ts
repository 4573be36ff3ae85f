// ReLoRA and COLA: LoRA that is merged and starts anew in the course of a run.
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { Value } from '@sinclair/typebox/value';
import { allLogits } from '../../../src/adapters/merging/logits.js';
import { random } from '../../../src/common/random.js';
import type { Example } from '../../../src/data/example.js';
import { lowRankSingularValues } from '../../../src/linalg/effectiveRank.js';
import { ColaOptions } from '../../../src/methods/cola.js';
import { loraConfigFromPeft } from '../../../src/methods/loraConfig.js';
import { lora } from '../../../src/methods/lora.js';
import type { AttachContext, Attached, SavedAdapter, Values } from '../../../src/methods/method.js';
import { ReLoraOptions, relora } from '../../../src/methods/relora.js';
import { afterMerges } from '../../../src/methods/restartedLora.js';
import { attachMethod } from '../../../src/methods/registry.js';
import type { MethodConfig } from '../../../src/methods/registry.js';
import { checkpointFolder, checkpointSteps, readCheckpoint } from '../../../src/training/checkpoint.js';
import type { Checkpoint } from '../../../src/training/checkpoint.js';
import { fixture, largestDifference } from '../../support/fixtures.js';
import { openModel } from '../../support/model.js';
import type { JobParts } from '../training/jobs.js';
import { UNEVEN, eventsOf, run } from '../training/jobs.js';

const opened = await openModel(fixture('lora-reference', 'tiny-llama'));
const root = await mkdtemp(path.join(tmpdir(), 'peft-restarts-'));
after(() => rm(root, { recursive: true, force: true }));

const bert = await openModel(fixture('encoders', 'tiny-bert'), {
  type: 'SEQ_CLS',
  labels: ['no', 'yes', 'maybe'],
});
/** Rows with a class. */
const told = UNEVEN.map((row, at): Example => ({
  ...row,
  ids: row.ids.map((id) => id % 60),
  supervised: row.ids.map(() => 0),
  label: at % 3,
}));

const TARGETS = ['q_proj', 'v_proj', 'down_proj'];
const IN_SMALL = { r: 2, lora_alpha: 4, lora_dropout: 0, target_modules: TARGETS };

function re(options: Partial<ReLoraOptions> = {}): MethodConfig {
  return Value.Parse(ReLoraOptions, { type: 'relora', ...IN_SMALL, relora: 3, ...options });
}

function chain(options: Partial<ColaOptions> = {}): MethodConfig {
  return Value.Parse(ColaOptions, { type: 'cola', ...IN_SMALL, ...options });
}

function saved(method: Attached, values: Values): SavedAdapter {
  const found = method.save(values);
  assert.ok(found.kind === 'adapter');
  return found;
}

/** What a run of eight steps leaves. */
const SMALL = {
  per_device_train_batch_size: 2,
  learning_rate: 1e-2,
  max_steps: 8,
  logging_steps: 1,
} as const;

const ROWS = UNEVEN.slice(0, 3).map(({ ids }) => [...ids, ...ids, ...ids, 5, 6, 7].slice(0, 12));

function logits(methods: readonly Attached[], values: Values): Promise<Float32Array> {
  return allLogits({ ...opened, methods, values, rows: ROWS });
}

for (const [name, method] of [
  ['ReLoRA', re()],
  ['ReLoRA, one matrix', re({ r: 12, lora_alpha: 12 })],
  ['COLA', chain()],
] as const) {
  test(`${name}: a merge changes nothing that the model computes`, async () => {
    const runFolder = await mkdtemp(path.join(root, 'run-'));
    const parts: JobParts = {
      method,
      validation: UNEVEN.slice(0, 4),
      checkpoints: { runFolder },
      options: { ...SMALL, save_steps: 1, eval_steps: 1, save_total_limit: 9 },
    };
    const ran = await run(opened, parts);
    const turns = eventsOf(ran.events, 'log')
      .map(({ message }) => /^After step (\d+), .* merged its update number (\d+)/.exec(message))
      .filter((found) => found !== null);
    assert.deepEqual(
      turns.map(([, step, number]) => [Number(step), Number(number)]),
      method.type === 'cola'
        ? [
            [3, 1],
            [5, 2],
          ]
        : [
            [3, 1],
            [6, 2],
          ],
    );
    for (const [, step] of turns) {
      const from = await readCheckpoint(checkpointFolder(runFolder, Number(step)));
      const { values, slots } = from.snapshot;
      const before = attachMethod(method, { ...opened.context, ...prepared(from) });
      const turn = await before.turn!({ ...passes, at: { step: Number(step), totalSteps: 8 }, values, slots });
      const anew = attachMethod(method, { ...opened.context, prepared: turn.prepared });
      const started = new Map(turn.values);
      for (const { variable, start } of anew.trainables) {
        if (!started.has(variable.name)) started.set(variable.name, await start());
      }
      const [was, is] = [await logits([before], values), await logits([anew], started)];
      assert.ok(largestDifference(was, is) < 2e-5, String(largestDifference(was, is)));
      assert.ok(largestDifference(was, await logits([], new Map())) > 1e-2);
      // So are the losses of the run, for ReLoRA: the first step of a cycle has rate 0.
      const [last, next] = [0, 1].map((more) => {
        const evaluated = eventsOf(ran.events, 'evaluation');
        return evaluated.find((each) => each.step === Number(step) + more)!.loss;
      });
      if (method.type === 'relora') assert.ok(Math.abs(last! - next!) < 2e-6 * last!, `${last} ${next}`);
    }
  });
}

function prepared({ prepared: all }: Checkpoint): Pick<AttachContext, 'prepared'> {
  return all?.[0] === undefined ? {} : { prepared: all[0] };
}

test('the sum of the updates has a higher rank than each, and it is told', async () => {
  const ran = await run(opened, { method: re(), validation: UNEVEN.slice(0, 2), options: SMALL });
  const { config, tensors } = saved(ran.methods[0]!, ran.values);
  assert.deepEqual([config['r'], config['lora_alpha'], config['peft_type']], [6, 12, 'LORA']);
  const byName = new Map(tensors.map((tensor) => [tensor.name, tensor]));
  for (const { name, shape, data } of tensors) {
    if (!name.endsWith('lora_A.weight')) continue;
    const b = byName.get(name.replace('lora_A', 'lora_B'))!;
    assert.deepEqual([shape[0], b.shape[1]], [6, 6]);
    const values = lowRankSingularValues(b.data, data, 6)!;
    const rank = [...values].filter((value) => value > 1e-6 * values[0]!).length;
    // The rate of the first step of the last cycle is 0: all but that one have learned.
    assert.ok(rank > 2 && rank <= 6, `${name}: ${rank}`);
  }
  const ranks = eventsOf(ran.events, 'ranks').map(({ step, sites }) => [step, sites[0]!.rank]);
  assert.deepEqual(ranks, [
    [0, 2],
    [4, 4],
    [7, 6],
    [8, 6],
  ]);
});

for (const [name, method, r] of [
  ['factors', re(), 6],
  ['one matrix each', re({ r: 12, lora_alpha: 6 }), undefined],
  [
    'rank-stabilized, with ranks of their own',
    chain({ use_rslora: true, rank_pattern: { v_proj: 3 } }),
    undefined,
  ],
  ['biases and modules beside', chain({ modules_to_save: ['norm'] }), 6],
] as const) {
  test(`the adapter is a plain LoRA with the logits of the run, and merging is applying it: ${name}`, async () => {
    const ran = await run(opened, { method, options: SMALL });
    const { config, tensors } = saved(ran.methods[0]!, ran.values);
    if (r !== undefined) assert.equal(config['r'], r);
    const { options, warnings } = loraConfigFromPeft(config, 'adapter_config.json');
    assert.deepEqual(warnings, []);
    const plain = lora.attach(options, opened.context);
    const loaded = plain.load(
      new Map(tensors.map((tensor) => [tensor.name, tensor])),
      'adapter_model.safetensors',
    );
    assert.deepEqual(loaded.warnings, []);
    const [own, again] = [await logits(ran.methods, ran.values), await logits([plain], loaded.values)];
    assert.ok(largestDifference(own, again) < 5e-5, String(largestDifference(own, again)));
    assert.ok(largestDifference(own, await logits([], new Map())) > 1e-2);
    for (const site of opened.model.sites) {
      if (site.weight === undefined) continue;
      const base = await opened.context.read(site.weight);
      const [a, b] = [
        ran.methods[0]!.merge!(site, 'weight', base, ran.values),
        plain.merge!(site, 'weight', base, loaded.values),
      ];
      assert.equal(a === undefined, b === undefined);
      if (a !== undefined) assert.ok(largestDifference(a, b!) < 1e-6, site.path);
    }
  });
}

for (const [name, base, method] of [
  ['a Conv1D and an embedding', 'gpt2/tiny-gpt2', re({ target_modules: ['c_attn', 'wte', 'mlp.c_proj'] })],
  ['a Conv1D, one matrix each', 'gpt2/tiny-gpt2', re({ target_modules: ['c_attn', 'c_fc'], r: 24 })],
  ['a tied embedding', 'lora-reference/tiny-llama-tied', chain({ target_modules: ['embed_tokens', 'q_proj'] })],
] as const) {
  test(`merging is applying it: ${name}`, async () => {
    const own = await openModel(fixture(base));
    const ran = await run(own, { method, options: SMALL });
    const { config, tensors } = saved(ran.methods[0]!, ran.values);
    const plain = lora.attach(loraConfigFromPeft(config, 'adapter_config.json').options, own.context);
    const loaded = plain.load(
      new Map(tensors.map((tensor) => [tensor.name, tensor])),
      'adapter_model.safetensors',
    );
    const of = (methods: readonly Attached[], values: Values): Promise<Float32Array> =>
      allLogits({ ...own, methods, values, rows: ROWS });
    const wanted = await of(ran.methods, ran.values);
    assert.ok(largestDifference(wanted, await of([plain], loaded.values)) < 5e-5);
    assert.ok(largestDifference(wanted, await of([], new Map())) > 1e-2);
    for (const site of own.model.sites) {
      if (site.weight === undefined) continue;
      const weight = await own.context.read(site.weight);
      const [a, b] = [
        ran.methods[0]!.merge!(site, 'weight', weight, ran.values),
        plain.merge!(site, 'weight', weight, loaded.values),
      ];
      assert.equal(a === undefined, b === undefined);
      if (a !== undefined) assert.ok(largestDifference(a, b!) < 1e-6, site.path);
    }
  });
}

test('what is merged lies beside the weights as factors until one matrix is no larger', () => {
  const shapes = (merges: number, r: number): Record<string, unknown> => {
    const method = relora.attach(Value.Parse(ReLoraOptions, { ...IN_SMALL, type: 'relora', r }), {
      ...opened.context,
      prepared: afterMerges(merges),
    });
    const resting = method.trainables.filter(({ readAtRest }) => readAtRest === true);
    assert.equal(method.active?.().size ?? 12, 12);
    return Object.fromEntries(
      resting
        .filter(({ variable: { name } }) => name.includes('layers.0'))
        .map(({ variable: { name, shape } }) => [name.split('.').slice(5).join('.') || name, shape]),
    );
  };
  assert.deepEqual(shapes(0, 2), {});
  assert.deepEqual(shapes(3, 2), {
    'q_proj.lora_A': [6, 32],
    'q_proj.lora_B': [32, 6],
    'v_proj.lora_A': [6, 32],
    'v_proj.lora_B': [16, 6],
    'down_proj.lora_A': [6, 48],
    'down_proj.lora_B': [32, 6],
  });
  // 12 · (32 + 16) is more than 32 · 16, not so 12 · (32 + 32) and 32².
  assert.deepEqual(shapes(1, 12), {
    'q_proj.lora_A': [12, 32],
    'q_proj.lora_B': [32, 12],
    v_proj: [16, 32],
    'down_proj.lora_A': [12, 48],
    'down_proj.lora_B': [32, 12],
  });
});

for (const [name, on, method] of [
  ['ReLoRA', opened, re({ lora_dropout: 0.2, optimizer_random_pruning: 0.5, reset_optimizer_on_relora: false })],
  ['ReLoRA, one matrix', opened, re({ r: 12, modules_to_save: ['norm'] })],
  ['COLA', opened, chain({ lora_dropout: 0.1, modules_to_save: ['norm'] })],
  ['COLA beside a head for classes', bert, chain({ target_modules: ['query', 'value'] })],
  ['ReLoRA beside a head for classes', bert, re({ target_modules: ['query', 'value'] })],
] as const) {
  test(`${name}: resumed from before, at and after a merge, the run is the same bit for bit`, async () => {
    const runFolder = await mkdtemp(path.join(root, 'run-'));
    const parts: JobParts = {
      method,
      ...(on === bert ? { train: told } : {}),
      options: { ...SMALL, save_steps: 1, save_total_limit: 9 },
    };
    const whole = await run(on, { ...parts, checkpoints: { runFolder } });
    assert.deepEqual(await checkpointSteps(runFolder), [1, 2, 3, 4, 5, 6, 7, 8]);
    for (const step of [2, 3, 4, 5, 6, 7]) {
      const from = await readCheckpoint(checkpointFolder(runFolder, step));
      const own = path.join(root, `${name}-${step}`);
      await mkdir(own);
      const resumed = await run(on, { ...parts, checkpoints: { runFolder: own, from } });
      assert.deepEqual([...resumed.values.keys()].sort(), [...whole.values.keys()].sort());
      for (const [key, numbers] of whole.values)
        assert.deepEqual(resumed.values.get(key), numbers, `${step} ${key}`);
    }
  });
}

test('moments of A and B are pruned at a merge, other slots go on; a chain begins them anew', async () => {
  const slotsAt = async (method: MethodConfig, step: number): Promise<Checkpoint> => {
    const runFolder = await mkdtemp(path.join(root, 'run-'));
    const options = { ...SMALL, save_steps: 1, save_total_limit: 9, learning_rate: 1e-3 };
    await run(opened, { method, options, checkpoints: { runFolder } });
    return readCheckpoint(checkpointFolder(runFolder, step));
  };
  // A merge without a step after it: what the next step is taken from.
  const config = re({
    reset_optimizer_on_relora: false,
    optimizer_random_pruning: 0.7,
    modules_to_save: ['norm'],
  });
  const before = await slotsAt(config, 3);
  const attached = attachMethod(config, { ...opened.context, random: (...stream) => random(42, ...stream) });
  const { values, slots } = before.snapshot;
  const turn = await attached.turn!({ ...passes, at: { step: 3, totalSteps: 8 }, values, slots });
  let [kept, all] = [0, 0];
  for (const [name, numbers] of slots) {
    const now = turn.slots!.get(name)!;
    if (!/lora_[AB]\/exp_avg/.test(name)) {
      assert.equal(now, numbers, name);
      continue;
    }
    const draws = random(42, 'pruning', 3, name);
    numbers.forEach((value, at) => assert.equal(now[at], draws.uniform() > 0.7 ? value : 0));
    kept += now.filter((value) => value !== 0).length;
    all += numbers.filter((value) => value !== 0).length;
  }
  assert.ok(Math.abs(kept / all - 0.3) < 0.03, `${kept} of ${all}`);
  assert.ok([...slots.keys()].some((name) => name.startsWith('model.norm')));
  assert.deepEqual(turn.values.get('model.norm.weight'), values.get('model.norm.weight'));

  const own = chain({ modules_to_save: ['norm'] });
  const next = await attachMethod(own, opened.context).turn!({
    ...passes,
    at: { step: 3, totalSteps: 8 },
    values,
    slots,
  });
  assert.equal(next.slots, undefined);
  const anew = attachMethod(own, { ...opened.context, prepared: next.prepared });
  for (const { variable, readAtRest } of anew.trainables) {
    assert.equal(anew.startedAfter!(variable), readAtRest === true ? 0 : 3, variable.name);
  }
});

const notAsked = (): never => assert.fail('a merge makes no passes over the data');
const passes = {
  squaredGradients: notAsked,
  summedGradients: notAsked,
  fisher: notAsked,
  rowGradients: notAsked,
  hessianDiagonal: notAsked,
  rowLosses: notAsked,
};
