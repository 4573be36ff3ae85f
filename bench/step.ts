// Times optimizer steps of LoRA on all linears over one random batch, half of it supervised:
//
//   node --import tsx bench/step.ts MODEL_FOLDER [ROWS=4] [LENGTH=128] [STEPS=5] [THREADS=2]

import { openModel } from '../test/support/model.js';
import { attachMethod } from '../src/methods/registry.js';
import { createStepper, startValues } from '../src/training/stepper.js';
import { onnxRuntime } from '../src/runtime/onnxruntime.js';
import { Value } from '@sinclair/typebox/value';
import { TrainingOptions } from '../src/config/schema.js';
import { LoraOptions } from '../src/methods/lora.js';
import { makeBatch } from '../src/data/batches.js';
import { random } from '../src/common/random.js';
const [, , folder = '/tmp/smollm2-hf', B = '4', S = '128', n = '5', threads = '2'] = process.argv;
const t0 = performance.now();
const o = await openModel(folder);
const runtime = await onnxRuntime({ threads: +threads });
const method = attachMethod(Value.Parse(LoraOptions, { type: 'lora' }), o.context);
const start = await startValues(method.trainables);
const options = Value.Parse(TrainingOptions, {});
console.log('opened', performance.now() - t0);
const stepper = await createStepper({ ...o, runtime, methods: [method], start, options, positionLimit: +S });
console.log('compiled', performance.now() - t0, process.memoryUsage.rss() / 1e6);
const r = random(1, 'x');
const ex = Array.from({ length: +B }, () => ({
  ids: Array.from({ length: +S }, () => r.integer(o.model.vocabSize)),
  supervised: Array.from({ length: +S }, (_, i) => (i >= +S / 2 ? 1 : 0) as 0 | 1),
  file: '',
  line: 1,
}));
const batch = makeBatch(
  ex,
  ex.map((_, i) => [i]),
);
for (let i = 1; i <= +n; i++) {
  const t = performance.now();
  const s = await stepper.step([batch], i, 1e-3, i);
  console.log(i, s.loss.toFixed(4), s.gradientNorm.toFixed(3), (performance.now() - t).toFixed(0) + 'ms');
}
import { measureMemory } from '../src/training/measureMemory.js';
console.log(measureMemory());
