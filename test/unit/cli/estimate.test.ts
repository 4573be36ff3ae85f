import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { document, run, temporary, tinyModel } from './support.js';

const folder = temporary();
process.env['HF_HUB_CACHE'] = path.join(folder, 'hub');
const model = await tinyModel(folder);
const opt = path.join(folder, 'opt');
mkdirSync(opt);
writeFileSync(
  path.join(opt, 'config.json'),
  JSON.stringify({
    model_type: 'opt',
    torch_dtype: 'float16',
    vocab_size: 100,
    hidden_size: 16,
    ffn_dim: 64,
    num_hidden_layers: 2,
    num_attention_heads: 2,
    max_position_embeddings: 256,
  }),
);
const SHORT = ['--length', '32', '--batch', '2'];

async function estimated(...args: readonly string[]): Promise<Record<string, unknown>> {
  const ran = await run(['estimate', ...args, '--json']);
  assert.equal(ran.code, 0, ran.err);
  return document(ran);
}

async function refused(code: string, ...args: readonly string[]): Promise<string> {
  const ran = await run(['estimate', ...args, '--json']);
  assert.equal(ran.code, 2, ran.out);
  const { error } = document(ran) as { error: { code: string; message: string } };
  assert.equal(error.code, code, error.message);
  return error.message;
}

test('a model alone: LoRA on the embedded engine, against a limit', async () => {
  const found = await estimated(model, ...SHORT, '--limit', '1GiB');
  assert.equal(found['engine'], 'embedded');
  const limit = found['limit'] as {
    bytes: number;
    bound: string;
    verdict: string;
    largest: Record<string, number>;
  };
  assert.deepEqual([limit.bytes, limit.bound, limit.verdict], [2 ** 30, 'limit', 'fits']);
  assert.ok(limit.largest['batch']! > 2);
  assert.equal(Math.log2(limit.largest['rank']!) % 1, 0);
  const sums = ['weights', 'activations', 'gradients', 'optimizer', 'other'].map((name) => Number(found[name]));
  assert.equal(
    sums.reduce((sum, bytes) => sum + bytes, 0),
    found['total'],
  );
});

test('a model that only Transformers trains, from its config.json alone', async () => {
  const found = await estimated(path.join(opt, 'config.json'));
  assert.equal(found['engine'], 'huggingface');
  assert.match(String(found['notes']), /float16/);
  assert.equal('limit' in found, false);
  await refused('model.unsupported', opt, '--engine', 'embedded');
});

test('options of the run file and of Transformers', async () => {
  const plain = await estimated(opt, '--r', '8', ...SHORT);
  const packed = await estimated(opt, '--r', '8', ...SHORT, '--quantization', 'nf4-double');
  assert.ok(Number(packed['weights']) < Number(plain['weights']));
  assert.equal(packed['trainable'], plain['trainable']);
  const twice = await estimated(opt, '--set', 'method.r=16', '--batch', '4', '--length', '32');
  assert.equal(Number(twice['trainable']), 2 * Number(plain['trainable']));
  assert.equal(Number(twice['activations']) > Number(plain['activations']), true);
  const full = await estimated(opt, '--method', 'full', '--devices', '4', '--sharding', 'zero-3');
  assert.equal(full['trainable'], full['parameters']);
  assert.equal(full['weights'], (2 * Number(full['parameters'])) / 4);
  const narrow = await estimated(opt, '--target-modules', '[q_proj]', '--optim', 'sgd');
  assert.equal(narrow['optimizer'], 0);
  assert.equal(narrow['trainable'], 2 * 8 * (16 + 16));
});

test('savings are ranked, and say whether they suffice', async () => {
  const args = [opt, '--batch', '512', '--length', '256', '--attention', 'eager'];
  const { total } = await estimated(...args);
  const limit = `${Math.floor((Number(total) - 1e6) / 1e6)}MB`;
  const found = await estimated(...args, '--limit', limit);
  const savings = found['savings'] as { saved: number; title: string; verdict: string }[];
  assert.ok(savings.length > 2);
  assert.ok(savings.some(({ title }) => title.startsWith('Gradient checkpointing')));
  assert.equal((found['limit'] as { verdict: string }).verdict, 'too-large');
  assert.ok(savings.every(({ verdict }) => ['fits', 'barely', 'too-large'].includes(verdict)));
  const saved = savings.map((each) => each.saved);
  assert.deepEqual(
    saved,
    saved.toSorted((one, other) => other - one),
  );
});

