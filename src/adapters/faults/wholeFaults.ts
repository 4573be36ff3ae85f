import * as l10n from '@vscode/l10n';
import type { Json } from '../../common/json.js';
import { HEAD_MODULES } from '../adapterTask.js';
import { isTrained } from '../../methods/loraParameters.js';
import { isLora, lines, some, wholeParameter } from './lowRankKeys.js';
import { withConfig } from './fault.js';
import type { Check } from './fault.js';

/** Names that say alone which module is meant. */
const UNIQUE = /(?:^|\.)(lm_head|embed_tokens|wte)$/;

/** `adapter.modules-to-save`: weights of the base that trained whole and that the config does not name. */
export const wholeFaults: Check = (form, { configFile }) => {
  if (!isLora(form)) return [];
  const { modules_to_save: found = null, bias = 'none' } = form.config;
  const before = Array.isArray(found)
    ? found.filter((name: Json): name is string => typeof name === 'string')
    : [];
  const choice = {
    bias: bias === 'all' || bias === 'lora_only' ? bias : 'none',
    modules_to_save: before,
  } as const;
  const loose = [...form.tensors.keys()].flatMap((key) => {
    const parameter = wholeParameter(key);
    // A bias alone may be one of `bias`, and a head is the task's.
    if (parameter?.kind !== 'weight' || isTrained(key, choice) || isHead(parameter.path)) return [];
    return [{ key, module: UNIQUE.exec(parameter.path)?.[1] ?? parameter.path }];
  });
  const [first] = loose;
  if (first === undefined) return [];
  const wanted = [...new Set([...before, ...loose.map(({ module }) => module)])];
  return [
    {
      problem: {
        code: 'adapter.modules-to-save',
        severity: 'error',
        message: l10n.t`${some(loose.map(({ key }) => key))} are weights of the base that trained whole, and modules_to_save is ${JSON.stringify(found).slice(0, 200)}`,
        where: { file: configFile },
        expected: `"modules_to_save": ${JSON.stringify(wanted)}`,
      },
      differences: lines(loose.map(({ key, module }) => `${key}: modules_to_save + "${module}"`)),
      repair: {
        title: l10n.t`set modules_to_save to ${JSON.stringify(wanted)}: these weights take the place of the base's`,
        apply: (broken) => withConfig(broken, { modules_to_save: wanted }),
      },
    },
  ];
};

function isHead(path: string): boolean {
  return path.split('.').some((part) => HEAD_MODULES.includes(part));
}
