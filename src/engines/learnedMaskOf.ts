import * as l10n from '@vscode/l10n';
import path from 'node:path';
import { pathKind } from '../common/files.js';
import { fail } from '../common/problem.js';
import { readResolvedRun } from '../config/readResolvedRun.js';
import { packedBits } from '../methods/bitMask.js';
import { marksAbove } from '../methods/learnedMask.js';
import { maskKey, scoresName } from '../methods/learnedMaskConfig.js';
import { readSafetensor, readSafetensorInt32 } from '../models/safetensors.js';
import { RESOLVED_CONFIG } from './runFiles.js';
import type { MaskSource } from './maskSources.js';

/**
 * The mask that a run has learned of a matrix, as packed bits: the adapter's, or out of the newest checkpoint's scores.
 * Undefined where the run learns none.
 *
 * @param sources see `maskSources`
 * @param numbers of the matrix
 * @throws ProblemError `mask.not-yet`
 */
export async function learnedMaskOf(
  folder: string,
  site: string,
  numbers: number,
  sources: readonly MaskSource[],
): Promise<Int32Array | undefined> {
  const config = path.join(folder, RESOLVED_CONFIG);
  if ((await pathKind(config)) !== 'file') return undefined;
  const { method } = await readResolvedRun(config);
  const learned = method.find((each) => each.type === 'learned_mask');
  if (learned === undefined) return undefined;
  for (const { header, nameOf } of sources) {
    const bits = header.tensors.get(maskKey({ path: site }));
    if (bits?.length === 4 * Math.ceil(numbers / 32)) {
      return readSafetensorInt32(header, maskKey({ path: site }));
    }
    const name = nameOf(scoresName({ path: site }));
    if (name === undefined || header.tensors.get(name)!.length !== 4 * numbers) continue;
    return packedBits(marksAbove(await readSafetensor(header, name), learned.threshold));
  }
  // Another method's mask, perhaps.
  if (method.length > 1) return undefined;
  return fail({
    code: 'mask.not-yet',
    message: l10n.t`the mask of ${site} changes in the course of the run, and neither a checkpoint nor the adapter holds it yet`,
    where: { file: folder },
    mend: l10n.t`Write a checkpoint now, or wait for the run’s end.`,
  });
}
