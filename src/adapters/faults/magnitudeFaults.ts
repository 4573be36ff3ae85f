import * as l10n from '@vscode/l10n';
import { PEFT_PREFIX } from '../../methods/loraParameters.js';
import { isLora, lines, pairsIn } from './lowRankKeys.js';
import { withConfig } from './fault.js';
import type { Check } from './fault.js';

/** `adapter.magnitude`: each module has DoRA's magnitude, and the config does not say that it is DoRA. */
export const magnitudeFaults: Check = (form, { configFile }) => {
  const { use_dora: found = false } = form.config;
  if (!isLora(form) || found === true) return [];
  const pairs = pairsIn(form);
  const magnitudes = pairs.map(({ path }) => `${PEFT_PREFIX}${path}.lora_magnitude_vector`);
  if (pairs.length === 0 || !magnitudes.every((key) => form.tensors.has(key))) return [];
  return [
    {
      problem: {
        code: 'adapter.magnitude',
        severity: 'error',
        message: l10n.t`every module has a magnitude, as DoRA has it, and use_dora is ${JSON.stringify(found)}`,
        where: { file: configFile },
        expected: `"use_dora": ${String(true)}`,
      },
      differences: lines([`use_dora: ${JSON.stringify(found)} → true`, ...magnitudes]),
      repair: {
        title: l10n.t`set use_dora to true`,
        apply: (broken) => withConfig(broken, { use_dora: true }),
      },
    },
  ];
};
