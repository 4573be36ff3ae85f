import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Value } from '@sinclair/typebox/value';
import { random } from '../src/common/random.js';
import { TrainingOptions } from '../src/config/schema.js';
import { loadDataset } from '../src/data/loadDataset.js';
import { openModel } from '../src/engines/session.js';
import { FishMaskOptions } from '../src/methods/fishMask.js';
import { markLargest } from '../src/methods/largest.js';
import { attachMethod } from '../src/methods/registry.js';
import { keptCount, preparedPlaces, sparseTargets, weightSize } from '../src/methods/sparsePlaces.js';
import { onnxRuntime } from '../src/runtime/onnxruntime.js';
import { train } from '../src/training/train.js';
import type { ShortRun } from './shortRun.js';
import { trainingOf } from './shortRun.js';

/**
 * A short run of a FISH Mask whose numbers were drawn instead of chosen, all alike likely: what any choice has to beat.
 * @returns the run's metrics
 */
export async function randomMaskRun(
  run: Omit<ShortRun, 'method'>,
  keepRatio: number,
): Promise<Readonly<Record<string, number>>> {
  const { model: folder, seed, rows, held, maxLength = 128 } = run;
  const scratch = mkdtempSync(path.join(tmpdir(), 'peft-random-'));
  try {
    writeFileSync(path.join(scratch, 'train.jsonl'), rows.join('\n'));
    writeFileSync(path.join(scratch, 'held.jsonl'), held.join('\n'));
    const { checkpoint, model, tokenizer, context } = await openModel(folder, seed);
    const data = { train: 'train.jsonl', validation: 'held.jsonl', max_length: maxLength };
    const dataset = await loadDataset(data, tokenizer, { folder: scratch, seed });
    const config = Value.Parse(FishMaskOptions, { type: 'fish_mask', keep_ratio: keepRatio });
    const targets = sparseTargets(config.type, config, context);
    const draws = random(seed, 'random mask');
    const scores = [...targets.weights.values()].map((site) =>
      Float32Array.from({ length: weightSize(site) }, () => draws.uniform()),
    );
    const prepared = preparedPlaces(targets, markLargest(scores, keptCount(keepRatio, targets)));
    const { metrics } = await train({
      model,
      methods: [attachMethod(config, { ...context, prepared })],
      weights: await checkpoint.mapped(),
      runtime: await onnxRuntime({ threads: 1 }),
      ...dataset,
      options: Value.Parse(TrainingOptions, trainingOf(run)),
      packing: false,
      maxLength,
      emit: () => undefined,
      stopRequested: () => false,
    });
    return metrics;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}
