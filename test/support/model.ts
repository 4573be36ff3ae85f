import path from 'node:path';
import { random } from '../../src/common/random.js';
import { attachAdapter as attach } from '../../src/adapters/attachAdapter.js';
import type { AttachedAdapter } from '../../src/adapters/attachAdapter.js';
import { allLogits } from '../../src/adapters/merging/logits.js';
import { readAdapter } from '../../src/adapters/readAdapter.js';
import type { AttachContext, Attached, Values } from '../../src/methods/method.js';
import type { LanguageModel } from '../../src/models/architecture.js';
import type { Checkpoint, MappedWeights } from '../../src/models/checkpoint.js';
import { openCheckpoint } from '../../src/models/openCheckpoint.js';
import { readModel } from '../../src/models/readModel.js';
import type { WantedTask } from '../../src/models/task.js';
import { onnxRuntime } from '../../src/runtime/onnxruntime.js';
import type { Runtime } from '../../src/runtime/runtime.js';

/** A checkpoint opened for a test. */
export interface Opened {
  readonly checkpoint: Checkpoint;
  readonly model: LanguageModel;
  readonly weights: MappedWeights;
  readonly runtime: Runtime;
  readonly context: AttachContext;
}

export async function openModel(folder: string, task?: WantedTask): Promise<Opened> {
  const checkpoint = await openCheckpoint(folder);
  const model = readModel(checkpoint, task);
  return {
    checkpoint,
    model,
    weights: await checkpoint.mapped(),
    runtime: await onnxRuntime({ threads: 1 }),
    context: {
      model,
      modelName: path.basename(folder),
      read: (name) => checkpoint.read(name),
      random: (...stream) => random(1, ...stream),
    },
  };
}

/** A PEFT adapter folder attached to an opened model, with its values. */
export async function attachAdapter(
  opened: Opened,
  folder: string,
): Promise<AttachedAdapter & { readonly methods: readonly Attached[] }> {
  const adapter = await attach(await readAdapter(folder), opened.context);
  return { ...adapter, methods: [adapter.method] };
}

/** Logits [rows, length, vocabulary] with methods applied. */
export function logitsOf(
  opened: Opened,
  rows: readonly (readonly number[])[],
  adapter?: { method: Attached; values: Values },
): Promise<Float32Array> {
  return allLogits({
    ...opened,
    rows,
    methods: adapter === undefined ? [] : [adapter.method],
    values: adapter?.values ?? new Map<string, Float32Array>(),
  });
}
