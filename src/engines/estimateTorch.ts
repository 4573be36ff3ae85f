import type { RunConfig } from '../config/schema.js';
import type { ModelShape } from '../memory/modelShape.js';
import { planMemory } from '../memory/planMemory.js';
import type { Estimate } from './estimate.js';
import { plannedRun } from './plannedRun.js';
import type { PlannedRun, TorchOptions } from './plannedRun.js';

/** Methods whose result is the whole model. */
const WHOLE: ReadonlySet<string> = new Set(['full', 'galore', 'lisa']);

/** What a run file needs on Transformers and PEFT, and the run that was planned for it. */
export interface TorchEstimate {
  readonly estimate: Estimate;
  readonly planned: PlannedRun;
}

/**
 * The memory of a run file on Transformers and PEFT, from the model's `config.json` alone.
 * @throws ProblemError `targets.*` where a method matches nothing, `memory.*` for a run that cannot be
 */
export function estimateTorch(shape: ModelShape, config: RunConfig, options: TorchOptions): TorchEstimate {
  const planned = plannedRun(shape, config, options);
  const plan = planMemory(planned.shape, planned.run);
  const results = config.method.flatMap((method): Estimate['results'] => {
    // It writes nothing of its own.
    if (method.type === 'child_tuning') return [];
    const alone = plannedRun(shape, { ...config, method: [method] }, options);
    const bytes = planMemory(alone.shape, alone.run).adapterFileBytes;
    const along = method.type === 'adapter_fusion' && method.stage1 === 'MT-A';
    const what = WHOLE.has(method.type) || along ? 'model' : 'adapter';
    return [{ method: method.type, what, bytes }];
  });
  return { estimate: { engine: 'huggingface', plan, converted: 0, results, notes: planned.notes }, planned };
}
