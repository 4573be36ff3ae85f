// The adapters library reads what we write. Needs Python (install.sh); run with
// PEFT_STUDIO_PYTHON=VENV/bin/python node test/run.mjs test/reference
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { Value } from '@sinclair/typebox/value';
import { writeAdapter } from '../../src/adapters/writeAdapter.js';
import { random } from '../../src/common/random.js';
import { attachMethods } from '../../src/engines/session.js';
import { AdapterFusionOptions } from '../../src/methods/adapterFusion.js';
import { AdapterOptions } from '../../src/methods/bottleneckAdapter.js';
import { fixedSize } from '../../src/tensor/dims.js';
import { temporaryFolder, tokenizer } from '../support/adapters.js';
import { ROOT, fixture, largestDifference, readInputIds, readTensors } from '../support/fixtures.js';
import { logitsOf, openModel } from '../support/model.js';

const python = process.env['PEFT_STUDIO_PYTHON'];
const skip = python === undefined && 'set PEFT_STUDIO_PYTHON to the Python of test/reference/install.sh';
const folder = temporaryFolder();

const BASES = {
  llama: { model: fixture('lora-reference', 'tiny-llama'), task: 'causal' },
  gpt2: { model: fixture('gpt2', 'tiny-gpt2'), task: 'causal' },
  bert: { model: fixture('encoders', 'tiny-bert'), task: 'masked' },
  // The head is random, too: the library takes it from the adapter's file.
  classes: { model: fixture('encoders', 'tiny-bert-classes'), task: 'classes' },
} as const;

const TASKS = { causal: undefined, masked: { type: 'MASKED_LM' }, classes: { type: 'SEQ_CLS' } } as const;

const CASES: readonly (readonly [
  base: keyof typeof BASES,
  options: Partial<AdapterOptions | AdapterFusionOptions>,
])[] = [
  ['llama', {}],
  ['llama', { placement: 'houlsby', bottleneck_size: 5 }],
  ['llama', { placement: 'parallel', scaling: 2 }],
  ['gpt2', { placement: 'houlsby', reduction_factor: { 1: 3, default: 7 }, name: 'of-some-task' }],
  ['gpt2', { placement: 'parallel', mh_adapter: true, scaling: 'channel', non_linearity: 'sigmoid' }],
  ['bert', { bottleneck_size: 7, leave_out: [0] }],
  ['bert', { placement: 'houlsby' }],
  ['bert', { mh_adapter: true, residual_before_ln: 'post_add', scaling: 'learned' }],
  ['classes', { bottleneck_size: 6 }],
  ['classes', { placement: 'houlsby', train_layer_norms: false }],
  ['llama', { type: 'adapter_fusion', bottleneck_size: 4 }],
  ['bert', { type: 'adapter_fusion', placement: 'houlsby', value: false, query_before_ln: true }],
];

test('the adapters library loads our adapters and computes what we do', { skip }, async () => {
  const jobs = [];
  const ours = [];
  for (const [at, [base, options]] of CASES.entries()) {
    const { model, task } = BASES[base];
    const opened = await openModel(model, TASKS[task]);
    const schema = options.type === 'adapter_fusion' ? AdapterFusionOptions : AdapterOptions;
    const config = Value.Parse(schema, { type: 'adapter', ...options });
    const tasks = config.type === 'adapter' ? [] : ['a', 'b'];
    const [method] = attachMethods([config], { ...opened.context, tasks });
    assert.ok(method !== undefined);
    method.beforeStep?.({ step: 2, totalSteps: 2 });
    const generator = random(3, at);
    const values = new Map(
      method.trainables.map(({ variable }) => [
        variable.name,
        Float32Array.from({ length: fixedSize(variable.shape) }, () => 0.4 * generator.normal()),
      ]),
    );
    const saved = method.save(values);
    assert.ok(saved.kind === 'adapter');
    const adapter = path.join(folder, `adapter-${at}`);
    await writeAdapter(adapter, saved, { tokenizer, card: '' });
    jobs.push({ model, adapter, task });
    ours.push({ opened, method, values });
  }
  const [list, out] = [path.join(folder, 'jobs.json'), path.join(folder, 'out.safetensors')];
  await writeFile(list, JSON.stringify(jobs));
  const older = path.join(path.dirname(python!), '../adapters/bin/python');
  await promisify(execFile)(older, [path.join(ROOT, 'test/reference/adapters_load_ours.py'), list, out]);
  const found = await readTensors(out);
  const rows = await readInputIds(out);
  const bytes = await readFile(out);
  const { __metadata__: notes = {} } = JSON.parse(
    bytes.toString('utf8', 8, 8 + Number(bytes.readBigUInt64LE(0))),
  ) as {
    __metadata__?: Record<string, string>;
  };
  for (const [at, { opened, method, values }] of ours.entries()) {
    const name = JSON.stringify(CASES[at]);
    assert.deepEqual(JSON.parse(notes[at]!), { missing_keys: [], unexpected_keys: [] }, name);
    const expected = found.get(`${at}.logits`)!.data;
    const largest = expected.reduce((most, each) => Math.max(most, Math.abs(each)), 0);
    const difference = largestDifference(await logitsOf(opened, rows, { method, values }), expected);
    assert.ok(difference <= 3e-5 * largest, `${name}: ${difference} of ${largest}`);
    const base = found.get(`${at}.base`)!.data;
    assert.ok(largestDifference(expected, base) > 1e-2, `${name} changes something`);
  }
});
