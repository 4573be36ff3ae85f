import * as l10n from '@vscode/l10n';
import type { Json } from '../../common/json.js';
import { adapterFormat } from '../../methods/registry.js';
import { tasksOf } from '../../models/readModel.js';
import { peftTaskType } from '../../models/task.js';
import { isLora, pairsIn } from './lowRankKeys.js';
import { withConfig } from './fault.js';
import type { Check, Fault } from './fault.js';

/** What PEFT takes for a task. */
const PEFT_TASKS: readonly Json[] = [
  'SEQ_CLS',
  'SEQ_2_SEQ_LM',
  'CAUSAL_LM',
  'TOKEN_CLS',
  'QUESTION_ANS',
  'FEATURE_EXTRACTION',
];

/**
 * What the config says of the base model: `adapter.base-unnamed`; `adapter.task-type`, a task that it is not made for;
 * `adapter.fan-in-fan-out`, a layout of weights that it does not have.
 */
export const baseFaults: Check = (form, { configFile, model, modelName }) => {
  const where = { file: configFile };
  const {
    base_model_name_or_path: base = null,
    task_type: task = null,
    fan_in_fan_out: turned = false,
  } = form.config;
  const faults: Fault[] = [];
  // The `adapters` library's configs name it elsewhere.
  if (adapterFormat(form.config)?.library === 'adapters') return [];
  if (typeof base !== 'string' || base === '') {
    faults.push({
      problem: {
        code: 'adapter.base-unnamed',
        severity: 'warning',
        message: l10n.t`base_model_name_or_path does not name the base model`,
        where,
        mend: l10n.t`Say which it is: --model BASE.`,
      },
      differences:
        modelName === undefined
          ? []
          : [`base_model_name_or_path: ${JSON.stringify(base)} → ${JSON.stringify(modelName)}`],
      ...(modelName === undefined
        ? {}
        : {
            repair: {
              title: l10n.t`set base_model_name_or_path to ${modelName}`,
              apply: (broken) => withConfig(broken, { base_model_name_or_path: modelName }),
            },
          }),
    });
  }
  if (model === undefined) {
    if (task !== null && !PEFT_TASKS.includes(task)) {
      faults.push({
        problem: {
          code: 'adapter.task-type',
          severity: 'warning',
          message: l10n.t`task_type is ${JSON.stringify(task).slice(0, 100)}, which PEFT does not know`,
          where,
          expected: l10n.t`one of ${PEFT_TASKS.join(', ')}, or null`,
        },
        differences: [],
      });
    }
    return faults;
  }
  const tasks = tasksOf(model.modelType);
  const known = tasks.map(peftTaskType);
  // A backbone alone stands in every task of its type.
  if (task !== null && task !== 'FEATURE_EXTRACTION' && !known.some((each) => each === task)) {
    const [only, ...others] = known;
    faults.push({
      problem: {
        code: 'adapter.task-type',
        severity: 'error',
        message: l10n.t`task_type is ${JSON.stringify(task).slice(0, 100)}, and a model of type ${model.modelType} is not made for it`,
        where,
        expected: l10n.t`one of ${known.map((each) => JSON.stringify(each)).join(', ')}`,
        ...(others.length > 0
          ? {
              mend: l10n.t`The files do not say which of these it was trained for: set task_type yourself, or name another base model.`,
            }
          : {}),
      },
      differences: [
        `task_type: ${JSON.stringify(task)} → ${known.map((each) => JSON.stringify(each)).join(' | ')}`,
      ],
      ...(others.length > 0 || only === undefined
        ? {}
        : {
            repair: {
              title: l10n.t`set task_type to ${String(only)}`,
              apply: (broken) => withConfig(broken, { task_type: only }),
            },
          }),
    });
  }
  const layouts = new Set(
    layoutsOf(
      pairsIn(form).map(({ path }) => path),
      model.sites,
    ),
  );
  const [layout] = layouts;
  if (isLora(form) && layouts.size === 1 && layout !== turned && (turned !== null || layout === true)) {
    faults.push({
      problem: {
        code: 'adapter.fan-in-fan-out',
        severity: 'warning',
        message: l10n.t`fan_in_fan_out is ${JSON.stringify(turned)}, and the modules of the base model lie otherwise`,
        where,
        expected: `"fan_in_fan_out": ${String(layout)}`,
      },
      differences: [`fan_in_fan_out: ${JSON.stringify(turned)} → ${String(layout)}`],
      repair: {
        title: l10n.t`set fan_in_fan_out to ${String(layout)}, as PEFT does by itself`,
        apply: (broken) => withConfig(broken, { fan_in_fan_out: layout === true }),
      },
    });
  }
  return faults;
};

/** Whether the weights of linear modules lie as [in, out]. */
function layoutsOf(
  paths: readonly string[],
  sites: readonly { readonly path: string; readonly kind: string; readonly layout?: 'out-in' | 'in-out' }[],
): boolean[] {
  return sites.flatMap((site) =>
    site.kind === 'linear' && paths.includes(site.path) ? [site.layout === 'in-out'] : [],
  );
}
