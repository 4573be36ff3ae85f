// llama.cpp applies the GGUF adapters that we write as our engine applies the adapter itself. Needs node-llama-cpp:
// npm ci in test/reference/llama-cpp (83 MB), then node test/run.mjs test/reference/ggufAdapter.test.ts
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { readAdapter } from '../../src/adapters/readAdapter.js';
import { ggufAdapter } from '../../src/adapters/toGguf.js';
import { random } from '../../src/common/random.js';
import type { JsonObject } from '../../src/common/json.js';
import type { NamedTensor } from '../../src/methods/method.js';
import type { LanguageModel } from '../../src/models/architecture.js';
import type { GgufFloatType } from '../../src/models/writeGguf.js';
import { writeGguf } from '../../src/models/writeGguf.js';
import { makeModel } from '../integration/engineModel.js';
import { temporaryFolder, writeParts } from '../support/adapters.js';
import { ROOT, fixture, largestDifference } from '../support/fixtures.js';
import type { Opened } from '../support/model.js';
import { attachAdapter, logitsOf, openModel } from '../support/model.js';
import { f32Base, gpt2Base, llamaBase } from './ggufBase.js';

const llamaCpp = path.join(ROOT, 'test/reference/llama-cpp');
const skip =
  !existsSync(path.join(llamaCpp, 'node_modules/node-llama-cpp')) &&
  'npm ci in test/reference/llama-cpp gets llama.cpp';

const folder = temporaryFolder();
const generator = random(3, 'row');
const ROW = Array.from({ length: 20 }, () => generator.integer(96));

/** Logarithms of the probabilities of all tokens behind each of ROW, [20, vocabulary]: of the base, and with each adapter. */
async function inLlamaCpp(base: string, ...adapters: string[]): Promise<Float32Array[]> {
  const script = path.join(llamaCpp, 'logits.mjs');
  const args = [script, base, JSON.stringify(ROW), ...adapters];
  const { stdout } = await promisify(execFile)(process.execPath, args, { maxBuffer: 1 << 28 });
  return (JSON.parse(stdout) as number[][][]).map((rows) => Float32Array.from(rows.flat()));
}

/** The same by our engine. */
async function ours(opened: Opened, adapter?: string): Promise<Float32Array> {
  const attached = adapter === undefined ? undefined : await attachAdapter(opened, adapter);
  const logits = await logitsOf(opened, [ROW], attached);
  const { vocabSize } = opened.model;
  return logits.map((logit, at) => {
    const row = logits.subarray(at - (at % vocabSize), at - (at % vocabSize) + vocabSize);
    return logit - Math.log(row.reduce((sum, each) => sum + Math.exp(each), 0));
  });
}

/** A LoRA with random numbers on modules of these names, of several ranks and scales. */
async function drawn(
  name: string,
  model: LanguageModel,
  targets: readonly string[],
  more: JsonObject = {},
): Promise<string> {
  const rng = random(5, name);
  const [first, second] = targets;
  const ranks: Readonly<Record<string, number>> = { [first!]: 2 };
  const tensors = model.sites.flatMap((site): NamedTensor[] => {
    const target = targets.find((each) => site.path.endsWith(each));
    if (target === undefined) return [];
    const rank = ranks[target] ?? 4;
    const isEmbedding = site.kind === 'embedding';
    const [inSize, outSize] = isEmbedding ? site.shape : [...site.shape].reverse();
    const tensor = (half: string, shape: readonly number[]): NamedTensor => ({
      name: `base_model.model.${site.path}.${isEmbedding ? `lora_embedding_${half}` : `lora_${half}.weight`}`,
      shape,
      data: Float32Array.from({ length: shape[0]! * shape[1]! }, () => 0.2 * rng.normal()),
    });
    return [tensor('A', [rank, inSize!]), tensor('B', [outSize!, rank])];
  });
  return writeParts(path.join(folder, name), {
    config: {
      peft_type: 'LORA',
      task_type: 'CAUSAL_LM',
      base_model_name_or_path: name,
      r: 4,
      lora_alpha: 6,
      target_modules: [...targets],
      bias: 'none',
      rank_pattern: ranks,
      alpha_pattern: second === undefined ? {} : { [second]: 3 },
      ...more,
    },
    tensors,
  });
}

async function written(adapter: string, opened: Opened, dtype: GgufFloatType = 'F32'): Promise<string> {
  const out = path.join(folder, `${path.basename(adapter)}-${dtype}.gguf`);
  const { metadata, tensors } = await ggufAdapter(await readAdapter(adapter), opened.context, dtype);
  await writeGguf(out, metadata, tensors);
  return out;
}

const LLAMA = ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'];
const decoder = (name: string) => async (out: string) => f32Base(fixture('decoders', `tiny-${name}.gguf`), out);
const CASES: readonly {
  readonly name: string;
  readonly make: (out: string) => Promise<string>;
  /** What our engine opens; default: the GGUF file. */
  readonly opens?: string;
  /** llama.cpp looks GELU up in a table of float16. */
  readonly table?: boolean;
  readonly targets: readonly string[];
  readonly options?: JsonObject;
}[] = [
  {
    name: 'llama',
    make: async (out) => llamaBase(await makeModel(path.join(folder, 'made')), out),
    targets: LLAMA,
    options: { use_rslora: true },
  },
  { name: 'qwen2', make: decoder('qwen2'), targets: [...LLAMA, 'embed_tokens', 'lm_head'] },
  { name: 'qwen3', make: decoder('qwen3'), targets: LLAMA },
  { name: 'gemma', make: decoder('gemma'), table: true, targets: LLAMA },
  { name: 'gemma2', make: decoder('gemma2'), table: true, targets: LLAMA },
  { name: 'gemma3', make: decoder('gemma3'), table: true, targets: LLAMA },
  {
    name: 'gpt2',
    make: (out) => gpt2Base(fixture('gpt2', 'tiny-gpt2-untied'), out),
    opens: fixture('gpt2', 'tiny-gpt2-untied'),
    table: true,
    targets: ['c_attn', 'attn.c_proj', 'c_fc', 'mlp.c_proj', 'wte', 'lm_head'],
  },
];

for (const { name, make, opens, table, targets, options } of CASES) {
  test(`llama.cpp with our adapter: ${name}`, { skip }, async () => {
    await mkdir(folder, { recursive: true });
    const file = await make(path.join(folder, `${name}.gguf`));
    const opened = await openModel(opens ?? file);
    const adapter = await drawn(`${name}-adapter`, opened.model, targets, options);
    const [plain, adapted] = [await ours(opened), await ours(opened, adapter)];
    assert.ok(largestDifference(adapted, plain) > 1);
    const files = [await written(adapter, opened), await written(adapter, opened, 'F16')];
    const [base, exact, half] = await inLlamaCpp(file, ...files);
    const tolerance = table === true ? 2e-2 : 1e-4;
    assert.ok(largestDifference(base!, plain) < tolerance, 'the base');
    assert.ok(largestDifference(exact!, adapted) < tolerance, 'with the adapter');
    // A product with F16 numbers rounds what it reads to F16 as well.
    assert.ok(largestDifference(half!, adapted) < 0.1, 'with the adapter in F16');
  });
}
