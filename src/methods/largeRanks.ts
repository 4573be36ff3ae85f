import * as l10n from '@vscode/l10n';
import type { Site } from '../models/site.js';
import type { AttachContext } from './method.js';
import type { OptionProblem } from './targets.js';

/**
 * Says of ranks above the smaller side of their matrix: an update has no more directions than that, and what is above
 * costs numbers for nothing. Of an adapter on disk it is no fault: sums of adapters have such ranks.
 *
 * @param option where the rank is set
 */
export function largeRanks(
  updates: Iterable<{ readonly site: Site; readonly r: number }>,
  option: string,
  { idlePatterns }: Pick<AttachContext, 'idlePatterns'>,
): OptionProblem[] {
  if (idlePatterns === 'warning') return [];
  const large = [...updates].filter(({ site, r }) => r > Math.min(...site.shape));
  const [first] = large;
  if (first === undefined) return [];
  const { site, r } = first;
  const least = Math.min(...large.flatMap((each) => each.site.shape));
  const shape = `[${site.shape.join(', ')}]`;
  return [
    {
      code: 'method.large-rank',
      severity: 'warning',
      message:
        large.length === 1
          ? l10n.t`rank ${r} is above what ${site.path} ${shape} can have, ${least}`
          : l10n.t`rank ${r} is above what ${large.length} modules can have, such as ${site.path} ${shape}; the smallest side is ${least}`,
      mend: l10n.t`Lower it to at most ${least}, or leave these modules out (exclude_modules): what is above costs numbers and adds nothing.`,
      option: [option],
    },
  ];
}
