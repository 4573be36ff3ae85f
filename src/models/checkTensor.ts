import { fail } from '../common/problem.js';

/** What to do about a checkpoint whose tensors are not those of its config. */
export const OTHER_MODEL =
  'Weights and config belong to different models, or the checkpoint is incomplete: fetch it again.';

/**
 * A tensor of a checkpoint has the shape that the config asks for.
 * @throws ProblemError `model.tensor` with both shapes
 */
export function checkTensor(
  tensors: ReadonlyMap<string, readonly number[]>,
  name: string,
  shape: readonly number[],
  source: string,
): void {
  const found = tensors.get(name);
  if (found?.join() === shape.join()) return;
  fail({
    code: 'model.tensor',
    message: `the checkpoint's tensor ${name} is ${found === undefined ? 'missing' : `[${found.join(', ')}]`}`,
    where: { file: source },
    expected: `[${shape.join(', ')}] by the model's config`,
    mend: OTHER_MODEL,
  });
}
