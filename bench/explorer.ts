// What the adapter explorer costs with many adapters: time to read and lay them out, the longest time that the event
// loop is held meanwhile, and the cost of one change. Nothing of VS Code takes part.
//
//   node --import tsx bench/explorer.ts [COUNT]
//
// COUNT (1,000) adapters of 28 layers with LoRA on seven linears each (392 tensors), of five base models, and a tenth as
// many runs with 2,000 steps; written into a temporary folder first. CPU time is of this process, disk cache warm.
import { appendFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { createLibrary } from '../src/host/explorer/library.js';
import type { Suspect } from '../src/host/explorer/library.js';
import { createExplorerModel } from '../src/host/explorer/model.js';
import { lookOf } from '../src/host/explorer/present.js';

const LAYERS = 28;
const LINEARS = ['self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj', 'self_attn.o_proj'].concat([
  'mlp.gate_proj',
  'mlp.up_proj',
  'mlp.down_proj',
]);
const WIDTH = 64;
const RANK = 2;
const CHUNK = 200;

const WEIGHTS = weights();
const count = Number(process.argv[2] ?? 1000);
const folder = mkdtempSync(path.join(tmpdir(), 'peft-bench-explorer-'));
try {
  await main();
} finally {
  rmSync(folder, { recursive: true });
}

async function main(): Promise<void> {
  const suspects = [
    ...Array.from({ length: count }, (_, at) => writeAdapter(at)),
    ...Array.from({ length: Math.ceil(count / 10) }, (_, at) => writeRun(at)),
  ];
  const library = createLibrary({ roots: () => [folder], isAlive: () => Promise.resolve(true) });
  const model = createExplorerModel();

  const look = async (some: readonly Suspect[]): Promise<void> => {
    for (let at = 0; at < some.length; at += CHUNK) model.apply(await library.look(some.slice(at, at + CHUNK)));
  };
  const drawn = (): number =>
    model.roots().reduce((sum, base) => {
      const looks = model.children(base).map((row) => lookOf(model.entry(row)!));
      return sum + looks.length;
    }, 0);

  await measured(`read ${suspects.length} folders`, () => look(suspects));
  await measured('lay all rows out', () => Promise.resolve(void drawn()));
  await measured('look at all again, nothing changed but the runs', () => look(suspects));
  const run = suspects.at(-1)!;
  appendFileSync(path.join(run.folder, 'events.jsonl'), `${JSON.stringify(step(2001))}\n`);
  await measured('one run takes a step', () => look([run]));
  await measured('one adapter is written', () => look([writeAdapter(0, 8)]));
  await measured('a folder with a tenth of all goes', () =>
    Promise.resolve(void model.drop(path.join(folder, 'group-0'))),
  );
}

async function measured(what: string, work: () => Promise<void>): Promise<void> {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  const [cpu, since] = [process.cpuUsage(), performance.now()];
  await work();
  const wall = performance.now() - since;
  const { user, system } = process.cpuUsage(cpu);
  // A block that ends now is noticed in the next turn.
  await new Promise((resolve) => setTimeout(resolve, 5));
  delay.disable();
  const blocked = Math.max(0, delay.max / 1e6 - 1);
  console.log(
    `${what.padEnd(50)} ${wall.toFixed(1).padStart(8)} ms, CPU ${((user + system) / 1000).toFixed(1).padStart(8)} ms, longest block ${blocked.toFixed(1)} ms`,
  );
}

function writeAdapter(at: number, alpha = 4): Suspect {
  const own = path.join(folder, `group-${at % 10}`, `adapter-${at}`);
  mkdirSync(own, { recursive: true });
  const config = {
    peft_type: 'LORA',
    base_model_name_or_path: `org/model-${at % 5}`,
    r: RANK,
    lora_alpha: alpha,
    target_modules: LINEARS,
  };
  writeFileSync(path.join(own, 'adapter_config.json'), JSON.stringify(config, undefined, 2));
  writeFileSync(path.join(own, 'adapter_model.safetensors'), WEIGHTS);
  return { kind: 'adapter', folder: own };
}

function writeRun(at: number): Suspect {
  const own = path.join(folder, 'runs', `name-${at % 7}`, String(at));
  mkdirSync(path.join(own, 'checkpoint-2000'), { recursive: true });
  const started = {
    type: 'started',
    config: 'x.peft.yaml',
    model: 'org/model-0',
    method: 'lora',
    totalSteps: 4000,
  };
  const events = [started, ...Array.from({ length: 2000 }, (_, index) => step(index + 1))];
  writeFileSync(path.join(own, 'events.jsonl'), events.map((event) => `${JSON.stringify(event)}\n`).join(''));
  writeFileSync(
    path.join(own, 'run.peft.yaml'),
    'model: org/model-0\nmethod:\n  - type: lora\n    r: 8\noutput: { name: x }\n',
  );
  return { kind: 'run', folder: own };
}

function step(at: number): object {
  const measures = { loss: 1 / at, learningRate: 2e-4, gradientNorm: 1.25, tokens: 512, supervisedTokens: 80 };
  return { type: 'step', step: at, epoch: at / 100, ...measures, rows: 8, seconds: 0.7 };
}

function weights(): Buffer {
  const header: Record<string, object> = {};
  let offset = 0;
  for (let layer = 0; layer < LAYERS; layer++) {
    for (const linear of LINEARS) {
      for (const [half, shape] of [
        ['A', [RANK, WIDTH]],
        ['B', [WIDTH, RANK]],
      ] as const) {
        const bytes = 4 * RANK * WIDTH;
        header[`base_model.model.model.layers.${layer}.${linear}.lora_${half}.weight`] = {
          dtype: 'F32',
          shape,
          data_offsets: [offset, offset + bytes],
        };
        offset += bytes;
      }
    }
  }
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([length, text, Buffer.alloc(offset)]);
}
