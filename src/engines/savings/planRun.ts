import { ProblemError } from '../../common/problem.js';
import type { RunConfig } from '../../config/schema.js';
import type { MemoryPlan } from '../../memory/plan.js';

/** Plans a run, at once or later. May throw a ProblemError for one that cannot be. */
export type PlanRun = (config: RunConfig) => Planned | Promise<Planned>;

interface Planned {
  readonly plan: MemoryPlan;
}

/** What is a method's refusal of the changed run is no failure of the suggestions. */
export async function planOf(config: RunConfig, planRun: PlanRun): Promise<MemoryPlan | undefined> {
  try {
    return (await planRun(config)).plan;
  } catch (error) {
    if (error instanceof ProblemError) return undefined;
    throw error;
  }
}
