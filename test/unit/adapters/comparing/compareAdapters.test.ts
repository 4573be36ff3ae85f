import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import type { AdapterComparison } from '../../../../src/adapters/comparing/adapterComparison.js';
import { compareAdapters } from '../../../../src/adapters/comparing/compareAdapters.js';
import { inspectAdapter } from '../../../../src/adapters/inspect.js';
import type { JsonObject } from '../../../../src/common/json.js';
import type { NamedTensor } from '../../../../src/methods/method.js';
import type { AdapterParts } from '../../../support/adapters.js';
import { adapterParts, problem, temporaryFolder, writeParts } from '../../../support/adapters.js';
import { fixture } from '../../../support/fixtures.js';

const folder = temporaryFolder();
let count = 0;

const mine = fixture('lora-reference/peft-adapter');

async function changed(change: (parts: AdapterParts) => void): Promise<string> {
  const parts = await adapterParts('peft-adapter');
  change(parts);
  return writeParts(path.join(folder, String(++count)), parts);
}

function near(found: number | null | undefined, expected: number, tolerance: number): void {
  assert.ok(found != null && Math.abs(found - expected) <= tolerance, `${found}, expected ${expected}`);
}

const tensor = (name: string, shape: readonly number[], data: readonly number[]): NamedTensor => ({
  name: `base_model.model.${name}`,
  shape,
  data: Float32Array.from(data),
});

/** One module of 2 × 2, q, as a LoRA of rank 1: ΔW = 3·b·a. */
function single(b: readonly number[], a: readonly number[], more: JsonObject = {}): Promise<string> {
  const config = { peft_type: 'LORA', r: 1, lora_alpha: 3, target_modules: ['q'], ...more };
  const tensors = [tensor('q.lora_A.weight', [1, 2], a), tensor('q.lora_B.weight', [2, 1], b)];
  return writeParts(path.join(folder, String(++count)), { config, tensors });
}

test('an adapter beside itself, module by module and added up', async () => {
  const found = await compareAdapters([mine, mine]);
  assert.equal(found.modules.length, 14);
  const inspected = await inspectAdapter(mine);
  for (const [at, module] of found.modules.entries()) {
    const { path: name, norm, rank } = inspected.modules[at]!;
    assert.equal(module.path, name);
    assert.deepEqual(module.ranks, [rank, rank]);
    near(module.norms[0], norm!, 1e-6);
    near(module.cosine, 1, 1e-9);
  }
  for (const group of [...found.layers, ...found.kinds, found.total]) {
    near(group.cosine, 1, 1e-9);
    near(group.outputs.shared, 1, 1e-9);
    near(group.inputs.shared, 1, 1e-9);
    assert.equal(group.signConflicts, 0);
  }
  assert.deepEqual(
    found.layers.map(({ name, modules }) => [name, modules]),
    [
      ['model.layers.0', 7],
      ['model.layers.1', 7],
    ],
  );
  const chances = found.modules.map(({ outputs }) => outputs.sharedByChance!);
  near(found.total.outputs.sharedByChance, chances.reduce((sum, each) => sum + each, 0) / 14, 1e-12);
  near(found.total.norms[0], Math.hypot(...inspected.modules.map(({ norm }) => norm!)), 1e-6);
  assert.deepEqual([found.alone, found.problems], [[[], []], []]);
});

test('the scale counts for norms and signs, not for angles; progress goes through the modules', async () => {
  const steps: number[] = [];
  const [one, other] = [await single([1, 0], [1, 1]), await single([-1, -1], [-1, -1], { lora_alpha: 6 })];
  const found = await compareAdapters([one, other], (done, total) => {
    steps.push(done);
    assert.equal(total, 1);
    return Promise.resolve();
  });
  assert.deepEqual(steps, [0, 1]);
  const [module] = found.modules;
  near(module!.norms[0], 3 * Math.SQRT2, 1e-6);
  near(module!.norms[1], 6 * 2, 1e-6);
  // 3·[[1, 1], [0, 0]] and 6·[[1, 1], [1, 1]]
  near(module!.cosine, Math.SQRT1_2, 1e-6);
  assert.equal(module!.signConflicts, 0);
  near(module!.outputs.angles[0], 45, 1e-4);
  near(module!.inputs.angles[0], 0, 1e-4);
  assert.deepEqual([module!.layer, module!.kind], ['', 'q']);
});

test('groups are one vector: cosine and norms of two modules together', async () => {
  const two = (b: readonly number[], other: readonly number[]): Promise<string> => {
    const config = { peft_type: 'LORA', r: 1, lora_alpha: 1, target_modules: ['q', 'k'] };
    const tensors = [
      tensor('layers.10.q.lora_A.weight', [1, 1], [1]),
      tensor('layers.10.q.lora_B.weight', [2, 1], b),
      tensor('layers.2.q.lora_A.weight', [1, 1], [1]),
      tensor('layers.2.q.lora_B.weight', [2, 1], other),
    ];
    return writeParts(path.join(folder, String(++count)), { config, tensors });
  };
  const found = await compareAdapters([await two([3, 0], [0, 4]), await two([1, 0], [0, -2])]);
  const [kind] = found.kinds;
  near(kind!.norms[0], 5, 1e-6);
  near(kind!.norms[1], Math.sqrt(5), 1e-6);
  near(kind!.cosine, (3 * 1 - 4 * 2) / (5 * Math.sqrt(5)), 1e-6);
  near(kind!.signConflicts, 0.5, 1e-9);
  assert.deepEqual(
    found.layers.map(({ name }) => name),
    ['layers.2', 'layers.10'],
  );
});

