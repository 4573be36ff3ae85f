import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { readAdapter } from '../../src/adapters/readAdapter.js';
import { ggufAdapter } from '../../src/adapters/converting/toGguf.js';
import type { JsonObject } from '../../src/common/json.js';
import { random } from '../../src/common/random.js';
import type { NamedTensor } from '../../src/methods/method.js';
import type { LanguageModel } from '../../src/models/architecture.js';
import type { GgufFloatType } from '../../src/models/writeGguf.js';
import { writeGguf } from '../../src/models/writeGguf.js';
import { writeParts } from '../support/adapters.js';
import { ROOT } from '../support/fixtures.js';
import type { Opened } from '../support/model.js';
import { attachAdapter, logitsOf } from '../support/model.js';

/** Our engine and llama.cpp, by node-llama-cpp, on the same tokens. */

const llamaCpp = path.join(ROOT, 'test/reference/llama-cpp');

/** For a test's options: why it cannot run here. */
export const skip =
  !existsSync(path.join(llamaCpp, 'node_modules/node-llama-cpp')) &&
  'npm ci in test/reference/llama-cpp gets llama.cpp';

const generator = random(3, 'row');
const ROW = Array.from({ length: 20 }, () => generator.integer(96));

/** Logarithms of the probabilities of all tokens behind each of ROW, [20, vocabulary]: of the base, and with each adapter. */
export async function inLlamaCpp(base: string, ...adapters: string[]): Promise<Float32Array[]> {
  const script = path.join(llamaCpp, 'logits.mjs');
  const args = [script, base, JSON.stringify(ROW), ...adapters];
  const { stdout } = await promisify(execFile)(process.execPath, args, { maxBuffer: 1 << 28 });
  return (JSON.parse(stdout) as number[][][]).map((rows) => Float32Array.from(rows.flat()));
}

/** The same by our engine. */
export async function logProbabilities(opened: Opened, adapter?: string): Promise<Float32Array> {
  const attached = adapter === undefined ? undefined : await attachAdapter(opened, adapter);
  const logits = await logitsOf(opened, [ROW], attached);
  const { vocabSize } = opened.model;
  return logits.map((logit, at) => {
    const row = logits.subarray(at - (at % vocabSize), at - (at % vocabSize) + vocabSize);
    return logit - Math.log(row.reduce((sum, each) => sum + Math.exp(each), 0));
  });
}

export const LLAMA_LINEARS = ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'];

/** A LoRA with random numbers on modules of these names, of several ranks and scales. */
export async function drawnLora(
  folder: string,
  model: LanguageModel,
  targets: readonly string[],
  { scale = 0.2, more = {} }: { readonly scale?: number; readonly more?: JsonObject } = {},
): Promise<string> {
  const name = path.basename(folder);
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
      data: Float32Array.from({ length: shape[0]! * shape[1]! }, () => scale * rng.normal()),
    });
    return [tensor('A', [rank, inSize!]), tensor('B', [outSize!, rank])];
  });
  return writeParts(folder, {
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

/** An adapter as a GGUF file in a folder. */
export async function writtenAdapter(
  adapter: string,
  opened: Opened,
  folder: string,
  dtype: GgufFloatType = 'F32',
): Promise<string> {
  const out = path.join(folder, `${path.basename(adapter)}-${dtype}.gguf`);
  const { metadata, tensors } = await ggufAdapter(await readAdapter(adapter), opened.context, dtype);
  await writeGguf(out, metadata, tensors);
  return out;
}
