import type { Static, TObject } from '@sinclair/typebox';
import * as l10n from '@vscode/l10n';
import type { Problem } from '../common/problem.js';
import type { Site } from '../models/site.js';
import type { MethodInfo } from './info.js';
import { optionsOfOurs, readOptions } from './peftConfig.js';
import type { PeftFormat } from './peftFormat.js';

const MASK = '.weight.mask';

/** The name on disk of a module's mask: int32, a bit for each number of its weight. */
export function maskKey({ path }: Pick<Site, 'path'>): string {
  return `${path}${MASK}`;
}

/** The name in checkpoints of a module's scores. */
export function scoresName({ path }: Pick<Site, 'path'>): string {
  return `${path}.weight.scores`;
}

/** How adapters of masks are read: PEFT itself has none. */
export function learnedMaskFormat<Options extends TObject>(
  info: MethodInfo<Options>,
): PeftFormat<Static<Options>> {
  const options: PeftFormat<Static<Options>>['options'] = (config, source) =>
    optionsOfOurs(config, source, { schema: info.options, type: info.type, title: l10n.t(info.title) });
  return {
    type: 'LEARNED_MASK',
    saysHowMany: true,
    options,
    async prepared(adapter) {
      const masks = new Map<string, Int32Array>();
      for (const [name, { dtype }] of adapter.tensors) {
        if (dtype === 'I32' && name.endsWith(MASK)) masks.set(name, await adapter.readIndices(name));
      }
      return masks;
    },
    inspect(adapter) {
      const problems: Problem[] = [];
      readOptions(options, adapter, problems);
      const isMask = ([name, { dtype }]: readonly [string, { readonly dtype: string }]): boolean =>
        dtype === 'I32' && name.endsWith(MASK);
      const tensors = [...adapter.tensors];
      const masks = tensors.filter(isMask);
      return Promise.resolve({
        r: undefined,
        alpha: undefined,
        modules: [],
        whole: masks.map(([name]) => name),
        // The last word of a matrix whose size is no multiple of 32 has some to spare.
        numbers: new Map(masks.map(([name, { shape }]) => [name, 32 * (shape[0] ?? 0)])),
        unknown: tensors.filter((each) => !isMask(each)).map(([name]) => name),
        problems,
      });
    },
  };
}
