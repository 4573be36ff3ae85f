import * as l10n from '@vscode/l10n';
import type { Json } from '../../common/json.js';
import { adapterFormat } from '../../methods/registry.js';
import { optionOf } from '../../methods/targets.js';
import { withConfig } from './fault.js';
import type { Check } from './fault.js';
import { isLora } from './lowRankKeys.js';

const NUMBERS = ['r', 'lora_alpha', 'lora_dropout'];
const SWITCHES = ['use_rslora', 'use_dora', 'fan_in_fan_out'];

/** `adapter.config`: numbers and switches that are written as texts. */
export const valueFaults: Check = (form, { configFile }) => {
  if (!isLora(form)) return [];
  const meant = Object.fromEntries(
    Object.entries(form.config).flatMap(([key, value]) => {
      const better = meantValue(key, value);
      return better === undefined ? [] : [[key, better]];
    }),
  );
  const keys = Object.keys(meant);
  if (keys.length === 0) return [];
  const texts = keys.map((key) => `${key}: ${JSON.stringify(form.config[key])} → ${JSON.stringify(meant[key])}`);
  return [
    {
      problem: {
        code: 'adapter.config',
        severity: 'error',
        message: l10n.t`texts stand where numbers or switches belong: ${keys.join(', ')}`,
        where: { file: configFile },
        expected: keys.map((key) => `"${key}": ${JSON.stringify(meant[key])}`).join(', '),
      },
      differences: texts,
      repair: {
        title: l10n.t`write them without quotes`,
        apply: (broken) => withConfig(broken, meant),
      },
    },
  ];
};

function meantValue(key: string, value: Json): number | boolean | undefined {
  if (typeof value !== 'string') return undefined;
  if (NUMBERS.includes(key) && /^\s*\d+(?:\.\d+)?\s*$/.test(value)) return Number(value);
  const switched = value.trim().toLowerCase();
  return SWITCHES.includes(key) && (switched === 'true' || switched === 'false') ? switched === 'true' : undefined;
}

/** `adapter.unknown-key`: keys of other versions that are switched off. Those that are not end the reading of the config. */
export const keyFaults: Check = (form, { configFile }) => {
  const { warnings = [] } = adapterFormat(form.config)?.options(form.config, configFile) ?? {};
  const keys = warnings.flatMap((problem) => {
    const [key] = optionOf(problem) ?? [];
    return problem.code === 'adapter.unknown-key' && typeof key === 'string' ? [{ key, problem }] : [];
  });
  const [first] = keys;
  if (first === undefined) return [];
  const gone = keys.map(({ key }) => key);
  return [
    {
      problem:
        keys.length === 1
          ? first.problem
          : {
              ...first.problem,
              message: l10n.t`${keys.length} keys are not known here and were passed over, since their values switch them off: ${gone.join(', ')}`,
            },
      differences: gone.map((key) => `${key}: ${JSON.stringify(form.config[key])} → –`),
      repair: {
        title: l10n.t`leave out ${gone.join(', ')}`,
        apply: (broken) => withConfig(broken, Object.fromEntries(gone.map((key) => [key, undefined]))),
      },
    },
  ];
};
