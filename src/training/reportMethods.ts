import type { Values } from '../methods/method.js';
import type { TrainingJob } from './job.js';

/** Tells what the methods report per site: ranks and masks. */
export function reportMethods(job: TrainingJob, values: Values, step: number): void {
  for (const method of job.methods) {
    const sites = method.report?.(values) ?? [];
    const ranked = sites.flatMap(({ path, rank, scale, norm }) =>
      rank === undefined ? [] : [{ path, rank, scale, norm }],
    );
    if (ranked.length > 0) job.emit({ type: 'ranks', step, sites: ranked });
    const masked = sites.flatMap(({ path, density }) => (density === undefined ? [] : [{ path, density }]));
    if (masked.length > 0) job.emit({ type: 'masks', step, sites: masked });
  }
}
