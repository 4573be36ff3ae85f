import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseDocument } from 'yaml';
import { RunFile, TrainingOptions } from '../../../src/config/schema.js';
import { METHODS } from '../../../src/methods/registry.js';
import { accepted, complete, itemOf, labels } from './languageSupport.js';

const JSON_FILE = 'a.peft.json';

test('sections that are there are not offered again', async () => {
  const all = Object.keys(RunFile.properties);
  assert.deepEqual(await labels('|'), all);
  assert.deepEqual(
    await labels('model: a\ntraining:\n  seed: 1\n|\n'),
    all.filter((key) => key !== 'model' && key !== 'training'),
  );
});

test('keys of a section that are there are not offered again, in any style', async () => {
  const rest = Object.keys(TrainingOptions.properties).filter((key) => key !== 'optim' && key !== 'seed');
  assert.deepEqual(await labels('training:\n  optim: sgd\n  |\n  seed: 1\n'), rest);
  assert.deepEqual(await labels('training: { optim: sgd, |, seed: 1 }\n'), rest);
  assert.deepEqual(await labels('{ "training": { "optim": "sgd", "|", "seed": 1 } }', JSON_FILE), rest);
});

test('the type alone makes the options of a method complete, for every method', async () => {
  for (const { type, options } of METHODS) {
    const expected = Object.keys(options.properties)
      .filter((key) => key !== 'type')
      .sort();
    const texts: readonly (readonly [string, string?])[] = [
      [`method:\n  type: ${type}\n  |\n`],
      [`method:\n  - type: full\n  - type: ${type}\n    |\n`],
      [`method: { type: ${type}, | }\n`],
      [`method: [{ type: full }, { type: ${type}, | }]\n`],
      [`{ "method": [{ "type": "full" }, { "type": "${type}", "|" }] }`, JSON_FILE],
    ];
    for (const [text, name] of texts) {
      const items = await complete(text, name);
      const options = items.filter(({ kind }) => kind === 10).map(({ label }) => label);
      assert.deepEqual([...options].sort(), expected, text);
    }
  }
});

test('a method without a type is first asked for it', async () => {
  for (const text of [
    'method:\n  |',
    'method:\n  - |',
    'method: { | }',
    'method: |',
    'method:\n  - type: lora\n  - r|\n',
  ]) {
    assert.deepEqual(await labels(text), ['type'], text);
  }
  assert.match(String((await itemOf('method:\n  |', 'type')).command?.command), /triggerSuggest/);
});

test('every method is offered with family, place and paper, in the order of the families', async () => {
  for (const [text, name] of [
    ['method:\n  type: |\n'],
    ['method: [{ type: | }]\n'],
    ['{ "method": { "type": "|" } }', JSON_FILE],
  ] as const) {
    const items = [...(await complete(text, name))];
    assert.deepEqual(items.map(({ label }) => label).sort(), METHODS.map(({ type }) => type).sort());
    items.sort((a, b) => (a.sortText! < b.sortText! ? -1 : 1));
    const families = items.map(({ label }) => METHODS.find(({ type }) => type === label)!.family);
    const inOrder = ['additive', 'selective', 'low-rank', 'full'].filter((family) =>
      families.some((each) => each === family),
    );
    assert.deepEqual([...new Set(families)], inOrder);
    assert.equal(
      families.filter((family, at) => family !== families[at - 1]).length,
      inOrder.length,
      'families stay together',
    );
    const [lora] = items.filter(({ label }) => label === 'lora');
    assert.equal(lora?.detail, 'low-rank › plain: LoRA');
    assert.match(JSON.stringify(lora?.documentation), /Hu.*2021.*arxiv\.org\/abs\/2106\.09685/);
  }
});

test('keys bring their colon, sections an indented block, defaults are there to be typed over', async () => {
  const cases: readonly (readonly [text: string, label: string, expected: string, name?: string])[] = [
    ['mo|', 'model', 'model: '],
    ['da|', 'data', 'data:\n  '],
    ['me|', 'method', 'method:\n  type: '],
    ['training:\n  se|\n', 'seed', 'training:\n  seed: 42\n'],
    ['training:\n  max|\n', 'max_steps', 'training:\n  max_steps: \n'],
    ['output:\n  |', 'dir', 'output:\n  dir: runs'],
    ['data:\n  |', 'columns', 'data:\n  columns:\n    '],
    ['method:\n  - |\n    r: 8\n', 'type', 'method:\n  - type: \n    r: 8\n'],
    ['method:\n  - type: lora\n    |', 'rank_pattern', 'method:\n  - type: lora\n    rank_pattern:\n      '],
    // Beside the key of the section, on a line of its own.
    ['training: |', 'seed', 'training: \n  seed: 42'],
    ['method: |', 'type', 'method: \n  type: '],
    // A key that is replaced keeps its value.
    ['training:\n  se|ed: 7\n', 'seed', 'training:\n  seed: 7\n'],
    ['training:\n  o|: sgd\n', 'optim', 'training:\n  optim: sgd\n'],
    ['training: { se| }', 'seed', 'training: { seed: 42 }'],
    ['training: { | }', 'lr_scheduler_kwargs', 'training: { lr_scheduler_kwargs: {  } }'],
    ['{ "training": { "|" } }', 'seed', '{ "training": { "seed": 42 } }', JSON_FILE],
    ['{ "training": { | } }', 'seed', '{ "training": { "seed": 42 } }', JSON_FILE],
    ['{ "output": { "di|": "a" } }', 'dir', '{ "output": { "dir": "a" } }', JSON_FILE],
    ['{ "output": { | } }', 'dir', '{ "output": { "dir": "runs" } }', JSON_FILE],
    ['{ | }', 'method', '{ "method": { "type":  } }', JSON_FILE],
    ['{ "method": | }', '{ }', '{ "method": { "type":  } }', JSON_FILE],
    ['method: [ | ]', '{ }', 'method: [ { type:  } ]'],
    ['|', '{ }', '{\n  \n}', JSON_FILE],
  ];
  for (const [text, label, expected, name] of cases)
    assert.equal(await accepted(text, label, name), expected, text);
});

