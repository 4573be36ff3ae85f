import * as l10n from '@vscode/l10n';
import { fail } from '../../common/problem.js';
import type { Masks } from '../../training/events.js';
import { maskOf } from '../maskOf.js';
import type { BaseTensors } from './baseTensors.js';
import { placeOfTensor } from './maskTensor.js';
import type { MaskTensor } from './maskTensor.js';
import { NO_PLACES } from './places.js';

/**
 * The mask of a run as its record tells it last: which numbers train, or, of a learned mask, are on. Of a method that
 * guides others (Child-Tuning) these are numbers of what they train, which may be no tensors of the base.
 *
 * @param folder the run's
 * @param base undefined where its base model is not at hand
 * @throws ProblemError `masks.drawn` for a mask that each step draws anew; when it is read those of `maskOf`
 */
export function runMask(folder: string, { sites }: Masks, base: BaseTensors | undefined): readonly MaskTensor[] {
  return sites.flatMap(({ path, density, shape }): MaskTensor[] => {
    const known = base?.byName.get(path) ?? base?.byName.get(`${path}.weight`);
    const size = shape?.reduce((product, length) => product * length, 1) ?? known?.size;
    if (size === undefined) return [];
    if (shape === undefined && density > 0 && density < 1) drawnAnew(folder, path);
    return [
      {
        ...(known ?? { name: path, ...placeOfTensor(path, false) }),
        size,
        async places() {
          if (density === 1) return { kind: 'all' };
          if (density === 0 || shape === undefined) return NO_PLACES;
          return { kind: 'list', indices: (await maskOf(folder, path, shape)).indices };
        },
      },
    ];
  });
}

function drawnAnew(folder: string, path: string): never {
  return fail({
    code: 'masks.drawn',
    message: l10n.t`the mask of ${path} is drawn anew at each step`,
    where: { file: folder },
    expected: l10n.t`a mask that is chosen or learned`,
    mend: l10n.t`Nothing can be compared of this run: which numbers trained differs from step to step.`,
  });
}
