import type { StepPlace, Values } from '../methods/method.js';
import type { TrainingJob } from './job.js';

/**
 * Tells what the methods report per site: ranks, norms and masks.
 * @param brief between evaluations: without what takes long to compute
 */
export function reportMethods(job: TrainingJob, values: Values, at: StepPlace, brief = false): void {
  const { step } = at;
  for (const method of job.methods) {
    const sites = method.report?.(values, brief) ?? [];
    const ranked = sites.flatMap(({ path, rank, scale, norm, density }) =>
      rank === undefined && (density !== undefined || norm === undefined) ? [] : [{ path, rank, scale, norm }],
    );
    if (ranked.length > 0) job.emit({ type: 'ranks', step, sites: ranked, ...method.rankBudget?.(at) });
    const masked = sites.flatMap(({ path, density, shape, norm }) =>
      density === undefined ? [] : [{ path, density, shape, norm }],
    );
    if (masked.length > 0) job.emit({ type: 'masks', step, sites: masked });
  }
}
