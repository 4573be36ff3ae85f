import { MODELS } from '../../../bench/memoryModels.js';
import { ProblemError } from '../../../src/common/problem.js';
import { readModelShape } from '../../../src/memory/readShape.js';
import type { ModelShape } from '../../../src/memory/modelShape.js';
import type { MemoryRun } from '../../../src/memory/run.js';

export type ModelName = keyof typeof MODELS;
export const MODEL_NAMES = Object.keys(MODELS) as readonly ModelName[];

export function shapeOf(name: ModelName): ModelShape {
  return readModelShape(MODELS[name].config, MODELS[name].id);
}

/** LoRA on all linears in bfloat16, batch 2 of 128 tokens, without a runtime. */
export function memoryRun(rest: Partial<MemoryRun> = {}): MemoryRun {
  return {
    weights: { dtype: 'bf16' },
    compute: 'bf16',
    methods: [{ kind: 'low-rank', targets: 'all-linear', rank: 8 }],
    batch: 2,
    length: 128,
    accumulation: 1,
    checkpointing: false,
    attention: 'sdpa',
    optimizer: { kind: 'adamw' },
    runtimeBytes: 0,
    ...rest,
  };
}

/** The code of the problem a call raises. */
export function problemCode(run: () => unknown): string | undefined {
  try {
    run();
  } catch (error) {
    if (error instanceof ProblemError) return error.problem.code;
    throw error;
  }
  return undefined;
}
