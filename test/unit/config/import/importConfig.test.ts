import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { ProblemError, isError } from '../../../../src/common/problem.js';
import { TOOLS } from '../../../../src/config/import/detect.js';
import { importConfig } from '../../../../src/config/import/importConfig.js';
import type { Imported } from '../../../../src/config/import/importConfig.js';
import { importedName } from '../../../../src/config/import/importedName.js';
import { parseRunFile } from '../../../../src/config/parseRunFile.js';
import type { RunConfig } from '../../../../src/config/schema.js';
import { adapterFormat } from '../../../../src/methods/registry.js';
import { fixture } from '../../../support/fixtures.js';

const FIXTURES = path.resolve('test/fixtures/import');

function imported(name: string, folder?: string): Imported & { config: RunConfig } {
  const file = path.join(FIXTURES, name);
  return checked(importConfig(readFileSync(file, 'utf8'), file, folder === undefined ? {} : { folder }));
}

function ofText(text: string): Imported & { config: RunConfig } {
  return checked(importConfig(text, '/work/config.yaml'));
}

function checked(found: Imported): Imported & { config: RunConfig } {
  const { config, problems } = parseRunFile(found.text, '/work/new.peft.yaml');
  assert.deepEqual(problems.filter(isError), [], found.text);
  return { ...found, config: config! };
}

/** Every key of the config is in the run file or listed. */
const leftOf = ({ left }: Imported, key: string): (string | number | undefined)[] | undefined => {
  const found = left.find((each) => each.key === key);
  return found && [found.line, found.kind, found.reason];
};

test('Axolotl: the settings are carried over', () => {
  const { tool, config } = imported('axolotl.yml');
  assert.equal(tool, 'Axolotl');
  assert.equal(config.model, 'meta-llama/Llama-3.2-1B');
  assert.deepEqual(
    [config.data.train, config.data.format, config.data.max_length, config.data.packing],
    [['data/tickets.jsonl', 'teknium/OpenHermes-2.5:train'], 'chat', 4096, true],
  );
  assert.deepEqual([config.data.validation_split, config.data.columns], [0.05, { messages: 'messages' }]);
  const [method] = config.method;
  assert.ok(method?.type === 'lora');
  assert.deepEqual(
    [method.r, method.lora_alpha, method.lora_dropout, method.target_modules],
    [32, 16, 0.05, 'all-linear'],
  );
  const { training } = config;
  assert.deepEqual(
    [training.optim, training.lr_scheduler_type, training.learning_rate, training.warmup_steps],
    ['adamw', 'cosine', 2e-4, 10],
  );
  assert.deepEqual(
    [
      training.num_train_epochs,
      training.per_device_train_batch_size,
      training.gradient_accumulation_steps,
      training.warmup_ratio,
    ],
    [3, 2, 4, 0],
  );
  assert.equal(config.output.dir, './outputs/tickets');
});

