// llama.cpp runs the GGUF files that we merge into as our engine runs base and adapter. Needs node-llama-cpp:
// npm ci in test/reference/llama-cpp (83 MB), then node test/run.mjs test/reference/ggufMerge.test.ts
import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import type { GgufMergeTypes } from '../../src/adapters/merging/ggufMergePlan.js';
import { mergeToGguf } from '../../src/adapters/merging/mergeToGguf.js';
import type { GgufMergeReport } from '../../src/adapters/merging/mergeToGguf.js';
import { temporaryFolder } from '../support/adapters.js';
import { fixture, largestDifference } from '../support/fixtures.js';
import { ggufModel } from '../support/ggufModel.js';
import { attachAdapter, openModel } from '../support/model.js';
import type { Opened } from '../support/model.js';
import { f32Base } from './ggufBase.js';
import { LLAMA_LINEARS, drawnLora, inLlamaCpp, logProbabilities, skip, writtenAdapter } from './llamaCpp.js';

const folder = temporaryFolder();
await mkdir(folder, { recursive: true });

async function merged(
  opened: Opened,
  adapter: string,
  types: GgufMergeTypes,
  name: string,
): Promise<GgufMergeReport> {
  const { methods, values } = await attachAdapter(opened, adapter);
  const { model, runtime } = opened;
  const out = path.join(folder, `${name}-merged.gguf`);
  return mergeToGguf({ base: opened.checkpoint.source, model, runtime, methods, values, types, out });
}

const CASES: readonly { readonly name: string; readonly targets: readonly string[]; readonly table?: boolean }[] =
  [
    { name: 'qwen2', targets: [...LLAMA_LINEARS, 'embed_tokens', 'lm_head'] },
    { name: 'qwen3', targets: [...LLAMA_LINEARS, 'lm_head'] },
    { name: 'gemma', targets: LLAMA_LINEARS, table: true },
    { name: 'gemma2', targets: LLAMA_LINEARS, table: true },
    { name: 'gemma3', targets: [...LLAMA_LINEARS, 'lm_head'], table: true },
  ];

for (const { name, targets, table } of CASES) {
  test(`llama.cpp with a merged file: ${name}`, { skip }, async () => {
    const file = await f32Base(fixture('decoders', `tiny-${name}.gguf`), path.join(folder, `${name}.gguf`));
    const opened = await openModel(file);
    const adapter = await drawnLora(path.join(folder, `${name}-adapter`), opened.model, targets);
    const adapted = await logProbabilities(opened, adapter);
    assert.ok(largestDifference(adapted, await logProbabilities(opened)) > 1);
    const { out } = await merged(opened, adapter, { kind: 'float' }, name);
    const [found] = await inLlamaCpp(out);
    // llama.cpp looks GELU up in a table of float16.
    assert.ok(largestDifference(found!, adapted) < (table === true ? 2e-2 : 1e-4));
  });
}

for (const type of ['Q4_0', 'Q5_1', 'Q8_0', 'Q4_K', 'Q5_K', 'Q6_K']) {
  test(`llama.cpp with files merged into one of ${type}, and with the adapter beside it`, { skip }, async () => {
    const file = path.join(folder, `${type}.gguf`);
    const opened = await openModel(await ggufModel(file, { type, hidden: 256, inner: 256 }));
    const adapter = await drawnLora(path.join(folder, `${type}-adapter`), opened.model, LLAMA_LINEARS, {
      scale: 0.1,
    });
    const [plain, adapted] = [await logProbabilities(opened), await logProbabilities(opened, adapter)];
    assert.ok(largestDifference(adapted, plain) > 4);
    const [base, beside] = await inLlamaCpp(file, await writtenAdapter(adapter, opened, folder));
    // llama.cpp rounds what meets quantized weights to 8 bits: of the base alone it makes another model by so much.
    const noise = Math.max(largestDifference(base!, plain), largestDifference(beside!, adapted));
    for (const types of [
      { kind: 'float' },
      { kind: 'requantize' },
      { kind: 'requantize', type: 'Q8_0' },
    ] as const) {
      const { out } = await merged(opened, adapter, types, `${type}-${Object.values(types).join('-')}`);
      const [found] = await inLlamaCpp(out);
      const difference = largestDifference(found!, await logProbabilities(await openModel(out)));
      const isFloat = types.kind === 'float';
      assert.ok(difference < (isFloat ? 0.1 : 2 * noise), `${JSON.stringify(types)}: ${difference}`);
      if (!isFloat) continue;
      assert.ok(largestDifference(found!, adapted) < 0.1);
      assert.ok(largestDifference(found!, beside!) < 2 * noise);
    }
  });
}