test('values to choose from come with what they mean, in quotes where the file needs them', async () => {
  for (const [text, name, expected] of [
    ['training:\n  optim: |\n', 'a.peft.yaml', 'training:\n  optim: adafactor\n'],
    ['training: { optim: | }\n', 'a.peft.yaml', 'training: { optim: adafactor }\n'],
    ["training: { optim: 'ad|' }\n", 'a.peft.yaml', 'training: { optim: adafactor }\n'],
    ['{ "training": { "optim": | } }', JSON_FILE, '{ "training": { "optim": "adafactor" } }'],
    ['{ "training": { "optim": "ada|mw" } }', JSON_FILE, '{ "training": { "optim": "adafactor" } }'],
  ] as const) {
    assert.deepEqual(await labels(text, name), ['adamw', 'sgd', 'adafactor'], text);
    assert.match(JSON.stringify((await itemOf(text, 'adafactor', name)).documentation), /Shazeer/);
    assert.equal(await accepted(text, 'adafactor', name), expected);
  }
  assert.deepEqual([...(await labels('method:\n  type: lora\n  use_rslora: |\n'))].sort(), ['false', 'true']);
  assert.equal(
    await accepted('{ "method": { "type": "|" } }', 'lora', JSON_FILE),
    '{ "method": { "type": "lora" } }',
  );
  assert.equal(
    await accepted('{ "method": { "type": "lora", "use_rslora": | } }', 'true', JSON_FILE),
    '{ "method": { "type": "lora", "use_rslora": true } }',
  );
});

test('a number comes with its default', async () => {
  for (const text of ['training:\n  seed: |\n', 'training: { seed: | }'])
    assert.deepEqual(await labels(text), ['42'], text);
});

test('what is typed in quotes is what the editor filters by', async () => {
  assert.equal((await itemOf('{ "training": { "se|" } }', 'seed', JSON_FILE)).filterText, '"seed');
  assert.equal((await itemOf("method: { type: 'lo|' }", 'lora')).filterText, "'lora");
  assert.equal((await itemOf('method: { type: lo| }', 'lora')).filterText, 'lora');
});

test('keys explain themselves as hovers do', async () => {
  const seed = JSON.stringify((await itemOf('training:\n  |', 'learning_rate')).documentation);
  assert.match(seed, /highest learning rate.*Takes a number above 0.*Default: `0.0002`.*Hu et al/s);
});

test('any suggestion leaves a file that is still YAML, and one accepted in JSON is still JSON', async () => {
  const texts: readonly (readonly [string, string?])[] = [
    ['model: a\n|\n'],
    ['model: a\ntraining:\n  |\ndata:\n  train: a\n'],
    ['model: a\ntraining: |\ndata:\n  train: a\n'],
    ['method:\n  - type: lora\n    |\n  - type: full\n'],
    ['method: { type: adalora, | }\n'],
    ['{ "model": "a", | }', JSON_FILE],
    ['{ "method": { "type": "lora", "|" } }', JSON_FILE],
  ];
  for (const [text, name] of texts) {
    const offered = await labels(text, name);
    assert.ok(offered.length > 4, text);
    for (const label of offered) {
      const after = await accepted(text, label, name);
      assert.deepEqual(parseDocument(after).errors, [], after);
      // Values that are yet to be chosen stand as null.
      if (name === JSON_FILE) JSON.parse(after.replace(/:\s*(?=[,}])/g, ': null'));
    }
  }
});

test('nothing is offered in a comment, or for a key that nobody knows', async () => {
  for (const text of [
    '# mo|',
    'model: a # |',
    'nonsense:\n  |',
    'training:\n  max_steps: |\n',
    'training: { max_steps: | }',
  ]) {
    assert.deepEqual(await labels(text), [], text);
  }
});
