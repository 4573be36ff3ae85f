// Merging a LoRA (r 16 on all linears) into its base: time, memory and disk of the command line, for a Llama of
// TinyLlama-1.1B's shape (BF16, three files; its numbers are drawn) and for the models named.
//
//   npm run build
//   nice node --import tsx bench/merge.ts WORK_FOLDER OUT.md [MODEL_FOLDER…] [--cli dist/cli.js] [--runs 1] [--only TEXT]
//
// WORK_FOLDER keeps the drawn model and the adapters between runs (2.3 GB). Linux only: memory is read from /proc, every
// 10 ms: VmHWM is the largest resident set, RssAnon the process's own memory, RssFile pages of mapped files (weights that are
// mapped, and the program's), which the system takes back when it needs them.
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { Value } from '@sinclair/typebox/value';
import { writeAdapter } from '../src/adapters/writeAdapter.js';
import { writeModel } from '../src/adapters/writeModel.js';
import { openModel } from '../src/engines/session.js';
import { LoraOptions, lora } from '../src/methods/lora.js';
import { loadTokenizer } from '../src/models/loadTokenizer.js';
import { fixedSize } from '../src/tensor/dims.js';
import { statusOf } from './measured.js';

const { positionals, values: options } = parseArgs({
  allowPositionals: true,
  options: {
    cli: { type: 'string', default: 'dist/cli.js' },
    runs: { type: 'string', default: '1' },
    only: { type: 'string', default: '' },
  },
});
const [work, out, ...models] = positionals;
if (work === undefined || out === undefined) throw new Error('name a folder to work in and the file to write');
const TINY = path.resolve('examples/base-model/peft-studio-tiny');
const R = 16;
const MIB = 2 ** 20;

/** Numbers with this deviation, evenly spread: Marsaglia's xorshift, 2003. */
function drawn(count: number, deviation: number, seed: number): Float32Array {
  const values = new Float32Array(count);
  const width = deviation * Math.sqrt(12);
  let state = seed;
  for (let at = 0; at < count; at++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    values[at] = (state / 2 ** 32) * width;
  }
  return values;
}

/** A Llama of TinyLlama-1.1B's shape, in BF16 and three files. */
async function drawModel(folder: string): Promise<void> {
  const [hidden, intermediate, layers, vocabulary, keyed] = [2048, 5632, 22, 32000, 256];
  let seed = 0;
  const tensor = (name: string, ...shape: number[]) => {
    const own = ++seed;
    const data = (): Promise<Float32Array> =>
      Promise.resolve(
        shape.length === 1 ? new Float32Array(shape[0]!).fill(1) : drawn(fixedSize(shape), 0.02, own),
      );
    return { name, shape, dtype: 'BF16' as const, data };
  };
  const layer = (at: number) => [
    tensor(`model.layers.${at}.input_layernorm.weight`, hidden),
    tensor(`model.layers.${at}.self_attn.q_proj.weight`, hidden, hidden),
    tensor(`model.layers.${at}.self_attn.k_proj.weight`, keyed, hidden),
    tensor(`model.layers.${at}.self_attn.v_proj.weight`, keyed, hidden),
    tensor(`model.layers.${at}.self_attn.o_proj.weight`, hidden, hidden),
    tensor(`model.layers.${at}.post_attention_layernorm.weight`, hidden),
    tensor(`model.layers.${at}.mlp.gate_proj.weight`, intermediate, hidden),
    tensor(`model.layers.${at}.mlp.up_proj.weight`, intermediate, hidden),
    tensor(`model.layers.${at}.mlp.down_proj.weight`, hidden, intermediate),
  ];
  await writeModel(folder, {
    config: {
      architectures: ['LlamaForCausalLM'],
      model_type: 'llama',
      torch_dtype: 'bfloat16',
      hidden_size: hidden,
      intermediate_size: intermediate,
      num_hidden_layers: layers,
      num_attention_heads: 32,
      num_key_value_heads: 4,
      vocab_size: vocabulary,
      max_position_embeddings: 2048,
      rms_norm_eps: 1e-5,
      rope_theta: 10000,
      hidden_act: 'silu',
      tie_word_embeddings: false,
      bos_token_id: 1,
      eos_token_id: 2,
    },
    tensors: [
      tensor('model.embed_tokens.weight', vocabulary, hidden),
      ...Array.from({ length: layers }, (_, at) => layer(at)).flat(),
      tensor('model.norm.weight', hidden),
      tensor('lm_head.weight', vocabulary, hidden),
    ],
    tokenizerFiles: await (await loadTokenizer(TINY)).files(),
    maxShardBytes: 9e8,
  });
}

