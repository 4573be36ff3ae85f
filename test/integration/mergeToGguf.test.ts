// Merging into GGUF files, written as GGUF again.
import assert from 'node:assert/strict';
import { mkdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { Value } from '@sinclair/typebox/value';
import { ggufMergePlan, quantizedGgufTypes } from '../../src/adapters/merging/ggufMergePlan.js';
import type { GgufMergeTypes } from '../../src/adapters/merging/ggufMergePlan.js';
import { mergeToGguf } from '../../src/adapters/merging/mergeToGguf.js';
import type { GgufMergeJob, GgufMergeReport } from '../../src/adapters/merging/mergeToGguf.js';
import { mergedTensors } from '../../src/adapters/merging/mergedTensors.js';
import { random } from '../../src/common/random.js';
import type { Attached, Values } from '../../src/methods/method.js';
import { LoraOptions } from '../../src/methods/lora.js';
import type { MethodConfig } from '../../src/methods/registry.js';
import { attachMethod } from '../../src/methods/registry.js';
import { readGgufHeader, readGgufTensor } from '../../src/models/gguf.js';
import type { GgufHeader } from '../../src/models/gguf.js';
import { openGgufCheckpoint } from '../../src/models/ggufCheckpoint.js';
import { fixedSize } from '../../src/tensor/dims.js';
import { names, problem, temporaryFolder, writeParts } from '../support/adapters.js';
import { ROOT, fixture, largestDifference } from '../support/fixtures.js';
import { ggufModel } from '../support/ggufModel.js';
import type { GgufModelForm } from '../support/ggufModel.js';
import { logitsOf, openModel } from '../support/model.js';
import type { Opened } from '../support/model.js';
import { document, run as cli } from '../unit/cli/support.js';

const folder = temporaryFolder();
await mkdir(folder, { recursive: true });
const ROWS = [Array.from({ length: 20 }, (_, at) => (7 * at) % 96)];
const FLOAT: GgufMergeTypes = { kind: 'float' };
const AGAIN: GgufMergeTypes = { kind: 'requantize' };
let count = 0;

interface Adapter {
  readonly method: Attached;
  readonly values: Values;
}

/** A Llama as a GGUF file, opened. */
async function base(form: GgufModelForm): Promise<Opened> {
  return openModel(await ggufModel(path.join(folder, `base-${++count}.gguf`), form));
}

/** LoRA with random A and B, whose numbers are `scale` large. */
function adapterOn(opened: Opened, scale: number, options: Partial<LoraOptions> = {}): Adapter {
  const config = { type: 'lora', r: 4, target_modules: ['q_proj', 'v_proj'], ...options };
  const method = attachMethod(Value.Default(LoraOptions, config) as MethodConfig, opened.context);
  const rng = random(1, 'values');
  const values = new Map(
    method.trainables.map(({ variable }) => [
      variable.name,
      Float32Array.from({ length: fixedSize(variable.shape) }, () => Math.sqrt(scale) * rng.normal()),
    ]),
  );
  return { method, values };
}

function merge(
  opened: Opened,
  { method, values }: Adapter,
  types: GgufMergeTypes = FLOAT,
  more: Partial<GgufMergeJob> = {},
): Promise<GgufMergeReport> {
  const out = path.join(folder, `merged-${++count}.gguf`);
  const { model, runtime } = opened;
  return mergeToGguf({
    base: opened.checkpoint.source,
    model,
    runtime,
    methods: [method],
    values,
    types,
    out,
    ...more,
  });
}

async function bytesOf(header: GgufHeader, name: string): Promise<Uint8Array> {
  const { offset, length } = header.tensors.get(name)!;
  return (await readFile(header.file)).subarray(offset, offset + length);
}

/** Names of tensors that are not byte for byte what the base has. */
async function differing(one: string, other: string): Promise<string[]> {
  const [a, b] = [readGgufHeader(one), readGgufHeader(other)];
  const found: string[] = [];
  for (const [name, { type }] of b.tensors) {
    const before = a.tensors.get(name);
    const same = before?.type === type && Buffer.compare(await bytesOf(a, name), await bytesOf(b, name)) === 0;
    if (!same) found.push(name);
  }
  return found.sort();
}

const QV = [0, 1].flatMap((layer) => [`blk.${layer}.attn_q.weight`, `blk.${layer}.attn_v.weight`]);

test('what is touched is F16, all else lies there as it did: metadata, tokenizer and tensors', async () => {
  const opened = await base({ type: 'Q4_0', headType: 'Q8_0', fileType: 2 });
  const adapter = adapterOn(opened, 0.05);
  const report = await merge(opened, adapter);
  const [before, after] = [readGgufHeader(opened.checkpoint.source), readGgufHeader(report.out)];
  assert.deepEqual(await differing(before.file, after.file), QV);
  for (const name of QV) assert.equal(after.tensors.get(name)!.type.name, 'F16');
  assert.deepEqual(Object.fromEntries(after.metadata), {
    ...Object.fromEntries(before.metadata),
    'general.quantization_version': 2,
  });
  assert.equal(report.tensorsChanged, 4);
  assert.equal(report.bytes, (await readFile(report.out)).length);
  assert.ok(report.verifiedDifference < 1e-4 && report.roundingDifference < 0.05);
  assert.ok(report.roundingDifference > 0);
  assert.ok(Math.abs(report.total.survived - 1) < 1e-3 && report.total.error < 0.01);
  // Opened as any model is.
  const merged = await openModel(report.out);
  assert.ok(largestDifference(await logitsOf(merged, ROWS), await logitsOf(opened, ROWS, adapter)) < 0.05);
  assert.ok(largestDifference(await logitsOf(merged, ROWS), await logitsOf(opened, ROWS)) > 0.5);
});

test('as F32 the merged numbers are exact, q and k in the order of their rows', async () => {
  const opened = await base({ type: 'Q8_0', ownHead: true });
  const adapter = adapterOn(opened, 0.05, { target_modules: ['q_proj', 'k_proj', 'lm_head'] });
  const report = await merge(opened, adapter, { kind: 'float', dtype: 'F32' });
  const { tensors } = await mergedTensors({ ...opened, methods: [adapter.method], values: adapter.values });
  const written = await openGgufCheckpoint(report.out);
  for (const { name, data } of tensors) assert.deepEqual(await written.read(name), await data(), name);
  assert.equal(report.roundingDifference, 0);
  assert.deepEqual(report.total, { survived: 1, error: 0 });
});

/** llama.cpp's `llama_ftype`. */
const FILE_TYPES: Readonly<Record<string, number>> = {
  ...{ Q4_0: 2, Q4_1: 3, Q8_0: 7, Q5_0: 8, Q5_1: 9 },
  ...{ Q4_K: 15, Q5_K: 17, Q6_K: 18 },
};

for (const type of quantizedGgufTypes()) {
  test(`${type}: quantized again, with the share of the update that survives`, async () => {
    const opened = await base({ type, hidden: 256, inner: 256, layers: 1 });
    const adapter = adapterOn(opened, 0.02);
    const report = await merge(opened, adapter, AGAIN);
    assert.deepEqual(await differing(opened.checkpoint.source, report.out), QV.slice(0, 2));
    const after = readGgufHeader(report.out);
    const merged = new Map<string, Float32Array>();
    const produced = await mergedTensors({ ...opened, methods: [adapter.method], values: adapter.values });
    for (const { name, data } of produced.tensors) merged.set(name, await data());
    const [reopened, sums] = [await openGgufCheckpoint(report.out), { along: 0, whole: 0, off: 0 }];
    for (const { name, survived, error, from, type: own } of report.tensors) {
      assert.deepEqual([from, own], [type, type]);
      const [w, exact, q] = [await opened.checkpoint.read(name), merged.get(name)!, await reopened.read(name)];
      const delta = exact.map((x, at) => x - w[at]!);
      const along = q.reduce((sum, x, at) => sum + (x - w[at]!) * delta[at]!, 0);
      const whole = delta.reduce((sum, x) => sum + x * x, 0);
      const off = q.reduce((sum, x, at) => sum + (x - exact[at]!) ** 2, 0);
      assert.ok(Math.abs(survived - along / whole) < 1e-5, name);
      assert.ok(Math.abs(error - Math.sqrt(off / whole)) < 1e-5, name);
      sums.along += along;
      sums.whole += whole;
      sums.off += off;
    }
    assert.ok(Math.abs(report.total.survived - sums.along / sums.whole) < 1e-5);
    assert.ok(Math.abs(report.total.error - Math.sqrt(sums.off / sums.whole)) < 1e-5);
    assert.ok(Math.abs(report.total.survived - 1) < 0.1, String(report.total.survived));
    assert.equal(after.metadata.get('general.file_type'), FILE_TYPES[type]);
    assert.deepEqual(report.warnings, []);
  });
}

test('case 32: an update below half a step is rounded away when it is quantized again, and said to be', async () => {
  const opened = await base({ type: 'Q4_0' });
  const adapter = adapterOn(opened, 1e-4);
  const lost = await merge(opened, adapter, AGAIN);
  assert.ok(Math.abs(lost.total.survived) < 0.05, String(lost.total.survived));
  assert.ok(Math.abs(lost.total.error - 1) < 0.15, String(lost.total.error));
  assert.deepEqual(
    lost.warnings.map(({ code }) => code),
    ['merge.rounded-away'],
  );
  assert.match(lost.warnings[0]!.message, /4 of 4 tensors: model\.layers\.0\.self_attn\.q_proj\.weight \(Q4_0, /);
  const kept = await merge(opened, adapter);
  assert.ok(Math.abs(kept.total.survived - 1) < 0.05, String(kept.total.survived));
  assert.deepEqual(kept.warnings, []);
});

test('a head that the adapter takes from the embedding gets a matrix of its own', async () => {
  const opened = await base({ type: 'Q4_0', headType: 'Q6_K', hidden: 256, inner: 256, layers: 1 });
  const adapter = adapterOn(opened, 0.01, { target_modules: ['lm_head'] });
  const report = await merge(opened, adapter);
  assert.equal(report.tied, 'untied');
  assert.deepEqual(await differing(opened.checkpoint.source, report.out), ['output.weight']);
  const quantized = await merge(opened, adapter, AGAIN);
  assert.equal(readGgufHeader(quantized.out).tensors.get('output.weight')!.type.name, 'Q6_K');

  const embedding = adapterOn(opened, 0.01, { target_modules: ['embed_tokens'] });
  const other = readGgufHeader((await merge(opened, embedding)).out);
  const before = readGgufHeader(opened.checkpoint.source);
  assert.deepEqual(await bytesOf(other, 'output.weight'), await bytesOf(before, 'token_embd.weight'));
  assert.equal(other.tensors.get('token_embd.weight')!.type.name, 'F16');
});

test('another type for what is touched, and the number of the file that says what most of it is in', async () => {
  const opened = await base({ type: 'Q4_0', fileType: 2 });
  const all = ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'];
  const adapter = adapterOn(opened, 0.01, { target_modules: all });
  const fileType = async (types: GgufMergeTypes): Promise<unknown> =>
    readGgufHeader((await merge(opened, adapter, types)).out).metadata.get('general.file_type');
  assert.equal(await fileType({ kind: 'requantize', type: 'Q8_0' }), 7);
  assert.equal(await fileType(FLOAT), 1);
  assert.equal(await fileType({ kind: 'float', dtype: 'BF16' }), 32);
  assert.equal(await fileType(AGAIN), 2);
});

test('biases and norms keep their types; those of Gemma are stored with one added', async () => {
  const qwen = await openModel(fixture('decoders', 'tiny-qwen2.gguf'));
  const biased = adapterOn(qwen, 0.05, { bias: 'all' });
  const report = await merge(qwen, biased, { kind: 'float', dtype: 'F16' });
  const header = readGgufHeader(report.out);
  assert.equal(header.tensors.get('blk.0.attn_q.bias')!.type.name, 'F32');
  assert.equal(header.tensors.get('blk.0.attn_q.weight')!.type.name, 'F16');
  assert.equal(header.tensors.get('blk.0.attn_output.weight')!.type.name, 'BF16');
  assert.ok((await differing(qwen.checkpoint.source, report.out)).includes('blk.0.attn_q.bias'));

  const gemma = await openModel(fixture('decoders', 'tiny-gemma.gguf'));
  const normed = adapterOn(gemma, 0.05, { modules_to_save: ['post_attention_layernorm'] });
  const norm = 'blk.0.ffn_norm.weight';
  const written = (await merge(gemma, normed)).out;
  assert.ok((await differing(gemma.checkpoint.source, written)).includes(norm));
  const saved = normed.values.get(
    [...normed.values.keys()].find((key) => key.includes('post_attention_layernorm'))!,
  )!;
  const stored = await readGgufTensor(readGgufHeader(written), norm);
  assert.ok(
    largestDifference(
      stored,
      saved.map((value) => value + 1),
    ) < 1e-6,
  );
});

test('what cannot be written is named, and nothing is left behind', async () => {
  const opened = await base({ type: 'Q4_0' });
  const out = path.join(folder, 'none', 'none.gguf');
  const adapter = adapterOn(opened, 0.05);
  const refused = async (types: GgufMergeTypes, code: string, ...parts: (string | RegExp)[]): Promise<void> =>
    assert.rejects(merge(opened, adapter, types, { out }), problem(code, ...parts));
  await refused({ kind: 'requantize', type: 'Q6_K' }, 'merge.gguf-row', 'q_proj', '64', '256');
  await refused({ kind: 'requantize', type: 'IQ2_S' }, 'merge.gguf-type', 'IQ2_S', 'Q8_0');
  const huge = adapterOn(opened, 3e4);
  await assert.rejects(merge(opened, huge, FLOAT, { out }), problem('merge.overflow', 'F16'));
  await assert.rejects(
    merge(opened, adapter, FLOAT, {
      out,
      onProgress: ({ done }) => {
        if (done > 3) throw new Error('cancelled');
      },
    }),
    /cancelled/,
  );
  const gemma = await openModel(fixture('decoders', 'tiny-gemma2.gguf'));
  const head = adapterOn(gemma, 0.05, { target_modules: ['lm_head'] });
  await assert.rejects(merge(gemma, head, FLOAT, { out }), problem('merge.gguf-tied', 'llama.cpp'));
  assert.deepEqual(await names(path.dirname(out)), []);
  await assert.rejects(
    merge(opened, adapter, FLOAT, { out: opened.checkpoint.source }),
    problem('file.exists', 'left as it is'),
  );
});

test('an adapter that changes nothing leaves the base, and says so', async () => {
  const opened = await base({ type: 'Q5_1', fileType: 9 });
  const report = await merge(opened, adapterOn(opened, 0));
  assert.deepEqual(await differing(opened.checkpoint.source, report.out), []);
  assert.deepEqual(
    report.warnings.map(({ code }) => code),
    ['merge.nothing-changed'],
  );
  assert.deepEqual([report.tensorsChanged, report.total.survived, report.roundingDifference], [0, 1, 0]);
});

test('tokens that an adapter brings have no place in the tokenizer of the file', async () => {
  const opened = await openGgufCheckpoint((await base({ type: 'Q4_0' })).checkpoint.source);
  const merged = {
    name: 'model.embed_tokens.weight',
    shape: [97, 64],
    data: () => Promise.resolve(new Float32Array()),
  };
  assert.throws(() => ggufMergePlan(opened, [merged], FLOAT), problem('merge.gguf-rows', '97, 64', '96, 64'));
});

/** A LoRA on the queries of a base, as a folder. */
async function savedAdapter(name: string, seed: string): Promise<string> {
  const rng = random(2, seed);
  const drawn = (layer: number, half: 'A' | 'B', shape: number[]) => ({
    name: `base_model.model.model.layers.${layer}.self_attn.q_proj.lora_${half}.weight`,
    shape,
    data: Float32Array.from({ length: shape[0]! * shape[1]! }, () => 0.1 * rng.normal()),
  });
  const tensors = [0, 1].flatMap((layer) => [drawn(layer, 'A', [4, 64]), drawn(layer, 'B', [64, 4])]);
  const config = { peft_type: 'LORA', task_type: 'CAUSAL_LM', r: 4, lora_alpha: 4, target_modules: ['q_proj'] };
  return writeParts(path.join(folder, name), { config, tensors });
}

test('merge --out FILE.gguf: two adapters, one after the other, and what is said of it', async () => {
  const file = await ggufModel(path.join(folder, 'cli.gguf'), { type: 'Q4_0', fileType: 2 });
  const [one, two] = [await savedAdapter('one', 'one'), await savedAdapter('two', 'two')];
  const out = path.join(folder, 'cli-merged.gguf');
  const ran = await cli(['merge', one, two, '--model', file, '--out', out, '--json']);
  assert.equal(ran.code, 0, ran.err);
  const report = document(ran);
  assert.deepEqual([report['out'], report['base'], report['tensorsChanged']], [out, file, 2]);
  assert.equal((report['tensors'] as { type: string }[])[0]!.type, 'F16');
  const [q, before] = [await openGgufCheckpoint(out), await openGgufCheckpoint(file)];
  const name = 'model.layers.1.self_attn.q_proj.weight';
  assert.ok(largestDifference(await q.read(name), await before.read(name)) > 0.05);

  const said = await cli([
    'merge',
    one,
    '--model',
    file,
    '--requantize',
    'q8_0',
    '--out',
    path.join(folder, 'q8.gguf'),
  ]);
  assert.equal(said.code, 0, said.err);
  assert.match(said.out, /2 tensors changed: Q4_0 as Q8_0/);
  assert.match(said.out, /Survives +\d+\.\d % of the update; its rounding error is/);
  assert.match(said.out, /Least .* in model\.layers\.\d\.self_attn\.q_proj\.weight \(Q8_0\)/);
});

test('merge --out FILE.gguf: what cannot be meant is named', async () => {
  const file = await ggufModel(path.join(folder, 'refused.gguf'), { type: 'Q4_0' });
  const adapter = await savedAdapter('refused-adapter', 'one');
  const out = path.join(folder, 'refused', 'none.gguf');
  for (const [args, message] of [
    [['--model', file, '--out', folder, '--requantize', 'base'], /a model folder holds floats/],
    [['--model', file, '--out', out, '--requantize', 'Q2_K'], /--requantize is "Q2_K"[^]*base, or one of Q4_0/],
    [['--model', file, '--out', out, '--requantize', 'base', '--dtype', 'F16'], /both given/],
    [['--model', file, '--out', out, '--keep-original'], /--keep-original is given/],
    [['--model', path.join(ROOT, 'examples/base-model/peft-studio-tiny'), '--out', out], /convert_hf_to_gguf\.py/],
    [['--model', file, '--out', file], /left as it is/],
  ] as const) {
    const ran = await cli(['merge', adapter, ...args]);
    assert.equal(ran.code, 2, ran.err);
    assert.match(ran.err, message);
  }
  assert.deepEqual(await names(path.dirname(out)), []);
});
