import * as l10n from '@vscode/l10n';
import { fail } from '../../common/problem.js';
import type { FactorSum } from './combineFactors.js';
import { nameOf } from './combinedPart.js';
import type { Differences, Part } from './combinedPart.js';
import { headedAdapter } from '../sameBase.js';
import { addsToLora } from './updateSources.js';

/**
 * Of one kind of differences adapters become one of that kind; all else becomes a LoRA.
 * @throws ProblemError `combine.method`
 */
export function formOf(parts: readonly Part[]): Differences {
  checkMethods(parts);
  const [first, ...others] = parts.map(({ adapter }) => adapter.format.differences);
  return first !== undefined && others.every((each) => each === first) ? first : 'factors';
}

/**
 * What can be told of the adapters without their base.
 * @param form what they become
 * @throws ProblemError `combine.count`, `combine.how`, `combine.as-peft`, `combine.task`, `adapter.several-heads`
 */
export function checkParts(parts: readonly Part[], form: Differences, how: FactorSum): void {
  if (parts.length < 2 && form !== 'factors') {
    fail({
      code: 'combine.count',
      message: l10n.t`one adapter alone has nothing to be added to`,
      expected: l10n.t`two adapters or more`,
    });
  }
  const [first] = parts as [Part, ...Part[]];
  if (form !== 'factors' && (how.sum.kind !== 'linear' || how.kept !== undefined)) {
    fail({
      code: 'combine.how',
      message: l10n.t`adapters of type ${first.adapter.peftType} are added as they are: they have no rank, and no other way`,
      where: { file: first.adapter.configFile },
      expected: l10n.t`the way 'linear', without a rank or an energy`,
    });
  }
  const other = parts.find(({ adapter }) => adapter.format.differences !== 'factors');
  if (how.asPeft === true && other !== undefined) {
    fail({
      code: 'combine.as-peft',
      message: l10n.t`PEFT combines LoRA adapters only, and ${nameOf(other)} is of type ${other.adapter.peftType}`,
      where: { file: other.adapter.configFile },
      mend: l10n.t`Leave out --as-peft: the updates are combined then.`,
    });
  }
  const headed = headedAdapter(parts.map(({ adapter }) => adapter));
  const tasks = new Set(parts.map(({ adapter }) => adapter.config['task_type'] ?? null));
  if (headed === undefined && tasks.size > 1) {
    fail({
      code: 'combine.task',
      message: l10n.t`the adapters are for different tasks: ${[...tasks].join(', ')}`,
      where: { file: first.adapter.configFile },
      expected: l10n.t`one task_type, or one adapter with a head for classes`,
    });
  }
}

/**
 * Adapters that cannot be added at all are told as such before all else.
 * @throws ProblemError `combine.method` for what is no difference of any base
 */
export function checkMethods(parts: readonly Part[]): void {
  const other = parts.find((part) => !addsToLora(part));
  if (other === undefined) return;
  fail({
    code: 'combine.method',
    message: l10n.t`${other.adapter.peftType} does not keep differences from the base model: what its tensors change depends on more than their sum`,
    where: { file: other.adapter.folder },
    expected: l10n.t`LORA, ADALORA, MELORA, LOTR, LOKR, MORA, or adapters that change single numbers of weights, or biases: LT_SFT, FISH_MASK, FISH_DIP, PAFI, SAM, BITFIT`,
    mend: l10n.t`Merge it into the base model, and use the merged model.`,
  });
}
