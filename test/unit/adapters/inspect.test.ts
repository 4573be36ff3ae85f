import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { inspectAdapter } from '../../../src/adapters/inspect.js';
import type { Inspection } from '../../../src/adapters/inspect.js';
import type { AdapterParts } from '../../support/adapters.js';
import { adapterParts, problem, temporaryFolder, writeParts } from '../../support/adapters.js';
import { fixture } from '../../support/fixtures.js';

const folder = temporaryFolder();
let count = 0;

async function inspectChanged(
  change: (parts: AdapterParts) => void,
  basePlace?: Parameters<typeof inspectAdapter>[1],
): Promise<Inspection> {
  const parts = await adapterParts('peft-adapter');
  change(parts);
  return inspectAdapter(await writeParts(path.join(folder, String(++count)), parts), basePlace);
}

const codes = ({ problems }: Inspection): string[] => problems.map(({ code }) => code);

test('modules with rank, scale and norm of ΔW', async () => {
  const found = await inspectAdapter(fixture('lora-reference/peft-adapter'));
  assert.deepEqual(found.problems, []);
  assert.deepEqual(
    [found.method, found.base, found.r, found.alpha, found.tensors],
    ['lora', 'tiny-llama', 4, 8, 28],
  );
  const at = (suffix: string): Inspection['modules'][number] =>
    found.modules.find((module) => module.path === `model.layers.${suffix}`)!;
  assert.equal(found.modules.length, 14);
  assert.deepEqual([at('0.self_attn.q_proj').rank, at('0.self_attn.q_proj').scale], [2, 4]);
  assert.deepEqual([at('1.mlp.down_proj').rank, at('1.mlp.down_proj').scale], [6, 8 / 6]);
  assert.deepEqual([at('0.mlp.gate_proj').scale, at('1.mlp.gate_proj').scale], [3 / 4, 2]);
  assert.equal(
    found.trainable,
    found.modules.reduce((sum, module) => sum + module.trainable, 0),
  );

  const { tensors } = await adapterParts('peft-adapter');
  const data = (half: string): Float32Array =>
    tensors.find(({ name }) => name.endsWith(`layers.0.self_attn.q_proj.lora_${half}.weight`))!.data;
  const [a, b] = [data('A'), data('B')];
  let squares = 0;
  for (let i = 0; i < 32; i++) {
    for (let j = 0; j < 32; j++) squares += (4 * (b[2 * i]! * a[j]! + b[2 * i + 1]! * a[32 + j]!)) ** 2;
  }
  assert.ok(Math.abs(at('0.self_attn.q_proj').norm! - Math.sqrt(squares)) < 1e-6);
  for (const { path: name, rank, effectiveRank } of found.modules) {
    assert.ok(effectiveRank! > 1 && effectiveRank! < rank, `${name}: ${effectiveRank}`);
  }
});

test('embeddings, and the copies of the base beside them', async () => {
  const found = await inspectAdapter(fixture('lora-reference/peft-adapter-embedding'));
  assert.deepEqual(found.problems, []);
  const embedding = found.modules.find((module) => module.path === 'model.embed_tokens')!;
  assert.deepEqual([embedding.a, embedding.b, embedding.trainable], [[4, 128], [32, 4], 4 * 160]);
});

test('modules_to_save and biases count as trained', async () => {
  const saved = await inspectAdapter(fixture('lora-reference/lora-steps/modules-to-save/final'));
  assert.deepEqual(saved.problems, []);
  assert.deepEqual(saved.whole, [{ key: 'base_model.model.lm_head.weight', shape: [128, 32], trainable: 4096 }]);
  const biases = await inspectAdapter(fixture('lora-reference/lora-steps/bias-all/final'));
  assert.deepEqual(biases.problems, []);
  assert.equal(biases.whole.length, 14);
});

test('modules that AdaLoRA left without a rank were trained', async () => {
  const { problems, modules } = await inspectAdapter(fixture('adalora/schedule/final'));
  assert.deepEqual(problems, []);
  assert.equal(modules.filter(({ rank, norm }) => rank === 0 && norm === 0).length, 2);
});

test('★70 an adapter that was never trained', async () => {
  const whole = await inspectAdapter(fixture('lora-reference/lora-steps/plain/initial'));
  assert.deepEqual(codes(whole), ['adapter.untrained']);
  assert.match(whole.problems[0]!.message, /every module/);
  const part = await inspectChanged(({ tensors }) => tensors[1]!.data.fill(0));
  assert.match(part.problems[0]!.message, /1 of 14 modules/);
  const empty = await inspectChanged((parts) => {
    parts.tensors = [];
  });
  assert.deepEqual(codes(empty), ['adapter.untrained']);
  assert.match(empty.problems[0]!.message, /hold 0 numbers/);
});