/** An adapter whose A and B are drawn. */
async function drawAdapter(model: string, folder: string): Promise<void> {
  const opened = await openModel(model, 1);
  const method = lora.attach(
    Value.Parse(LoraOptions, { type: 'lora', r: R, lora_alpha: 2 * R, target_modules: 'all-linear' }),
    opened.context,
  );
  const values = new Map(
    method.trainables.map(({ variable }, at) => [variable.name, drawn(fixedSize(variable.shape), 0.01, at + 1)]),
  );
  const saved = method.save(values);
  if (saved.kind !== 'adapter') throw new Error('LoRA writes an adapter');
  await writeAdapter(folder, saved, { tokenizer: opened.tokenizer, card: '' });
}

interface Measured {
  readonly seconds: number;
  /** Of all threads: what does not depend on who else uses the machine. */
  readonly cpuSeconds: number;
  readonly peak: number;
  readonly anonymous: number;
  readonly fileBacked: number;
  /** Most bytes beside the base: the merged model, what is not final yet, converted weights. */
  readonly disk: number;
  readonly written: number;
  readonly verified: number;
  readonly rounding: number;
  readonly load: number;
}

function merge(model: string, adapter: string): Promise<Measured> {
  const place = path.join(work!, 'place');
  rmSync(place, { recursive: true, force: true });
  const load = loadavg()[0]!;
  const started = performance.now();
  const child = spawn(
    process.execPath,
    [path.resolve(options.cli), 'merge', adapter, '--model', model, '--out', path.join(place, 'merged'), '--json'],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, PEFT_STUDIO_CACHE: path.join(place, 'cache') },
    },
  );
  let [peak, anonymous, fileBacked, cpuSeconds, disk, text] = [0, 0, 0, 0, 0, ''];
  child.stdout.on('data', (part) => (text += String(part)));
  const memory = setInterval(() => {
    const status = statusOf(child.pid!);
    peak = Math.max(peak, status('VmHWM'));
    anonymous = Math.max(anonymous, status('RssAnon'));
    fileBacked = Math.max(fileBacked, status('RssFile'));
    cpuSeconds = Math.max(cpuSeconds, cpuOf(child.pid!));
  }, 10);
  const files = setInterval(() => (disk = Math.max(disk, bytesIn(place))), 200);
  return new Promise((resolve, reject) => {
    child.on('close', (code) => {
      clearInterval(memory);
      clearInterval(files);
      if (code !== 0) return reject(new Error(text));
      const seconds = (performance.now() - started) / 1000;
      const found = JSON.parse(text) as { bytes: number; verifiedDifference: number; roundingDifference: number };
      disk = Math.max(disk, bytesIn(place));
      rmSync(place, { recursive: true, force: true });
      resolve({
        seconds,
        cpuSeconds,
        peak,
        anonymous,
        fileBacked,
        disk,
        written: found.bytes,
        verified: found.verifiedDifference,
        rounding: found.roundingDifference,
        load,
      });
    });
  });
}

/** Time in user and kernel mode; the kernel counts hundredths of a second. */
function cpuOf(pid: number): number {
  try {
    // Behind the name, which may hold spaces.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)!.split(' ');
    return (Number(fields[11]) + Number(fields[12])) / 100;
  } catch {
    return 0;
  }
}

function bytesIn(folder: string): number {
  let sum = 0;
  try {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const file = path.join(folder, entry.name);
      sum += entry.isDirectory() ? bytesIn(file) : statSync(file).size;
    }
  } catch {
    // It was renamed or removed while it was looked through.
  }
  return sum;
}

const large = path.join(work, 'llama-1.1b');
if (!existsSync(large)) await drawModel(large);
const lines = [
  `| model, in | merged | seconds | CPU seconds | peak (VmHWM, MiB) | own memory (RssAnon) | mapped files (RssFile) | disk (MiB) | verified | rounding | load before |`,
  `|${' --- |'.repeat(11)}`,
];
for (const model of [large, ...models]) {
  const name = path.basename(path.resolve(model));
  if (!name.includes(options.only)) continue;
  const adapter = path.join(work, `${name}-lora`);
  if (!existsSync(adapter)) await drawAdapter(model, adapter);
  for (let run = 0; run < Number(options.runs); run++) {
    const found = await merge(path.resolve(model), adapter);
    const mib = (bytes: number): string => (bytes / MIB).toFixed(0);
    const line = [
      name,
      `${mib(found.written)} MiB`,
      found.seconds.toFixed(1),
      found.cpuSeconds.toFixed(1),
      mib(found.peak),
      mib(found.anonymous),
      mib(found.fileBacked),
      mib(found.disk),
      found.verified.toExponential(1),
      found.rounding.toExponential(1),
      found.load.toFixed(1),
    ];
    lines.push(`| ${line.join(' | ')} |`);
    console.log(lines.at(-1));
  }
}
writeFileSync(out, `${lines.join('\n')}\n`);
