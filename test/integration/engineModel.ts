import { copyFile, mkdir, readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { random } from '../../src/common/random.js';
import type { LoadedRun } from '../../src/config/loadRunFile.js';
import { loadRunFile } from '../../src/config/loadRunFile.js';
import { embeddedEngine } from '../../src/engines/embedded.js';
import type { RunControl } from '../../src/engines/engine.js';
import { writeSafetensors } from '../../src/models/writeSafetensors.js';
import type { RunEvent } from '../../src/training/events.js';
import { ROOT, readJson } from '../support/fixtures.js';

/** The bundled model's tokenizer. */
const TOKENIZER = path.join(ROOT, 'examples/base-model/peft-studio-tiny');

/** A model folder with the bundled tokenizer and small random weights; one weight can be poisoned. */
export async function makeModel(
  folder: string,
  { vocabulary, poison }: { vocabulary?: number; poison?: string } = {},
): Promise<string> {
  await mkdir(folder, { recursive: true });
  for (const name of await readdir(TOKENIZER)) {
    if (/token/.test(name)) await copyFile(path.join(TOKENIZER, name), path.join(folder, name));
  }
  const bundled = await readJson(path.join(TOKENIZER, 'config.json'));
  const [hidden, inner, layers, vocab] = [32, 48, 2, vocabulary ?? Number(bundled['vocab_size'])];
  const config = {
    ...bundled,
    vocab_size: vocab,
    hidden_size: hidden,
    intermediate_size: inner,
    num_hidden_layers: layers,
    num_attention_heads: 2,
    num_key_value_heads: 1,
    head_dim: 16,
    tie_word_embeddings: true,
  };
  const shapes: [string, number[]][] = [
    ['model.embed_tokens', [vocab, hidden]],
    ...Array.from({ length: layers }, (_, layer): [string, number[]][] => [
      [`model.layers.${layer}.input_layernorm`, [hidden]],
      [`model.layers.${layer}.self_attn.q_proj`, [hidden, hidden]],
      [`model.layers.${layer}.self_attn.k_proj`, [hidden / 2, hidden]],
      [`model.layers.${layer}.self_attn.v_proj`, [hidden / 2, hidden]],
      [`model.layers.${layer}.self_attn.o_proj`, [hidden, hidden]],
      [`model.layers.${layer}.post_attention_layernorm`, [hidden]],
      [`model.layers.${layer}.mlp.gate_proj`, [inner, hidden]],
      [`model.layers.${layer}.mlp.up_proj`, [inner, hidden]],
      [`model.layers.${layer}.mlp.down_proj`, [hidden, inner]],
    ]).flat(),
    ['model.norm', [hidden]],
  ];
  await writeFile(path.join(folder, 'config.json'), JSON.stringify(config));
  await writeSafetensors(
    path.join(folder, 'model.safetensors'),
    shapes.map(([name, shape]) => {
      const generator = random(1, name);
      const data = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () =>
        shape.length === 1 ? 1 : generator.normal() / 4,
      );
      if (name === poison) data[0] = NaN;
      return { name: `${name}.weight`, dtype: 'F32', shape, data };
    }),
  );
  return folder;
}

/** Rows that can be learned: the answer repeats a word of the prompt. */
export function rows(count: number, seed: number): string {
  const generator = random(seed, 'rows');
  const words = ['red', 'green', 'blue', 'white', 'black'];
  return Array.from({ length: count }, () => {
    const word = words[generator.integer(words.length)]!;
    return `${JSON.stringify({ prompt: `Say ${word}: `, completion: word })}\n`;
  }).join('');
}

/** Writes a run file with its data beside a model and loads it. */
export async function makeRun(
  folder: string,
  model: string,
  sections: Record<string, unknown>,
): Promise<LoadedRun> {
  await mkdir(folder, { recursive: true });
  await writeFile(path.join(folder, 'train.jsonl'), rows(16, 1));
  await writeFile(path.join(folder, 'validation.jsonl'), rows(6, 2));
  const file = path.join(folder, 'small.peft.yaml');
  // JSON is YAML.
  const config = {
    model,
    data: { train: 'train.jsonl', validation: 'validation.jsonl' },
    method: { type: 'lora', r: 4, target_modules: 'all-linear' },
    runtime: { threads: 1 },
    ...sections,
  };
  await writeFile(file, JSON.stringify(config));
  const { run, problems } = await loadRunFile(file);
  if (run === undefined) throw new Error(JSON.stringify(problems));
  return run;
}

/** Runs the engine and keeps what it says, as it would arrive at another process. */
export async function emitted(
  run: LoadedRun,
  control: Partial<RunControl> = {},
): Promise<{ events: RunEvent[]; error: unknown }> {
  const events: RunEvent[] = [];
  try {
    await embeddedEngine(run, {
      emit: (event) => {
        events.push(JSON.parse(JSON.stringify(event)) as RunEvent);
        control.emit?.(event);
      },
      stopRequested: control.stopRequested ?? (() => false),
      ...(control.resume === undefined ? {} : { resume: control.resume }),
    });
    return { events, error: undefined };
  } catch (error) {
    return { events, error };
  }
}