test('as text: parts, the limit, savings, what was assumed', async () => {
  const ran = await run(['estimate', opt, '--limit', '24GB', '--gradient-checkpointing']);
  assert.equal(ran.code, 0, ran.err);
  assert.match(ran.out, /^Engine +huggingface$/m);
  assert.match(ran.out, /^Fits +22\.4 GiB is the limit that is set: it fits$/m);
  assert.match(ran.out, /^Largest length that fits +256, and more was not tried$/m);
  assert.match(ran.out, /What would save memory/);
  assert.match(ran.out, /Every row is as long as the longest\./);
});

test('a run file with options over it', async () => {
  const file = path.join(folder, 'a.peft.yaml');
  writeFileSync(path.join(folder, 'rows.jsonl'), '{"prompt":"a","completion":"b"}\n');
  writeFileSync(
    file,
    'model: ./model\ndata: { train: rows.jsonl, max_length: 32 }\nmethod: { type: lora, r: 2 }\n',
  );
  const found = await estimated(file, '--dtype', 'bfloat16');
  assert.equal(found['engine'], 'huggingface');
  const wider = await estimated(file, '--engine', 'huggingface', '--r', '4');
  assert.equal(wider['trainable'], 2 * Number(found['trainable']));
  assert.equal(wider['weights'], 2 * Number(found['weights']));
});

test('a run too short for its method is refused at its line, on either engine', async () => {
  const file = path.join(folder, 'short.peft.yaml');
  writeFileSync(
    file,
    [
      'model: ./model',
      'data: { train: rows.jsonl, max_length: 32 }',
      'method:',
      '  type: adalora',
      '  tinit: 6',
      '  tfinal: 4',
      'training: { max_steps: 10 }',
    ].join('\n'),
  );
  for (const engine of ['embedded', 'huggingface']) {
    const ran = await run(['estimate', file, '--engine', engine, '--json']);
    assert.equal(ran.code, 2, ran.out);
    const { error } = document(ran) as { error: { code: string; where: { file: string; line: number } } };
    assert.deepEqual([error.code, error.where.file, error.where.line], ['adalora.schedule', file, 4]);
  }
});

test('what cannot be is refused', async () => {
  await refused('cli.option-value', opt, '--dtype', 'int3');
  await refused('cli.option-value', opt, '--limit', '24');
  await refused('cli.option-value', opt, '--devices', '1.5');
  await refused('cli.option-missing', opt, '--sharding', 'fsdp');
  await refused('cli.option-engine', model, '--engine', 'embedded', '--attention', 'eager');
  await refused('hub.not-cached', 'org/never-downloaded');
  await refused('targets.no-match', opt, '--target-modules', '[q_porj]');
  await refused('memory.quantized', opt, '--method', 'full', '--quantization', 'int8');
});

test('without advice: the plan alone, as the editor asks for it', async () => {
  const plain = await estimated(model, ...SHORT, '--no-advice');
  const whole = await estimated(model, ...SHORT);
  assert.equal(plain['total'], whole['total']);
  assert.deepEqual([plain['limit'], plain['savings']], [undefined, []]);
  assert.deepEqual((await estimated(opt, '--limit', '1GiB', '--no-advice'))['savings'], []);
});

test('a limit in the environment that is no number limits nothing, and that is said', async () => {
  process.env['PEFT_STUDIO_MEMORY_LIMIT'] = '8 gigs';
  try {
    const ran = await run(['estimate', model, ...SHORT, '--json']);
    assert.equal(ran.code, 0);
    assert.match(ran.err, /PEFT_STUDIO_MEMORY_LIMIT is "8 gigs", which limits nothing/);
    assert.notEqual((document(ran) as { limit: { bound: string } }).limit.bound, 'limit');
  } finally {
    delete process.env['PEFT_STUDIO_MEMORY_LIMIT'];
  }
});

test('learned positions bound the search: virtual tokens take some, and lengths between powers of two are planned', async () => {
  const gpt2 = path.join(folder, 'gpt2');
  mkdirSync(gpt2);
  const config = { model_type: 'gpt2', n_embd: 16, n_layer: 2, n_head: 2, vocab_size: 100, n_positions: 200 };
  writeFileSync(path.join(gpt2, 'config.json'), JSON.stringify(config));
  const prompt = ['--method', 'prompt_tuning', '--set', 'method.num_virtual_tokens=20'];
  const { limit } = (await estimated(gpt2, '--length', '150', ...prompt, '--limit', '8GiB')) as {
    limit: { largest: Record<string, number> };
  };
  assert.equal(limit.largest['length'], 180);
});
