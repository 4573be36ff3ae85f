/**
 * What users of the tools in this field reported, each as a diagnostic of a run file: the numbers are those of
 * shared/cases/public-reports.md. Where the project has not got what a report is about, the test holds what refuses it.
 */
import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { before, test } from 'node:test';
import { problemOf } from '../../../src/common/problem.js';
import { checkPaths } from '../../../src/config/paths.js';
import { hoverAt } from '../../../src/language/modelHover.js';
import { modelFacts } from '../../../src/language/modelFacts.js';
import { attachToHeader } from '../../../src/language/modelAttach.js';
import { trainableOf } from '../../../src/language/trainable.js';
import { matchTargets, matchesAny } from '../../../src/methods/targets.js';
import type { Site } from '../../../src/models/site.js';
import {
  LAYERS,
  ROWS,
  cursorAt,
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

const codes = async (text: string): Promise<string[]> => (await problemsOf(folder, text)).map(({ code }) => code);

/** A run file on a model of another kind, whose folder it writes. */
async function onModel(
  name: string,
  config: Parameters<typeof writeLlama>[1],
  method = '{ type: lora }',
): Promise<string> {
  await writeLlama(path.join(folder, name), config);
  return runText(method).replace('./base', `./${name}`);
}

test('1 a wrong name beside a right one: an error at this entry, with the nearest name to write', async () => {
  const text = runText('{ type: lora, target_modules: [q_proj, q_porj, v_prj] }');
  const problems = await problemsOf(folder, text);
  assert.deepEqual(
    problems.map((each) => [each.code, each.severity, textAt(text, each), each.replacement]),
    [
      ['targets.no-match', undefined, 'q_porj', 'q_proj'],
      ['targets.no-match', undefined, 'v_prj', 'v_proj'],
    ],
  );
});

test('2 a regular expression in a list: said once, with how to write it', async () => {
  const text = runText('{ type: lora, target_modules: [".*q_proj"] }');
  const { parsed } = documentOf(folder, text);
  assert.deepEqual(
    parsed.problems.map((each) => [each.code, textAt(text, each)]),
    [['config.regex-in-list', '".*q_proj"']],
  );
  assert.match(parsed.problems[0]!.mend ?? '', /without a list: `target_modules: '\.\*q_proj'`/);
  // The check of the schema leaves the section out: no second error stands at the same place.
  assert.deepEqual(await problemsOf(folder, text), []);
});

test('3 an unescaped dot: the hover shows that layers 10 and 11 match too', async () => {
  const text = runText("{ type: lora, target_modules: '.*layers.1.*q_proj' }");
  const document = documentOf(folder, text);
  const hover = await hoverAt(document, cursorAt(['method', 0, 'target_modules']));
  assert.match(hover ?? '', /matches 3 modules in layers 1, 10–11/);
  const exact = documentOf(folder, runText("{ type: lora, target_modules: '.*layers\\.1\\..*q_proj' }"));
  assert.match(
    (await hoverAt(exact, cursorAt(['method', 0, 'target_modules']))) ?? '',
    /matches 1 module in layers 1;/,
  );
});

test('4 layers_to_transform leaves out what has no layer: said at the option', async () => {
  const text = runText('{ type: lora, layers_to_transform: [0], target_modules: [q_proj, model.norm] }');
  assert.equal((await problemAt(folder, text, 'targets.no-match')).at, 'model.norm');
  const head = runText(
    '{ type: adalora, layers_to_transform: [0], target_modules: [q_proj, lm_head] }',
    'training: { max_steps: 2000 }\n',
  );
  // As in PEFT, `lm_head` is its whole path and stays; it is tied to the embedding.
  assert.deepEqual(await codes(head), ['lora.tied']);
  const embedding = runText('{ type: lora, layers_to_transform: [0], target_modules: [q_proj, embed_tokens] }');
  const { parsed } = documentOf(folder, embedding);
  assert.deepEqual(
    parsed.problems.map((each) => [each.code, each.severity, textAt(embedding, each)]),
    [['config.target-outside-layers', 'warning', 'embed_tokens']],
  );
  assert.equal((await problemAt(folder, embedding, 'targets.no-layer')).at, '[0]');
});

test('5 keys of rank_pattern and alpha_pattern that match nothing: an error at each key', async () => {
  const text = runText(
    "{ type: lora, target_modules: [q_proj], rank_pattern: { '^q_proj': 4 }, alpha_pattern: { v_proj: 8 } }",
  );
  const problems = (await problemsOf(folder, text)).filter(({ code }) => code === 'targets.idle-pattern');
  assert.deepEqual(
    problems.map((each) => [textAt(text, each), each.replacement]),
    [
      ["'^q_proj'", 'q_proj'],
      ['v_proj', 'q_proj'],
    ],
  );
});

test('7 a module that only some layers have: a warning at the entry that names the layers', async () => {
  const text = runText('{ type: lora, target_modules: [v_proj], exclude_modules: [layers.3.self_attn.v_proj] }');
  const problem = await problemAt(folder, text, 'targets.uneven');
  assert.equal(problem.at, 'v_proj');
  assert.equal(problem.severity, 'warning');
  assert.match(problem.message, /11 of 12 layers; layers 3 have no such module/);
  // No supported architecture shares keys and values among layers: a checkpoint without them is refused as a whole.
  const lacking = await onModel('shared-kv', { without: ['model.layers.3.self_attn.v_proj.weight'] });
  const refused = await problemsOf(folder, lacking);
  assert.deepEqual(
    refused.map((each) => textAt(lacking, each)),
    ['./shared-kv'],
  );
  assert.match(refused[0]!.message, /v_proj/);
});

test('8 all-linear leaves out the output layer by what it is, whatever its name', async () => {
  const document = documentOf(folder, runText('{ type: lora, target_modules: all-linear }'));
  const hover = (await hoverAt(document, cursorAt(['method', 0, 'target_modules']))) ?? '';
  assert.match(hover, new RegExp(`matches ${LAYERS * 7} modules`));
  const head: Site = {
    kind: 'linear',
    path: 'new_head',
    layer: undefined,
    shape: [16, 8],
    weight: 'new_head.weight',
    bias: undefined,
    isOutput: true,
  };
  const other: Site = { ...head, path: 'model.layers.0.q_proj', layer: 0, isOutput: false };
  const match = matchTargets({ target_modules: 'all-linear' }, [other, head], () => true);
  assert.deepEqual(match.sites, [other]);
});

test('9, 16 a classifier: said at the model, since it does not continue texts', async () => {
  const text = await onModel('classifier', { config: { architectures: ['LlamaForSequenceClassification'] } });
  const problem = await problemAt(folder, text, 'model.task');
  assert.equal(problem.at, './classifier');
  assert.equal(problem.severity, 'warning');
  assert.match(problem.message, /LlamaForSequenceClassification/);
});

test('11 a module at the root: entry "0" is path "0"', () => {
  assert.ok(matchesAny(['0'], '0'));
  assert.ok(!matchesAny(['0'], '10'));
});

test('12, 16, 17 a model of a type that is not known is refused, with what is supported: BERT and T5 are', async () => {
  for (const model_type of ['mamba', 'falcon']) {
    const problem = await problemAt(
      folder,
      await onModel(model_type, { config: { model_type } }),
      'model.unsupported',
    );
    assert.equal(problem.at, `./${model_type}`);
    assert.match(problem.message, new RegExp(`'${model_type}'`));
    assert.match(problem.expected ?? '', /llama.*\bbert\b.*\bt5\b/);
  }
});

test('14 an adapter of another wrapping: no key fits, and the prefix is named', async () => {
  const reading = await modelFacts(path.join(folder, 'base'));
  assert.ok(reading !== undefined && 'facts' in reading);
  const document = documentOf(folder, runText('{ type: lora, target_modules: [q_proj] }'));
  const [method] = attachToHeader(document.parsed.config!.method, reading.facts).methods;
  assert.ok(method);
  const tensors = method.trainables.map(({ variable: { name, shape } }) => ({
    // As trained on the bare backbone: one `model.` less.
    name: `base_model.model.${name.replace(/^model\./, '')}.weight`,
    shape: shape as readonly number[],
    data: new Float32Array(1),
  }));
  assert.throws(
    () => method.load(new Map(tensors.map((each) => [each.name, each])), 'adapter'),
    (error) => {
      const problem = problemOf(error);
      return problem.code === 'adapter.keys' && /differ in their prefix only/.test(problem.mend ?? '');
    },
  );
});

test('15 a key of another version: ignored with a warning when off, an error when it changes the maths', () => {
  const problemsFor = (option: string) => {
    const text = runText(`{ type: lora, ${option} }`);
    return documentOf(folder, text).parsed.problems.map((each) => [each.code, each.severity, textAt(text, each)]);
  };
  assert.deepEqual(problemsFor('use_qalora: false'), [['config.ignored-key', 'warning', 'use_qalora']]);
  assert.deepEqual(problemsFor('use_qalora: true'), [['config.unsupported-key', 'error', 'use_qalora']]);
  assert.deepEqual(problemsFor('arrow_config: null'), [['config.ignored-key', 'warning', 'arrow_config']]);
});

test('16, 18 a task type that is not causal is refused in the run file', () => {
  const text = runText('{ type: lora, task_type: SEQ_CLS }');
  const { problems } = documentOf(folder, text).parsed;
  assert.deepEqual(
    problems.map((each) => [each.code, textAt(text, each)]),
    [['config.unsupported-key', 'task_type']],
  );
  const unknown = runText('{ type: cpt }');
  assert.deepEqual(
    documentOf(folder, unknown).parsed.problems.map((each) => textAt(unknown, each)),
    ['cpt'],
  );
});

test('20 targets that match nothing train nothing: an error, also where trainable parameters are shown', async () => {
  const text = runText('{ type: lora, target_modules: [transformer_blocks] }');
  assert.equal((await problemAt(folder, text, 'targets.no-match')).at, 'transformer_blocks');
  const shown = await trainableOf(documentOf(folder, text));
  assert.ok(shown !== undefined && 'code' in shown && shown.code === 'targets.no-match');
});

test('46 AdaLoRA: tinit + tfinal must leave steps to prune in', async () => {
  const adalora = '{ type: adalora, tinit: 6000, tfinal: 11000 }';
  const long = runText(adalora, 'training: { max_steps: 13500 }\n');
  const problem = await problemAt(folder, long, 'adalora.schedule');
  assert.equal(problem.at, '11000');
  assert.match(problem.message, /13500 steps/);
  assert.deepEqual(await codes(runText(adalora, 'training: { max_steps: 17001 }\n')), []);
  // Without max_steps the rows say how many steps there can be: 4 rows in batches of 2 for 3 epochs.
  const epochs = (tinit: number): string =>
    runText(
      `{ type: adalora, tinit: ${tinit}, tfinal: 1 }`,
      'training: { per_device_train_batch_size: 2, num_train_epochs: 3 }\n',
    );
  assert.match((await problemAt(folder, epochs(5), 'adalora.schedule')).message, /at most 6 steps/);
  assert.deepEqual(await codes(epochs(4)), []);
});

test('53, 57 prompt tuning is as wide as the embedding, also with grouped keys; a width of one’s own is refused', async () => {
  const document = documentOf(folder, runText('{ type: prompt_tuning, num_virtual_tokens: 5 }'));
  assert.deepEqual(await trainableOf(document), { trainable: 5 * 8, total: 6088 });
  const width = documentOf(folder, runText('{ type: prompt_tuning, num_virtual_tokens: 5, token_dim: 4 }'));
  assert.deepEqual(
    width.parsed.problems.map(({ code }) => code),
    ['config.unsupported-key'],
  );
});

test('54, 56, 59 virtual tokens have to leave room for a text, alone and with rows of the longest length', async () => {
  const text = runText('{ type: prompt_tuning, num_virtual_tokens: 63 }');
  assert.equal((await problemAt(folder, text, 'prompt-tuning.positions')).at, '63');
  const rows = runText('{ type: prompt_tuning, num_virtual_tokens: 20 }', '', 'train: rows.jsonl, max_length: 50');
  const problem = await problemAt(folder, rows, 'model.positions');
  assert.deepEqual([problem.at, problem.replacement, problem.severity], ['50', '44', 'warning']);
});

test('57 a start from text is checked without loading the tokenizer', async () => {
  const prompt = 'type: prompt_tuning, num_virtual_tokens: 5, prompt_tuning_init: TEXT';
  assert.equal((await problemAt(folder, runText(`{ ${prompt} }`), 'prompt-tuning.text')).at, 'TEXT');
  assert.deepEqual(await codes(runText(`{ ${prompt}, prompt_tuning_init_text: Classify }`)), []);
});

test('79 a key with another name is an error, with the name that is meant', () => {
  const text = runText('{ type: lora }', '', 'train: rows.jsonl, formatting: alpaca');
  const { problems } = documentOf(folder, text).parsed;
  assert.deepEqual(
    problems.map((each) => [each.code, textAt(text, each), each.mend]),
    [['config.unknown-key', 'formatting', 'Did you mean `format`?']],
  );
});

test('81 wrong columns: which were found is said, at the column', async () => {
  const text = runText('{ type: lora }', '', 'train: rows.jsonl, columns: { prompt: promt }');
  const problem = await problemAt(folder, text, 'data.no-column');
  assert.deepEqual([problem.at, problem.replacement], ['promt', 'prompt']);
  assert.match(problem.message, /columns found: "prompt", "completion"/);
  const alpaca = runText('{ type: lora }', '', 'train: rows.jsonl, format: alpaca');
  const mismatch = await problemAt(folder, alpaca, 'data.format-mismatch');
  assert.equal(mismatch.at, 'alpaca');
  assert.match(mismatch.message, /columns found: "prompt", "completion"/);
});

test('81 OpenAI’s format is read, also without a format; a .txt file has no columns', async () => {
  const messages = [
    { role: 'user', content: 'Hi' },
    { role: 'assistant', content: 'Ho' },
  ];
  await writeFile(path.join(folder, 'chat.jsonl'), `${JSON.stringify({ messages })}\n`);
  const template =
    '{% for m in messages %}{{ bos_token }}{{ m.role }}: {{ m.content }}{{ eos_token }}{% endfor %}';
  const chat = (await onModel('chatty', { template })).replace('rows.jsonl', 'chat.jsonl');
  assert.deepEqual(await codes(chat), []);
  const plain = runText('{ type: lora }', '', 'train: chat.jsonl');
  assert.equal((await problemAt(folder, plain, 'data.no-chat-template')).at, 'chat.jsonl');
  await writeFile(path.join(folder, 'text.txt'), 'One.\n\nTwo.\n');
  assert.deepEqual(await codes(runText('{ type: lora }', '', 'train: text.txt')), []);
  const columns = runText('{ type: lora }', '', 'train: text.txt, columns: { text: body }');
  assert.match((await problemAt(folder, columns, 'data.no-column')).message, /plain text, without columns/);
});

test('82 a byte-order mark, CRLF and blank lines do no harm; what is broken is said with its line', async () => {
  const rows = '\uFEFF{"prompt":"a","completion":"b"}\r\n\r\n{"prompt":"c","completion":"d"}\r\n';
  await writeFile(path.join(folder, 'bom.jsonl'), rows);
  assert.deepEqual(await codes(runText('{ type: lora }', '', 'train: bom.jsonl')), []);
  await writeFile(path.join(folder, 'broken.jsonl'), `${rows}{"prompt":\r\n`);
  const text = runText('{ type: lora }', '', 'train: broken.jsonl');
  const problem = await problemAt(folder, text, 'data.broken-rows');
  assert.deepEqual([problem.at, problem.severity], ['broken.jsonl', 'warning']);
  assert.match(problem.message, /1 of the first 3 rows .* line 4/);
});

test('82 UTF-16, as Notepad and PowerShell write it, is named', async () => {
  await writeFile(path.join(folder, 'utf16.jsonl'), Buffer.from(`\uFEFF${ROWS}`, 'utf16le'));
  const problem = await problemAt(folder, runText('{ type: lora }', '', 'train: utf16.jsonl'), 'data.not-utf8');
  assert.equal(problem.at, 'utf16.jsonl');
  assert.match(problem.message, /UTF-16/);
});

test('83 data are UTF-8 whatever the system’s locale', async () => {
  await writeFile(path.join(folder, 'utf8.jsonl'), '{"frage":"größer 繁體"}\n');
  const text = runText('{ type: lora }', '', 'train: utf8.jsonl, columns: { text: fräge }');
  assert.match((await problemAt(folder, text, 'data.no-column')).message, /columns found: "frage"/);
  const document = documentOf(folder, runText('{ type: lora }', '', 'train: utf8.jsonl'));
  assert.match((await hoverAt(document, cursorAt(['data', 'train']))) ?? '', /größer 繁體/);
});

test('85 a path that is missing is a missing folder, not an id of the hub; it is said once', async () => {
  await mkdir(path.join(folder, 'models', 'llama'), { recursive: true });
  for (const [model, near] of [
    ['./lora-out', undefined],
    ['models/lama', 'llama'],
  ] as const) {
    const text = runText('{ type: lora }').replace('./base', model);
    const document = documentOf(folder, text);
    const found = await checkPaths(document.parsed.tree!, folder);
    assert.deepEqual(
      found.map((each) => [each.code, textAt(text, each)]),
      [['config.folder-not-found', model]],
    );
    if (near !== undefined) assert.match(found[0]!.mend ?? '', new RegExp(near));
    assert.deepEqual(await codes(text), []);
  }
});
