import type { Problem } from '../common/problem.js';
import type { Attached, Values } from '../methods/method.js';
import type { Hooks } from '../models/site.js';
import type { Value } from '../runtime/runtime.js';
import { fixedShape, fixedSize } from '../tensor/dims.js';
import type { Tensor, Weight } from '../tensor/tensor.js';
import type { TrainingJob } from './job.js';

/** What passes run over. */
export type PassSetup = Pick<
  TrainingJob,
  'model' | 'methods' | 'weights' | 'runtime' | 'train' | 'options' | 'packing' | 'masking' | 'maxLength' | 'emit'
> & {
  /** Present numbers of the methods' trainables; what it lacks starts where its method has it start. */
  readonly values?: Values;
  readonly stopRequested: () => boolean;
  readonly stopped: Problem;
};

/** Hooks that change nothing and note the tensors of these weights of the checkpoint. */
export function frozenWeights(names: readonly string[]): { readonly hooks: Hooks; found(): readonly Weight[] } {
  const noted = new Map<string, Weight>();
  return {
    hooks: {
      parameter(_site, _kind, base) {
        if (base.kind === 'weight' && names.includes(base.name)) noted.set(base.name, base);
        return base;
      },
    },
    found: () => names.map((name) => noted.get(name)!),
  };
}

/** Numbers of the methods' trainables that a program reads: as they are at present, or as they start. */
export async function presentFeeds(
  methods: readonly Pick<Attached, 'trainables'>[],
  reads: ReadonlySet<string>,
  values: Values = new Map(),
): Promise<Record<string, Value>> {
  const feeds: Record<string, Value> = {};
  for (const { variable: each, start } of methods.flatMap(({ trainables }) => trainables)) {
    if (reads.has(each.name)) feeds[each.name] = valueOf(each, values.get(each.name) ?? (await start()));
  }
  return feeds;
}

/** Numbers of a tensor, all zero. */
export function zeros(each: Tensor): Value {
  return valueOf(each, new Float32Array(fixedSize(each.shape)));
}

function valueOf({ shape }: Tensor, data: Float32Array): Value {
  return { dtype: 'float32', shape: fixedShape(shape), data };
}
