// BitFit and the last layers against PyTorch: test/fixtures/whole-tensors/make.py.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { Value } from '@sinclair/typebox/value';
import { inspectAdapter } from '../../src/adapters/inspect.js';
import { mergeAdapter } from '../../src/adapters/merging/merge.js';
import { readAdapter } from '../../src/adapters/readAdapter.js';
import { writeAdapter } from '../../src/adapters/writeAdapter.js';
import { parseRunFile } from '../../src/config/parseRunFile.js';
import { TrainingOptions } from '../../src/config/schema.js';
import { makeBatch } from '../../src/data/batches.js';
import type { Batch, Example } from '../../src/data/example.js';
import { attachMethods } from '../../src/engines/session.js';
import type { Attached, Values } from '../../src/methods/method.js';
import { startSnapshot } from '../../src/training/snapshot.js';
import { createStepper } from '../../src/training/stepper.js';
import { temporaryFolder, tokenizer } from '../support/adapters.js';
import { fixture, largestDifference, readTensors, relativeDistance } from '../support/fixtures.js';
import { attachAdapter, logitsOf, openModel } from '../support/model.js';
import type { Opened } from '../support/model.js';
import { startValues } from '../support/startValues.js';

interface Reference {
  readonly base: string;
  readonly rows: string;
  readonly learning_rate: number;
  readonly weight_decay: number;
  readonly trained: number;
  readonly steps: readonly { readonly loss: number; readonly gradient_norm: number }[];
}

interface Row {
  readonly input_ids: number[];
  readonly supervised?: (0 | 1)[];
  readonly label?: number;
}

const CASES: Readonly<Record<string, string>> = {
  'bitfit-bert': '{ type: bitfit }',
  'bitfit-bert-subset': '{ type: bitfit, bias_terms: [query, intermediate] }',
  'bitfit-gpt2': '{ type: bitfit }',
  'last-llama': '{ type: last_layers, num_layers: 1 }',
  'last-bert': '{ type: last_layers, fraction: 0.5 }',
};
const ROWS = [[5, 6, 70, 12, 9, 44, 3]];
const folder = temporaryFolder();

function batchOf(rows: readonly Row[]): Batch {
  const examples = rows.map(({ input_ids: ids, supervised, label }): Example => ({
    ids,
    supervised: supervised ?? ids.map(() => 0),
    ...(label === undefined ? {} : { label }),
    file: 'batches.json',
    line: 1,
  }));
  return makeBatch(
    examples,
    examples.map((_, at) => [at]),
  );
}

function attached(section: string, { context }: Opened): Attached {
  const { config, problems } = parseRunFile(`model: m\ndata: { train: a }\nmethod: ${section}\n`, 'a.peft.yaml');
  assert.ok(config, JSON.stringify(problems));
  return attachMethods(config.method, context)[0]!;
}

/**
 * A key's bias adds the same to all scores of a query where no positions turn it: its gradient is zero, and AdamW makes
 * steps of rounding errors. GPT-2's keys are the second of c_attn's three parts.
 */
function withoutKeys(name: string, numbers: Float32Array): Float32Array {
  if (name.endsWith('.key.bias')) return numbers.slice(0, 0);
  const third = numbers.length / 3;
  return name.endsWith('c_attn.bias') ? numbers.filter((_, at) => at < third || at >= 2 * third) : numbers;
}

/** What a model's parameters are with the method merged, by their names. */
async function merged(method: Attached, values: Values, { model, context }: Opened) {
  const tensors = new Map<string, { now: Float32Array; base: Float32Array }>();
  for (const site of model.sites) {
    for (const kind of ['weight', 'bias'] as const) {
      const name = site[kind];
      if (name === undefined) continue;
      const base = await context.read(name);
      const now = method.merge!(site, kind, base, values);
      if (now !== undefined) tensors.set(`${site.path}.${kind}`, { now, base });
    }
  }
  return tensors;
}

for (const [name, section] of Object.entries(CASES)) {
  test(`${name}: twelve steps are PyTorch's; what trained is saved, loaded, inspected and merged`, async () => {
    const file = fixture('whole-tensors', `${name}.json`);
    const reference = JSON.parse(await readFile(file, 'utf8')) as Reference;
    const opened = await openModel(fixture(reference.base));
    const method = attached(section, opened);
    const start = await startValues(method.trainables);
    const base = await logitsOf(opened, ROWS);
    assert.deepEqual(await logitsOf(opened, ROWS, { method, values: start }), base, 'it starts as the base model');

    const stepper = await createStepper({
      ...opened,
      methods: [method],
      start: startSnapshot(start),
      options: Value.Parse(TrainingOptions, { weight_decay: reference.weight_decay, max_grad_norm: 0 }),
      positionLimit: 40,
    });
    const batches = JSON.parse(await readFile(fixture(reference.rows), 'utf8')) as Row[][];
    for (const [at, step] of reference.steps.entries()) {
      const place = { step: at + 1, totalSteps: reference.steps.length };
      const result = await stepper.step([batchOf(batches[at]!)], place, reference.learning_rate, 0);
      assert.ok(Math.abs(result.loss - step.loss) <= 1e-4 * step.loss, `loss ${at + 1}: ${result.loss}`);
      assert.ok(Math.abs(result.gradientNorm - step.gradient_norm) <= 1e-3 * step.gradient_norm, `norm ${at + 1}`);
    }
    const values = new Map([...stepper.values()].map(([key, data]) => [key, data.slice()]));
    await stepper.dispose();

    const expected = await readTensors(fixture('whole-tensors', `${name}.safetensors`));
    const found = await merged(method, values, opened);
    assert.deepEqual([...found.keys()].sort(), [...expected.keys()].sort(), 'just these tensors change');
    const own = [...expected].filter(([key]) => !key.startsWith('classifier.'));
    assert.equal(
      own.reduce((sum, [, { data }]) => sum + data.length, 0),
      reference.trained,
    );
    for (const [key, { data }] of expected) {
      const { now, base: before } = found.get(key)!;
      const change = (numbers: Float32Array): Float32Array =>
        withoutKeys(
          key,
          numbers.map((value, at) => value - before[at]!),
        );
      if (change(now).length === 0) continue;
      const distance = relativeDistance(change(now), change(data));
      assert.ok(distance <= 1e-2, `${key}: ${distance}`);
    }

    const adapter = path.join(folder, name);
    const saved = method.save(values);
    assert.ok(saved.kind === 'adapter');
    await writeAdapter(adapter, saved, { tokenizer, card: '' });
    const applied = await logitsOf(opened, ROWS, { method, values });
    assert.ok(largestDifference(applied, base) > 1e-3);
    const again = await attachAdapter(opened, adapter);
    assert.deepEqual(again.warnings, []);
    assert.deepEqual(await logitsOf(opened, ROWS, again), applied);
    const inspection = await inspectAdapter(adapter);
    assert.deepEqual(inspection.problems, []);

    const out = path.join(folder, `${name}-merged`);
    const { verifiedDifference } = await mergeAdapter({ ...opened, ...again, tokenizer, out });
    assert.ok(verifiedDifference <= 1e-5, String(verifiedDifference));
    const whole = await openModel(out);
    assert.ok(largestDifference(await logitsOf(whole, ROWS), applied) <= 1e-5);
    assert.equal((await readAdapter(adapter)).peftType, section.includes('bitfit') ? 'BITFIT' : 'LAST_LAYERS');
  });
}
