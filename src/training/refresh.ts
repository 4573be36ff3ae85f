import * as l10n from '@vscode/l10n';
import type { Problem } from '../common/problem.js';
import { fail, problemOf } from '../common/problem.js';
import type { Batch } from '../data/example.js';
import type { StepPlace } from '../methods/method.js';
import type { TrainingJob } from './job.js';
import type { Stepper } from './stepper.js';
import { withWeightWork } from './weightWork.js';

/**
 * Has methods find what they want to know of the gradient of the step about to be taken ({@link Attached.refresh}), and says
 * what they say of it.
 *
 * @returns `stopped` when the run was asked to end on the way: then nothing has changed
 */
export async function refresh(
  { methods, runtime, emit, stopRequested }: TrainingJob,
  stepper: Stepper,
  batches: readonly Batch[],
  at: StepPlace,
  dropoutSeed: number,
): Promise<'stopped' | undefined> {
  if (!methods.some((method) => method.refresh?.isDue(at) === true)) return undefined;
  const activity = l10n.t`Finding subspaces`;
  emit({ type: 'progress', activity, done: 0, total: 0 });
  const checkStop = (): void => {
    if (stopRequested()) fail(stopped());
  };
  try {
    const said = await withWeightWork(
      runtime,
      emit,
      checkStop,
      (weightWork) => stepper.refresh(batches, at, dropoutSeed, weightWork),
      activity,
    );
    for (const message of said) emit({ type: 'log', level: 'info', message });
    return undefined;
  } catch (error) {
    if (problemOf(error).code === STOPPED) return 'stopped';
    throw error;
  }
}

const STOPPED = 'training.refresh-stopped';

const stopped = (): Problem => ({
  code: STOPPED,
  message: l10n.t`the run was stopped before its next step`,
});
