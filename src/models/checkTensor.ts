import * as l10n from '@vscode/l10n';
import { fail } from '../common/problem.js';

/** What to do about a checkpoint whose tensors are not those of its config. */
export const otherModel = (): string =>
  l10n.t`Weights and config belong to different models, or the checkpoint is incomplete: fetch it again.`;

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
    message:
      found === undefined
        ? l10n.t`the checkpoint's tensor ${name} is missing`
        : l10n.t`the checkpoint's tensor ${name} is ${`[${found.join(', ')}]`}`,
    where: { file: source },
    expected: l10n.t`[${shape.join(', ')}] by the model's config`,
    mend: otherModel(),
  });
}
