import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after } from 'node:test';
import type { JsonObject } from '../../../src/common/json.js';
import type { Problem } from '../../../src/common/problem.js';
import { parseRunFile } from '../../../src/config/parseRunFile.js';
import type { ConfigPath } from '../../../src/config/tree.js';
import { checkAgainstModelAndData } from '../../../src/language/modelChecks.js';
import type { Cursor, RunDocument } from '../../../src/language/runDocument.js';
import { writeSafetensors } from '../../../src/models/writeSafetensors.js';

/** A folder that is removed after the file's tests, and a hub cache of its own that is empty. */
export function workspace(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'peft-language-'));
  process.env['HF_HUB_CACHE'] = path.join(folder, '.hub');
  after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

const HIDDEN = 8;
const KV = 4;
const INNER = 12;
const VOCABULARY = 16;
export const LAYERS = 12;

export interface ModelOptions {
  readonly config?: JsonObject;
  /** Tensors left out. */
  readonly without?: readonly string[];
  readonly template?: string;
}

/** Writes a Llama of 12 small layers, with grouped keys and values: 2 heads, 1 of keys. Its output layer is tied. */
export async function writeLlama(
  folder: string,
  { config = {}, without = [], template }: ModelOptions = {},
): Promise<void> {
  await mkdir(folder, { recursive: true });
  const whole = {
    model_type: 'llama',
    architectures: ['LlamaForCausalLM'],
    hidden_size: HIDDEN,
    num_hidden_layers: LAYERS,
    num_attention_heads: 2,
    num_key_value_heads: 1,
    intermediate_size: INNER,
    vocab_size: VOCABULARY,
    max_position_embeddings: 64,
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
    tie_word_embeddings: true,
    hidden_act: 'silu',
    ...config,
  };
  await writeFile(path.join(folder, 'config.json'), JSON.stringify(whole));
  const layer = (index: number): [string, number[]][] => [
    [`model.layers.${index}.input_layernorm.weight`, [HIDDEN]],
    [`model.layers.${index}.self_attn.q_proj.weight`, [HIDDEN, HIDDEN]],
    [`model.layers.${index}.self_attn.k_proj.weight`, [KV, HIDDEN]],
    [`model.layers.${index}.self_attn.v_proj.weight`, [KV, HIDDEN]],
    [`model.layers.${index}.self_attn.o_proj.weight`, [HIDDEN, HIDDEN]],
    [`model.layers.${index}.post_attention_layernorm.weight`, [HIDDEN]],
    [`model.layers.${index}.mlp.gate_proj.weight`, [INNER, HIDDEN]],
    [`model.layers.${index}.mlp.up_proj.weight`, [INNER, HIDDEN]],
    [`model.layers.${index}.mlp.down_proj.weight`, [HIDDEN, INNER]],
  ];
  const shapes: [string, number[]][] = [
    ['model.embed_tokens.weight', [VOCABULARY, HIDDEN]],
    ...Array.from({ length: LAYERS }, (_, index) => layer(index)).flat(),
    ['model.norm.weight', [HIDDEN]],
  ];
  await writeSafetensors(
    path.join(folder, 'model.safetensors'),
    shapes
      .filter(([name]) => !without.includes(name))
      .map(([name, shape]) => ({
        name,
        dtype: 'BF16',
        shape,
        data: new Float32Array(shape.reduce((product, length) => product * length, 1)),
      })),
  );
  const options = {
    bos_token: '<s>',
    eos_token: { content: '</s>' },
    ...(template && { chat_template: template }),
  };
  await writeFile(path.join(folder, 'tokenizer_config.json'), JSON.stringify(options));
}

/** A run file's text as the editor holds it. */
export function documentOf(folder: string, text: string, name = 'a.peft.yaml'): RunDocument {
  const file = path.join(folder, name);
  return { file, folder, text, parsed: parseRunFile(text, file) };
}

/** A run file with this method section; `rest` are further sections. */
export function runText(method: string, rest = '', data = 'train: rows.jsonl'): string {
  return `model: ./base\ndata: { ${data} }\nmethod: ${method}\n${rest}`;
}

export function cursorAt(at: ConfigPath, part: Cursor['part'] = 'value', typed = ''): Cursor {
  return { path: at, part, typed, replaces: { file: '', line: 1, column: 1, endLine: 1, endColumn: 1 } };
}

export async function problemsOf(folder: string, text: string): Promise<readonly Problem[]> {
  const problems = await checkAgainstModelAndData(documentOf(folder, text));
  // Every usual rank is large for the model of these tests; `methods/largeRanks.test.ts` has what is said of that.
  return problems.filter(({ code }) => code !== 'method.large-rank');
}

/** The one problem with this code, and the text that it stands at. */
export async function problemAt(folder: string, text: string, code: string): Promise<Problem & { at: string }> {
  const problems = await problemsOf(folder, text);
  const found = problems.filter((each) => each.code === code);
  assert.equal(found.length, 1, JSON.stringify(problems, null, 2));
  return { ...found[0]!, at: textAt(text, found[0]!) };
}

/** What a run file has at the place of a problem. */
export function textAt(text: string, { where }: Problem): string {
  const lines = text.split('\n');
  assert.ok(where?.line && where.column && where.endLine === where.line && where.endColumn, JSON.stringify(where));
  return lines[where.line - 1]!.slice(where.column - 1, where.endColumn - 1);
}

/** Rows of prompt and completion in JSON lines. */
export const ROWS = [1, 2, 3, 4].map((at) => `{"prompt":"q${at}","completion":"a${at}"}\n`).join('');
