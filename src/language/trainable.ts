import type { Problem } from '../common/problem.js';
import type { RunDocument } from './runDocument.js';

/** How many numbers a run trains, of how many that the model has. */
export interface TrainableCount {
  readonly trainable: number;
  readonly total: number;
}

/** Counts what a run file's methods train, from the checkpoint's header alone. */
export async function trainableOf(
  document: RunDocument,
  signal?: AbortSignal,
): Promise<TrainableCount | Problem | undefined> {
  signal?.throwIfAborted();
  return Promise.resolve(document.parsed.problems[-1]);
}
