import * as l10n from '@vscode/l10n';
import type { Json } from '../../common/json.js';
import type { RunConfig } from '../../config/schema.js';
import type { ConfigChange } from '../../config/setIn.js';
import { DEFAULT_MAX_LENGTH } from '../../data/options.js';
import type { MemoryPlan } from '../../memory/plan.js';
import { halvings } from './idea.js';
import type { Idea } from './idea.js';
import { methodIdeas } from './methodIdeas.js';

/** Rows shorter than this hold no task. */
const LEAST_LENGTH = 64;
/** All ways to save memory in a run, in the order in which equals are shown. */
export function ideas(config: RunConfig, plan: MemoryPlan): readonly Idea[] {
  return [
    ...batchIdeas(config, plan),
    ...config.method.flatMap((method, at) => methodIdeas(config, method, at)),
    ...trainingIdeas(config),
    ...dataIdeas(config),
  ];
}

/** Half the batch, twice the accumulation: the same step. Evaluations are as large as they need not be. */
function batchIdeas({ training, data }: RunConfig, { peak }: MemoryPlan): readonly Idea[] {
  const {
    per_device_train_batch_size: batch,
    gradient_accumulation_steps: accumulation,
    per_device_eval_batch_size: evalBatch,
  } = training;
  const evaluates = data.validation !== undefined || (data.validation_split ?? 0) > 0;
  const found: Idea[] = [];
  const sizes = halvings(batch, 1, Infinity);
  // Of a batch that no halving divides evenly the step has a few rows more.
  const isEven = sizes.every((size) => batch % size === 0);
  found.push({
    keepsResult: isEven,
    forms: sizes.map((size) => {
      const steps = accumulation * Math.ceil(batch / size);
      return {
        name: l10n.t`Batch ${size} × ${steps}`,
        cost:
          size * steps === batch * accumulation
            ? l10n.t`the same step, a little slower`
            : l10n.t`a step of a few rows more`,
        changes: [
          { path: ['training', 'per_device_train_batch_size'], value: size },
          { path: ['training', 'gradient_accumulation_steps'], value: steps },
          ...(evaluates && evalBatch > size
            ? [{ path: ['training', 'per_device_eval_batch_size'], value: size }]
            : []),
        ],
      };
    }),
  });
  if (peak === 'evaluation') {
    found.push({
      keepsResult: true,
      forms: halvings(evalBatch, 1, Infinity).map((size) => ({
        name: l10n.t`Evaluation batch ${size}`,
        cost: l10n.t`the same figures, a little slower`,
        changes: [{ path: ['training', 'per_device_eval_batch_size'], value: size }],
      })),
    });
  }
  return found;
}

function trainingIdeas({ training }: RunConfig): readonly Idea[] {
  const set = (option: string, value: Json): ConfigChange => ({ path: ['training', option], value });
  const one = (name: string, cost: string, change: ConfigChange): Idea => ({
    keepsResult: false,
    forms: [{ name, cost, changes: [change] }],
  });
  return [
    ...(training.optim === 'adamw'
      ? [one('Adafactor', l10n.t`moments of rows and columns only`, set('optim', 'adafactor'))]
      : []),
    ...(training.optim !== 'sgd'
      ? [one('SGD', l10n.t`slower learning, at a far higher learning rate of your choice`, set('optim', 'sgd'))]
      : []),
    ...(training.optim === 'sgd' && training.momentum > 0
      ? [one(l10n.t`No momentum`, l10n.t`slower learning`, set('momentum', 0))]
      : []),
    ...(training.sam_rho > 0
      ? [one(l10n.t`No sharpness-aware steps`, l10n.t`a sharper minimum, in half the time`, set('sam_rho', 0))]
      : []),
  ];
}

function dataIdeas({ data }: RunConfig): readonly Idea[] {
  const lengths = halvings(data.max_length ?? DEFAULT_MAX_LENGTH, LEAST_LENGTH);
  return [
    {
      keepsResult: false,
      forms: lengths.map((length) => ({
        name: l10n.t`Row length ${length}`,
        cost: l10n.t`longer rows are cut`,
        changes: [{ path: ['data', 'max_length'], value: length }],
      })),
    },
    ...(data.packing === true
      ? [
          {
            keepsResult: true,
            forms: [
              {
                name: l10n.t`No packing`,
                cost: l10n.t`one row at a time, slower where rows are short`,
                changes: [{ path: ['data', 'packing'], value: false }],
              },
            ],
          },
        ]
      : []),
  ];
}
