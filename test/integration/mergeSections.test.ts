// Merging module by module: every architecture, and every program with the weights of one module alone.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { mergeAdapter } from '../../src/adapters/merging/merge.js';
import type { MergeReport } from '../../src/adapters/merging/merge.js';
import type { Attached, Values } from '../../src/methods/method.js';
import { random } from '../../src/common/random.js';
import { attachMethod } from '../../src/methods/registry.js';
import type { MethodConfig } from '../../src/methods/registry.js';
import { LoraOptions } from '../../src/methods/lora.js';
import type { Runtime } from '../../src/runtime/runtime.js';
import { fixedSize } from '../../src/tensor/dims.js';
import { Value } from '@sinclair/typebox/value';
import { names, problem, temporaryFolder, tokenizer } from '../support/adapters.js';
import { fixture } from '../support/fixtures.js';
import type { Opened } from '../support/model.js';
import { openModel } from '../support/model.js';

const folder = temporaryFolder();
let count = 0;

interface Adapter {
  readonly method: Attached;
  readonly values: Values;
}

function adapterOn(opened: Opened, options: Partial<LoraOptions>): Adapter {
  const method = attachMethod(
    Value.Default(LoraOptions, { type: 'lora', ...options }) as MethodConfig,
    opened.context,
  );
  const generator = random(1, 'values');
  const values = new Map<string, Float32Array>();
  for (const { variable } of method.trainables) {
    const isMagnitude = variable.name.endsWith('magnitude_vector');
    const draw = (): number => (isMagnitude ? 1 + generator.uniform() : generator.normal() / 8);
    values.set(variable.name, Float32Array.from({ length: fixedSize(variable.shape) }, draw));
  }
  return { method, values };
}

function merge(
  opened: Opened,
  { method, values }: Adapter,
  options: { runtime?: Runtime; sectionBytes?: number } = {},
): Promise<MergeReport> {
  const out = path.join(folder, String(++count));
  return mergeAdapter({ ...opened, methods: [method], values, tokenizer, out, dtype: 'BF16', ...options });
}

/** The runtime, which notes what weights each program is fed. */
function watched(runtime: Runtime, programs: string[][]): Runtime {
  return {
    ...runtime,
    async compile(outputs, weights) {
      assert.equal(weights, undefined, 'no file of weights is mapped');
      const program = await runtime.compile(outputs);
      programs.push([...program.reads].filter((name) => name.startsWith('weight ')));
      return program;
    },
  };
}

const cases: [base: string, options: Partial<LoraOptions>][] = [
  ['lora-reference/tiny-llama', { use_dora: true }],
  ['lora-reference/tiny-llama-tied', { target_modules: ['embed_tokens', 'down_proj'] }],
  ['gpt2/tiny-gpt2', { target_modules: 'all-linear', bias: 'all' }],
  ['decoders/tiny-gemma2', { target_modules: 'all-linear' }],
  ['decoders/tiny-gemma3', { target_modules: 'all-linear' }],
  ['decoders/tiny-qwen3', { target_modules: 'all-linear' }],
  ['t5/tiny-t5', { target_modules: 'all-linear' }],
  ['encoders/tiny-bert', { target_modules: 'all-linear' }],
  ['encoders/tiny-bert-bare', { target_modules: 'all-linear' }],
  ['encoders/tiny-roberta-classes', { target_modules: 'all-linear' }],
];

for (const [base, options] of cases) {
  test(`${base} is merged and checked with one module's weights at a time`, async () => {
    const opened = await openModel(fixture(base));
    const adapter = adapterOn(opened, options);
    const programs: string[][] = [];
    const parts = await merge(opened, adapter, { sectionBytes: 1, runtime: watched(opened.runtime, programs) });
    const whole = await merge(opened, adapter);
    assert.ok(programs.length > 20, `${programs.length} programs`);
    // A matrix that the output layer shares is there again behind the last norm.
    const shared = opened.model.tiedHead ? opened.model.sites.find(({ isOutput }) => isOutput)!.weight! : '';
    for (const read of programs) {
      const modules = read
        .map((name) => name.slice('weight '.length))
        .filter((name) => name !== shared)
        .map((name) => name.replace(/\.(weight|bias|gamma|beta)$/, ''));
      assert.ok(new Set(modules).size <= 1, `one program reads ${modules.join(', ')}`);
    }
    assert.ok(Math.abs(parts.verifiedDifference - whole.verifiedDifference) <= 1e-5);
    assert.ok(Math.abs(parts.roundingDifference - whole.roundingDifference) <= 1e-5);
    assert.deepEqual(
      [parts.tensorsChanged, parts.tied, parts.bytes],
      [whole.tensorsChanged, whole.tied, whole.bytes],
    );
    const [one, other] = await Promise.all(
      [parts, whole].map(({ out }) => readFile(path.join(out, 'model.safetensors'))),
    );
    assert.ok(one!.equals(other!), 'the same weights');
  });
}

test('a module that is merged wrongly is noticed in whatever section it is', async () => {
  const opened = await openModel(fixture('lora-reference/tiny-llama'));
  const adapter = adapterOn(opened, { target_modules: ['q_proj', 'down_proj'] });
  for (const wrong of ['model.layers.0.self_attn.q_proj', 'model.layers.1.mlp.down_proj']) {
    const method: Attached = {
      ...adapter.method,
      merge: (site, kind, base, values) => {
        const merged = adapter.method.merge!(site, kind, base, values);
        return site.path === wrong ? merged?.map((value) => value * 1.01) : merged;
      },
    };
    await assert.rejects(merge(opened, { ...adapter, method }, { sectionBytes: 1 }), problem('merge.not-equal'));
  }
  assert.ok(!(await names(folder)).includes(String(count)));
});