test('what does not belong together is reported, not thrown', async () => {
  const single = await inspectChanged((parts) => {
    parts.tensors = parts.tensors.slice(1);
  });
  assert.deepEqual(codes(single), ['adapter.missing-pair']);
  const strange = await inspectChanged((parts) => {
    parts.tensors.push({ name: 'base_model.model.x.magnitude', shape: [1], data: Float32Array.of(1) });
  });
  assert.deepEqual(codes(strange), ['adapter.unknown-tensors']);
  const ranks = await inspectChanged((parts) => {
    parts.config = { ...parts.config, rank_pattern: {} };
  });
  assert.deepEqual(codes(ranks), ['adapter.rank']);
  assert.match(
    ranks.problems[0]!.message,
    /^3 of 14 modules are of rank 2, 6, the config says r 4, rank_pattern \{\}$/,
  );
  assert.match(ranks.problems[0]!.mend!, /peft-studio repair .* --out DIR/);
  const shapes = await inspectChanged((parts) => {
    parts.tensors[1] = { ...parts.tensors[1]!, shape: [...parts.tensors[1]!.shape].reverse() };
  });
  assert.deepEqual(codes(shapes), ['adapter.shape']);
  const infinite = await inspectChanged(({ tensors }) => tensors[0]!.data.fill(Infinity, 0, 1));
  assert.ok(codes(infinite).includes('adapter.non-finite'));
  const grouped = await inspectChanged((parts) => {
    parts.config = { ...parts.config, use_qalora: true };
  });
  assert.deepEqual(codes(grouped), ['adapter.config']);
  assert.deepEqual([grouped.modules.length, grouped.r, grouped.alpha], [14, 4, 8]);
  const dora = await inspectChanged((parts) => {
    parts.config = { ...parts.config, use_dora: true };
  });
  assert.deepEqual(codes(dora), Array(14).fill('adapter.missing-pair'));
});

test("PEFT's DoRA: magnitudes belong to their modules; one of another size, and one that is too many, are told", async () => {
  const found = await inspectAdapter(fixture('dora/linears/final'));
  assert.deepEqual(
    found.problems.filter(({ severity }) => severity !== 'warning'),
    [],
  );
  const head = found.modules.find((module) => module.path === 'lm_head')!;
  assert.deepEqual([head.rank, head.trainable], [4, 4 * (128 + 32) + 128]);
  const key = 'base_model.model.model.layers.0.self_attn.q_proj.lora_magnitude_vector';
  const tensor = { name: key, shape: [31], data: new Float32Array(31) };
  const plain = await inspectChanged((parts) => parts.tensors.push(tensor));
  assert.ok(
    plain.problems.some(({ message }) => message.includes('lora_magnitude_vector')),
    codes(plain).join(),
  );
  const dora = await inspectChanged((parts) => {
    parts.config = { ...parts.config, use_dora: true };
    parts.tensors.push(tensor);
  });
  assert.ok(dora.problems.some(({ message }) => message.includes('B is [32, 2] and the magnitude [31]')));
});

test('names out of the file are cut to what can be shown', async () => {
  const long = await inspectChanged(({ tensors }) => {
    tensors[0] = { ...tensors[0]!, name: `base_model.model.${'x'.repeat(20_000)}.lora_A.weight` };
  });
  assert.ok(codes(long).includes('adapter.missing-pair'));
  for (const { message } of long.problems) assert.ok(message.length < 3000, `${message.length} characters`);
});

test('a pattern that is no expression is refused with the file that holds it', async () => {
  const broken = inspectChanged((parts) => {
    parts.config = { ...parts.config, rank_pattern: { '(': 2 } };
  });
  await assert.rejects(broken, problem('targets.regex', 'adapter_config.json', "'('"));
});

test('what each layer and each kind of module has of the trained numbers', async () => {
  const found = await inspectAdapter(fixture('lora-reference/lora-steps/bias-all/final'));
  const sum = (numbers: readonly number[]): number => numbers.reduce((total, each) => total + each, 0);
  for (const groups of [found.layers, found.kinds]) {
    assert.equal(sum(groups.map(({ trainable }) => trainable)), found.trainable);
    const squares = groups.flatMap(({ norm }) => (norm === undefined ? [] : [norm ** 2]));
    const expected = sum(found.modules.map(({ norm }) => norm! ** 2));
    assert.ok(Math.abs(sum(squares) - expected) < 1e-9 * expected);
  }
  assert.deepEqual(
    found.layers.map(({ name }) => name),
    ['model.layers.0', 'model.layers.1'],
  );
  const biases = found.kinds.find(({ name }) => name === 'bias')!;
  assert.deepEqual(
    [biases.trainable, biases.norm],
    [sum(found.whole.map(({ trainable }) => trainable)), undefined],
  );
  const saved = await inspectAdapter(fixture('lora-reference/lora-steps/modules-to-save/final'));
  assert.deepEqual(saved.layers.at(-1), { name: '', trainable: 4096, norm: undefined });
  assert.deepEqual(saved.kinds.at(-1), { name: 'lm_head', trainable: 4096, norm: undefined });
});

test('the base model that it names is another one: modules that do not fit, or are not there', async () => {
  const adapter = fixture('lora-reference/peft-adapter');
  const at = (place: string) => () => Promise.resolve(fixture(place));
  const fits = await inspectAdapter(adapter, at('lora-reference/tiny-llama'));
  assert.deepEqual([fits.problems, fits.checkedWith], [[], fixture('lora-reference/tiny-llama')]);
  const other = await inspectAdapter(adapter, at('gpt2/tiny-gpt2'));
  assert.deepEqual(codes(other), ['adapter.unmatched']);
  assert.match(other.problems[0]!.message, /14 of 14 modules are not in the base/);
  const narrow = await inspectChanged((parts) => {
    parts.tensors = parts.tensors.map(({ name, shape, data }) =>
      /layers\.0\.self_attn\.q_proj\.lora_A/.test(name)
        ? { name, shape: [shape[0]!, 24], data: data.subarray(0, shape[0]! * 24) }
        : { name, shape, data },
    );
  }, at('lora-reference/tiny-llama'));
  assert.deepEqual(codes(narrow), ['adapter.unmatched']);
  assert.match(narrow.problems[0]!.message, /1 of 14 modules do not fit: .*q_proj is \[32, 32\].*\[32, 24\]/);
  assert.equal((await inspectAdapter(adapter)).checkedWith, undefined);
});
