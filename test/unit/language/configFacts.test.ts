import assert from 'node:assert/strict';
import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { before, test } from 'node:test';
import { ProblemError } from '../../../src/common/problem.js';
import { parseRunFile } from '../../../src/config/parseRunFile.js';
import { configAt, dtypeOf, factsWithoutWeights } from '../../../src/language/configFacts.js';
import { estimateWith } from '../../../src/language/estimateFile.js';
import { ROOT, fixture } from '../../support/fixtures.js';
import { workspace, writeLlama } from './modelSupport.js';

const folder = workspace();
const BUNDLED = path.join(ROOT, 'examples/base-model/peft-studio-tiny');

before(async () => {
  await writeLlama(path.join(folder, 'whole'), { config: { torch_dtype: 'bfloat16' } });
  await mkdir(path.join(folder, 'bare'));
  await cp(path.join(folder, 'whole', 'config.json'), path.join(folder, 'bare', 'config.json'));
});

function refused(code: string): (error: unknown) => boolean {
  return (error) => error instanceof ProblemError && error.problem.code === code;
}

test('a model without weights is read as if they were there', async () => {
  const whole = await factsWithoutWeights(path.join(folder, 'whole'));
  const bare = await factsWithoutWeights(path.join(folder, 'bare'));
  assert.deepEqual([whole.weights, bare.weights], ['there', 'absent']);
  assert.equal(bare.facts.parameters, whole.facts.parameters);
  assert.deepEqual(bare.facts.dtypes, ['BF16']);
  assert.deepEqual(bare.facts.model.sites, whole.facts.model.sites);
  assert.deepEqual([...bare.facts.checkpoint.tensors].sort(), [...whole.facts.checkpoint.tensors].sort());
  await assert.rejects(bare.facts.checkpoint.read('model.norm.weight'), /Only the config/);
});

test('and a run on it is estimated the same', async () => {
  const text = JSON.stringify({
    model: 'm',
    data: { train: 'a.jsonl', max_length: 32 },
    method: { type: 'lora' },
  });
  const { config } = parseRunFile(text, 'a.peft.json');
  await mkdir(path.join(folder, 'bundled'));
  await cp(path.join(BUNDLED, 'config.json'), path.join(folder, 'bundled', 'config.json'));
  const [whole, bare] = [
    await factsWithoutWeights(BUNDLED),
    await factsWithoutWeights(path.join(folder, 'bundled')),
  ];
  assert.equal(bare.weights, 'absent');
  assert.deepEqual(estimateWith(config!, bare.facts).plan, estimateWith(config!, whole.facts).plan);
});

test('weights that are a pickle, or of which a part is missing, are not needed', async () => {
  const place = path.join(folder, 'pickled');
  await cp(path.join(folder, 'bare'), place, { recursive: true });
  await writeFile(path.join(place, 'pytorch_model.bin'), 'x');
  assert.equal((await factsWithoutWeights(place)).weights, 'absent');
  await rm(path.join(place, 'pytorch_model.bin'));
  const index = { weight_map: { 'model.norm.weight': 'model-1.safetensors' } };
  await writeFile(path.join(place, 'model.safetensors.index.json'), JSON.stringify(index));
  assert.equal((await factsWithoutWeights(place)).weights, 'absent');
});

test('what is wrong with a model stays wrong', async () => {
  const place = path.join(folder, 'opt');
  await mkdir(place);
  const opt = { model_type: 'opt', vocab_size: 8, hidden_size: 8, ffn_dim: 8, num_hidden_layers: 1 };
  const sizes = { num_attention_heads: 2, max_position_embeddings: 4 };
  await writeFile(path.join(place, 'config.json'), JSON.stringify({ ...opt, ...sizes }));
  await assert.rejects(factsWithoutWeights(place), refused('model.unsupported'));
  await assert.rejects(factsWithoutWeights(path.join(folder, 'nowhere')), refused('checkpoint.folder-not-found'));
  await assert.rejects(factsWithoutWeights(folder), refused('checkpoint.no-config'));
});

test('a config is read from a folder or a GGUF file', async () => {
  const config = JSON.parse(await readFile(path.join(BUNDLED, 'config.json'), 'utf8')) as object;
  assert.deepEqual(await configAt(BUNDLED), config);
  assert.equal((await configAt(fixture('decoders', 'tiny-qwen2.gguf')))['model_type'], 'qwen2');
});

test('the type of the weights, as configs of all versions name it', () => {
  assert.equal(dtypeOf({ torch_dtype: 'bfloat16' }), 'bfloat16');
  assert.equal(dtypeOf({ dtype: 'torch.float16', torch_dtype: 'float32' }), 'float16');
  assert.equal(dtypeOf({ torch_dtype: null }), undefined);
});