test('Axolotl: what has no counterpart is listed with its line and why', () => {
  const found = imported('axolotl.yml');
  assert.deepEqual(leftOf(found, 'load_in_4bit'), [6, 'result', 'the base keeps its own precision here']);
  assert.deepEqual(leftOf(found, 'load_in_8bit'), [5, 'off', 'off, as here']);
  assert.ok(found.config?.method[0]?.type === 'lora' && found.config.method[0].use_dora);
  assert.deepEqual(leftOf(found, 'flash_attention')?.[1], 'speed');
  assert.deepEqual(leftOf(found, 'adapter')?.[1], 'result');
  assert.match(String(leftOf(found, 'my_own_key')?.[2]), /does not know this setting of Axolotl/);
  assert.deepEqual(leftOf(found, 'special_tokens')?.[1], 'result');
  assert.match(found.text, /# {3}line 6, load_in_4bit: true – the base keeps its own precision here/);
  assert.match(found.notes.join('\n'), /paged_adamw_8bit becomes adamw/);
});

test('Axolotl: where nothing is written, its defaults are, marked as such', () => {
  const { config, text } = ofText('base_model: org/name\nlearning_rate: 1e-5\ndatasets: [{path: a.jsonl}]\n');
  assert.equal(config.method[0]?.type, 'full');
  assert.deepEqual(
    [config.training.num_train_epochs, config.training.per_device_train_batch_size, config.data.max_length],
    [1, 1, 512],
  );
  assert.match(text, /num_train_epochs: 1 # the default of Axolotl/);
});

test('LLaMA-Factory: settings, its own defaults, and names of data sets', () => {
  const found = imported('llama_factory.yaml');
  const { tool, config, notes } = found;
  assert.equal(tool, 'LLaMA-Factory');
  const [method] = config.method;
  assert.ok(method?.type === 'lora');
  assert.deepEqual([method.r, method.lora_alpha, method.target_modules], [16, 32, ['q_proj', 'v_proj']]);
  assert.equal(method.use_dora, true);
  assert.deepEqual(config.data.train, ['data/tickets.json', 'data/identity.json']);
  assert.match(notes.join('\n'), /'identity' is a name in data\/dataset_info\.json, where it was not found/);
  assert.deepEqual(
    [config.data.max_length, config.data.max_rows, config.data.validation_split],
    [1024, 1000, 0.1],
  );
  const { training } = config;
  assert.deepEqual(
    [training.learning_rate, training.warmup_ratio, training.eval_steps, training.save_steps],
    [1e-4, 0.1, 500, 500],
  );
  for (const key of ['quantization_bit', 'template']) assert.equal(leftOf(found, key)?.[1], 'result');
  assert.equal(leftOf(found, 'flash_attn')?.[1], 'speed');
});

test('LLaMA-Factory: a data set that is known by name has its file', () => {
  const text = 'model_name_or_path: org/name\nstage: sft\ndataset: mine\n';
  const { text: made } = importConfig(text, '/work/a/c.yaml', {
    folder: '/work',
    datasetFile: (name) => `data/${name}.jsonl`,
  });
  assert.match(made, /train: a\/data\/mine\.jsonl/);
});

test('PEFT: the options are PEFT’s own; what would change the start or the arithmetic is listed', () => {
  const found = imported('adapter_config.json');
  const { tool, config, text, notes } = found;
  assert.equal(tool, 'Hugging Face PEFT');
  assert.equal(config.model, 'meta-llama/Llama-3.2-1B@abc123');
  const [method] = config.method;
  assert.ok(method?.type === 'lora');
  assert.deepEqual(
    [method.r, method.lora_alpha, method.use_rslora, method.target_modules, method.alpha_pattern],
    [32, 16, true, ['v_proj', 'q_proj'], { q_proj: 32 }],
  );
  assert.deepEqual(method.modules_to_save, ['lm_head']);
  assert.equal(method.use_dora, true);
  assert.equal(method.init_lora_weights, 'pissa');
  const other = ofText(
    JSON.stringify({ peft_type: 'LORA', base_model_name_or_path: 'org/name', r: 8, init_lora_weights: 'corda' }),
  );
  assert.equal(leftOf(other, 'init_lora_weights')?.[1], 'result');
  assert.equal(leftOf(found, 'layers_to_transform')?.[1], 'off');
  assert.match(notes.join('\n'), /No training data are named/);
  assert.match(text, /train: train\.jsonl/);
});

test('LLaMA-Factory: PiSSA is carried over, with its iterations', () => {
  const start = (lines: string): unknown => {
    const { config } = ofText(`model_name_or_path: org/name\nstage: sft\nfinetuning_type: lora\n${lines}\n`);
    const [method] = config.method;
    return method?.type === 'lora' && method.init_lora_weights;
  };
  assert.equal(start('pissa_init: true'), 'pissa_niter_16');
  assert.equal(start('pissa_init: true\npissa_iter: 4\npissa_convert: true'), 'pissa_niter_4');
  assert.equal(start('pissa_init: true\npissa_iter: -1'), 'pissa');
  assert.equal(start('pissa_init: false'), true);
});

test('LLaMA-Factory: GaLore is carried over with its own defaults, where all weights train', () => {
  const of = (lines: string): ReturnType<typeof ofText> =>
    ofText(`model_name_or_path: org/name\nstage: sft\n${lines}\n`);
  const { config } = of('use_galore: true\nfinetuning_type: full\ngalore_target: q_proj,up_proj\ngalore_rank: 64');
  const [method] = config.method;
  assert.ok(method?.type === 'galore');
  assert.deepEqual(
    [method.rank, method.update_proj_gap, method.scale, method.proj_type, method.target_modules],
    [64, 200, 2, 'std', ['q_proj', 'up_proj']],
  );
  const plain = of('finetuning_type: full\nuse_galore: true\ngalore_update_interval: 50\ngalore_layerwise: true');
  const [other] = plain.config.method;
  assert.ok(other?.type === 'galore');
  assert.deepEqual([other.rank, other.update_proj_gap, other.target_modules], [16, 50, 'all-linear']);
  const off = of('finetuning_type: full\ngalore_rank: 64\nuse_galore: false');
  assert.deepEqual([off.config.method[0]?.type, leftOf(off, 'galore_rank')?.[1]], ['full', 'off']);
  const lora = of('finetuning_type: lora\nuse_galore: true');
  assert.deepEqual([lora.config.method[0]?.type, leftOf(lora, 'use_galore')?.[1]], ['lora', 'result']);
});

test('PEFT: every kind that is carried over is one whose adapters can be read', () => {
  for (const type of ['LORA', 'ADALORA', 'LOKR', 'PROMPT_TUNING']) {
    assert.ok(adapterFormat({ peft_type: type }), type);
    const { config } = ofText(JSON.stringify({ peft_type: type, base_model_name_or_path: 'org/name', r: 8 }));
    assert.equal(config.method[0]?.type, type.toLowerCase());
  }
});

test("PEFT's LoKr: factors, scale and patterns are carried over", () => {
  const config = readFileSync(fixture('lokr/patterns/adapter_config.json'), 'utf8');
  const found = ofText(config.replace('"base_model_name_or_path": "', '"base_model_name_or_path": "org/'));
  const [method] = found.config.method;
  assert.ok(method?.type === 'lokr');
  assert.deepEqual(
    [method.r, method.alpha, method.decompose_factor, method.init_weights, method.rank_pattern['q_proj']],
    [4, 4, 8, 'lycoris', 2],
  );
  assert.equal(leftOf(found, 'use_effective_conv2d')?.[1], 'off');
});

test("the authors' forks of PEFT: MELoRA's lists are one number and how many, a LoRA with use_mora is MoRA", () => {
  const read = (name: string): string =>
    readFileSync(fixture(`module-updates/${name}/adapter_config.json`), 'utf8').replace(
      '"base_model_name_or_path": "',
      '"base_model_name_or_path": "org/',
    );
  const [melora] = ofText(read('melora-llama')).config.method;
  assert.ok(melora?.type === 'melora');
  assert.deepEqual([melora.l_num, melora.r, melora.lora_alpha], [4, 2, 6]);
  const uneven = ofText(read('melora-llama').replace(/"r": \[\s*2/, '"r": [ 3'));
  assert.equal(leftOf(uneven, 'r')?.[1], 'result');
  const found = ofText(read('mora-6-llama'));
  const [mora] = found.config.method;
  assert.ok(mora?.type === 'mora');
  assert.deepEqual([mora.r, mora.mora_type], [2, 6]);
  assert.ok(leftOf(found, 'lora_alpha') && leftOf(found, 'use_mora'));
});

test('nothing is dropped silently: each key is carried over, or listed once', () => {
  for (const name of ['axolotl.yml', 'llama_factory.yaml', 'adapter_config.json']) {
    const { left, carried } = imported(name);
    const text = readFileSync(path.join(FIXTURES, name), 'utf8');
    const keys = [...text.matchAll(name.endsWith('.json') ? /^ {2}"(\w+)":/gm : /^(\w+):/gm)].map(
      ([, key]) => key,
    );
    const listed = left.filter(({ key }) => !key.includes('.')).map(({ key }) => key);
    assert.ok(carried > 0 && keys.length > 20);
    for (const key of keys) {
      const isRule = TOOLS.some(({ rules }) => Object.hasOwn(rules, key ?? ''));
      assert.ok(isRule || listed.includes(key ?? ''), `${name}: ${key}`);
    }
    // A revision becomes a part of the model's id.
    const joined = keys.includes('revision') ? 1 : 0;
    assert.ok(
      listed.length + carried + joined >= keys.length,
      `${name}: ${listed.length} + ${carried} of ${keys.length}`,
    );
  }
});

test('values that a run file cannot have are listed, and the file validates all the same', () => {
  const found = ofText(
    [
      'base_model: org/name',
      'adapter: lora',
      'lora_r: -3',
      'lora_dropout: 2',
      'warmup_steps: 10',
      'warmup_ratio: 0.1',
      'learning_rate: fast',
      'datasets: nothing',
    ].join('\n'),
  );
  assert.equal(leftOf(found, 'lora_r')?.[0], 3);
  assert.equal(leftOf(found, 'lora_dropout')?.[0], 4);
  assert.match(String(leftOf(found, 'learning_rate')?.[2]), /not a number/);
  assert.equal(leftOf(found, 'datasets')?.[1], 'result');
});

test('line breaks in values cannot end a comment', () => {
  const { text } = ofText('base_model: org/name\nwandb_name: "a\\nmodel: evil"\n');
  assert.ok(!/^model: evil/m.test(text));
});

test('secrets are not repeated', () => {
  const found = ofText('model_name_or_path: org/name\nhf_hub_token: hf_abc\nwandb_api_key: xyz\n');
  assert.equal(leftOf(found, 'hf_hub_token')?.[0], 2);
  assert.ok(!/hf_abc|xyz/.test(found.text + JSON.stringify(found.left)));
});

test('secrets within settings are not repeated, words of the tokenizer are', () => {
  const { text } = ofText(
    'base_model: org/name\nlearning_rate: 1e-4\ntoken: hf_one\nhub: {token: hf_two}\nspecial_tokens: {pad_token: <pad>}\n',
  );
  assert.doesNotMatch(text, /hf_one|hf_two/);
  assert.match(text, /token: \(hidden\)/);
  assert.match(text, /"pad_token":"<pad>"/);
});

test('names that every object has are names like others', () => {
  const { left, config } = ofText(
    'base_model: org/name\nlearning_rate: 1e-4\ndatasets:\n  - path: rows.jsonl\n    type: constructor\n    toString: a\n',
  );
  assert.equal(config.data.train, 'rows.jsonl');
  assert.equal(config.data.format, 'auto');
  assert.deepEqual(
    left.map(({ key, kind }) => [key, kind]),
    [
      ['datasets.type', 'result'],
      ['datasets.toString', 'result'],
    ],
  );
});

test('LLaMA-Factory: held-out data are a file, a known name or a name to be looked for', () => {
  const config = (name: string): string =>
    `model_name_or_path: org/name\nfinetuning_type: lora\ndataset: a.json\neval_dataset: ${name}\n`;
  const named = checked(
    importConfig(config('known'), '/work/c.yaml', {
      datasetFile: (name) => (name === 'known' ? 'data/known.jsonl' : undefined),
    }),
  );
  assert.equal(named.config.data.validation, 'data/known.jsonl');
  assert.equal(ofText(config('eval/rows.jsonl')).config.data.validation, 'eval/rows.jsonl');
  const unknown = ofText(config('mine'));
  assert.equal(unknown.config.data.validation, 'data/mine.json');
  assert.match(unknown.notes.join('\n'), /'mine' .* check its file in data\.validation/);
});

test('what is of no tool is refused with what is expected', () => {
  for (const text of ['{"a": 1}', '[1]', 'model: x']) {
    assert.throws(
      () => importConfig(text, '/work/a.yaml'),
      (error: unknown) => error instanceof ProblemError && error.problem.code === 'config.import',
    );
  }
});

test('an adapter is called as its folder', () => {
  assert.equal(importedName('/a/sql/adapter_config.json'), 'sql.peft.yaml');
  assert.equal(importedName('/a/qlora.yml'), 'qlora.peft.yaml');
});
