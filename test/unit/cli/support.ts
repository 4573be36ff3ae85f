import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { after } from 'node:test';
import { main } from '../../../src/cli/main.js';
import { createInterrupt } from '../../../src/cli/interrupt.js';
import type { Interrupt } from '../../../src/cli/interrupt.js';
import { createIo } from '../../../src/cli/io.js';
import type { Io } from '../../../src/cli/io.js';
import { random } from '../../../src/common/random.js';
import { writeSafetensors } from '../../../src/models/writeSafetensors.js';
import { ROOT } from '../../support/fixtures.js';

/** The program of the real worker. */
export const WORKER = path.join(ROOT, 'src/worker.ts');

/** What a command printed and how it ended. */
export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** An Io that keeps what is printed. */
export function captureIo(
  options: {
    readonly input?: string;
    /** Standard input itself, instead of `input`. */
    readonly stdin?: Readable;
    readonly worker?: string;
    /** Both outputs are terminals of so many columns, with colours. */
    readonly columns?: number;
    readonly interrupt?: Interrupt;
  } = {},
): { io: Io; out: () => string; err: () => string } {
  const printed = { out: '', err: '' };
  const terminal =
    options.columns === undefined ? {} : { isTTY: true, columns: options.columns, hasColors: () => true };
  const io = createIo({
    stdin: options.stdin ?? Readable.from([Buffer.from(options.input ?? '')]),
    stdout: { write: (text) => (printed.out += text), ...terminal },
    stderr: { write: (text) => (printed.err += text), ...terminal },
    interrupt: options.interrupt ?? createInterrupt(() => undefined),
    worker: options.worker ?? WORKER,
  });
  return { io, out: () => printed.out, err: () => printed.err };
}

/** Runs the command line in this process. */
export async function run(args: readonly string[], options: Parameters<typeof captureIo>[0] = {}): Promise<Ran> {
  const { io, out, err } = captureIo(options);
  const code = await main(args, io);
  return { code, out: out(), err: err() };
}

/** Standard output as the one JSON document that it has to be. */
export function document(ran: Ran): Record<string, unknown> {
  return JSON.parse(ran.out) as Record<string, unknown>;
}

/** A folder that is removed after the file's tests. */
export function temporary(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'peft-cli-'));
  after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Writes a Llama of 38 thousand random weights, with the bundled model's tokenizer, and returns its folder. */
export async function tinyModel(parent: string): Promise<string> {
  const bundled = path.join(ROOT, 'examples/base-model/peft-studio-tiny');
  const folder = path.join(parent, 'model');
  mkdirSync(folder);
  for (const name of ['tokenizer.json', 'tokenizer_config.json', 'special_tokens_map.json']) {
    copyFileSync(path.join(bundled, name), path.join(folder, name));
  }
  const config = JSON.parse(readFileSync(path.join(bundled, 'config.json'), 'utf8')) as { vocab_size: number };
  const sizes = {
    hidden_size: 16,
    intermediate_size: 32,
    num_hidden_layers: 2,
    num_attention_heads: 2,
    num_key_value_heads: 1,
    head_dim: 8,
  };
  writeFileSync(path.join(folder, 'config.json'), JSON.stringify({ ...config, ...sizes }));
  const shapes: [string, number[]][] = [
    ['model.embed_tokens.weight', [config.vocab_size, 16]],
    ['model.norm.weight', [16]],
    ...[0, 1].flatMap((layer): [string, number[]][] =>
      Object.entries({
        input_layernorm: [16],
        'self_attn.q_proj': [16, 16],
        'self_attn.k_proj': [8, 16],
        'self_attn.v_proj': [8, 16],
        'self_attn.o_proj': [16, 16],
        post_attention_layernorm: [16],
        'mlp.gate_proj': [32, 16],
        'mlp.up_proj': [32, 16],
        'mlp.down_proj': [16, 32],
      }).map(([name, shape]) => [`model.layers.${layer}.${name}.weight`, shape]),
    ),
  ];
  const tensors = shapes.map(([name, shape]) => {
    const rng = random(1, name);
    const size = shape.reduce((product, length) => product * length, 1);
    const values = Float32Array.from({ length: size }, () => (shape.length === 1 ? 1 : 0.3 * rng.normal()));
    return { name, shape, dtype: 'F32' as const, data: values };
  });
  await writeSafetensors(path.join(folder, 'model.safetensors'), tensors, { format: 'pt' });
  return folder;
}

/** Writes rows of a prompt and a completion, and returns the file. */
export function dataFile(folder: string, name: string, rows: number): string {
  const file = path.join(folder, name);
  const line = (row: number): string =>
    JSON.stringify({ prompt: `What follows ${row}?`, completion: ` It is ${row + 1}.` });
  writeFileSync(file, Array.from({ length: rows }, (_, row) => `${line(row)}\n`).join(''));
  return file;
}
