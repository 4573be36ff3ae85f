import assert from 'node:assert/strict';
import { rm, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { before, test } from 'node:test';
import { build } from 'esbuild';
import { checkPaths } from '../../../src/config/paths.js';
import { checkAgainstModelAndData, engineFindings } from '../../../src/language/modelChecks.js';
import { ROOT, fixture } from '../../support/fixtures.js';
import {
  ROWS,
  documentOf,
  problemAt,
  problemsOf,
  runText,
  textAt,
  workspace,
  writeLlama,
} from './modelSupport.js';

const folder = workspace();

before(async () => {
  await writeLlama(path.join(folder, 'base'));
  await writeFile(path.join(folder, 'rows.jsonl'), ROWS);
});

test('a sound run file has no problems', async () => {
  assert.deepEqual(await problemsOf(folder, runText('{ type: lora }')), []);
});

test('what is right in itself is checked while another section is wrong', async () => {
  const text = runText('{ type: lora, target_modules: [q_porj] }', 'training: { max_steps: no }\n');
  assert.equal(documentOf(folder, text).parsed.config, undefined);
  assert.equal((await problemAt(folder, text, 'targets.no-match')).at, 'q_porj');
});

test('a FISH mask of less than one number, at its keep_ratio', async () => {
  const found = await problemAt(folder, runText('{ type: fish_mask, keep_ratio: 1e-9 }'), 'sparse-delta.nothing');
  assert.equal(found.at, '1e-9');
});

test('several methods: each problem at its own; what follows a refused one is not judged', async () => {
  const lora = '{ type: lora, target_modules: [q_porj] }';
  const text = runText(`[${lora}, { type: child_tuning }]`);
  assert.deepEqual(
    (await problemsOf(folder, text)).map((each) => textAt(text, each)),
    ['q_porj'],
  );
  const refused = runText('[{ type: adalora, target_r: 9, init_r: 4 }, { type: child_tuning }]');
  const problems = await problemsOf(folder, refused);
  assert.deepEqual(
    problems.filter(({ code }) => code !== 'adalora.schedule').map((each) => textAt(refused, each)),
    ['9'],
  );
});

test('a method that guides one which has yet to see the data is not said to stand alone', async () => {
  for (const first of ['fish_mask', 'pafi']) {
    for (const mode of ['D', 'F']) {
      const list = `[{ type: ${first}, keep_ratio: 0.1 }, { type: child_tuning, mode: ${mode} }]`;
      assert.deepEqual(await problemsOf(folder, runText(list)), [], list);
    }
  }
});

test('single numbers of layers that train whole behind it are refused before the data are seen', async () => {
  const list = (layer: number): string =>
    runText(
      `[{ type: fish_mask, keep_ratio: 0.1, layers_to_transform: [${layer}] }, { type: last_layers, num_layers: 1 }]`,
    );
  const problem = await problemAt(folder, list(11), 'methods.same-module');
  assert.match(problem.message, /^fish_mask and last_layers both act on model\.layers\.11\./);
  assert.equal(problem.at, 'last_layers');
  assert.deepEqual(await problemsOf(folder, list(0)), []);
});

test('a run too short for the phases of LT-SFT, at the option that makes them many', async () => {
  const text = (method: string, steps: number): string => runText(method, `training: { max_steps: ${steps} }\n`);
  const once = '{ type: lt_sft }';
  assert.equal((await problemAt(folder, text(once, 1), 'lt-sft.schedule')).at, once);
  const twice = '{ type: lt_sft, n_ft_iterations: 2 }';
  assert.equal((await problemAt(folder, text(twice, 3), 'lt-sft.schedule')).at, '2');
  assert.deepEqual(await problemsOf(folder, text(twice, 4)), []);
});

test('a run too short for the cycles of ReLoRA or the chain of COLA, at the option that says so', async () => {
  const text = (method: string, steps: number): string => runText(method, `training: { max_steps: ${steps} }\n`);
  const cycles = '{ type: relora, relora: 40 }';
  assert.equal((await problemAt(folder, text(cycles, 40), 'relora.schedule')).at, '40');
  assert.deepEqual(await problemsOf(folder, text(cycles, 41)), []);
  assert.deepEqual(await problemsOf(folder, text('{ type: relora }', 4)), []);
  const warmup = '{ type: relora, relora: 40, restart_warmup_steps: 50 }';
  assert.equal((await problemAt(folder, text(warmup, 100), 'relora.warmup')).at, '50');
  const chain = '[{ type: lora }, { type: cola, chain_length: 4 }]';
  assert.equal((await problemAt(folder, text(chain, 3), 'cola.schedule')).at, '4');
  assert.deepEqual(await problemsOf(folder, text(chain, 4)), []);
  const pruning = '{ type: relora, optimizer_random_pruning: 0.8 }';
  assert.equal((await problemAt(folder, runText(pruning), 'relora.pruning')).at, '0.8');
});

test('a run too short to prune in, at the share that is left after it', async () => {
  const text = (method: string, steps: number): string => runText(method, `training: { max_steps: ${steps} }\n`);
  const late = '{ type: dora_rank, end_prune_step_ratio: 0.8 }';
  assert.equal((await problemAt(folder, text(late, 10), 'dora-rank.schedule')).at, '0.8');
  assert.deepEqual(await problemsOf(folder, text(late, 100)), []);
  const apart = '{ type: dora_rank, end_prune_step_ratio: 0.9 }';
  assert.equal((await problemAt(folder, text(apart, 100), 'dora-rank.ratios')).at, '0.9');
  assert.equal((await problemAt(folder, runText('{ type: dora_rank, start_rank: 4 }'), 'dora-rank.rank')).at, '4');
});

test('modules to save, modules to leave out, twice the same, LISA’s and the last layers, no biases, FISH Mask’s targets', async () => {
  const cases = [
    ['{ type: lora, modules_to_save: [norm, embd_tokens] }', 'targets.no-match', 'embd_tokens', 'embed_tokens'],
    ['{ type: lora, exclude_modules: [kproj] }', 'targets.idle-exclude', 'kproj', 'k_proj'],
    ['{ type: lora, target_modules: [q_proj], modules_to_save: [q_proj] }', 'lora.twice', '[q_proj]', undefined],
    ['{ type: lisa, lisa_activated_layers: 13 }', 'targets.layers', '13', undefined],
    ['{ type: last_layers, num_layers: 13 }', 'last-layers.layers', '13', undefined],
    ['{ type: bitfit }', 'bitfit.no-bias', 'bitfit', undefined],
    ['{ type: fish_mask, target_modules: [q_porj] }', 'targets.no-match', 'q_porj', 'q_proj'],
    ['{ type: lora, target_modules: q_proj }', 'targets.no-match', 'q_proj', '["q_proj"]'],
    ['{ type: lora, target_modules: all-liner }', 'targets.no-match', 'all-liner', 'all-linear'],
    ['{ type: lora, target_modules: [all-linear] }', 'targets.no-match', 'all-linear', undefined],
    [
      '{ type: lora, target_modules: [q_proj], layers_to_transform: [1, 99] }',
      'targets.no-such-layer',
      '99',
      undefined,
    ],
    ['{ type: lora, bias: all }', 'lora.no-bias', 'all', undefined],
    ['{ type: lora, target_modules: [q_proj], layers_to_transform: [50] }', 'targets.nothing', '[50]', undefined],
  ] as const;
  for (const [method, code, at, replacement] of cases) {
    const problem = await problemAt(folder, runText(method), code);
    assert.deepEqual([problem.at, problem.replacement], [at, replacement], code);
  }
});

test('a mistyped target is said alone: the keys of patterns for its modules are right', async () => {
  const text = runText('{ type: lora, target_modules: [q_porj, v_proj], rank_pattern: { q_proj: 4, z_proj: 2 } }');
  assert.deepEqual(
    (await problemsOf(folder, text)).map((each) => textAt(text, each)),
    ['q_porj', 'z_proj'],
  );
});

test('a model that cannot be read is a problem at its name', async () => {
  await writeLlama(path.join(folder, 'bare'));
  await rm(path.join(folder, 'bare', 'model.safetensors'));
  const text = runText('{ type: lora }').replace('./base', './bare');
  assert.equal((await problemAt(folder, text, 'checkpoint.no-weights')).at, './bare');
});

test('dropout that the model’s config asks for is said at the model', async () => {
  await writeLlama(path.join(folder, 'dropout'), { config: { attention_dropout: 0.1 } });
  const text = runText('{ type: lora }').replace('./base', './dropout');
  assert.equal((await problemAt(folder, text, 'model.dropout')).at, './dropout');
});

test('a chat template that fails on the first row, one that refuses it, one that is none', async () => {
  const messages = [
    { role: 'user', content: 'Hi' },
    { role: 'assistant', content: 'Ho' },
  ];
  await writeFile(path.join(folder, 'chat.jsonl'), `${JSON.stringify({ messages })}\n`);
  const cases = [
    ['fails', '{{ messages | nosuchfilter }}', 'template.failed', 'chat.jsonl', 'error'],
    ['refuses', "{{ raise_exception('no system') }}", 'template.raised', 'chat.jsonl', 'warning'],
    ['syntax', '{% for %}', 'template.syntax', './syntax', undefined],
  ] as const;
  for (const [name, template, code, at, severity] of cases) {
    await writeLlama(path.join(folder, name), { template });
    const text = runText('{ type: lora }', '', 'train: chat.jsonl').replace('./base', `./${name}`);
    const problem = await problemAt(folder, text, code);
    assert.deepEqual([problem.at, problem.severity], [at, severity]);
  }
});

test('an encoder-decoder is told what it cannot learn from', async () => {
  const t5 = fixture('t5/tiny-t5');
  const messages = [{ role: 'user', content: 'Hi' }];
  await writeFile(path.join(folder, 'turns.jsonl'), `${JSON.stringify({ messages })}\n`);
  const chat = runText('{ type: lora, target_modules: [q] }', '', 'train: turns.jsonl').replace('./base', t5);
  assert.equal((await problemAt(folder, chat, 'data.not-pairs')).at, 'turns.jsonl');
  const prompts = runText(
    '{ type: lora, target_modules: [q] }',
    '',
    'train: rows.jsonl, train_on_prompt: true',
  ).replace('./base', t5);
  assert.equal((await problemAt(folder, prompts, 'data.train-on-prompt')).at, 'true');
});

test('a name of a column that the format does not read', async () => {
  const text = runText(
    '{ type: lora }',
    '',
    'train: rows.jsonl, columns: { text: prompt }, format: prompt_completion',
  );
  assert.equal((await problemAt(folder, text, 'data.column-unused')).at, 'columns');
});

test('a fusion has an adapter for each task that rows name: with several, nothing is said', async () => {
  const row = (task: string): string => `{"prompt":"a","completion":"b","task":"${task}"}\n`;
  const text = runText('{ type: adapter_fusion }', '', 'train: tasks.jsonl, task_column: task');
  await writeFile(path.join(folder, 'tasks.jsonl'), row('one'));
  await problemAt(folder, text, 'fusion.one');
  await writeFile(path.join(folder, 'tasks.jsonl'), row('one') + row('two'));
  assert.deepEqual(await problemsOf(folder, text), []);
});

test('a column of tasks that no row has', async () => {
  const text = runText('{ type: prompt_tuning }', '', 'train: rows.jsonl, task_column: promt');
  const { at, replacement } = await problemAt(folder, text, 'data.no-column');
  assert.deepEqual([at, replacement], ['promt', 'prompt']);
});

test('each file of a list has its own problems; a file that is missing is left to the check of paths', async () => {
  await writeFile(path.join(folder, 'bad.jsonl'), 'nothing\n');
  const text = runText('{ type: lora }', '', 'train: [rows.jsonl, bad.jsonl, none.jsonl], validation: bad.jsonl');
  assert.deepEqual(
    (await problemsOf(folder, text)).map((each) => [each.code, each.where?.column]),
    [
      ['data.all-rows-broken', text.split('\n')[1]!.indexOf('bad.jsonl') + 1],
      ['data.all-rows-broken', text.split('\n')[1]!.lastIndexOf('bad.jsonl') + 1],
    ],
  );
});

test('links in a circle are said by the check of paths, where they are named, and by nothing else', async () => {
  await symlink('circle.jsonl', path.join(folder, 'circle.jsonl'));
  await symlink('ring', path.join(folder, 'ring'));
  const text = runText('{ type: lora }', '', 'train: circle.jsonl').replace('./base', './ring');
  const found = await checkPaths(documentOf(folder, text).parsed.tree!, folder);
  assert.deepEqual(
    found.map((each) => [each.code, textAt(text, each)]),
    [
      ['file.eloop', './ring'],
      ['file.eloop', 'circle.jsonl'],
    ],
  );
  assert.deepEqual(await problemsOf(folder, text), []);
});

test('what to write instead is in quotes where the file needs them', async () => {
  await writeFile(path.join(folder, 'odd.csv'), 'my prompt:,completion\na,b\n');
  const columns = runText('{ type: lora }', '', 'train: odd.csv, columns: { prompt: "my promt:" }');
  assert.equal((await problemAt(folder, columns, 'data.no-column')).replacement, "'my prompt:'");
  const json = JSON.stringify({
    model: './base',
    data: { train: 'rows.jsonl', max_length: 100 },
    method: { type: 'lora', target_modules: ['q_porj'] },
  });
  const problems = await checkAgainstModelAndData(documentOf(folder, json, 'a.peft.json'));
  assert.deepEqual(
    problems.map((each) => [textAt(json, each), each.replacement]),
    [
      ['"q_porj"', '"q_proj"'],
      ['100', '64'],
    ],
  );
});

test('a method that the engine does not have', () => {
  const methods = [
    { type: 'lora', title: 'LoRA', engines: ['embedded' as const] },
    { type: 'full', title: 'Full', engines: ['huggingface' as const] },
  ];
  const found = engineFindings({ engine: 'embedded', method: [{ type: 'lora' }, { type: 'full' }] }, methods);
  assert.deepEqual(
    found.map(({ path: at, problem }) => [at.join('.'), problem.code]),
    [['method.1.type', 'engine.method']],
  );
});

test('it can be cancelled', async () => {
  const document = documentOf(folder, runText('{ type: lora }'));
  await assert.rejects(checkAgainstModelAndData(document, AbortSignal.abort()), { name: 'AbortError' });
});

test('what the editor knows brings no native library with it', async () => {
  const entries = ['modelChecks', 'modelHover', 'modelSuggestions', 'trainable'];
  const { metafile } = await build({
    entryPoints: entries.map((name) => path.join(ROOT, 'src/language', `${name}.ts`)),
    absWorkingDir: ROOT,
    bundle: true,
    write: false,
    metafile: true,
    platform: 'node',
    format: 'esm',
    outdir: 'none',
    logLevel: 'silent',
    external: ['onnxruntime-node'],
  });
  const native = /onnxruntime/;
  const imports = Object.values(metafile.outputs).flatMap((output) => output.imports.map((each) => each.path));
  assert.deepEqual(
    imports.filter((name) => native.test(name)),
    [],
  );
  assert.deepEqual(
    Object.keys(metafile.inputs).filter((name) => native.test(name)),
    [],
  );
  assert.ok(Object.keys(metafile.inputs).includes('src/models/readModel.ts'));
});
