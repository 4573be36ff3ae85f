// llama.cpp applies the GGUF adapters that we write as our engine applies the adapter itself. Needs node-llama-cpp:
// npm ci in test/reference/llama-cpp (83 MB), then node test/run.mjs test/reference/ggufAdapter.test.ts
import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import type { JsonObject } from '../../src/common/json.js';
import { makeModel } from '../integration/engineModel.js';
import { temporaryFolder } from '../support/adapters.js';
import { fixture, largestDifference } from '../support/fixtures.js';
import { openModel } from '../support/model.js';
import { f32Base, gpt2Base, llamaBase } from './ggufBase.js';
import { LLAMA_LINEARS, drawnLora, inLlamaCpp, logProbabilities, skip, writtenAdapter } from './llamaCpp.js';

const folder = temporaryFolder();
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
    targets: LLAMA_LINEARS,
    options: { use_rslora: true },
  },
  { name: 'qwen2', make: decoder('qwen2'), targets: [...LLAMA_LINEARS, 'embed_tokens', 'lm_head'] },
  { name: 'qwen3', make: decoder('qwen3'), targets: LLAMA_LINEARS },
  { name: 'gemma', make: decoder('gemma'), table: true, targets: LLAMA_LINEARS },
  { name: 'gemma2', make: decoder('gemma2'), table: true, targets: LLAMA_LINEARS },
  { name: 'gemma3', make: decoder('gemma3'), table: true, targets: LLAMA_LINEARS },
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
    const adapter = await drawnLora(path.join(folder, `${name}-adapter`), opened.model, targets, {
      more: options,
    });
    const [plain, adapted] = [await logProbabilities(opened), await logProbabilities(opened, adapter)];
    assert.ok(largestDifference(adapted, plain) > 1);
    const files = [
      await writtenAdapter(adapter, opened, folder),
      await writtenAdapter(adapter, opened, folder, 'F16'),
    ];
    const [base, exact, half] = await inLlamaCpp(file, ...files);
    const tolerance = table === true ? 2e-2 : 1e-4;
    assert.ok(largestDifference(base!, plain) < tolerance, 'the base');
    assert.ok(largestDifference(exact!, adapted) < tolerance, 'with the adapter');
    // A product with F16 numbers rounds what it reads to F16 as well.
    assert.ok(largestDifference(half!, adapted) < 0.1, 'with the adapter in F16');
  });
}
