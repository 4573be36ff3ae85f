import { Type } from '@sinclair/typebox';
import type { Static } from '@sinclair/typebox';

const ScheduleKeys = Type.Object(
  {
    num_cycles: Type.Optional(
      Type.Number({
        exclusiveMinimum: 0,
        description:
          '`cosine`, `cosine_with_min_lr`: how many whole waves (default: 0.5, down and not up again). `cosine_with_restarts`: how many times to fall, a whole number (default: 1).',
      }),
    ),
    power: Type.Optional(
      Type.Number({ exclusiveMinimum: 0, description: '`polynomial`: the exponent (default: 1, a line).' }),
    ),
    lr_end: Type.Optional(
      Type.Number({ minimum: 0, description: '`polynomial`: the learning rate at the end (default: 1e-7).' }),
    ),
    timescale: Type.Optional(
      Type.Integer({
        minimum: 1,
        description:
          '`inverse_sqrt`: after about three times so many steps the rate has halved (default: the steps of warm-up, or 10000).',
      }),
    ),
    min_lr: Type.Optional(
      Type.Number({
        minimum: 0,
        description: '`cosine_with_min_lr`: the lowest learning rate. Give this or `min_lr_rate`.',
      }),
    ),
    min_lr_rate: Type.Optional(
      Type.Number({
        minimum: 0,
        maximum: 1,
        description: '`cosine_with_min_lr`: the lowest learning rate as a share of `learning_rate`.',
      }),
    ),
  },
  {
    additionalProperties: false,
    description: 'What else `lr_scheduler_type` goes by; each schedule reads its own keys.',
  },
);

/** The learning rate's course; a part of `training`. */
export const SCHEDULE_OPTIONS = {
  lr_scheduler_type: Type.Union(
    [
      Type.Literal('linear', { description: 'Falls to 0 in a line.' }),
      Type.Literal('cosine', { description: 'Falls to 0 in a half cosine.' }),
      Type.Literal('cosine_with_restarts', {
        description: 'Falls to 0 in a half cosine `num_cycles` times, each from the highest rate.',
      }),
      Type.Literal('cosine_with_min_lr', {
        description: 'Falls in a half cosine to `min_lr` or `min_lr_rate`, one of which it needs.',
      }),
      Type.Literal('polynomial', { description: 'Falls to `lr_end` as the share of steps left to the `power`.' }),
      Type.Literal('inverse_sqrt', { description: 'Falls with the root of the steps, without an end.' }),
      Type.Literal('constant', { description: 'The same at every step; there is no warm-up.' }),
      Type.Literal('constant_with_warmup', { description: 'The same at every step after the warm-up.' }),
    ],
    {
      default: 'linear',
      description:
        'The learning rate after the warm-up, as in Transformers. `linear`: falling to 0 in a line; `cosine`: in a half cosine; `cosine_with_restarts`: in several; `cosine_with_min_lr`: in one that ends above 0; `polynomial`: with a power of the steps left; `inverse_sqrt`: with the root of the steps; `constant_with_warmup`; `constant`: without a warm-up.',
    },
  ),
  lr_scheduler_kwargs: Type.Optional(ScheduleKeys),
  warmup_steps: Type.Integer({
    minimum: 0,
    default: 0,
    description:
      'Optimizer steps over which the learning rate rises from 0. Give this or `warmup_ratio`, not both.',
  }),
  warmup_ratio: Type.Number({
    minimum: 0,
    maximum: 1,
    default: 0,
    description:
      'Share of all optimizer steps that is warm-up, rounded up. Give this or `warmup_steps`, not both.',
  }),
} as const;

type ScheduleName = Static<typeof SCHEDULE_OPTIONS.lr_scheduler_type>;
export type ScheduleKey = keyof Static<typeof ScheduleKeys>;

/** What each schedule reads of `lr_scheduler_kwargs`. */
export const SCHEDULE_KEYS: Readonly<Record<ScheduleName, readonly ScheduleKey[]>> = {
  linear: [],
  cosine: ['num_cycles'],
  cosine_with_restarts: ['num_cycles'],
  cosine_with_min_lr: ['num_cycles', 'min_lr', 'min_lr_rate'],
  polynomial: ['power', 'lr_end'],
  inverse_sqrt: ['timescale'],
  constant: [],
  constant_with_warmup: [],
};
