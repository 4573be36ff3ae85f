// Speed of decoding: npx tsx bench/generate.ts MODEL [--tokens N] [--prompt N] [--batch N,N,…] [--threads N]
// MODEL is a model folder or GGUF file; --tokens are generated behind a prompt of --prompt tokens. For each batch
// size it prints the seconds of the prompt's run; of the runs after it tokens per second and milliseconds of CPU per
// run, which on a busy machine tell more; and resident memory.
import { parseArgs } from 'node:util';
import { createGenerator } from '../src/generation/generate.js';
import { openCheckpoint } from '../src/models/openCheckpoint.js';
import { readModel } from '../src/models/readModel.js';
import { onnxRuntime } from '../src/runtime/onnxruntime.js';

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    tokens: { type: 'string', default: '64' },
    prompt: { type: 'string', default: '64' },
    batch: { type: 'string', default: '1,4' },
    threads: { type: 'string', default: '0' },
  },
});
const [tokens, promptLength] = [Number(flags.tokens), Number(flags.prompt)];
const checkpoint = await openCheckpoint(positionals[0] ?? '');
const model = readModel(checkpoint);
const compiling = performance.now();
const generator = await createGenerator({
  model,
  methods: [],
  values: new Map(),
  weights: await checkpoint.mapped(),
  runtime: await onnxRuntime({ threads: Number(flags.threads) }),
  positionLimit: promptLength + tokens,
});
console.log(`ready in ${seconds(compiling, performance.now())} s`);
for (const rows of flags.batch.split(',').map(Number)) {
  const prompts = Array.from({ length: rows }, (_, row) =>
    Array.from({ length: promptLength }, (_, at) => (row * 31 + at * 7 + 1) % model.vocabSize),
  );
  const started = performance.now();
  let first = 0;
  let cpu = process.cpuUsage();
  await generator.generate(prompts, { max_new_tokens: tokens }, () => {
    if (first > 0) return;
    first = performance.now();
    cpu = process.cpuUsage();
  });
  const ended = performance.now();
  const { user, system } = process.cpuUsage(cpu);
  const cost = (user + system) / 1000 / (tokens - 1);
  const speed = ((tokens - 1) * rows * 1000) / (ended - first);
  const resident = Math.round(process.memoryUsage().rss / 2 ** 20);
  console.log(
    `batch ${rows}: prompt ${seconds(started, first)} s, then ${speed.toFixed(1)} tokens/s, ${cost.toFixed(0)} ms CPU/run; resident ${resident} MiB`,
  );
}
await generator.dispose();

function seconds(from: number, to: number): string {
  return ((to - from) / 1000).toFixed(2);
}