test('modules that one alone changes are named, and an adapter that never trained changes nothing', async () => {
  const fewer = await changed((parts) => {
    parts.tensors = parts.tensors.filter(({ name }) => !name.includes('layers.1.'));
  });
  const { alone, modules } = await compareAdapters([mine, fewer]);
  assert.equal(modules.length, 7);
  assert.ok(alone[0].length === 7 && alone[0].every((name) => name.includes('layers.1.')));
  assert.deepEqual(alone[1], []);
  const untrained = await changed(({ tensors }) => {
    for (const { name, data } of tensors) if (name.includes('lora_B')) data.fill(0);
  });
  const found = await compareAdapters([mine, untrained]);
  assert.deepEqual(codes(found), ['adapter.untrained']);
  assert.deepEqual([found.total.norms[1], found.total.cosine, found.total.outputs.shared], [0, null, null]);
});

const codes = ({ problems }: AdapterComparison): string[] => problems.map(({ code }) => code);

test('AdaLoRA beside LoRA: λ is part of the update, and pruned modules have none', async () => {
  const adalora = fixture('adalora/schedule/final');
  const found = await compareAdapters([adalora, mine]);
  const inspected = await inspectAdapter(adalora);
  assert.deepEqual([found.adapters[0].method, found.adapters[1].method], ['adalora', 'lora']);
  for (const { path: name, norms, ranks } of found.modules) {
    const module = inspected.modules.find((each) => each.path === name)!;
    near(norms[0], module.norm!, 1e-6 + 1e-6 * module.norm!);
    assert.ok(ranks[0] <= module.rank);
  }
  assert.ok(found.modules.some(({ ranks }) => ranks[0] === 0));
  assert.ok(found.modules.some(({ ranks, outputs }) => ranks[0] > 0 && outputs.angles.length > 0));
});

test('MELoRA beside LoRA: its mini LoRAs are one update', async () => {
  const melora = fixture('module-updates/melora-llama');
  const found = await compareAdapters([melora, mine]);
  const inspected = await inspectAdapter(melora);
  assert.equal(found.modules.length, 14);
  for (const { path: name, norms, ranks } of found.modules) {
    const module = inspected.modules.find((each) => each.path === name)!;
    near(norms[0], module.norm!, 1e-5 * module.norm!);
    assert.deepEqual([ranks[0], module.rank], [8, 8]);
  }
});

test('what is beside s·B·A is said not to be compared', async () => {
  const dora = await compareAdapters([fixture('dora/linears/final'), fixture('dora/linears/final')]);
  assert.ok(codes(dora).includes('compare-adapters.dora'));
  const whole = fixture('lora-reference/lora-steps/modules-to-save/final');
  const beside = await compareAdapters([whole, mine]);
  assert.deepEqual(codes(beside), ['compare-adapters.whole']);
  assert.match(beside.problems[0]!.message, /^1 tensors .*lm_head/);
  const renamed = await changed((parts) => {
    parts.config = { ...parts.config, base_model_name_or_path: 'other' };
  });
  assert.deepEqual(codes(await compareAdapters([mine, renamed])), ['compare-adapters.base-names']);
});

test('adapters that cannot be compared are refused by name', async () => {
  const refused = (other: string, ...expected: Parameters<typeof problem>): Promise<void> =>
    assert.rejects(compareAdapters([mine, other]), problem(...expected));
  await refused(fixture('ia3/llama'), 'compare-adapters.method', 'IA3', 'playground');
  await refused(
    await writeParts(path.join(folder, String(++count)), {
      config: { peft_type: 'FISH_MASK', base_model_name_or_path: 'tiny-llama' },
      tensors: [],
    }),
    'compare-adapters.method',
    'FISH_MASK',
    'peft-studio masks',
  );
  await refused(await single([1, 0], [1, 1]), 'compare-adapters.nothing-shared', 'q and the like');
  const other = await changed((parts) => {
    const at = parts.tensors.findIndex(({ name }) => name.endsWith('q_proj.lora_A.weight'));
    const { name, shape } = parts.tensors[at]!;
    const size = [shape[0]!, shape[1]! + 1];
    parts.tensors[at] = { name, shape: size, data: new Float32Array(size[0]! * size[1]!).fill(1) };
  });
  await refused(other, 'compare-adapters.shape', 'q_proj', '[32, 32]', '[32, 33]');
  const infinite = await changed(({ tensors }) => tensors[0]!.data.fill(NaN, 0, 1));
  await refused(infinite, 'adapter.non-finite', 'NaN');
  const single32 = [await single([1, 0], [1, 1]), await single([3e38, 0], [1, 1])] as const;
  await assert.rejects(compareAdapters(single32), problem('compare-adapters.non-finite', 'q'));
});
