// Writes the model that pretraining starts from: `initialize.ts [OUT] [MODEL]` copies configuration and tokenizer of
// MODEL (peft-studio-tiny) and adds seeded random weights in model.safetensors, float32.
import { copyFile, mkdir, readFile, readdir } from 'node:fs/promises';
import path from 'node:path';
import { writeFileWhole } from '../../src/common/files.js';
import { random } from '../../src/common/random.js';
import { parseConfig } from './parseConfig.js';

const seed = 1611;

const here = import.meta.dirname;
const source = path.resolve(here, process.argv[3] ?? 'peft-studio-tiny');
const out = process.argv[2] ?? path.join(here, 'build', 'initial');

const config = parseConfig(
  path.join(source, 'config.json'),
  await readFile(path.join(source, 'config.json'), 'utf8'),
);
const { hidden, intermediate, layers, heads, keyValueHeads, headSize, vocabulary, range } = config;
// The layers that write to the residual stream start smaller, by the root of their number (Radford et al. 2019, 2.3).
const residual = range / Math.sqrt(2 * layers);

/** Name, shape and deviation of every tensor; a deviation of zero stands for a norm's ones. */
const tensors: [name: string, shape: number[], deviation: number][] = [
  ['model.embed_tokens.weight', [vocabulary, hidden], range],
  ['model.norm.weight', [hidden], 0],
];
for (let layer = 0; layer < layers; layer++) {
  const at = `model.layers.${layer}`;
  tensors.push(
    [`${at}.input_layernorm.weight`, [hidden], 0],
    [`${at}.self_attn.q_proj.weight`, [heads * headSize, hidden], range],
    [`${at}.self_attn.k_proj.weight`, [keyValueHeads * headSize, hidden], range],
    [`${at}.self_attn.v_proj.weight`, [keyValueHeads * headSize, hidden], range],
    [`${at}.self_attn.o_proj.weight`, [hidden, heads * headSize], residual],
    [`${at}.post_attention_layernorm.weight`, [hidden], 0],
    [`${at}.mlp.gate_proj.weight`, [intermediate, hidden], range],
    [`${at}.mlp.up_proj.weight`, [intermediate, hidden], range],
    [`${at}.mlp.down_proj.weight`, [hidden, intermediate], residual],
  );
}

const header: Record<string, object> = { __metadata__: { format: 'pt' } };
const chunks: Buffer[] = [];
let offset = 0;
for (const [name, shape, deviation] of tensors) {
  const rng = random(seed, name);
  const values = new Float32Array(shape.reduce((a, b) => a * b, 1));
  for (let i = 0; i < values.length; i++) values[i] = deviation === 0 ? 1 : deviation * rng.normal();
  chunks.push(Buffer.from(values.buffer));
  header[name] = { dtype: 'F32', shape, data_offsets: [offset, offset + values.byteLength] };
  offset += values.byteLength;
}
// The safetensors layout: the header's length in eight bytes, the header padded with spaces to a multiple of eight.
const text = JSON.stringify(header);
const padded = Buffer.from(text.padEnd(Math.ceil(text.length / 8) * 8, ' '));
const length = Buffer.alloc(8);
length.writeBigUInt64LE(BigInt(padded.length));

await mkdir(out, { recursive: true });
for (const name of await readdir(source)) {
  if (name.endsWith('.json')) await copyFile(path.join(source, name), path.join(out, name));
}
await writeFileWhole(path.join(out, 'model.safetensors'), Buffer.concat([length, padded, ...chunks]));
console.log(`${offset / 4} parameters in ${tensors.length} tensors, ${8 + padded.length + offset} bytes: ${out}`);
